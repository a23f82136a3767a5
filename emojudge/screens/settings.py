"""The settings that people change while they work; each change is written down at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from emojudge.errors import ConfigError
from emojudge.preferences import PREFERENCES, Choice, PersonalSettings, next_choice
from emojudge.text import visible_line

_LABEL_WIDTH = max(len(one.label) for one in PREFERENCES)


class SettingsScreen(ModalScreen[None]):
    """One row per setting; the arrows choose and change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "dismiss(None)", "close"),
        ("enter", "dismiss(None)"),
        ("q", "dismiss(None)"),
        ("comma", "dismiss(None)"),
        ("up,k", "choose(-1)"),
        ("down,j", "choose(1)"),
        ("left,h", "change(-1)"),
        ("right,l", "change(1)"),
    ]

    def __init__(
        self, personal: PersonalSettings, rater: str, changed: Callable[[Choice], None]
    ) -> None:
        """``changed`` is called after each change."""
        super().__init__()
        self._personal = personal
        self._rater = rater
        self._changed = changed
        self._at = 0

    def compose(self) -> ComposeResult:
        """One text."""
        with VerticalScroll(classes="dialog wide") as box:
            box.border_title = "settings"
            self._text = Static("", markup=False)
            yield self._text

    def on_mount(self) -> None:
        """Show the rows."""
        self._show()

    def _show(self, problem: str = "") -> None:
        lines = []
        for index, one in enumerate(PREFERENCES):
            here = index == self._at
            value = getattr(self._personal.now, one.field)
            shown = f"{value:g}" if isinstance(value, int | float) else value
            lines.append(
                Content.assemble(
                    ("▸ " if here else "  ", "bold"),
                    (one.label.ljust(_LABEL_WIDTH), "bold" if here else "$quiet"),
                    ("  ◂ " if here else "    ", "$quiet"),
                    (visible_line(shown), "bold" if here else ""),
                    (" ▸" if here else "", "$quiet"),
                )
            )
        lines += [
            Content(""),
            Content.styled(PREFERENCES[self._at].explanation, "$quiet"),
            Content(""),
            Content.assemble(
                ("rater ", "$quiet"), visible_line(self._rater), ("; another one:", "$quiet")
            ),
            Content.styled("emojudge rate --rater NAME, or `rater` in the file below", "$quiet"),
            Content.assemble(("kept in ", "$quiet"), visible_line(str(self._personal.file))),
            Content.styled("where [keymap] changes keys; docs/keys.md lists their ids", "$quiet"),
            Content(""),
            Content.styled("↑↓ chooses · ←→ changes · esc closes", "$quiet"),
        ]
        if problem:
            lines.append(Content.styled(visible_line(problem), "$failed"))
        self._text.update(Content("\n").join(lines))

    def action_choose(self, step: int) -> None:
        """Another setting."""
        self._at = (self._at + step) % len(PREFERENCES)
        self._show()

    def action_change(self, step: int) -> None:
        """Another value."""
        one = PREFERENCES[self._at]
        problem = ""
        value = next_choice(one, getattr(self._personal.now, one.field), step)
        try:
            self._personal.change(one.field, value)
        except ConfigError as failed:
            problem = str(failed)
        self._changed(one)
        self._show(problem)
