"""Showing responses in lockstep, so that speed never tells candidates apart.

All panes have shown the same number of words at every moment. A pane that is still being written
holds the others back. One that has ended holds them back too, at the pace at which it was written:
otherwise a long response behind a short one would show how fast its own candidate is. The pace of
a response of a few words is not known; it is taken to be the slowest of the items before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"\s*\S+")
_FEW = 8
"""Fewer words that came while one looked say nothing of a pace."""


@dataclass(frozen=True)
class PaneText:
    """What is there to show of one pane: harmless text, and whether it is all."""

    text: str
    finished: bool


class _Pane:
    """One pane's text so far, where its words end, and the pace at which they came."""

    def __init__(self) -> None:
        self.text = ""
        self.finished = False
        self.ends: list[int] = []
        self._pace = math.inf
        self._sure = True
        self._began: tuple[float, int] | None = None
        self._ended_at = 0.0

    def take(self, state: PaneText, now: float) -> None:
        """Take in what there is now; text usually only grows.

        A response that is written again, because its worker died, is waited for where it was.
        """
        if not state.finished and len(state.text) < len(self.text):
            return
        if state.text != self.text:
            if not state.text.startswith(self.text):
                self.ends.clear()
            # The last word may have grown.
            self.ends = self.ends[:-1]
            start = self.ends[-1] if self.ends else 0
            self.ends += [match.end() for match in _WORD.finditer(state.text, start)]
            self.text = state.text
        if self._began is None or (not self._began[1] and not state.finished):
            self._began = (now, len(self.ends))
        if state.finished and not self.finished:
            since, words = self._began
            grown = len(self.ends) - words
            self._pace = grown / (now - since) if grown > 0 and now > since else math.inf
            self._sure = grown >= _FEW or self._pace == math.inf
            self._ended_at = now
        self.finished = state.finished

    @property
    def pace(self) -> float | None:
        """Words per second, once it has ended and was long enough to tell."""
        return self._pace if self.finished and self._sure else None

    def allows(self, now: float, slowest: float) -> float:
        """How many words this pane lets the others show: whole ones it has, or would have."""
        if not self.finished:
            return max(0, len(self.ends) - 1)
        pace = self._pace if self._sure else min(self._pace, slowest)
        if pace == math.inf:
            return math.inf
        return len(self.ends) - 1 + math.floor(pace * (now - self._ended_at))

    def first_words(self, count: int) -> str:
        """The text up to the end of so many words; all of it when it has no more."""
        if count >= len(self.ends):
            return self.text if self.finished else self.text[: self.ends[-1] if self.ends else 0]
        return self.text[: self.ends[count - 1]] if count else ""


class Lockstep:
    """Word-by-word reveal at ``words_per_second`` at most."""

    def __init__(self, words_per_second: float) -> None:
        self.speed = words_per_second
        self._slowest = math.inf
        self._panes: list[_Pane] = []
        self.restart()

    def restart(self) -> None:
        """A new item: nothing is shown yet."""
        paces = [one.pace for one in self._panes if one.pace is not None]
        self._slowest = min([self._slowest, *paces])
        self._words = 0.0
        self._skip = False
        self._last: float | None = None
        self._panes = []

    def skip(self) -> None:
        """Show what is there at once, still in lockstep."""
        self._skip = True

    def shown(self, panes: Sequence[PaneText], now: float) -> list[str]:
        """What each pane shows at time ``now`` (seconds, any epoch that never goes back)."""
        if len(self._panes) != len(panes):
            self._panes = [_Pane() for _ in panes]
        for own, state in zip(self._panes, panes, strict=True):
            own.take(state, now)
        longest = max((len(one.ends) for one in self._panes), default=0)
        allowed = (one.allows(now, self._slowest) for one in self._panes)
        available = min([float(longest), *allowed])
        if self.written and (self._skip or available >= longest - 1):
            available = longest
        elapsed = 0.0 if self._last is None else max(0.0, now - self._last)
        self._last = now
        wanted = available if self._skip else self._words + elapsed * self.speed
        # What has been shown is never taken back.
        self._words = max(self._words, min(wanted, available))
        return [one.first_words(int(self._words)) for one in self._panes]

    @property
    def written(self) -> bool:
        """Whether every pane's text is there, as of the last look."""
        return bool(self._panes) and all(one.finished for one in self._panes)

    @property
    def complete(self) -> bool:
        """Whether every pane is finished and wholly shown, as of the last look."""
        return bool(self._panes) and all(
            one.finished and self._words >= len(one.ends) for one in self._panes
        )
