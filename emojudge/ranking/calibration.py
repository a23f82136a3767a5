"""Judges held against people: bias, slope, and the weights that people's ratings suggest.

Suggested weights are shown and never applied: whoever changes a weight does it in the config.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emojudge.estimates import Estimate, Floats, Ints, correlation, ratio
from emojudge.ranking.agreement import Limits, limits_of, share_of, slope_of, with_scores
from emojudge.ranking.evidence import MIN_PROMPTS
from emojudge.ranking.scored import ScoredItem, scored_study
from emojudge.view import StudyView

_MOST_CORRELATION = 0.95
"""Above it the weight of one judge would swallow all others'."""


@dataclass(frozen=True)
class Calibration:
    """One judge against people, on responses that both scored, 0 to 1.

    ``bias`` is the judge's mean less people's, ``slope`` what people's score gains within an item
    when the judge's gains 1, ``correlation`` the within-item one; ``share`` the order agreement.
    ``suggested`` is a weight, None while too little is known.
    """

    share: Estimate | None
    bias: Estimate | None
    slope: Estimate | None
    correlation: Estimate | None
    limits: Limits | None
    suggested: float | None


def calibrations(
    view: StudyView, scores: Mapping[str, Mapping[str, float]]
) -> dict[str, Calibration]:
    """Each judge's, by title; ``scores`` are by title and response id."""
    balanced = [one for one in scored_study(view).items if not one.item.adaptive]
    found: dict[str, Calibration] = {}
    weights: dict[str, float] = {}
    for title, own in scores.items():
        items = with_scores(balanced, own)
        found[title] = _calibrate(items)
        weight = _raw_weight(items, found[title].correlation)
        if weight is not None:
            weights[title] = weight
    total = math.fsum(weights.values())
    for title, weight in weights.items():
        # So that they average 1, as weights do that nobody has set.
        share = weight * len(weights) / total if total > 0 else 0.0
        found[title] = dataclasses.replace(found[title], suggested=share)
    return found


def _calibrate(items: Sequence[ScoredItem]) -> Calibration:
    return Calibration(
        share=share_of(items),
        bias=_bias(items),
        slope=slope_of(items),
        correlation=correlation(*_products(items)),
        limits=limits_of(items),
        suggested=None,
    )


def _bias(items: Sequence[ScoredItem]) -> Estimate | None:
    """The judge's mean less people's, each response once, prompts left out in turn."""
    people: dict[str, list[float]] = defaultdict(list)
    judged: dict[str, tuple[int, float]] = {}
    for item in items:
        for response, rating, score in zip(item.responses, item.people, item.ai, strict=True):
            if not math.isnan(score):
                people[response].append(float(rating))
                judged[response] = item.prompt, float(score)
    if not judged:
        return None
    prompts = np.array([prompt for prompt, _ in judged.values()], dtype=np.int64)
    differences = np.array([score - np.mean(people[one]) for one, (_, score) in judged.items()])
    return ratio(differences, np.ones(len(differences)), prompts, len(differences))


def _products(items: Sequence[ScoredItem]) -> tuple[Floats, Floats, Floats, Ints]:
    """Σ judge · people, Σ judge², Σ people², centred within each item, and its prompt."""
    rows = []
    for item in items:
        known = ~np.isnan(item.ai)
        if known.sum() >= 2:
            judge = item.ai[known] - item.ai[known].mean()
            people = item.people[known] - item.people[known].mean()
            rows.append((judge @ people, judge @ judge, people @ people, item.prompt))
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3].astype(np.int64)


def _raw_weight(items: Sequence[ScoredItem], found: Estimate | None) -> float | None:
    """r / (1 − r²) / s, the best weights of judges whose errors are independent.

    r is the within-item correlation with people and s the within-item spread of the judge's
    scores, because the ensemble averages scores as they are. 0 where r is not shown to be above 0.
    Source: least squares of the truth on standardised scores with independent errors.
    """
    _, squares, _, prompts = _products(items)
    if found is None or found.interval is None or len(np.unique(prompts)) < MIN_PROMPTS:
        return None
    if found.interval[0] <= 0:
        return 0.0
    spread = math.sqrt(float(squares.mean()))
    known = min(found.value, _MOST_CORRELATION)
    return known / (1 - known**2) / spread
