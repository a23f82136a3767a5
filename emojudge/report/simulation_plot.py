"""A picture of how soon simulated studies come to a verdict, as a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from emojudge.report.svg import WIDTH, Axis, line, path_through, words

_TOP = 40.0
_BOTTOM = 250.0
_HEIGHT = 290.0
_LEFT = 44.0
_LEGEND = 120.0
# A file of its own has no page around it that could style it.
_STYLE = """<style>
svg { background: #fbf9f5; font: 10px ui-monospace, monospace; }
text { fill: #24221e; } .dim { fill: #7a756b; } line.rule { stroke: #ddd6c8; }
polyline { fill: none; stroke-width: 2; }
polyline.balanced { stroke: #9a6200; } text.balanced { fill: #9a6200; }
polyline.adaptive { stroke: #00707d; stroke-dasharray: 6 3; } text.adaptive { fill: #00707d; }
</style>"""


@dataclass(frozen=True)
class Curve:
    """Ratings that the decided ones of ``studies`` took, ascending; ``name`` is its class too."""

    name: str
    ratings_until: tuple[int, ...]
    studies: int


def simulation_plot(title: str, curves: Sequence[Curve]) -> str:
    """An SVG: the share of studies with a verdict over the ratings they took."""
    most = max((one.ratings_until[-1] for one in curves if one.ratings_until), default=1)
    axis = Axis(0.0, float(most), _LEFT, WIDTH - 10.0)
    parts = [words(_LEFT, 16.0, title)]
    for percent in (0, 50, 100):
        y = _height(percent / 100)
        parts += [
            line(_LEFT, y, WIDTH - 10.0, y, "rule"),
            words(_LEFT - 6.0, y + 4.0, f"{percent}%", "dim", "end"),
        ]
    parts += axis.drawn(_BOTTOM)
    parts.append(words(WIDTH - 10.0, _BOTTOM + 30.0, "ratings", "dim", "end"))
    for place, curve in enumerate(curves):
        parts.append(_drawn(curve, axis))
        parts.append(words(_LEFT + place * _LEGEND, 32.0, curve.name, curve.name))
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}">\n{}\n{}\n</svg>\n'
    ).format(WIDTH, _HEIGHT, Markup(_STYLE), Markup("\n").join(parts))


def _height(share: float) -> float:
    return _BOTTOM - share * (_BOTTOM - _TOP)


def _drawn(curve: Curve, axis: Axis) -> Markup:
    """Steps from one decided study to the next."""
    points = [(axis.at(0.0), _height(0.0))]
    for number, ratings in enumerate(curve.ratings_until, start=1):
        x = axis.at(float(ratings))
        points += [(x, points[-1][1]), (x, _height(number / curve.studies))]
    points.append((axis.at(axis.high), points[-1][1]))
    return path_through(points, curve.name)
