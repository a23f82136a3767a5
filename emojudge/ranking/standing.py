"""Where a study stands: scores, differences with intervals, the verdict and what it rests on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np

from emojudge.domain import Candidate
from emojudge.estimates import Floats, fixed_radius
from emojudge.ranking.decision import Decision, Evidence, decide
from emojudge.ranking.effects import Effects
from emojudge.ranking.evidence import MIN_PROMPTS, deciding_radius, log_evidence
from emojudge.ranking.forecast import Forecast, forecast
from emojudge.ranking.next_item import pane_count, prompt_order
from emojudge.ranking.robustness import (
    EffectiveWeights,
    confidence,
    effective_weights,
    holding_weights,
    rests_on,
    without_each_rater,
)
from emojudge.ranking.scored import (
    MOST_CANDIDATES,
    Scored,
    group_levels,
    scored_study,
)
from emojudge.view import StudyView


@dataclass(frozen=True)
class Difference:
    """One candidate minus another in the final score.

    ``fixed`` holds when one looks once, ``deciding`` at every look (both 95 %; infinite where the
    data bound nothing); ``evidence`` is E against no difference, ``prompts`` the G behind it.
    """

    estimate: float
    fixed: tuple[float, float]
    deciding: tuple[float, float]
    evidence: float
    prompts: int


@dataclass(frozen=True)
class CandidateScore:
    """One candidate's scores from 0 to 1; None where nothing was measured.

    ``human`` and ``ai`` are levels of the least-squares fit (plain means over prompts where all
    were scored equally often on all), ``final`` their weighted sum. AI never stands in for people.
    ``to_baseline`` is this candidate minus the baseline, ``to_leader`` minus the leader.
    """

    candidate: Candidate
    number: int
    label: str
    ai: float | None
    human: float | None
    final: float | None
    ai_responses: int
    rated_items: int
    to_baseline: Difference | None = None
    to_leader: Difference | None = None


@dataclass(frozen=True)
class Standing:
    """Everything that the verdict's sentences, the screens and the reports are made of.

    ``decision`` and what follows are None while a part that counts is missing. ``holds`` is the
    range of AI weights with the same verdict, ``rests_on`` names raters without whom it would be
    another. ``groups`` lists candidates that were rated, but never with those of another group;
    ``flat`` says that people gave every response of each item the same score.
    """

    scores: tuple[CandidateScore, ...]
    evidence: Evidence | None
    decision: Decision | None
    confidence: float | None
    effective: EffectiveWeights | None
    holds: tuple[float, float] | None
    raters: tuple[str, ...]
    rests_on: tuple[str, ...]
    ahead: Forecast | None
    groups: tuple[tuple[str, ...], ...]
    flat: bool

    def score_of(self, number: int) -> CandidateScore:
        """The scores of a candidate by its number."""
        return next(one for one in self.scores if one.number == number)

    @property
    def baseline(self) -> CandidateScore | None:
        """The baseline's scores."""
        return next((one for one in self.scores if one.candidate.is_baseline), None)


def differences(effects: Effects, one: int) -> list[Difference | None]:
    """Every candidate minus candidate ``one``; None where they were never connected."""
    against, variance = effects.against(one)
    degrees = effects.prompts - 1
    fixed, deciding = fixed_radius(variance, degrees), deciding_radius(variance, degrees)
    if effects.prompts < MIN_PROMPTS:
        # On fewer prompts looking again and again is not shown to cost nothing.
        deciding = np.full(deciding.shape, np.inf)
        variance = np.full(variance.shape, np.inf)
    logs = np.minimum(log_evidence(against, variance, degrees), math.log(1e12))
    return [
        Difference(
            estimate=-float(against[other]),
            fixed=(-float(against[other] + fixed[other]), -float(against[other] - fixed[other])),
            deciding=(
                -float(against[other] + deciding[other]),
                -float(against[other] - deciding[other]),
            ),
            evidence=float(np.exp(logs[other])),
            prompts=effects.prompts,
        )
        if other != one and effects.groups[other] == effects.groups[one]
        else None
        for other in range(len(against))
    ]


def _levels(scored: Scored) -> tuple[Floats, Floats]:
    """People's and the AI's levels (K); NaN where nothing was measured."""
    nothing = np.full(scored.count, np.nan)
    if scored.count > MOST_CANDIDATES:
        means = scored.means(scored.items)
        return _plain(means), _plain(scored.ai_means)
    people, ai = scored.people_effects(scored.people), scored.ai_effects
    of_people = of_ai = nothing
    if people is not None:
        means = scored.means(scored.items)
        of_people = group_levels(scored.people, people, means)
    if ai is not None:
        of_ai = group_levels(scored.ai, ai, scored.ai_means)
    elif not np.isnan(scored.ai_means).all():
        of_ai = _plain(scored.ai_means)
    return of_people, of_ai


def _plain(means: Floats) -> Floats:
    """Means over prompts (K) without any model; NaN where there is nothing."""
    known = ~np.isnan(means)
    with np.errstate(invalid="ignore"):
        plain: Floats = np.where(known, means, 0).sum(axis=0) / np.where(
            known.any(axis=0), known.sum(axis=0), np.nan
        )
    return plain


