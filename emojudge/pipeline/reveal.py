"""Showing responses in lockstep, so that speed never tells candidates apart.

All panes have shown the same number of words at every moment. A pane that is still being written
holds the others back; one that has ended does not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"\s*\S+")


@dataclass(frozen=True)
class PaneText:
    """What is there to show of one pane: harmless text, and whether it is all."""

    text: str
    finished: bool


def word_ends(text: str) -> list[int]:
    """The offsets at which words end."""
    return [match.end() for match in _WORD.finditer(text)]


class Lockstep:
    """Word-by-word reveal at ``words_per_second`` at most."""

    def __init__(self, words_per_second: float) -> None:
        self._speed = words_per_second
        self._words = 0.0
        self._skip = False
        self._last: float | None = None

    def restart(self) -> None:
        """A new item: nothing is shown yet."""
        self._words, self._skip, self._last = 0.0, False, None

    def skip(self) -> None:
        """Show what is there at once, still in lockstep."""
        self._skip = True

    def shown(self, panes: Sequence[PaneText], now: float) -> list[str]:
        """What each pane shows at time ``now`` (seconds, any epoch)."""
        ends = [word_ends(pane.text) for pane in panes]
        # The last word of unfinished text may still grow.
        limits = [
            len(own) - 1 if not pane.finished else None
            for pane, own in zip(panes, ends, strict=True)
        ]
        unfinished = [max(limit, 0) for limit in limits if limit is not None]
        available = float(min(unfinished)) if unfinished else float(max(map(len, ends), default=0))
        elapsed = 0.0 if self._last is None else max(0.0, now - self._last)
        self._last = now
        wanted = available if self._skip else self._words + elapsed * self._speed
        self._words = min(wanted, available)
        count = int(self._words)
        return [
            pane.text
            if pane.finished and count >= len(own)
            else pane.text[: ([0, *own])[min(count, len(own))]]
            for pane, own in zip(panes, ends, strict=True)
        ]

    def complete(self, panes: Sequence[PaneText]) -> bool:
        """Whether every pane is finished and wholly shown."""
        return all(pane.finished and self._words >= len(word_ends(pane.text)) for pane in panes)
