"""The top row: where one is."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from emojudge.text import visible_line

_BAR = 12


def progress_bar(done: int, total: int, width: int = _BAR) -> str:
    """``▓▓▓░░░``; empty without a total."""
    if total <= 0:
        return ""
    filled = min(width, done * width // total)
    return "▓" * filled + "░" * (width - filled)


class TopLine(Widget):
    """Screen, study and a short state; values plain, labels dim."""

    DEFAULT_CSS = """
    TopLine { height: 1; dock: top; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    parts: reactive[tuple[tuple[str, str], ...]] = reactive(())
    """(label, value) pairs; a label may be empty."""

    def __init__(self, screen: str) -> None:
        super().__init__()
        self._screen = screen

    def render(self) -> Content:
        """One line, cut at the right."""
        line = Content.assemble((self._screen, "bold"))
        for label, value in self.parts:
            line = line.append(Content.assemble(("  ·  ", "$quiet")))
            if label:
                line = line.append(Content.assemble((f"{label} ", "$quiet")))
            line = line.append(Content(visible_line(value)))
        return line
