"""Growing text in a pane: only its last line is wrapped and painted again, nothing is parsed."""

from __future__ import annotations

import io

from rich.console import Console
from rich.segment import Segment
from rich.text import Text
from textual.events import MouseScrollDown, MouseScrollUp, Resize
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

# Only its rules for line breaks are used.
_WRAPPER = Console(file=io.StringIO(), color_system=None)
_WHEEL_LINES = 3


def _clean(lines: list[str]) -> list[str]:
    """Without what blanks leave behind where a folded word ends: they would look like indents."""
    return [lines[0], *(own for line in lines[1:] if (own := line.lstrip(" ")))]


class ResponseText(Widget, can_focus=False):
    """Plain text that is set as a whole but usually only grows at its end.

    It scrolls by itself: a scroll view lays the screen out again for each new line, and paints all.
    """

    DEFAULT_CSS = "ResponseText { height: 1fr; }"

    class BelowChanged(Message):
        """What lies below is in sight now, or is not any more."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._lines: list[str] = []
        self._settled_lines = 0
        self._settled_text = 0
        self._width = 0
        self._top = 0
        self._below = 0

    @property
    def text(self) -> str:
        """What is shown."""
        return self._text

    @property
    def lines(self) -> tuple[str, ...]:
        """The text as it is wrapped."""
        return tuple(self._lines)

    @property
    def below(self) -> int:
        """How many lines lie below what is in sight."""
        return self._below

    def set_text(self, text: str) -> None:
        """Show ``text``, which must be harmless already (see :func:`emojudge.text.visible`)."""
        width = self._wrap_width
        if text == self._text and self._width == width:
            return
        grows = text.startswith(self._text) and self._width == width
        if not grows:
            self._settled_lines = self._settled_text = 0
            self._lines.clear()
        changed_from = self._settled_lines
        self._text = text
        self._width = width
        self._wrap_tail()
        if not grows:
            self._top = min(self._top, self._last_top)
            self.refresh()
        else:
            first = changed_from - self._top
            if first < self.size.height:
                rows = len(self._lines) - changed_from
                self.refresh(Region(0, max(0, first), self.size.width, rows))
        self._tell_below()

    def scroll_by(self, lines: int) -> None:
        """Scroll down (or up, where negative), as far as there is text."""
        top = min(max(0, self._top + lines), self._last_top)
        if top != self._top:
            self._top = top
            self.refresh()
            self._tell_below()

    def scroll_to_top(self) -> None:
        """Show the beginning."""
        self.scroll_by(-self._top)

    @property
    def _last_top(self) -> int:
        return max(0, len(self._lines) - self.size.height)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The wheel scrolls this pane alone."""
        event.stop()
        self.scroll_by(_WHEEL_LINES)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The wheel scrolls this pane alone."""
        event.stop()
        self.scroll_by(-_WHEEL_LINES)

    @property
    def _wrap_width(self) -> int:
        return max(1, self.size.width)

    def _wrap_tail(self) -> None:
        """Wrap what follows the last line that is known to be complete."""
        del self._lines[self._settled_lines :]
        tail = self._text[self._settled_text :]
        *complete, last = tail.split("\n")
        for paragraph in complete:
            self._lines += _clean(self._wrap(paragraph))
            self._settled_text += len(paragraph) + 1
        self._settled_lines = len(self._lines)
        if last or not self._lines:
            wrapped = self._wrap(last)
            self._lines += _clean(wrapped)
            self._settle_lines_of(last, wrapped)

    def _settle_lines_of(self, paragraph: str, wrapped: list[str]) -> None:
        """All lines but the last of a growing paragraph stay as they are."""
        # A line that begins with a blank follows a folded word: only the whole says where it ends.
        if len(wrapped) < 2 or not wrapped[-1] or wrapped[-1].startswith(" "):
            return
        place = 0
        for line in wrapped[:-1]:
            place = paragraph.index(line, place) + len(line)
        self._settled_text += paragraph.index(wrapped[-1], place)
        self._settled_lines = len(self._lines) - 1

    def _wrap(self, paragraph: str) -> list[str]:
        """Lines of at most the present width, in cells."""
        if not paragraph.strip(" "):
            return [""]
        return [line.plain.rstrip() for line in Text(paragraph).wrap(_WRAPPER, self._width)]

    def _tell_below(self) -> None:
        below = max(0, len(self._lines) - self._top - self.size.height)
        changed, self._below = below != self._below, below
        if changed:
            self.post_message(self.BelowChanged())

    def on_resize(self, event: Resize) -> None:
        """Wrap again for the new width."""
        self.set_text(self._text)
        self._top = min(self._top, self._last_top)
        self._tell_below()

    def render_line(self, y: int) -> Strip:
        """One line of what is in sight."""
        index = self._top + y
        width = self.size.width
        if index >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        strip = Strip([Segment(self._lines[index], self.rich_style)])
        return strip.adjust_cell_length(width, self.rich_style)
