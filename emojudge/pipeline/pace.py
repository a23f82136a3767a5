"""How fast a candidate generates in this run, and how long the rest will take."""

from __future__ import annotations

import time

_LEAST_SHARE = 4


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

    def finished(self) -> None:
        """A text is complete."""
        self._finished += 1

    @property
    def tokens_per_second(self) -> float | None:
        """None until there are tokens."""
        busy = self._busy + (time.monotonic() - self._since if self._running else 0.0)
        return self._tokens / busy if self._tokens and busy > 0 else None

    def seconds_left(self, texts: int, longest: int) -> float | None:
        """Time for so many unfinished texts of at most ``longest`` tokens.

        Short texts finish first, so their mean length alone would be too small: tokens of all
        texts over those that finished is the maximum-likelihood mean of censored exponential
        lengths, and what is left of one under way. None before a quarter of those that began have
        finished, because until then it says nothing, and with nothing left.
        """
        rate = self.tokens_per_second
        began = self._finished + self._running
        too_few = not self._finished or self._finished * _LEAST_SHARE < began
        if rate is None or texts <= 0 or too_few:
            return None
        return texts * min(self._tokens / self._finished, longest) / rate
