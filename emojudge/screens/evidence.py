"""What the Deploy page has no room for: gates with their evidence, and the whole log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from emojudge.deploy.audit import AuditEntry
from emojudge.deploy.gates import Gate
from emojudge.deploy.words import change_in_words
from emojudge.text import visible, visible_line


class EvidenceScreen(ModalScreen[None]):
    """Scrolls; any of the keys that open or close things closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,q,v,enter", "dismiss(None)", "close")]

    def __init__(self, title: str, gates: Sequence[Gate]) -> None:
        super().__init__()
        self._title = title
        self._gates = gates

    def compose(self) -> ComposeResult:
        """One paragraph per gate."""
        with VerticalScroll(classes="dialog wide") as box:
            box.border_title = Content(f"gates · {self._title}").markup
            for gate in self._gates:
                kind = "never overridden" if gate.integrity else "a reason overrides it"
                lines = [
                    Content.assemble(
                        (f"{gate.status.mark} {gate.name}", "bold"), (f"  {kind}", "$quiet")
                    ),
                    Content(visible_line(gate.reason)),
                ]
                if gate.evidence and gate.evidence != gate.reason:
                    lines.append(Content.styled(visible(gate.evidence), "$quiet"))
                yield Static(Content("\n").join([*lines, Content("")]), markup=False)
            yield Static(
                Content.styled(
                    "hash, weights and a trial in the sandbox are looked at on the staged copy\n"
                    "esc closes this",
                    "$quiet",
                )
            )


class LogScreen(ModalScreen[None]):
    """Every change of the core, newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,q,a,enter", "dismiss(None)", "close")]

    def __init__(self, entries: Sequence[AuditEntry]) -> None:
        super().__init__()
        self._entries = entries

    def compose(self) -> ComposeResult:
        """One paragraph per change, with what was overridden and where it came from."""
        with VerticalScroll(classes="dialog wide") as box:
            box.border_title = "audit: every change of the core"
            for entry in reversed(self._entries):
                rest = []
                if entry.overridden:
                    rest.append(f"overriding {', '.join(entry.overridden)}")
                if entry.origin.study:
                    rest.append(f"study {entry.origin.study}")
                if entry.sha256:
                    rest.append(f"sha256 {entry.sha256[:12]}…")
                yield Static(
                    Content("\n").join(
                        [
                            Content(change_in_words(entry)),
                            Content.styled(visible_line(" · ".join(rest)), "$quiet"),
                        ]
                    )
                )
            if not self._entries:
                yield Static("the core was not changed yet")
            yield Static(Content.styled("\nesc closes this", "$quiet"))
