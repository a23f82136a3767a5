"""The colours. Two voices keep theirs everywhere: people amber, AI cyan.

Red is only for what failed or destroys, green only for a passed gate; every colour has a second
sign beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

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
    "good": "$passed",
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


class ThemedApp(App[T]):
    """An app with our themes and style sheet; an unknown theme name means the dark one."""

    CSS_PATH = Path(__file__).with_name("emojudge.tcss")

    def __init__(self, theme: str) -> None:
        super().__init__()
        for own in THEMES:
            self.register_theme(own)
        self.theme = theme if theme in self.available_themes else THEMES[0].name

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Themes that are not ours still have our voices."""
        return ANSI_VARIABLES
