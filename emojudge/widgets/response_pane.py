"""One pane of an item: a letter, what a candidate said, and its scores."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Resize
from textual.widgets import Static

from emojudge.domain import PaneScores
from emojudge.text import counted, visible_line
from emojudge.widgets.pane_rule import PaneRule
from emojudge.widgets.response_text import ResponseText
from emojudge.widgets.score_rows import ScoreRows

_TALL = 18


@dataclass(frozen=True)
class PaneLook:
    """How a pane shows itself: ``focused_row`` is None where the focus is elsewhere.

    ``order`` says how it stands to panes with an equal total (``= C``), ``names`` are models and
    vendors that its text names, ``with_scores`` is False in the mode of quick votes, ``whole``
    is False while text may still come, ``silent`` says that there is none.
    """

    scores: PaneScores
    focused_row: int | None
    order: str = ""
    names: tuple[str, ...] = ()
    with_scores: bool = True
    whole: bool = True
    silent: bool = False


class ResponsePane(Vertical):
    """Shows nothing that could tell which candidate it is."""

    DEFAULT_CSS = """
    ResponsePane { width: 1fr; border: round $rule; border-title-color: $quiet; padding: 0 1; }
    ResponsePane.focused { border: round $focused-rule; border-title-color: $foreground;
                           border-title-style: bold; }
    ResponsePane .said { height: 1; text-wrap: nowrap; text-overflow: ellipsis; color: $people;
                         display: none; }
    ResponsePane.tall .said { height: auto; max-height: 4; text-wrap: wrap; }
    """

    def __init__(self, letter: str) -> None:
        super().__init__()
        self.letter = letter
        self.border_title = letter
        self.body = ResponseText()
        self.rows = ScoreRows()
        self._said = Static("", classes="said", markup=False)
        self._rule = PaneRule()
        self._names: tuple[str, ...] = ()
        self._whole = True
        self._silent = False
        self._shown_said = ""

    def compose(self) -> ComposeResult:
        """Text above, scores below."""
        yield self.body
        yield self._said
        yield self._rule
        yield self.rows

    def show(self, look: PaneLook) -> None:
        """Show scores and what was said of the response."""
        self.rows.scores = look.scores
        self.rows.focused_row = look.focused_row
        self.rows.display = look.with_scores
        self.set_class(look.focused_row is not None, "focused")
        title = f"{self.letter} {look.order}".rstrip()
        if title != self.border_title:
            self.border_title = title
        parts = []
        if look.scores.flag:
            parts.append(f"! {visible_line(look.scores.flag)}")
        if look.scores.comment:
            parts.append(f"“{visible_line(look.scores.comment)}”")
        self._say("  ".join(parts))
        self._names = look.names
        self._whole = look.whole
        self._silent = look.silent
        self._say_below()

    def on_resize(self, event: Resize) -> None:
        """A tall pane shows comments whole; in others the response is worth more."""
        self.set_class(event.size.height >= _TALL, "tall")

    def _say(self, text: str) -> None:
        # An update lays the screen out again, so only what changed is one.
        if text != self._shown_said:
            self._shown_said = text
            self._said.display = bool(text)
            self._said.update(text)

    @on(ResponseText.BelowChanged)
    def _say_below(self) -> None:
        parts = ["an empty response"] if self._silent else []
        if self.body.below:
            # Nobody reads a number that counts while text comes, and it would be sent each time.
            parts.append(f"↓ {counted(self.body.below, 'line')}" if self._whole else "↓ more")
        if self._names:
            parts.append(f"! names {visible_line(', '.join(self._names))}")
        self._rule.words = " · ".join(parts)
