"""Columns of text, aligned by what each character takes on a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from emojudge.text import visible_line

_GAP = "  "


def display_width(text: str) -> int:
    """Terminal cells that a text takes: wide characters two, combining ones none."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
        for one in text
    )


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Lines with the cells of each column under each other; ``right`` ones end together.

    Cells are made harmless and one line each; all rows have as many cells.
    """
    plain = [[visible_line(cell) for cell in row] for row in rows]
    widths = [max(map(display_width, column)) for column in zip(*plain, strict=True)]
    lines = []
    for row in plain:
        cells = []
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - display_width(cell))
            cells.append(space + cell if place in right else cell + space)
        lines.append(_GAP.join(cells).rstrip())
    return lines
