"""The four criteria of one pane."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from emojudge.domain import Criterion, PaneScores

_LABEL_WIDTH = max(len(criterion.label) for criterion in Criterion)
_BEST = 5


def dots(score: int | None) -> str:
    """``●●●○○``, or ``·····`` before there is a score."""
    return "·" * _BEST if score is None else "●" * score + "○" * (_BEST - score)


class ScoreRows(Widget):
    """One row per criterion; the focused one carries a mark and is bold."""

    DEFAULT_CSS = "ScoreRows { height: 4; }"

    scores: reactive[PaneScores] = reactive(PaneScores())
    focused_row: reactive[int | None] = reactive(None)
    """The criterion that a digit would score, or None in panes without the focus."""

    def render(self) -> Content:
        """Labels left, dots right, as close together as the pane is narrow."""
        gap = 1 if self.size.width < _LABEL_WIDTH + 3 + _BEST else 2
        rows = []
        for index, criterion in enumerate(Criterion):
            here = index == self.focused_row
            score = self.scores.scores.get(criterion)
            label = criterion.label.ljust(_LABEL_WIDTH)[: max(0, self.size.width - _BEST - gap)]
            rows.append(
                Content.assemble(
                    (label, "bold" if here else "$quiet"),
                    ("▸" if here else " ").rjust(gap),
                    (dots(score), "$people bold" if here else "$people" if score else "$quiet"),
                )
            )
        return Content("\n").join(rows)
