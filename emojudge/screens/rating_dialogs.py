"""What Rate asks for in words: comments, and the reasons of flags and skips."""

from __future__ import annotations

from emojudge.domain import Draft
from emojudge.pipeline.rating import LETTERS
from emojudge.pipeline.reasons import FLAG_REASONS, SKIP_REASONS
from emojudge.screens.dialogs import LineDialog, ReasonDialog


def pane_comment(draft: Draft) -> LineDialog:
    """A comment on the focused pane."""
    return LineDialog(f"comment on {LETTERS[draft.pane]}", draft.panes[draft.pane].comment)


def item_comment(draft: Draft) -> LineDialog:
    """A comment on the whole item."""
    return LineDialog("comment on this item", draft.comment)


def flag_reason(draft: Draft) -> ReasonDialog:
    """Why the focused response is flagged."""
    return ReasonDialog(
        f"flag {LETTERS[draft.pane]}",
        FLAG_REASONS,
        draft.panes[draft.pane].flag,
        hint="a flagged response is rated all the same; left empty, the flag is taken away",
    )


def skip_reason() -> ReasonDialog:
    """Why the item is left out."""
    return ReasonDialog(
        "skip this item",
        SKIP_REASONS,
        verb="skips",
        hint="it does not come back, unless you undo it",
    )
