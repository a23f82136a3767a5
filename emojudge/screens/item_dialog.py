"""A rated item to read, with its letters lifted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from emojudge.domain import SPEAKERS
from emojudge.pipeline.opened_item import OpenedItem, OpenedPane
from emojudge.text import visible, visible_line


class ItemDialog(ModalScreen[None]):
    """The prompt, then each response with its candidate, people's scores and the AI's."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "dismiss(None)", "close"),
        ("enter", "dismiss(None)"),
        ("q", "dismiss(None)"),
    ]

    def __init__(self, item: OpenedItem) -> None:
        super().__init__()
        self._item = item

    def compose(self) -> ComposeResult:
        """One scrolling text."""
        with VerticalScroll(classes="dialog reading") as box:
            box.border_title = Content(
                f"{visible_line(self._item.category)} · rated by {visible_line(self._item.rater)}"
            ).markup
            yield Static(Content("\n").join(self._lines()), markup=False)

    def _lines(self) -> Iterable[Content]:
        several = len(self._item.messages) > 1
        for turn in self._item.messages:
            who = f"{SPEAKERS[turn.role]}: " if several else ""
            yield Content.assemble((who, "$quiet"), visible(turn.content))
        for pane in self._item.panes:
            yield from self._pane(pane)
        yield Content.styled("\n↑↓ scrolls · esc closes this", "$quiet")

    def _pane(self, pane: OpenedPane) -> Iterable[Content]:
        scores = " ".join(str(score) for score in pane.scores.values())
        ai = "not judged" if pane.ai is None else f"{pane.ai:.2f}"
        yield Content("")
        yield Content.assemble(
            (f"{pane.letter} · {visible_line(pane.label)}", "bold"),
            ("   people ", "$quiet"),
            (f"{pane.people:.2f}", "$people"),
            (f" ({scores})   AI ", "$quiet"),
            (ai, "$ai"),
        )
        yield Content(pane.text)
        if pane.comment:
            yield Content.styled(f"“{visible(pane.comment)}”", "$people")
