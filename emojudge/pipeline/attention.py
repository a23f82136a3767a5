"""How long a person was at an item: idle time apart, and when a break would do good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

IDLE_AFTER = 120.0
"""Seconds without a key that still count as reading: four long responses take no longer."""
BREAK = 300.0
"""An absence this long (seconds) counts as a break."""


@dataclass(frozen=True)
class Spent:
    """Seconds at an item, and seconds away from it."""

    active: float = 0.0
    idle: float = 0.0


class Attention:
    """Divides the time between keys into reading and absence.

    ``now`` gives seconds of any epoch that never go back.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last = now()
        self._away = False
        self._spent = Spent()
        self._since_break = 0.0
        self._suggested_at = 0.0

    def begin(self, spent: Spent = Spent()) -> None:
        """Another item, on which so much was spent before."""
        self.touch()
        self._spent = spent

    def touch(self) -> Spent:
        """A key was pressed: what was spent on the item up to now."""
        now = self._now()
        gap, self._last = max(0.0, now - self._last), now
        active = 0.0 if self._away else min(gap, IDLE_AFTER)
        self._away = False
        self._spent = Spent(self._spent.active + active, self._spent.idle + gap - active)
        if gap - active >= BREAK:
            self._since_break = self._suggested_at = 0.0
        else:
            self._since_break += active
        return self._spent

    def leave(self) -> None:
        """The person looks at something else until the next key."""
        self.touch()
        self._away = True

    def break_due(self, after_minutes: int) -> int | None:
        """Minutes of rating without a break, once they are so many, and again after as many more.

        None when no break is to be suggested now; 0 minutes means never.
        """
        every = after_minutes * 60
        if every <= 0 or self._since_break - self._suggested_at < every:
            return None
        self._suggested_at = self._since_break
        return int(self._since_break // 60)
