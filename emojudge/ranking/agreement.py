"""Order agreement between AI and people, within items."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from emojudge.domain import RatedItem, human_score
from emojudge.view import StudyView

_TIE = 1e-9


@dataclass(frozen=True)
class OrderAgreement:
    """The share of within-item candidate pairs on which AI and people prefer the same one.

    A tie on either side counts half. ``share`` is None before the first pair; ``trend`` holds the
    share after each item.
    """

    items: int
    pairs: int
    share: float | None
    trend: tuple[float, ...]


def _sign(difference: float) -> int:
    """Equal scores differ in their last bits when they are summed in another order."""
    return 0 if abs(difference) < _TIE else 1 if difference > 0 else -1


def _item_pairs(item: RatedItem, view: StudyView) -> Iterable[float]:
    """1 for a pair in the same order, 0 for the opposite one, ½ for a tie on either side."""
    scored = [
        (view.ai_scores[rating.response_id], human_score(rating.scores, view.criteria_weights))
        for rating in item.ratings
        if rating.response_id in view.ai_scores
    ]
    for (ai_a, human_a), (ai_b, human_b) in itertools.combinations(scored, 2):
        ai, human = _sign(ai_a - ai_b), _sign(human_a - human_b)
        yield (1 + ai * human) / 2


def order_agreement(view: StudyView, rater: str | None = None) -> OrderAgreement:
    """Agreement over all raters, or one rater's; items without AI scores are left out."""
    agreed = 0.0
    pairs = items = 0
    trend: list[float] = []
    for item in sorted(view.counted_items, key=lambda one: (one.submitted, one.number)):
        if rater is not None and item.rater != rater:
            continue
        outcomes = list(_item_pairs(item, view))
        if not outcomes:
            continue
        items += 1
        pairs += len(outcomes)
        agreed += sum(outcomes)
        trend.append(agreed / pairs)
    return OrderAgreement(items, pairs, agreed / pairs if pairs else None, tuple(trend))
