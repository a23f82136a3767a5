"""Small dialogs: help, a line of text, and the typed word before something irreversible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, Static

from emojudge.actions import APP, MODES, actions_of, key_label, keys_of
from emojudge.errors import EmojudgeError
from emojudge.pipeline.reasons import reason_of
from emojudge.screens.patient import PatientDialog
from emojudge.text import visible

_CANCEL: list[BindingType] = [("escape", "dismiss(None)", "cancel")]


class HelpScreen(ModalScreen[None]):
    """Every key of a screen, from the action table."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *_CANCEL,
        ("f1,question_mark,q,enter", "dismiss(None)"),
    ]

    def __init__(self, scope: str, mode: str, keymap: Mapping[str, str]) -> None:
        """``mode`` is the screen's mode: what works in the other one comes behind it."""
        super().__init__()
        self._scope = scope
        self._modes = sorted(MODES.get(scope, ()), key=lambda one: one != mode)
        self._keymap = keymap

    def compose(self) -> ComposeResult:
        """Two groups: this screen, everywhere."""
        with VerticalScroll(classes="dialog wide") as box:
            box.border_title = f"keys · {self._scope}"
            for mode in self._modes[:1]:
                yield Static(self._group(self._scope, mode), markup=False)
            yield Static(self._group(self._scope), markup=False)
            for mode in self._modes[1:]:
                yield Static(Content.styled(f"\nin the mode of {mode}", "$quiet bold"))
                yield Static(self._group(self._scope, mode), markup=False)
            yield Static(Content.styled("\neverywhere", "$quiet bold"), markup=False)
            yield Static(self._group(APP), markup=False)
            yield Static(Content.styled("\nesc closes this", "$quiet"), markup=False)

    def _group(self, scope: str, mode: str = "") -> Content:
        lines = []
        for action in actions_of(scope):
            if action.mode != mode:
                continue
            shown = " ".join(key_label(key) for key in keys_of(action, self._keymap))
            lines.append(Content.assemble((shown.rjust(12), "bold"), "  ", action.tooltip))
        return Content("\n").join(lines)


class _AskingDialog(PatientDialog):
    """Asks for one text."""

    BINDINGS = _CANCEL

    def __init__(self, title: str, value: str, placeholder: str, verb: str) -> None:
        super().__init__()
        self._title = title
        self._input = Input(value, placeholder=placeholder)
        self._wrong = Static("", classes="wrong", markup=False)
        self._verb = verb

    def compose(self) -> ComposeResult:
        """What is asked, an input, and the way on."""
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._title).markup
            yield from self.above()
            yield self._input
            yield self._wrong
            yield Static(Content.styled(f"⏎ {self._verb} · esc leaves it as it was", "$quiet"))

    def above(self) -> Iterable[Widget]:
        """What stands above the input."""
        return ()

    def answer(self, said: str) -> str:
        """What the dialog gives for what was typed. Raises EmojudgeError."""
        return said

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Done, or what is wrong with it."""
        try:
            self.dismiss(self.answer(self._input.value.strip()))
        except EmojudgeError as problem:
            self._wrong.update(visible(str(problem)))
            self.wait_for_keys()


class LineDialog(_AskingDialog):
    """Asks for one line of text; escape gives None."""

    def __init__(
        self, title: str, value: str = "", *, placeholder: str = "", verb: str = "keeps it"
    ) -> None:
        super().__init__(title, value, placeholder, verb)


class ReasonDialog(_AskingDialog):
    """Asks for a reason: one of a few by its number, or one's own words; escape gives None."""

    def __init__(
        self,
        title: str,
        reasons: Sequence[str],
        value: str = "",
        *,
        verb: str = "keeps it",
        hint: str = "",
    ) -> None:
        super().__init__(title, value, "a number, or your own words", verb)
        self._reasons = reasons
        self._hint = hint

    def above(self) -> Iterable[Widget]:
        """The reasons."""
        rows = [
            Content.assemble((f"{number} ", "bold"), reason)
            for number, reason in enumerate(self._reasons, start=1)
        ]
        yield Static(Content("\n").join(rows))
        if self._hint:
            yield Static(Content.styled(self._hint, "$quiet"))

    def answer(self, said: str) -> str:
        """The reason in words."""
        return reason_of(said, self._reasons)