def _present(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


@dataclass(frozen=True)
class _Ranked:
    """The quick part of a standing."""

    scores: tuple[CandidateScore, ...]
    evidence: Evidence | None
    decision: Decision | None
    flat: bool


def _ranked(view: StudyView) -> _Ranked:
    kept = view.memo.get("ranked")
    if isinstance(kept, _Ranked):
        return kept
    scored = scored_study(view)
    weight = view.config.judging_config.ai_judge_weight
    evidence = None
    comparable = scored.count <= MOST_CANDIDATES
    if comparable and scored.count >= 2:
        evidence = scored.evidence(scored.people, weight)
    flat = weight < 1 and comparable and _flat(scored)
    decision = decide(evidence, scored.rules) if evidence is not None and not flat else None
    scores = _scores(scored, evidence.final if evidence else None, decision)
    ranked = view.memo["ranked"] = _Ranked(tuple(scores), evidence, decision, flat)
    return ranked


def rank_candidates(view: StudyView) -> tuple[CandidateScore, ...]:
    """Scores of all candidates, best first: by final score, by AI score where that is missing."""
    return _ranked(view).scores


def _scores(
    scored: Scored, final: Effects | None, decision: Decision | None
) -> Sequence[CandidateScore]:
    view = scored.view
    judging = view.config.judging_config
    people, ai = _levels(scored)
    judged = dict.fromkeys(range(scored.count), 0)
    number_of = {one.sha256: number for number, one in enumerate(view.candidates)}
    for response in view.responses:
        judged[number_of[response.candidate]] += response.id in view.ai_scores
    rated = np.zeros(scored.count, dtype=np.int64)
    for item in scored.items:
        if len(item.candidates) > 1:
            rated[item.candidates] += 1
    parts = ((judging.ai_judge_weight, ai), (judging.human_judge_weight, people))
    sums = np.sum([weight * values for weight, values in parts if weight > 0], axis=0)
    nothing: list[Difference | None] = [None] * scored.count
    to_baseline = to_leader = nothing
    if final is not None and decision is not None:
        to_baseline = differences(final, scored.rules.baseline)
        to_leader = differences(final, decision.leader)
    rows = [
        CandidateScore(
            candidate=candidate,
            number=number,
            label=view.labels[candidate.sha256],
            ai=_present(ai[number]),
            human=_present(people[number]),
            final=_present(sums[number]),
            ai_responses=judged[number],
            rated_items=int(rated[number]),
            to_baseline=to_baseline[number],
            to_leader=to_leader[number],
        )
        for number, candidate in enumerate(view.candidates)
    ]

    def worst_last(score: CandidateScore) -> tuple[bool, float, bool, float]:
        return (score.final is None, -(score.final or 0), score.ai is None, -(score.ai or 0))

    return sorted(rows, key=worst_last)


def _visits(scored: Scored) -> list[int]:
    """Prompts that the raters so far have still before them, taking turns."""
    seen: dict[str, set[str]] = {}
    for item in scored.view.rated:
        seen.setdefault(item.rater, set()).add(item.prompt_id)
    ids = list(scored.prompts)
    left = []
    for rater, own in seen.items():
        others = Counter(one for name, theirs in seen.items() if name != rater for one in theirs)
        order = prompt_order(scored.view.seed, rater, ids, others)
        left.append([scored.prompts[prompt] for prompt in order if prompt not in own])
    return [one for one in chain.from_iterable(zip_longest(*left)) if one is not None]


def _groups(scored: Scored, evidence: Evidence | None) -> tuple[tuple[str, ...], ...]:
    people = evidence.people if evidence is not None else None
    if people is None:
        return ()
    labels = [scored.view.labels[one.sha256] for one in scored.view.candidates]
    rated = scored.people.scored > 0
    found = [
        tuple(
            label
            for label, own, seen in zip(labels, people.groups, rated, strict=True)
            if own == group and seen
        )
        for group in np.unique(people.groups[rated])
    ]
    return tuple(found) if len(found) > 1 else ()


def _flat(scored: Scored) -> bool:
    """Whether people's items compare candidates, and every item gives all the same score."""
    return bool(scored.people.items.any()) and float(scored.people.squares.sum()) < 1e-12


def _stand(view: StudyView) -> Standing:
    ranked, scored = _ranked(view), scored_study(view)
    evidence, decision = ranked.evidence, ranked.decision
    weight = view.config.judging_config.ai_judge_weight
    raters = tuple(sorted({item.item.rater for item in scored.items}))
    effective = holds = ahead = sure = None
    resting: tuple[str, ...] = ()
    if evidence is not None and decision is not None:
        effective = effective_weights(scored, weight)
        holds = holding_weights(scored, weight, decision)
        if weight < 1:
            resting = rests_on(decision, without_each_rater(scored, weight))
            ahead = forecast(
                evidence,
                decision,
                scored.people,
                scored.rules,
                _visits(scored),
                ai_weight=weight,
                panes=pane_count(view.config.human_judging.panes, scored.count),
                seed=view.seed,
            )
        # Drawing again from a handful of prompts gives back the same few.
        if decision.runner_up is not None and evidence.final.prompts >= MIN_PROMPTS:
            sure = confidence(scored, decision.leader, decision.runner_up, view.seed)
    return Standing(
        scores=ranked.scores,
        evidence=evidence,
        decision=decision,
        confidence=sure,
        effective=effective,
        holds=holds,
        raters=raters,
        rests_on=resting,
        ahead=ahead,
        groups=_groups(scored, evidence),
        flat=ranked.flat,
    )


def standing_of(view: StudyView) -> Standing:
    """The standing of a view, computed once for it (up to some seconds for large studies)."""
    kept = view.memo.get("standing")
    if not isinstance(kept, Standing):
        kept = view.memo["standing"] = _stand(view)
    return kept
