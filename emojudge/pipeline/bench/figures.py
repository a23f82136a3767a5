"""Measured figures with their bounds, as JSON and as a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from emojudge.columns import aligned


@dataclass(frozen=True)
class Figure:
    """One figure and its bound, both in ``unit``."""

    name: str
    value: float
    unit: str
    bound: float | None
    detail: str = ""

    @property
    def reached(self) -> bool:
        """Whether it keeps its bound."""
        return self.bound is None or self.value <= self.bound

    def shown(self, value: float | None) -> str:
        """A value as people read it."""
        if value is None:
            return "–"
        if self.unit == "share":
            return f"{value:.1%}"
        if self.unit == "bytes/s":
            return f"{value / 1000:.0f} kB/s"
        return f"{value:.3g} {self.unit}".rstrip()


@dataclass(frozen=True)
class BenchFigures:
    """All figures."""

    figures: tuple[Figure, ...]

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"figures": [{**asdict(one), "reached": one.reached} for one in self.figures]}

    def lines(self) -> list[str]:
        """For a terminal."""
        rows = [["", "measured", "bound", "", ""]]
        rows += [
            [
                one.name,
                one.shown(one.value),
                one.shown(one.bound),
                "" if one.bound is None else "✓" if one.reached else "✗ missed",
                one.detail,
            ]
            for one in self.figures
        ]
        return aligned(rows, right=(1, 2))
