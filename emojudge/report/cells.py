"""How a table's cells read, the same on the screen and in the report."""

from __future__ import annotations

import math
from functools import singledispatch

from emojudge.sections import SCALE_WIDTH, Bar, Cell, Column, Interval, Mark, Scale, Table

_BAR_WIDTH = 8


def cell_text(cell: Cell, column: Column) -> str:
    """A cell as text: fixed decimals, a dash for what is not there."""
    return "–" if cell is None else _text(cell, column)


@singledispatch
def _text(cell: object, column: Column) -> str:
    return str(cell)


@_text.register
def _number(cell: float, column: Column) -> str:
    sign = "+" if column.signed else ""
    text = f"{cell:{sign}.{column.decimals if column.decimals is not None else 3}f}"
    return text.replace("-", "−")


@_text.register
def _mark(cell: Mark, column: Column) -> str:
    return scale_text(cell, column.scale)


@_text.register
def _bar(cell: Bar, column: Column) -> str:
    filled = round(min(max(cell.value, 0.0), 1.0) * _BAR_WIDTH)
    return "▆" * filled + "·" * (_BAR_WIDTH - filled) + f" {cell.value:.2f}"


@_text.register
def _interval(cell: Interval, column: Column) -> str:
    if math.isinf(cell.low) or math.isinf(cell.high):
        return "[open]"
    sign = "+" if column.signed else ""
    ends = (f"{end:{sign}.{cell.decimals}f}" for end in (cell.low, cell.high))
    return f"[{', '.join(ends)}]".replace("-", "−")


def is_numeric(table: Table, index: int) -> bool:
    """Whether a column holds numbers, and so is aligned to the right."""
    column = table.columns[index]
    if column.right or column.decimals is not None:
        return True
    cells = [row.cells[index] for row in table.rows]
    return any(isinstance(cell, int | float) for cell in cells) and not any(
        isinstance(cell, str) for cell in cells
    )


def scale_text(mark: Mark, scale: Scale, width: int = SCALE_WIDTH) -> str:
    """A point on a scale with its interval, over the scale's band; ‹ › where it goes on outside."""
    span = scale.high - scale.low

    def place(value: float) -> int:
        share = (value - scale.low) / span if span > 0 else 0.5
        return round(min(max(share, 0.0), 1.0) * (width - 1))

    line = ["·"] * width
    if scale.band is not None:
        for index in range(place(scale.band[0]), place(scale.band[1]) + 1):
            line[index] = "░"
    if mark.low is not None and mark.high is not None:
        for index in range(place(mark.low), place(mark.high) + 1):
            line[index] = "─"
        line[place(mark.low)] = "‹" if mark.low < scale.low else "├"
        line[place(mark.high)] = "›" if mark.high > scale.high else "┤"
    line[place(mark.value)] = "●"
    return "".join(line)
