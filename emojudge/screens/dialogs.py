"""Small dialogs: help, a line of text, and the typed word before something irreversible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from emojudge.actions import APP, MODES, actions_of, key_label, keys_of

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


class LineDialog(ModalScreen[str | None]):
    """Asks for one line of text; escape gives None."""

    BINDINGS = _CANCEL

    def __init__(self, title: str, value: str = "", placeholder: str = "") -> None:
        super().__init__()
        self._title = title
        self._value = value
        self._placeholder = placeholder

    def compose(self) -> ComposeResult:
        """One input."""
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._title).markup
            yield Input(self._value, placeholder=self._placeholder)
            yield Static(Content.styled("⏎ keeps it · esc leaves it as it was", "$quiet"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Done."""
        self.dismiss(event.value.strip())


class ReasonDialog(ModalScreen[str | None]):
    """Asks for a reason: one of a few by its number, or one's own words; escape gives None."""

    BINDINGS = _CANCEL

    def __init__(
        self, title: str, reasons: Sequence[str], value: str = "", *, hint: str = ""
    ) -> None:
        super().__init__()
        self._title = title
        self._reasons = reasons
        self._value = value
        self._hint = hint

    def compose(self) -> ComposeResult:
        """The reasons, then an input."""
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._title).markup
            rows = [
                Content.assemble((f"{number} ", "bold"), reason)
                for number, reason in enumerate(self._reasons, start=1)
            ]
            yield Static(Content("\n").join(rows))
            yield Input(self._value, placeholder="a number, or your own words")
            yield Static(Content.styled("⏎ keeps it · esc leaves it as it was", "$quiet"))
            if self._hint:
                yield Static(Content.styled(self._hint, "$quiet"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Done."""
        said = event.value.strip()
        number = int(said) if said.isdecimal() and said.isascii() else 0
        known = 0 < number <= len(self._reasons)
        self.dismiss(self._reasons[number - 1] if known else said)


@dataclass(frozen=True)
class Confirmation:
    """A typed word, and the reason where one was asked for."""

    reason: str | None


class TypedWordDialog(ModalScreen[Confirmation | None]):
    """Goes on only when the word is typed, and a reason given where one is needed."""

    # Priority, because what is typed right after enter must already go to the next input.
    BINDINGS: ClassVar[list[BindingType]] = [
        *_CANCEL,
        Binding("enter", "advance", show=False, priority=True),
    ]

    def __init__(
        self, title: str, lines: tuple[str, ...], word: str, *, ask_reason: bool = False
    ) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._word = word
        self._ask_reason = ask_reason

    def compose(self) -> ComposeResult:
        """What will happen, then the inputs."""
        with Vertical(classes="dialog") as box:
            box.border_title = self._title
            yield Static("\n".join(self._lines), markup=False)
            if self._ask_reason:
                yield Static(Content.styled("your reason, for the audit", "$quiet"))
                yield Input(id="reason")
            yield Static(Content.assemble(("type ", "$quiet"), (self._word, "bold")))
            yield Input(id="word")
            yield Static("", id="missing", markup=False)
            yield Static(Content.styled("⏎ goes on · esc changes nothing", "$quiet"))

    def on_mount(self) -> None:
        """Start at the first input."""
        self.set_focus(self.query(Input).first())

    def action_advance(self) -> None:
        """From the reason to the word; the word's own enter goes on."""
        if self.focused is None or self.focused.id != "reason":
            raise SkipAction
        self.set_focus(self.query_one("#word", Input))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go on if everything is there, else to what is missing."""
        reason = self.query_one("#reason", Input).value.strip() if self._ask_reason else None
        word = self.query_one("#word", Input)
        missing = self.query_one("#missing", Static)
        if self._ask_reason and not reason:
            missing.update("a reason is needed, because not every gate passed")
            self.set_focus(self.query_one("#reason", Input))
        elif word.value.strip() != self._word:
            missing.update(f"that is not {self._word}")
        else:
            self.dismiss(Confirmation(reason))
