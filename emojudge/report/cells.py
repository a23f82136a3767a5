"""How a table's cells read, the same on the screen and in the report."""

from __future__ import annotations

from emojudge.sections import Cell, Column, Mark, Table

SCALE_WIDTH = 17


def cell_text(cell: Cell, column: Column) -> str:
    """A cell as text: fixed decimals, a dash for what is not there."""
    if cell is None:
        return "–"
    if isinstance(cell, Mark):
        return scale_text(cell)
    if isinstance(cell, float):
        return f"{cell:.{column.decimals if column.decimals is not None else 3}f}"
    return str(cell)


def is_numeric(table: Table, index: int) -> bool:
    """Whether a column holds numbers, and so is aligned to the right."""
    if table.columns[index].decimals is not None:
        return True
    cells = [row.cells[index] for row in table.rows]
    return any(isinstance(cell, int | float) for cell in cells) and not any(
        isinstance(cell, str) for cell in cells
    )


def scale_text(mark: Mark, width: int = SCALE_WIDTH) -> str:
    """A point on a scale from 0 to 1, with its interval where there is one."""

    def place(value: float) -> int:
        return round(min(max(value, 0.0), 1.0) * (width - 1))

    line = ["·"] * width
    if mark.low is not None and mark.high is not None:
        for index in range(place(mark.low), place(mark.high) + 1):
            line[index] = "─"
        line[place(mark.low)], line[place(mark.high)] = "├", "┤"
    line[place(mark.value)] = "●"
    return "".join(line)
