"""What is on the screen while the study behind it is opened: the frame of what comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from emojudge.widgets.key_line import KeyLine
from emojudge.widgets.top_line import TopLine


class OpeningScreen(Screen[None]):
    """The top line and the key line of the first screen; the way out works already."""

    BINDINGS: ClassVar[list[BindingType]] = [("q", "app.quit")]

    def __init__(self, first_screen: str, keymap: Mapping[str, str]) -> None:
        super().__init__()
        self._top = TopLine(first_screen)
        self._keys = KeyLine(first_screen, keymap)

    def compose(self) -> ComposeResult:
        """Two lines and a word."""
        yield self._top
        yield Static(Content.styled("opening the study…", "$quiet"), id="empty")
        yield self._keys
