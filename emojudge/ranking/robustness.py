"""How much a verdict rests on the weights, on single raters, and on AI and people agreeing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emojudge.estimates import Floats
from emojudge.ranking.decision import Decision, Kind, decide
from emojudge.ranking.effects import groups_of_each
from emojudge.ranking.normal_equations import NormalEquations, groups_of, solve_centred
from emojudge.ranking.scored import Scored

_RESAMPLES = 2000
_CHUNK = 100
_WEIGHTS = 21


@dataclass(frozen=True)
class EffectiveWeights:
    """Shares of the parts in what tells the candidates apart: w × their standard deviation."""

    ai: float
    people: float


def effective_weights(scored: Scored, ai_weight: float) -> EffectiveWeights | None:
    """Scales differ, so the configured weights are not what counts; None without both parts."""
    people, ai = scored.people_effects(scored.people), scored.ai_effects
    if people is None or ai is None:
        return None
    of_ai = ai_weight * float(ai.values.std())
    of_people = (1 - ai_weight) * float(people.values.std())
    total = of_ai + of_people
    return EffectiveWeights(of_ai / total, of_people / total) if total > 0 else None


def _resampled(sums: NormalEquations, weights: Floats, pair: tuple[int, int]) -> Floats:
    """The difference of a pair in each bootstrap sample; NaN where they are not connected."""
    differences = np.full(len(weights), np.nan)
    one, other = pair
    whole = sums.matrix.sum(axis=0)
    groups_of_whole = groups_of(whole)
    for start in range(0, len(weights), _CHUNK):
        chosen = weights[start : start + _CHUNK]
        matrix = np.tensordot(chosen, sums.matrix, axes=1)
        groups = groups_of_each(matrix, whole, groups_of_whole)
        effects = solve_centred(matrix, chosen @ sums.moment, groups)
        met = groups[:, one] == groups[:, other]
        own = effects[:, one] - effects[:, other]
        differences[start : start + _CHUNK] = np.where(met, own, np.nan)
    return differences


def confidence(scored: Scored, leader: int, runner_up: int, seed: int) -> float | None:
    """Probability that AI and people prefer the same of the two, over a bootstrap of prompts.

    Every sample draws prompts for both at once; a tie on either side counts half. None where one of
    them has not compared the two.
    """
    informative = np.flatnonzero((scored.people.items > 0) | (scored.ai.items > 0))
    if not scored.people.items.any() or not scored.ai.items.any():
        return None
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(
        len(informative), np.full(len(informative), 1 / len(informative)), _RESAMPLES
    )
    weights = np.zeros((_RESAMPLES, len(scored.people.items)))
    weights[:, informative] = drawn
    pair = (leader, runner_up)
    people = _resampled(scored.people, weights, pair)
    ai = _resampled(scored.ai, weights, pair) + scored.fluency.change(weights, pair)
    known = ~np.isnan(people) & ~np.isnan(ai)
    if not known.any():
        return None
    same = (1 + np.sign(people[known]) * np.sign(ai[known])) / 2
    return float(same.mean())


def same_verdict(one: Decision, other: Decision) -> bool:
    """Whether two decisions say and recommend the same."""
    return (one.kind, one.recommended) == (other.kind, other.recommended)


def holding_weights(scored: Scored, ai_weight: float, decision: Decision) -> tuple[float, float]:
    """The AI weights around the present one, in steps of .05, for which the verdict is the same."""
    grid = np.linspace(0, 1, _WEIGHTS)

    def holds(weight: float) -> bool:
        evidence = scored.evidence(scored.people, weight)
        return evidence is not None and same_verdict(decide(evidence, scored.rules), decision)

    low = high = ai_weight
    for weight in grid[grid < ai_weight][::-1]:
        if not holds(float(weight)):
            break
        low = float(weight)
    for weight in grid[grid > ai_weight]:
        if not holds(float(weight)):
            break
        high = float(weight)
    return low, high


def without_each_rater(scored: Scored, ai_weight: float) -> dict[str, Decision | None]:
    """The decision without each rater's items; empty for a single rater."""
    raters = sorted({item.item.rater for item in scored.items})
    if len(raters) < 2:
        return {}
    decisions: dict[str, Decision | None] = {}
    for rater in raters:
        sums = scored.equations([item for item in scored.items if item.item.rater != rater])
        evidence = scored.evidence(sums, ai_weight)
        decisions[rater] = decide(evidence, scored.rules) if evidence is not None else None
    return decisions


def rests_on(decision: Decision, without: dict[str, Decision | None]) -> tuple[str, ...]:
    """Raters without whom the verdict would be another one."""
    if decision.kind is Kind.INCONCLUSIVE:
        return ()
    return tuple(
        rater
        for rater, other in without.items()
        if other is None or not same_verdict(other, decision)
    )
