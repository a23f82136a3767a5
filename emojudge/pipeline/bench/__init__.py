"""``emojudge bench``: the speed of this machine against its own limits."""
