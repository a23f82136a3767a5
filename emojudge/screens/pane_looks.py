"""What the panes of the item in hand show: scores, focus, order of equals, named models."""

from __future__ import annotations

from collections.abc import Sequence

from emojudge.pipeline.rating import LETTERS, RaterSession
from emojudge.widgets.response_pane import PaneLook


def order_of(session: RaterSession, pane: int) -> str:
    """How a pane stands to those with an equal total, such as ``= C``; empty without any."""
    draft = session.draft
    equals = session.equals_of(pane)
    if draft is None or not equals:
        return ""
    places = {one: place for place, one in enumerate(draft.ahead)}
    last = len(places)
    own = places.get(pane, last)
    signs = []
    for other in equals:
        there = places.get(other, last)
        sign = "=" if there == own else ">" if own < there else "<"
        signs.append(f"{sign} {LETTERS[other]}")
    return " ".join(signs)


def looks_of(session: RaterSession, texts: Sequence[str], whole: bool) -> list[PaneLook]:
    """One look per pane of the item in hand, in the order of its letters.

    ``texts`` are what the panes show now, ``whole`` says that nothing more will come.
    """
    draft, item = session.draft, session.item
    if draft is None or item is None:
        return []
    return [
        PaneLook(
            scores=scores,
            focused_row=draft.criterion if index == draft.pane else None,
            order=order_of(session, index),
            # Told only once a response is wholly shown: earlier it would give words away.
            names=session.named_in(item.responses[index]) if whole else (),
            with_scores=not session.pairwise,
            whole=whole,
            silent=whole and not texts[index].strip(),
        )
        for index, scores in enumerate(draft.panes)
    ]
