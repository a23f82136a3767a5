"""Messages for people, on stderr, so that stdout carries only results."""

from __future__ import annotations

import logging
import os
import sys
import threading

from emojudge.text import visible

_verbose = threading.Event()


def be_verbose() -> None:
    """More log, and tracebacks with errors, as long as this process runs."""
    _verbose.set()


def is_verbose() -> bool:
    """Whether somebody asked for it."""
    return _verbose.is_set()


def say(text: str) -> None:
    """Print ``text`` harmlessly; a terminal that hung up is no reason to stop."""
    try:
        print(visible(text), file=sys.stderr, flush=True)
    except OSError as gone:
        logging.getLogger(__name__).info("%s (not shown: %s)", text, gone)


def say_progress(text: str, *, last: bool) -> None:
    """One line of a terminal that is written again each time; nothing where nobody looks."""
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        print(f"\r\x1b[K{text}", end="\n" if last else "", file=sys.stderr, flush=True)
