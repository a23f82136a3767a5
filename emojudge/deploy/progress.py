"""How a change of the core tells how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Going(NamedTuple):
    """What is being done; ``done`` of ``total`` bytes, both 0 where there is nothing to count."""

    words: str
    done: int = 0
    total: int = 0


Progress = Callable[[Going], None]


def quiet(going: Going) -> None:
    """No progress wanted."""


class Lines:
    """Progress as lines of text: one per step, and how far a long one is every few seconds."""

    def __init__(self, say: Callable[[str], None], seconds: float = 2.0) -> None:
        self._say = say
        self._seconds = seconds
        self._words = ""
        self._said_at = 0.0

    def __call__(self, going: Going) -> None:
        """Say it, if it is news."""
        now = time.monotonic()
        if going.words != self._words:
            self._say(f"{going.words}…")
        elif going.total and now - self._said_at >= self._seconds:
            self._say(f"{going.words}: {100 * going.done // going.total}%")
        else:
            return
        self._words, self._said_at = going.words, now
