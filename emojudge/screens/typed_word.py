"""The typed word before the core is changed, with a text beside it where one is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static


@dataclass(frozen=True)
class Asked:
    """A text beside the word: its label, and what is said when it is missing; "": not needed."""

    label: str
    missing: str = ""


REASON = Asked("your reason, for the audit", "a reason is needed, because not every gate passed")
WHY = Asked("why, for the audit, if you like (tab)")
LABEL = Asked("what to call it", "a name is needed, so that it can be told from others")


@dataclass(frozen=True)
class Confirmation:
    """A typed word, and the text where one was asked for."""

    text: str | None


class TypedWordDialog(ModalScreen[Confirmation | None]):
    """Goes on only when the word is typed, and the text given where one is needed."""

    # Priority, because what is typed right after enter must already go to the next input.
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "dismiss(None)", "cancel"),
        Binding("enter", "advance", show=False, priority=True),
    ]

    def __init__(
        self, title: str, lines: Sequence[str], word: str, *, asks: Asked | None = None
    ) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._word = word
        self._asks = asks

    def compose(self) -> ComposeResult:
        """What will happen, then the inputs."""
        with Vertical(classes="dialog") as box:
            box.border_title = self._title
            yield Static("\n".join(self._lines), markup=False)
            word = (
                Static(Content.assemble(("type ", "$quiet"), (self._word, "bold"))),
                Input(id="word"),
            )
            if self._asks is None:
                yield from word
            else:
                text = Static(Content.styled(self._asks.label, "$quiet")), Input(id="text")
                # What may stay empty comes last, or the word would be typed into it.
                yield from (*text, *word) if self._asks.missing else (*word, *text)
            yield Static("", id="missing", markup=False)
            yield Static(Content.styled("⏎ goes on · esc changes nothing", "$quiet"))

    def on_mount(self) -> None:
        """Start at the first input."""
        self.set_focus(self.query(Input).first())

    def action_advance(self) -> None:
        """From a text that is needed to the word; every other enter goes on."""
        needed = self._asks is not None and bool(self._asks.missing)
        if not needed or self.focused is None or self.focused.id != "text":
            raise SkipAction
        self.set_focus(self.query_one("#word", Input))
        # What was typed before this enter may not be in the input yet.
        self.call_after_refresh(self._say_what_is_missing)

    def _say_what_is_missing(self) -> None:
        asks = self._asks
        lacks = asks is not None and asks.missing and not self.query_one("#text", Input).value
        self.query_one("#missing", Static).update(asks.missing if asks and lacks else "")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go on if everything is there, else to what is missing."""
        asks = self._asks
        text = self.query_one("#text", Input).value.strip() if asks is not None else None
        word = self.query_one("#word", Input)
        missing = self.query_one("#missing", Static)
        if "".join(word.value.split()).casefold() != self._word:
            missing.update(f"that is not {self._word}")
            self.set_focus(word)
        elif asks is not None and asks.missing and not text:
            missing.update(asks.missing)
            self.set_focus(self.query_one("#text", Input))
        else:
            self.dismiss(Confirmation(text or None))
