"""The colours. Two voices keep theirs everywhere: people amber, AI cyan.

Red is only for what failed or destroys, green only for a passed gate; every colour has a second
sign beside it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from textual.app import App
from textual.theme import Theme

T = TypeVar("T")

VOICE_STYLES = {
    "plain": "",
    "people": "$people",
    "ai": "$ai",
    "baseline": "$quiet",
    "dim": "$quiet",
    "strong": "bold",
    "bad": "$failed",
}

_DARK = {
    "people": "#e0a84e",
    "ai": "#5cc4d0",
    "quiet": "#918a7b",
    "rule": "#4a463c",
    "focused-rule": "#918a7b",
    "passed": "#83c092",
    "failed": "#ef7a70",
}
_LIGHT = {
    "people": "#8a5a00",
    "ai": "#00687a",
    "quiet": "#6f6a5f",
    "rule": "#cfc7b8",
    "focused-rule": "#8a8374",
    "passed": "#2e6f40",
    "failed": "#b3261e",
}
# Themes that are not ours (ansi-dark, say) fall back on names that every terminal has.
ANSI_VARIABLES = {
    "people": "ansi_yellow",
    "ai": "ansi_cyan",
    "quiet": "ansi_bright_black",
    "rule": "ansi_bright_black",
    "focused-rule": "ansi_white",
    "passed": "ansi_green",
    "failed": "ansi_red",
}

THEMES = (
    Theme(
        name="emojudge-dark",
        primary="#e0a84e",
        secondary="#5cc4d0",
        accent="#e0a84e",
        foreground="#ded8ca",
        background="#1b1a17",
        surface="#1b1a17",
        panel="#25231f",
        success="#83c092",
        warning="#e0a84e",
        error="#ef7a70",
        dark=True,
        variables=_DARK,
    ),
    Theme(
        name="emojudge-light",
        primary="#8a5a00",
        secondary="#00687a",
        accent="#8a5a00",
        foreground="#2b2823",
        background="#fbf9f5",
        surface="#fbf9f5",
        panel="#f0ece3",
        success="#2e6f40",
        warning="#8a5a00",
        error="#b3261e",
        dark=False,
        variables=_LIGHT,
    ),
)


_TERMINALS_OWN = "ansi-dark"
_FEW_COLOURS = (None, "standard", "windows")


class ThemedApp(App[T]):
    """An app with our themes and style sheet; an unknown theme name is taken as ``auto``.

    ``NO_COLOR`` means no colour at all, as https://no-color.org wants it: weight and signs remain.
    """

    CSS_PATH = Path(__file__).with_name("emojudge.tcss")

    def __init__(self, theme: str) -> None:
        # An empty one means nothing; Textual takes any, and forgets it.
        self._colourless = bool(os.environ.get("NO_COLOR"))
        if not self._colourless:
            os.environ.pop("NO_COLOR", None)
        super().__init__()
        for own in THEMES:
            self.register_theme(own)
        self.use_theme(theme)

    def use_theme(self, name: str) -> None:
        """Change the colours."""
        if self._colourless:
            # The others would be painted in shades of grey.
            name = _TERMINALS_OWN
        elif name not in self.available_themes:
            console = Console()
            few = console.is_terminal and console.color_system in _FEW_COLOURS
            name = _TERMINALS_OWN if few else THEMES[0].name
        self.theme = name

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Themes that are not ours still have our voices."""
        return ANSI_VARIABLES
