"""``emojudge doctor``: what would stop a run here, and the command that mends it."""
