"""What `emojudge` shows in a folder without a study."""

from __future__ import annotations

from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from emojudge.settings import Settings
from emojudge.theme import ANSI_VARIABLES, THEMES

_CHOICES = (
    ("i", "init", "start a study here: writes phase2_config.json and the bundled prompts"),
    ("d", "demo", "see a whole study on small models first (needs the demo extra)"),
    ("q", None, "leave"),
)


class FirstRunApp(App[str]):
    """Three keys; the answer is ``init``, ``demo`` or None."""

    CSS_PATH = "emojudge.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        (key, f"choose('{choice or ''}')", text) for key, choice, text in _CHOICES
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = settings.theme if settings.theme in self.available_themes else THEMES[0].name

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Themes that are not ours still have our voices."""
        return ANSI_VARIABLES

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
