"""People against people: agreement on common items, consistency, and what is odd about a rater."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from emojudge.domain import Criterion, Preference
from emojudge.errors import EmojudgeError
from emojudge.estimates import Estimate, Floats
from emojudge.ranking.agreement import (
    CEILING_PAIRS,
    OrderAgreement,
    order_agreement,
    same_order_twice,
)
from emojudge.ranking.bradley_terry import Strengths, strengths
from emojudge.ranking.coefficients import (
    Level,
    Resampled,
    bootstrap_interval,
    gwet_ac2,
    krippendorff_alpha,
    resampled_ac2,
    resampled_alpha,
    resampled_kappa,
    weighted_kappa,
)
from emojudge.ranking.scored import (
    MOST_CANDIDATES,
    Scored,
    ScoredItem,
    group_levels,
    scored_study,
)
from emojudge.view import StudyView

_CHANCE = 0.5
_OUTCOMES = {1: 1.0, 0: 0.5, -1: 0.0}
_OF_PREFERENCE = {Preference.LEFT: 1.0, Preference.TIE: 0.5, Preference.RIGHT: 0.0}


@dataclass(frozen=True)
class Reliability:
    """How far raters give the same response the same score, on responses that several rated.

    ``name`` is a criterion or ``score``; α is ordinal for criteria and interval for the score; κ is
    quadratic and for two raters, AC2 quadratic. Intervals resample responses.
    """

    name: str
    responses: int
    raters: int
    alpha: Estimate | None
    kappa: Estimate | None
    ac2: Estimate | None


@dataclass(frozen=True)
class RaterLine:
    """One rater: rated items, agreement with the AI, the others, and with themselves on repeats.

    ``flags`` say what is odd; nothing is dropped for it.
    """

    rater: str
    items: int
    repeats: int
    with_ai: OrderAgreement
    with_others: Estimate | None
    with_self: Estimate | None
    seconds: float
    flags: tuple[str, ...]


def _common(scored: Scored) -> tuple[list[str], dict[str, dict[str, tuple[ScoredItem, int]]]]:
    """Raters, and for each response that several rated, by rater the item and its place there."""
    found: dict[str, dict[str, tuple[ScoredItem, int]]] = defaultdict(dict)
    for item in scored.items:
        for place, response in enumerate(item.responses):
            found[response][item.item.rater] = (item, place)
    common = {response: own for response, own in found.items() if len(own) > 1}
    return sorted({rater for own in common.values() for rater in own}), common


def _estimate(value: float | None, resampled: Resampled, count: int) -> Estimate | None:
    if value is None:
        return None
    return Estimate(value, bootstrap_interval(resampled, count), count)


def reliabilities(view: StudyView) -> tuple[Reliability, ...]:
    """For the weighted score and each criterion; empty while no response has two raters."""
    scored = scored_study(view)
    raters, common = _common(scored)
    if not common:
        return ()
    tables: dict[str, Floats] = {
        name: np.full((len(raters), len(common)), np.nan) for name in ("score", *Criterion)
    }
    for column, own in enumerate(common.values()):
        for row, rater in enumerate(raters):
            if rater in own:
                item, place = own[rater]
                tables["score"][row, column] = item.people[place]
                for number, criterion in enumerate(Criterion):
                    tables[criterion][row, column] = 1 + 4 * item.criteria[place, number]
    return tuple(_reliability(str(name), values) for name, values in tables.items())


def _reliability(name: str, values: Floats) -> Reliability:
    raters, responses = values.shape
    whole = name != "score"
    level: Level = "ordinal" if whole else "interval"
    kappa = None
    if whole and raters == 2:
        a, b = values
        kappa = _estimate(weighted_kappa(a, b), resampled_kappa(a, b), responses)
    ac2 = None
    if whole:
        ac2 = _estimate(
            gwet_ac2(values, "quadratic"), resampled_ac2(values, "quadratic"), responses
        )
    return Reliability(
        name=name,
        responses=responses,
        raters=raters,
        alpha=_estimate(
            krippendorff_alpha(values, level), resampled_alpha(values, level), responses
        ),
        kappa=kappa,
        ac2=ac2,
    )


def _above_chance(estimate: Estimate | None) -> bool | None:
    """Whether an order agreement is shown to be above chance; None while that is open."""
    if estimate is None or estimate.interval is None or estimate.count < CEILING_PAIRS:
        return None
    return estimate.interval[0] > _CHANCE


def rater_lines(view: StudyView) -> tuple[RaterLine, ...]:
    """All raters by name."""
    scored = scored_study(view)
    raters = sorted({item.item.rater for item in scored.items})
    return tuple(_rater_line(view, scored, rater) for rater in raters)


def _rater_line(view: StudyView, scored: Scored, rater: str) -> RaterLine:
    own = [item for item in scored.items if item.item.rater == rater]
    with_others = same_order_twice(
        scored, lambda one, other: rater in (one, other) and one != other
    )
    with_self = same_order_twice(scored, lambda one, other: one == other == rater)
    the_rest = same_order_twice(scored, lambda one, other: rater not in (one, other))
    flags = []
    if len(own) > 1 and all(np.ptp(item.people) == 0 for item in own):
        flags.append("gives every response of an item the same score")
    # Others who agree show that there is something to agree on, so chance is then the rater's own.
    if _above_chance(the_rest) and _above_chance(with_others) is False:
        flags.append("agrees with the others no better than chance")
    if _above_chance(with_self) is False:
        flags.append("orders repeated items no better than chance")
    return RaterLine(
        rater=rater,
        items=len(own),
        repeats=sum(one.rater == rater for one in view.repeats),
        with_ai=order_agreement(view, rater),
        with_others=with_others,
        with_self=with_self,
        seconds=float(np.median([item.item.seconds for item in own])),
        flags=tuple(flags),
    )


def criterion_levels(view: StudyView) -> Floats:
    """People's level of each candidate on each criterion (K × 4), 0 to 1.

    NaN where nobody rated, and for more candidates than are compared.
    """
    scored = scored_study(view)
    levels = np.full((scored.count, len(Criterion)), np.nan)
    if scored.count > MOST_CANDIDATES:
        return levels
    for place in range(len(Criterion)):
        own = [_only(item, place) for item in scored.items]
        sums = scored.equations(own)
        effects = scored.people_effects(sums)
        if effects is not None:
            levels[:, place] = group_levels(sums, effects, scored.means(own))
    return levels


def _only(item: ScoredItem, place: int) -> ScoredItem:
    return ScoredItem(
        item.item,
        item.prompt,
        item.candidates,
        item.criteria[:, place],
        item.ai,
        item.criteria,
        item.responses,
    )


@dataclass(frozen=True)
class PairwiseStrengths:
    """Bradley-Terry strengths of people's preferences, or why there are none.

    ``pairs`` are those within items, ``votes`` the quick votes beside them.
    """

    strengths: Strengths | None
    why_not: str
    pairs: int
    votes: int


def pairwise_strengths(view: StudyView) -> PairwiseStrengths:
    """Every within-item pair is one vote, and every quick vote another.

    Equal scores are a tie, unless the rater put one of them ahead.
    """
    scored = scored_study(view)
    names = [view.labels[one.sha256] for one in view.candidates]
    left: list[str] = []
    right: list[str] = []
    outcome: list[float] = []
    for item in scored.items:
        for one, other in combinations(range(len(item.candidates)), 2):
            gap = float(item.people[one] - item.people[other])
            if abs(gap) < 1e-9:
                ratings = item.item.ratings
                gap = float(ratings[one].tie_break - ratings[other].tie_break)
            left.append(names[item.candidates[one]])
            right.append(names[item.candidates[other]])
            outcome.append(_OUTCOMES[int(np.sign(gap))])
    pairs = len(outcome)
    for vote in view.pair_votes:
        left.append(view.labels[vote.candidates[0]])
        right.append(view.labels[vote.candidates[1]])
        outcome.append(_OF_PREFERENCE[vote.preferred])
    votes = len(outcome) - pairs
    if not outcome:
        return PairwiseStrengths(None, "no pair is rated yet", 0, 0)
    try:
        return PairwiseStrengths(strengths(left, right, outcome), "", pairs, votes)
    except EmojudgeError as problem:
        return PairwiseStrengths(None, str(problem), pairs, votes)


def flagged(lines: Sequence[RaterLine]) -> tuple[str, ...]:
    """One sentence for each thing that is odd about a rater."""
    return tuple(f"{line.rater} {flag}" for line in lines for flag in line.flags)
