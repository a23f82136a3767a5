"""How far the AI orders responses as people do: within items, clustered by prompt.

The order agreement is the share of within-item pairs on which both prefer the same response; a
tie on either side counts half. Its ceiling is what a perfect judge could reach given how far
people agree with each other and with themselves: when two ratings of the same pair agree with
probability c, each of them is right with probability at most (1 + √(2c − 1)) / 2.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from emojudge.domain import Criterion
from emojudge.estimates import Estimate, Floats, Ints, ratio
from emojudge.ranking.scored import Scored, ScoredItem, scored_study
from emojudge.view import StudyView

_TIE = 1e-9
_TIE_DIGITS = 9
CEILING_PAIRS = 20
"""Fewer pairs that were rated twice say nothing about the ceiling."""
_LIMITS = 1.96
_TREND = 120


@dataclass(frozen=True)
class Limits:
    """Bland-Altman: people minus AI, mean and 95 % limits, from ``count`` responses."""

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class OrderAgreement:
    """Agreement of AI and people from ``items`` items and ``pairs`` pairs; None before the first.

    ``trend`` is the share after each of the last items, ``ceiling`` what a perfect judge could
    reach, ``tau`` the within-item Kendall τ-b, ``slope`` what people's score gains when the AI's
    gains one.
    """

    items: int
    pairs: int
    share: Estimate | None
    ceiling: Estimate | None
    tau: Estimate | None
    slope: Estimate | None
    limits: Limits | None
    trend: tuple[float, ...]


@dataclass(frozen=True)
class _Pairs:
    """Within-item pairs of responses that both scored: one row each."""

    item: Ints
    prompt: Ints
    first: Ints
    second: Ints
    ai: Floats
    people: Floats

    def of(self, chosen: npt.NDArray[np.bool_] | Ints) -> _Pairs:
        return _Pairs(
            self.item[chosen],
            self.prompt[chosen],
            self.first[chosen],
            self.second[chosen],
            self.ai[chosen],
            self.people[chosen],
        )


def _signs(differences: Floats) -> Floats:
    """Equal scores differ in their last bits when they are summed in another order."""
    signs: Floats = np.where(np.abs(differences) < _TIE, 0.0, np.sign(differences))
    return signs


def _pairs(items: Sequence[ScoredItem], people: Callable[[ScoredItem], Floats]) -> _Pairs:
    parts: list[_Pairs] = []
    for count in {len(item.candidates) for item in items if len(item.candidates) > 1}:
        numbers = [number for number, item in enumerate(items) if len(item.candidates) == count]
        one, other = np.triu_indices(count, 1)
        who = np.stack([items[number].candidates for number in numbers])
        ai = np.stack([items[number].ai for number in numbers])
        human = np.stack([people(items[number]) for number in numbers])
        prompts = np.array([items[number].prompt for number in numbers])
        parts.append(
            _Pairs(
                item=np.repeat(np.array(numbers), len(one)),
                prompt=np.repeat(prompts, len(one)),
                first=who[:, one].ravel(),
                second=who[:, other].ravel(),
                ai=_signs(ai[:, one] - ai[:, other]).ravel(),
                people=_signs(human[:, one] - human[:, other]).ravel(),
            )
        )
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return _Pairs(none, none, none, none, np.zeros(0), np.zeros(0))
    joined = _Pairs(
        item=np.concatenate([part.item for part in parts]),
        prompt=np.concatenate([part.prompt for part in parts]),
        first=np.concatenate([part.first for part in parts]),
        second=np.concatenate([part.second for part in parts]),
        ai=np.concatenate([part.ai for part in parts]),
        people=np.concatenate([part.people for part in parts]),
    )
    in_order = joined.of(np.argsort(joined.item, kind="stable"))
    return in_order.of(~np.isnan(in_order.ai))


def _bounded(estimate: Estimate | None, low: float, high: float) -> Estimate | None:
    """A share or a correlation cannot leave its range, so neither does its interval."""
    if estimate is None or estimate.interval is None:
        return estimate
    inside = max(low, estimate.interval[0]), min(high, estimate.interval[1])
    return Estimate(estimate.value, inside, estimate.count)


def _share(pairs: _Pairs) -> Estimate | None:
    agreed = (1 + pairs.ai * pairs.people) / 2
    found = ratio(agreed, np.ones(len(agreed)), pairs.prompt, len(agreed))
    return _bounded(found, 0.0, 1.0)


def _tau(pairs: _Pairs) -> Estimate | None:
    """τ-b over all within-item pairs: (C − D) / √(pairs untied by the AI · untied by people)."""
    untied = np.abs(pairs.ai).sum() * np.abs(pairs.people).sum()
    if untied <= 0:
        return None
    scale = math.sqrt(untied) / len(pairs.ai)
    concordance = ratio(
        pairs.ai * pairs.people,
        np.full(len(pairs.ai), scale),
        pairs.prompt,
        len(pairs.ai),
    )
    return _bounded(concordance, -1.0, 1.0)


def slope_of(
    items: Sequence[ScoredItem],
    people: Callable[[ScoredItem], Floats] = lambda item: item.people,
) -> Estimate | None:
    """Least squares of people's on the AI's scores, both centred within items."""
    rows = []
    for item in items:
        known = ~np.isnan(item.ai)
        if known.sum() >= 2:
            ai, human = item.ai[known], people(item)[known]
            ai = ai - ai.mean()
            rows.append((item.prompt, float(ai @ (human - human.mean())), float(ai @ ai)))
    if not rows:
        return None
    prompts, tops, bottoms = zip(*rows, strict=True)
    return ratio(np.array(tops), np.array(bottoms), np.array(prompts, dtype=np.int64), len(rows))


def limits_of(items: Sequence[ScoredItem]) -> Limits | None:
    """Each response once, with people's mean, so that common items do not count twice."""
    of_response: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for item in items:
        for response, people, ai in zip(item.responses, item.people, item.ai, strict=True):
            if not math.isnan(ai):
                of_response[response].append((float(people), float(ai)))
    differences = np.array(
        [np.mean([people for people, _ in own]) - own[0][1] for own in of_response.values()]
    )
    if len(differences) < 2:
        return None
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    return Limits(mean, mean - _LIMITS * spread, mean + _LIMITS * spread, len(differences))


