"""Growing text in a pane: rewraps only its last paragraph, and never parses markup."""

from __future__ import annotations

from rich.segment import Segment
from textual.content import Content
from textual.events import Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip


class ResponseText(ScrollView, can_focus=False):
    """Plain text that is set as a whole but usually only grows at its end."""

    DEFAULT_CSS = """
    ResponseText { height: 1fr; scrollbar-size-vertical: 1; scrollbar-gutter: stable;
                   overflow-x: hidden; overflow-y: auto; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._lines: list[str] = []
        self._settled_lines = 0
        self._settled_text = 0
        self._width = 0

    @property
    def text(self) -> str:
        """What is shown."""
        return self._text

    def set_text(self, text: str) -> None:
        """Show ``text``, which must be harmless already (see :func:`emojudge.text.visible`)."""
        if text == self._text and self._width == self._wrap_width:
            return
        grows = text.startswith(self._text) and self._width == self._wrap_width
        if not grows:
            self._settled_lines = self._settled_text = 0
            self._lines.clear()
        self._text = text
        self._width = self._wrap_width
        self._wrap_tail()
        self.virtual_size = Size(self._width, len(self._lines))
        self.refresh()

    @property
    def _wrap_width(self) -> int:
        return max(1, self.scrollable_content_region.width or self.size.width)

    def _wrap_tail(self) -> None:
        """Wrap everything after the last paragraph that is known to be complete."""
        del self._lines[self._settled_lines :]
        tail = self._text[self._settled_text :]
        *complete, last = tail.split("\n")
        for paragraph in complete:
            self._lines += self._wrap(paragraph)
            self._settled_text += len(paragraph) + 1
        self._settled_lines = len(self._lines)
        if last or not self._lines:
            self._lines += self._wrap(last)

    def _wrap(self, paragraph: str) -> list[str]:
        if not paragraph:
            return [""]
        return [line.plain.rstrip() for line in Content(paragraph).wrap(self._width)]

    def on_resize(self, event: Resize) -> None:
        """Wrap again for the new width."""
        self.set_text(self._text)

    def render_line(self, y: int) -> Strip:
        """One line of the text at the present scroll offset."""
        index = self.scroll_offset.y + y
        width = self.size.width
        if index >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        strip = Strip([Segment(self._lines[index], self.rich_style)])
        return strip.adjust_cell_length(width, self.rich_style)
