"""The command line behind ``cli.py``: groups of commands, and what they share."""
