"""``python -m emojudge`` is the ``emojudge`` command."""

from emojudge.cli import main

main()
