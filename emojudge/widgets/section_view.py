"""A results section on the screen."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from textual.content import Content
from textual.events import Resize
from textual.widget import Widget

from emojudge.report.cells import cell_text, is_numeric
from emojudge.report.scatter_text import scatter_text
from emojudge.sections import ItemLine, ItemList, Scatter, Section, Sentence, Table, Trend, Voice
from emojudge.text import visible_line
from emojudge.theme import VOICE_STYLES
from emojudge.widgets.trend import trend_bars

_GAP = "  "


@singledispatch
def block_content(block: Any, width: int) -> Content:
    """A block as styled text, at most ``width`` cells wide where it is a table."""
    raise TypeError(f"no rendering for {type(block).__name__}")


@block_content.register
def _sentence(block: Sentence, width: int) -> Content:
    return Content.assemble((visible_line(block.text), VOICE_STYLES[block.voice.value]))


@block_content.register
def _trend(block: Trend, width: int) -> Content:
    return Content.assemble(
        (f"{block.label} ", "$quiet"),
        (trend_bars(block.values), VOICE_STYLES[block.voice.value]),
    )


@block_content.register
def _scatter(block: Scatter, width: int) -> Content:
    lines = [
        Content.assemble(*((text, VOICE_STYLES[voice.value]) for text, voice in line))
        for line in scatter_text(block, width)
    ]
    return Content("\n").join(lines)


def items_content(block: ItemList, marked: int | None) -> Content:
    """A list of items, one of them marked."""
    if not block.items:
        return Content.styled(block.empty, "$quiet")
    lines = [
        Content.assemble(
            ("▸ " if index == marked else "  ", "bold"),
            (visible_line(line.text), "bold" if index == marked else ""),
        )
        for index, line in enumerate(block.items)
    ]
    return Content("\n").join(lines)


def _fitting(widths: list[int], room: int) -> int:
    """How many columns fit; the rest is left to wider terminals and the report."""
    used = 0
    for count, width in enumerate(widths):
        used += width + (len(_GAP) if count else 0)
        if used > room:
            return count
    return len(widths)


@block_content.register
def _table(block: Table, width: int) -> Content:
    texts = [
        [
            visible_line(cell_text(cell, column))
            for cell, column in zip(row.cells, block.columns, strict=True)
        ]
        for row in block.rows
    ]
    titles = [visible_line(column.title) for column in block.columns]
    widths = [
        max([len(title), *(len(row[index]) for row in texts)]) for index, title in enumerate(titles)
    ]
    shown = max(1, _fitting(widths, width))
    numeric = [is_numeric(block, index) for index in range(shown)]

    def pad(text: str, index: int) -> str:
        return text.rjust(widths[index]) if numeric[index] else text.ljust(widths[index])

    heads = [(pad(titles[index], index), "$quiet") for index in range(shown)]
    lines = [Content(_GAP).join([Content.styled(text, style) for text, style in heads])]
    for row, cells in zip(block.rows, texts, strict=True):
        styled = []
        for index in range(shown):
            voice = block.columns[index].voice
            if index == 0 and row.voice is not Voice.PLAIN:
                voice = row.voice
            if row.cells[index] is None:
                voice = Voice.DIM
            styled.append(Content.styled(pad(cells[index], index), VOICE_STYLES[voice.value]))
        lines.append(Content(_GAP).join(styled))
    if shown < len(block.columns):
        hidden = ", ".join(titles[shown:])
        lines.append(Content.styled(f"wider terminal or report: {hidden}", "$quiet"))
    return Content("\n").join(lines)


class SectionView(Widget):
    """A section's title and blocks."""

    DEFAULT_CSS = "SectionView { height: auto; padding: 0 1 1 1; }"

    def __init__(self, section: Section) -> None:
        super().__init__()
        self._section = section
        self.marked = 0

    @property
    def items(self) -> tuple[ItemLine, ...]:
        """The items that this section lists."""
        lists = [block for block in self._section.blocks if isinstance(block, ItemList)]
        return lists[0].items if lists else ()

    def mark(self, step: int) -> None:
        """Mark another item."""
        if self.items:
            self.marked = (self.marked + step) % len(self.items)
            self.refresh()

    def show(self, section: Section) -> None:
        """Show newer data of the same section."""
        if section != self._section:
            self._section = section
            self.marked = min(self.marked, max(0, len(self.items) - 1))
            self.refresh(layout=True)

    def on_resize(self, event: Resize) -> None:
        """Tables show as many columns as fit."""
        self.refresh(layout=True)

    def render(self) -> Content:
        """Title, then blocks."""
        room = max(20, self.content_size.width or 78)
        parts = [Content.styled(visible_line(self._section.title), "$quiet bold")]
        for block in self._section.blocks:
            if isinstance(block, ItemList):
                parts.append(items_content(block, self.marked))
            else:
                parts.append(block_content(block, room))
        return Content("\n").join(parts)
