"""Small inline SVG: shapes named by what they mean, coloured by the page's style sheet.

A drawing is 360 units wide, about a phone's pixels, so that its letters are readable there; it
scales with the page. Text of a study is escaped, and made harmless before it is measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from emojudge.text import visible_line

WIDTH = 360.0
_STEPS = (1, 2, 5, 10)
_MOST_TICKS = 5
_TICK_LENGTH = 3


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line; ``kind`` is its class in the style sheet, here and below."""
    ends = [_number(one) for one in (x1, y1, x2, y2)]
    return Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(*ends, kind)


def box(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    """A filled rectangle; nothing is narrower than 0."""
    sizes = [_number(one) for one in (x, y, max(width, 0.0), height)]
    return Markup('<rect x="{}" y="{}" width="{}" height="{}" class="{}"/>').format(*sizes, kind)


def dot(x: float, y: float, kind: str) -> Markup:
    """A round mark."""
    return Markup('<circle cx="{}" cy="{}" r="4" class="{}"/>').format(_number(x), _number(y), kind)


def diamond(x: float, y: float, kind: str) -> Markup:
    """A mark that differs from a dot in shape too, because colour alone is not seen by all."""
    corners = ((x, y - 5), (x + 5, y), (x, y + 5), (x - 5, y))
    return Markup('<polygon points="{}" class="{}"/>').format(_points(corners), kind)


def path_through(points: Iterable[tuple[float, float]], kind: str) -> Markup:
    """A line through points."""
    return Markup('<polyline points="{}" class="{}"/>').format(_points(points), kind)


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def words(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> Markup:
    """One line of text; ``anchor`` is start, middle or end."""
    return Markup('<text x="{}" y="{}" text-anchor="{}" class="{}">{}</text>').format(
        _number(x), _number(y), anchor, kind, visible_line(text)
    )


def fitting(text: str, most: int) -> str:
    """At most ``most`` characters, the last one a … where something is left out."""
    shown = visible_line(text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def drawing(height: float, label: str, parts: Sequence[Markup]) -> Markup:
    """The whole picture; ``label`` says to those who do not see it what it shows."""
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>\n{}\n</svg>'
    ).format(_number(WIDTH), _number(height), label, label, Markup("\n").join(parts))


@dataclass(frozen=True)
class Axis:
    """A horizontal scale from ``low`` to ``high`` between two places of the drawing."""

    low: float
    high: float
    left: float = 6.0
    right: float = WIDTH - 6.0

    def at(self, value: float) -> float:
        """Where a value stands; what is outside stands at the end."""
        share = (value - self.low) / (self.high - self.low)
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    def ticks(self) -> list[float]:
        """At most five round values."""
        span = self.high - self.low
        power = 10 ** math.floor(math.log10(span / _MOST_TICKS))
        step = next(
            one * power
            for one in (*_STEPS, 20)
            if math.floor(self.high / (one * power)) - math.ceil(self.low / (one * power))
            < _MOST_TICKS
        )
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [number * step for number in range(first, last + 1)]

    def drawn(self, y: float) -> list[Markup]:
        """The axis with its ticks and their values below ``y``."""
        decimals = max(0, -math.floor(math.log10(self.high - self.low) - 0.7))
        parts = [line(self.left, y, self.right, y, "rule")]
        for tick in self.ticks():
            x = self.at(tick)
            parts.append(line(x, y, x, y + _TICK_LENGTH, "rule"))
            text = f"{tick + 0.0:.{decimals}f}".replace("-", "−")
            parts.append(words(x, y + 14, text, "dim", "middle"))
        return parts


def axis_over(values: Iterable[float], least: float = 0.1, beyond: float = 0.05) -> Axis:
    """An axis that holds all values, with some air; at least ``least`` wide."""
    shown = list(values)
    low, high = min(shown), max(shown)
    spare = max(0.0, least - (high - low)) / 2 + beyond * max(least, high - low)
    return Axis(low - spare, high + spare)