Counts = Callable[[str, str], bool]


def same_order_twice(scored: Scored, counts: Counts = lambda one, other: True) -> Estimate | None:
    """How often two ratings of the same pair of responses have the same order, ties half.

    Pairs of raters on common items, and raters with themselves on repeats, as far as ``counts``
    says so of the two raters' names. None without any.
    """
    by_prompt: dict[tuple[int, frozenset[str]], list[ScoredItem]] = defaultdict(list)
    again = scored.scored(scored.view.repeats)
    for item in [*scored.items, *again]:
        if item.item.adaptive:
            continue
        by_prompt[item.prompt, frozenset(item.responses)].append(item)
    agreed, prompts = [], []
    for (prompt, _), shown in by_prompt.items():
        for one, other in combinations(shown, 2):
            again_of_own = {one.item.repeat_of, other.item.repeat_of} & {one.item.id, other.item.id}
            first_ones = one.item.repeat_of is None and other.item.repeat_of is None
            if not (first_ones or again_of_own):
                continue
            if not counts(one.item.rater, other.item.rater):
                continue
            place = [other.responses.index(response) for response in one.responses]
            first, second = np.triu_indices(len(place), 1)
            here = _signs(one.people[first] - one.people[second])
            there = other.people[place]
            agreed.append((1 + here * _signs(there[first] - there[second])) / 2)
            prompts.append(np.full(len(first), prompt))
    if not agreed:
        return None
    joined = np.concatenate(agreed)
    found = ratio(joined, np.ones(len(joined)), np.concatenate(prompts), len(joined))
    return _bounded(found, 0.0, 1.0)


def ceiling_of(consistency: Estimate | None) -> Estimate | None:
    """What a perfect judge could reach at most; None while too little was rated twice."""
    if consistency is None or consistency.count < CEILING_PAIRS:
        return None

    def perfect(share: float) -> float:
        return (1 + math.sqrt(max(0.0, 2 * share - 1))) / 2

    interval = consistency.interval
    return Estimate(
        perfect(consistency.value),
        None if interval is None else (perfect(interval[0]), perfect(interval[1])),
        consistency.count,
    )


def _agreement(
    items: Sequence[ScoredItem],
    consistency: Estimate | None,
    people: Callable[[ScoredItem], Floats] = lambda item: item.people,
) -> OrderAgreement:
    # Items chosen by what is known of the candidates would favour the pairs that are hard.
    balanced = [item for item in items if not item.item.adaptive]
    pairs = _pairs(balanced, people)
    agreed = (1 + pairs.ai * pairs.people) / 2
    last = np.flatnonzero(np.diff(pairs.item, append=-1))
    running = np.cumsum(agreed)[last] / (last + 1) if len(agreed) else np.zeros(0)
    return OrderAgreement(
        items=len(last),
        pairs=len(agreed),
        share=_share(pairs),
        ceiling=ceiling_of(consistency),
        tau=_tau(pairs),
        slope=slope_of(balanced, people),
        limits=limits_of(balanced),
        trend=tuple(float(one) for one in running[-_TREND:]),
    )


