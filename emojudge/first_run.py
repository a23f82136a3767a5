"""What `emojudge` shows in a folder without a study."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from emojudge.settings import Settings
from emojudge.theme import ThemedApp

_CHOICES = (
    ("i", "init", "start a study here: writes phase2_config.json and the bundled prompts"),
    ("d", "demo", "see a whole study on small models first (needs the demo extra)"),
    ("q", None, "leave"),
)


class FirstRunApp(ThemedApp[str]):
    """Three keys; the answer is ``init``, ``demo`` or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        (key, f"choose('{choice or ''}')", text) for key, choice, text in _CHOICES
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.theme)

    def compose(self) -> ComposeResult:
        """A greeting and the keys."""
        lines = [
            Content.styled("There is no study in this folder yet.", "bold"),
            Content(""),
            *(Content.assemble((f"  {key}  ", "bold"), text) for key, _, text in _CHOICES),
        ]
        with Vertical(classes="page"):
            yield Static(Content("\n").join(lines), markup=False)

    def action_choose(self, choice: str) -> None:
        """Done."""
        self.exit(choice or None)
