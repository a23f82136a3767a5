"""How fast a candidate generates in this run, and how long the rest will take."""

from __future__ import annotations

import time


class Pace:
    """Tokens over the time in which at least one of the candidate's texts was under way.

    Texts run together, so their own durations overlap and cannot be added up.
    """

    def __init__(self) -> None:
        self._running = 0
        self._since = 0.0
        self._busy = 0.0
        self._tokens = 0
        self._finished = 0
        self._finished_tokens = 0

    def begin(self) -> None:
        """A text is under way."""
        if self._running == 0:
            self._since = time.monotonic()
        self._running += 1

    def more(self, tokens: int) -> None:
        """Tokens of any text."""
        self._tokens += tokens

    def end(self) -> None:
        """A text is not under way any more."""
        self._running -= 1
        if self._running == 0:
            self._busy += time.monotonic() - self._since

    def finished(self, tokens: int) -> None:
        """A text is complete, with so many tokens."""
        self._finished += 1
        self._finished_tokens += tokens

    @property
    def tokens_per_second(self) -> float | None:
        """None until there are tokens."""
        busy = self._busy + (time.monotonic() - self._since if self._running else 0.0)
        return self._tokens / busy if self._tokens and busy > 0 else None

    def seconds_left(self, texts: int, longest: int) -> float | None:
        """Time for so many unfinished texts of at most ``longest`` tokens.

        Short texts finish first, so those under way are counted as long ones. None until there is
        a rate, or with nothing left.
        """
        rate = self.tokens_per_second
        if rate is None or texts <= 0:
            return None
        under_way = min(self._running, texts)
        mean = (self._finished_tokens + under_way * longest) / max(1, self._finished + under_way)
        said = self._tokens - self._finished_tokens
        return ((texts - under_way) * mean + max(under_way * longest - said, 0)) / rate