def order_agreement(view: StudyView, rater: str | None = None) -> OrderAgreement:
    """Agreement over all raters, or one rater's; items without AI scores are left out."""
    scored = scored_study(view)
    items = [one for one in scored.items if rater is None or one.item.rater == rater]
    return _agreement(items, same_order_twice(scored))


def by_criterion(view: StudyView) -> dict[Criterion, OrderAgreement]:
    """Agreement of the AI's score with each criterion alone."""
    scored = scored_study(view)

    def scores_of(place: int) -> Callable[[ScoredItem], Floats]:
        return lambda item: item.criteria[:, place]

    return {
        criterion: _agreement(scored.items, None, scores_of(place))
        for place, criterion in enumerate(Criterion)
    }


def by_candidate(view: StudyView) -> dict[str, Estimate | None]:
    """The share over pairs that hold a candidate, by sha256."""
    scored = scored_study(view)
    pairs = _pairs([one for one in scored.items if not one.item.adaptive], lambda item: item.people)
    return {
        candidate.sha256: _share(pairs.of((pairs.first == number) | (pairs.second == number)))
        for number, candidate in enumerate(view.candidates)
    }


def by_judge(view: StudyView) -> dict[str, Estimate | None]:
    """The share of each part of the AI score by itself, and of each judge of the ensemble."""
    return same_order(view, {**view.part_scores, **view.judge_scores})


def same_order(
    view: StudyView, scores: Mapping[str, Mapping[str, float]]
) -> dict[str, Estimate | None]:
    """The share of whoever gives these scores (by response id), by name."""
    balanced = [one for one in scored_study(view).items if not one.item.adaptive]
    return {name: share_of(with_scores(balanced, own)) for name, own in scores.items()}


def with_scores(items: Sequence[ScoredItem], scores: Mapping[str, float]) -> list[ScoredItem]:
    """The items as if these scores, by response id, were the AI's."""
    return [
        dataclasses.replace(
            one, ai=np.array([scores.get(response, np.nan) for response in one.responses])
        )
        for one in items
    ]


def share_of(items: Sequence[ScoredItem]) -> Estimate | None:
    """The order agreement of these items."""
    return _share(_pairs(items, lambda item: item.people))


@dataclass(frozen=True)
class Disagreement:
    """An item on which AI and people differ most: ``number`` in :attr:`Scored.items`.

    ``gap`` is how far the two orders are apart: the largest of people's minus the AI's differences
    between two of its responses (both on the scale of scores).
    """

    number: int
    gap: float
    preferred_by_people: int
    preferred_by_ai: int


def disagreements(view: StudyView, most: int) -> list[Disagreement]:
    """Items in which people and AI prefer different responses, the widest gap first.

    Equal gaps stand in the order of the items; what rounding leaves of a difference is none.
    """
    scored = scored_study(view)
    scale = _ai_scale(scored)
    found = []
    for number, item in enumerate(scored.items):
        ai = item.ai * scale
        best: Disagreement | None = None
        for one, other in combinations(range(len(ai)), 2):
            people_gap = float(item.people[one] - item.people[other])
            ai_gap = float(ai[one] - ai[other])
            if math.isnan(ai_gap) or people_gap * ai_gap >= -_TIE:
                continue
            gap = abs(people_gap - ai_gap)
            if best is None or gap > best.gap + _TIE:
                liked, other_one = (one, other) if people_gap > 0 else (other, one)
                best = Disagreement(number, gap, liked, other_one)
        if best is not None:
            found.append(best)
    return sorted(found, key=lambda one: (-round(one.gap, _TIE_DIGITS), one.number))[:most]


def _ai_scale(scored: Scored) -> float:
    """The AI's differences are brought to the spread of people's, so that neither drowns."""
    people = [item.people - item.people.mean() for item in scored.items]
    ai = [item.ai - item.ai.mean() for item in scored.items if not np.isnan(item.ai).any()]
    if not people or not ai:
        return 1.0
    spread = float(np.concatenate(ai).std())
    return float(np.concatenate(people).std()) / spread if spread > 0 else 1.0
