"""Studies of planted truth: how often a verdict is wrong, and how soon it is reached."""
