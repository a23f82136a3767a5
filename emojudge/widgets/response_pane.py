"""One pane of an item: a letter, what a candidate said, and its scores."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from emojudge.domain import PaneScores
from emojudge.text import visible_line
from emojudge.widgets.response_text import ResponseText
from emojudge.widgets.score_rows import ScoreRows


class ResponsePane(Vertical):
    """Shows nothing that could tell which candidate it is."""

    DEFAULT_CSS = """
    ResponsePane { width: 1fr; border: round $rule; border-title-color: $quiet; padding: 0 1; }
    ResponsePane.focused { border: round $focused-rule; border-title-color: $foreground;
                           border-title-style: bold; }
    ResponsePane .comment { height: auto; max-height: 2; color: $people; display: none; }
    ResponsePane .rule { height: 1; color: $rule; }
    """

    def __init__(self, letter: str) -> None:
        super().__init__()
        self.letter = letter
        self.border_title = letter
        self.body = ResponseText()
        self.rows = ScoreRows()
        self._comment = Static("", classes="comment", markup=False)

    def compose(self) -> ComposeResult:
        """Text above, scores below."""
        yield self.body
        yield self._comment
        yield Static("─" * 400, classes="rule", markup=False)
        yield self.rows

    def show(self, scores: PaneScores, focused_row: int | None) -> None:
        """Show scores; ``focused_row`` None means the focus is elsewhere."""
        self.rows.scores = scores
        self.rows.focused_row = focused_row
        self.set_class(focused_row is not None, "focused")
        self._comment.display = bool(scores.comment)
        self._comment.update(f"“{visible_line(scores.comment)}”")
