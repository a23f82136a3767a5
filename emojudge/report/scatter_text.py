"""A plot of named points as text: a grid of characters with axes, each name beside its point."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from emojudge.columns import display_width
from emojudge.report.svg import Axis, axis_over, fitting
from emojudge.sections import PlotAxis, Scatter, ScatterPoint, Voice
from emojudge.text import human_bytes

MARKED, UNMARKED = "●", "○"
_MOST_WIDTH = 76
_LEAST_PLOT = 12
_HEIGHT = 12
_LONGEST_NAME = 18
_AROUND_X = 0.02
"""A plot of files that are all as large is still this share of their size wide."""
_LEAST_Y = 0.02

Spans = list[tuple[str, Voice]]
"""One line: pieces of text, each in its voice."""


def axis_text(value: float, axis: PlotAxis) -> str:
    """A number of an axis as it stands there."""
    if axis.in_bytes:
        return human_bytes(value)
    return f"{round(value, axis.decimals) + 0.0:.{axis.decimals}f}".replace("-", "−")


def scatter_axes(scatter: Scatter) -> tuple[Axis, Axis]:
    """The scales of x and y, over all points and intervals; both run from 0 to 1 when placed."""
    xs = [one.x for one in scatter.points]
    ys = [
        value for one in scatter.points for value in (one.y, one.low, one.high) if value is not None
    ]
    x = axis_over(xs, _AROUND_X * max(map(abs, xs), default=1.0) or 1.0)
    y = axis_over(ys, _LEAST_Y)
    return Axis(x.low, x.high, 0.0, 1.0), Axis(y.low, y.high, 0.0, 1.0)


def _cells(text: str) -> list[str]:
    """A text cut into terminal cells: a wide character is followed by an empty one."""
    cells: list[str] = []
    for one in text:
        if unicodedata.combining(one) and cells:
            cells[-1 if cells[-1] else -2] += one
        else:
            cells += [one, *([""] * (display_width(one) - 1))]
    return cells


@dataclass
class _Grid:
    """Cells that are written once; what is free is a blank."""

    width: int
    height: int

    def __post_init__(self) -> None:
        self.cells = [[" "] * self.width for _ in range(self.height)]
        self.voices = [[Voice.PLAIN] * self.width for _ in range(self.height)]
        self.taken: set[tuple[int, int]] = set()

    def fits(self, row: int, column: int, length: int) -> bool:
        """Whether these cells and their neighbours are free, so that words stay apart."""
        if not (0 <= row < self.height and column >= 0 and column + length <= self.width):
            return False
        return not any((row, at) in self.taken for at in range(column - 1, column + length + 1))

    def write(self, row: int, column: int, text: str, voice: Voice) -> None:
        """Over whatever is there; what stands beyond the edge is cut."""
        for offset, cell in enumerate(_cells(text)):
            at = column + offset
            if 0 <= at < self.width:
                self.cells[row][at] = cell
                self.voices[row][at] = voice
                self.taken.add((row, at))

    def line(self, row: int) -> Spans:
        """Neighbours of one voice in one piece."""
        spans: Spans = []
        for cell, voice in zip(self.cells[row], self.voices[row], strict=True):
            if spans and spans[-1][1] is voice:
                spans[-1] = (spans[-1][0] + cell, voice)
            else:
                spans.append((cell, voice))
        return spans


def _beside(row: int, column: int, length: int) -> list[tuple[int, int]]:
    """Where a name needs no thought: after its mark, or before it."""
    return [(row, column + 2), (row, column - length - 1)]


def _around(row: int, column: int, length: int) -> list[tuple[int, int]]:
    """Above and below a mark, where names are told apart less easily."""
    starts = (column + 1, column - length // 2, column - length)
    return [(at, start) for at in (row - 1, row + 1) for start in starts]


def scatter_text(scatter: Scatter, width: int = _MOST_WIDTH) -> list[Spans]:
    """At most ``width`` cells wide, about 15 lines; names that find no room stand below.

    Points on one cell share a mark and a name. Raises ValueError without a point.
    """
    if not scatter.points:
        raise ValueError("a plot needs a point")
    x, y = scatter_axes(scatter)
    ticks = [(value, axis_text(value, scatter.y)) for value in y.ticks()]
    edge = max(len(text) for _, text in ticks) + 1 if ticks else 1
    room = max(_LEAST_PLOT, min(width, _MOST_WIDTH) - edge - 1)
    grid = _Grid(room, _HEIGHT)
    rest = _draw_points(grid, scatter, x, y)
    at_row = {_row(y, value): text for value, text in ticks}
    lines: list[Spans] = [[(scatter.y.title, Voice.DIM)]]
    for row in range(_HEIGHT):
        tick = at_row.get(row)
        sign = "┤" if tick is not None else "│"
        lines.append([((tick or "").rjust(edge - 1) + " " + sign, Voice.DIM), *grid.line(row)])
    lines += [[(text, Voice.DIM)] for text in _x_axis(scatter.x, x, room, edge)]
    lines += rest
    lines.append([(f"{MARKED} {scatter.meaning}   {UNMARKED} the others", Voice.DIM)])
    return lines


def _row(axis: Axis, value: float) -> int:
    return round((1.0 - axis.at(value)) * (_HEIGHT - 1))


def _draw_points(grid: _Grid, scatter: Scatter, x: Axis, y: Axis) -> list[Spans]:
    """Marks, then names, so that no name hides a mark; returns lines for names without room."""
    together: dict[tuple[int, int], list[ScatterPoint]] = {}
    for point in scatter.points:
        place = (_row(y, point.y), round(x.at(point.x) * (grid.width - 1)))
        together.setdefault(place, []).append(point)
    for (row, column), points in together.items():
        mark = MARKED if any(one.marked for one in points) else UNMARKED
        grid.write(row, column, mark, scatter.voice)
    rest: list[Spans] = []
    # Names of the marked ones first: they are what one looks for.
    order = sorted(together.items(), key=lambda one: not any(own.marked for own in one[1]))
    for (row, column), points in order:
        name = ", ".join(fitting(one.label, _LONGEST_NAME) for one in points)
        number = str(len(rest) + 1)
        written = _write_one_of(grid, (row, column), (name, number), points[0].voice)
        if written != name:
            where = f"{axis_text(points[0].x, scatter.x)}, {axis_text(points[0].y, scatter.y)}"
            label = [(f"{written or '–'} ", Voice.DIM), (name, points[0].voice)]
            rest.append([*label, (f"  {where}", Voice.DIM)])
    return rest


def _write_one_of(
    grid: _Grid, place: tuple[int, int], names: tuple[str, str], voice: Voice
) -> str | None:
    """Write a name, or the number that stands for it, at the best free place; returns which."""
    for places in (_beside, _around):
        for name in names:
            length = len(_cells(name))
            for row, column in places(*place, length):
                if grid.fits(row, column, length):
                    grid.write(row, column, name, voice)
                    return name
    return None


def _x_axis(axis: PlotAxis, scale: Axis, room: int, edge: int) -> Iterable[str]:
    """The rule with its ticks, their numbers, and the title."""
    rule, numbers = ["─"] * room, _Grid(room, 1)
    for value in scale.ticks():
        column, text = round(scale.at(value) * (room - 1)), axis_text(value, axis)
        start = min(max(column - len(text) // 2, 0), room - len(text))
        if numbers.fits(0, start, len(text)):
            rule[column] = "┬"
            numbers.write(0, start, text, Voice.DIM)
    indent = " " * edge
    yield f"{indent}└{''.join(rule)}"
    yield f"{indent} {''.join(numbers.cells[0])}".rstrip()
    yield f"{indent} {axis.title}"
