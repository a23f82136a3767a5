"""Judges held against people: bias, slope, and the weights that people's ratings suggest.

Suggested weights are shown and never applied: whoever changes a weight does it in the config.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emojudge.estimates import Estimate, from_left_out
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
    scored = scored_study(view)
    balanced = [one for one in scored.items if not one.item.adaptive]
    found = {title: _calibrate(with_scores(balanced, own)) for title, own in scores.items()}
    weights = {title: _raw_weight(one) for title, one in found.items()}
    total = math.fsum(one for one in weights.values() if one is not None)
    return {
        title: dataclasses.replace(one, suggested=_scaled(weights[title], total, len(found)))
        for title, one in found.items()
    }


def _calibrate(items: Sequence[ScoredItem]) -> Calibration:
    return Calibration(
        share=share_of(items),
        bias=_bias(items),
        slope=slope_of(items),
        correlation=_correlation(items),
        limits=limits_of(items),
        suggested=None,
    )


def _bias(items: Sequence[ScoredItem]) -> Estimate | None:
    """The judge's mean less people's: Σ over responses, prompts left out in turn."""
    prompts: list[int] = []
    differences: list[float] = []
    for item in items:
        for people, judge in zip(item.people, item.ai, strict=True):
            if not math.isnan(judge):
                prompts.append(item.prompt)
                differences.append(float(judge - people))
    if not differences:
        return None
    place = np.array(prompts)
    sums, counts = np.bincount(place, differences), np.bincount(place)
    used = counts > 0
    value = float(np.mean(differences))
    rest = counts.sum() - counts[used]
    if (rest <= 0).any():
        return Estimate(value, None, len(differences))
    return from_left_out(value, (sums.sum() - sums[used]) / rest, len(differences))


def _correlation(items: Sequence[ScoredItem]) -> Estimate | None:
    """Within items, prompts left out in turn."""
    rows = []
    for item in items:
        known = ~np.isnan(item.ai)
        if known.sum() >= 2:
            judge = item.ai[known] - item.ai[known].mean()
            people = item.people[known] - item.people[known].mean()
            rows.append((item.prompt, judge @ people, judge @ judge, people @ people))
    if not rows:
        return None
    prompts, both, judges, humans = (np.array(column) for column in zip(*rows, strict=True))
    place = prompts.astype(np.int64)
    top, left, right = (np.bincount(place, one) for one in (both, judges, humans))
    if left.sum() <= 0 or right.sum() <= 0:
        return None
    value = float(top.sum() / math.sqrt(left.sum() * right.sum()))
    used = np.bincount(place) > 0
    rest = (left.sum() - left[used]) * (right.sum() - right[used])
    if (rest <= 0).any():
        return Estimate(value, None, len(rows))
    return from_left_out(value, (top.sum() - top[used]) / np.sqrt(rest), len(rows))


def _raw_weight(found: Calibration) -> float | None:
    """r / (1 − r²): the best weights of judges whose errors are independent.

    0 where the correlation is not shown to be above 0. Source: least squares of the truth on
    standardised scores with independent errors.
    """
    own = found.correlation
    if own is None or own.interval is None or own.count < MIN_PROMPTS:
        return None
    if own.interval[0] <= 0:
        return 0.0
    correlation = min(own.value, _MOST_CORRELATION)
    return correlation / (1 - correlation**2)


def _scaled(weight: float | None, total: float, judges: int) -> float | None:
    """So that suggested weights average 1, as weights do that nobody has set."""
    if weight is None:
        return None
    return weight * judges / total if total > 0 else 0.0
