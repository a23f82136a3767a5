"""Shares over time as a run of small bars."""

from __future__ import annotations

from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"
_SHOWN = 16


def trend_bars(values: Sequence[float]) -> str:
    """The last values from 0 to 1, one bar each."""
    return "".join(
        _BARS[min(len(_BARS) - 1, int(min(max(value, 0.0), 1.0) * len(_BARS)))]
        for value in values[-_SHOWN:]
    )
