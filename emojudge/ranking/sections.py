"""The sections that ranking contributes to the Results screen and the report."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from emojudge.domain import Criterion
from emojudge.estimates import ALPHA
from emojudge.ranking.decision import Kind
from emojudge.ranking.evidence import MIN_PROMPTS, PRIOR_SD
from emojudge.ranking.people import PairwiseStrengths, criterion_levels, pairwise_strengths
from emojudge.ranking.robustness import EffectiveWeights
from emojudge.ranking.standing import CandidateScore, Difference, Standing, standing_of
from emojudge.ranking.verdict import Verdict, conclude, evidence_text
from emojudge.sections import (
    SCALE_WIDTH,
    Bar,
    Block,
    Cell,
    Column,
    Interval,
    Mark,
    ReportKey,
    Row,
    Scale,
    Section,
    Sentence,
    Table,
    Voice,
)
from emojudge.text import counted, human_bytes
from emojudge.view import StudyView

_LEAST_SPAN = 0.1
_BEYOND = 0.02


def finite(value: float | None) -> float | None:
    """JSON has no infinities; an open end is null."""
    return None if value is None or not math.isfinite(value) else value


def ends(interval: tuple[float, float] | None) -> list[float | None] | None:
    """An interval for JSON."""
    return None if interval is None else [finite(end) for end in interval]


def _weights(view: StudyView, effective: EffectiveWeights | None) -> str:
    judging = view.config.judging_config
    text = f"people {judging.human_judge_weight:g}, AI {judging.ai_judge_weight:g}"
    if effective is not None:
        text += f" (in effect {effective.people:.2f}, {effective.ai:.2f})"
    return text


def _facts(view: StudyView, standing: Standing) -> str:
    """One line: confidence, raters, items, weights."""
    parts = []
    if standing.confidence is not None:
        parts.append(f"confidence {standing.confidence:.2f}")
    if standing.raters:
        parts.append(counted(len(standing.raters), "rater"))
        parts.append(counted(len(view.counted_items), "item"))
    parts.append(_weights(view, standing.effective))
    decided = standing.decision is not None and standing.decision.kind is not Kind.INCONCLUSIVE
    if standing.holds is not None and decided:
        low, high = standing.holds
        parts.append(f"the verdict holds for AI weights {low:.2f} to {high:.2f}")
    return " · ".join(parts)


def _resting(standing: Standing) -> list[Sentence]:
    if not standing.rests_on:
        return []
    return [
        Sentence(
            f"without {' or without '.join(standing.rests_on)} there would be another verdict, or "
            "none yet"
        )
    ]


def _numbers_behind(verdict: Verdict) -> tuple[str, ...]:
    """Those that the ranking below does not show: a dispute is between AI and people alone."""
    return verdict.behind if verdict.kind is Kind.DISPUTE else ()


def verdict_section(view: StudyView) -> Section | None:
    """The verdict's sentence, what is behind it, and what is missing."""
    standing = standing_of(view)
    verdict = conclude(view, standing)
    left_out = (
        f"{counted(view.left_out_items, 'rated item')} left out: rated on responses that other "
        "settings or prompts made"
    )
    blocks = [
        Sentence(verdict.sentence, Voice.STRONG),
        Sentence(_facts(view, standing), Voice.DIM),
        *(Sentence(f"missing: {one}") for one in verdict.missing),
        *(Sentence(one, Voice.DIM) for one in _numbers_behind(verdict)),
        *_resting(standing),
        *([Sentence(left_out, Voice.DIM)] if view.left_out_items else []),
    ]
    return Section(
        "verdict", "verdict", ReportKey.RANKINGS, tuple(blocks), _verdict_data(view, standing)
    )


def _verdict_data(view: StudyView, standing: Standing) -> dict[str, Any]:
    verdict = conclude(view, standing)
    judging, decision = view.config.judging_config, standing.decision

    def name(number: int | None) -> str | None:
        return None if number is None else view.candidates[number].name

    return {
        "kind": verdict.kind.value if verdict.kind is not None else None,
        "sentence": verdict.sentence,
        "behind": list(verdict.behind),
        "missing": list(verdict.missing),
        "leader": name(decision.leader) if decision else None,
        "runner_up": name(decision.runner_up) if decision else None,
        "recommended": name(decision.recommended) if decision else None,
        "as_good": [name(number) for number in decision.passed] if decision else [],
        "not_shown_as_good": name(decision.stopped_at) if decision else None,
        "confidence": standing.confidence,
        "effective_weights": (
            dataclasses.asdict(standing.effective) if standing.effective is not None else None
        ),
        "holds_for_ai_weights": ends(standing.holds),
        "rests_on_raters": list(standing.rests_on),
        "more_items": dataclasses.asdict(standing.ahead) if standing.ahead is not None else None,
        "raters": list(standing.raters),
        "items": len(view.counted_items),
        "prompts": standing.evidence.final.prompts if standing.evidence is not None else 0,
        "groups_never_rated_together": [list(group) for group in standing.groups],
        "settings": {
            "ai_judge_weight": judging.ai_judge_weight,
            "human_judge_weight": judging.human_judge_weight,
            "equivalence_margin": judging.equivalence_margin,
            "minimum_human_samples": judging.minimum_human_samples,
            "minimum_prompts": MIN_PROMPTS,
            "alpha": ALPHA,
            "prior_sd": PRIOR_SD,
        },
    }


def _scale(view: StudyView, scores: tuple[CandidateScore, ...]) -> Scale:
    """From the lowest to the highest bounded end of any interval, and the band of no difference."""
    baseline = next((one for one in scores if one.candidate.is_baseline), None)
    finals = [one.final for one in scores if one.final is not None]
    if baseline is None or baseline.final is None:
        return Scale(min(finals, default=0.0) - _BEYOND, max(finals, default=1.0) + _BEYOND)
    margin = view.config.judging_config.equivalence_margin
    level = baseline.final
    shown = [*finals, level - margin, level + margin]
    for one in scores:
        if one.to_baseline is not None and math.isfinite(one.to_baseline.deciding[0]):
            shown += [level + end for end in one.to_baseline.deciding]
    low, high = max(min(shown), -0.2), min(max(shown), 1.2)
    spare = max(0.0, _LEAST_SPAN - (high - low)) / 2 + _BEYOND
    return Scale(low - spare, high + spare, (level - margin, level + margin))


def _mark(score: CandidateScore, baseline: CandidateScore | None) -> Mark | None:
    if score.final is None:
        return None
    if score.to_baseline is None or baseline is None or baseline.final is None:
        return Mark(score.final)
    low, high = score.to_baseline.deciding
    return Mark(score.final, baseline.final + low, baseline.final + high)


def _deciding(difference: Difference | None) -> Interval | None:
    return None if difference is None else Interval(*difference.deciding)


_Cells = Callable[[CandidateScore], Cell]


def _against(
    name: str, difference: Callable[[CandidateScore], Difference | None]
) -> list[tuple[Column, _Cells]]:
    """A difference, its deciding interval, and the evidence against there being none."""

    def evidence(score: CandidateScore) -> Cell:
        found = difference(score)
        return None if found is None else evidence_text(found.evidence)

    def estimate(score: CandidateScore) -> Cell:
        found = difference(score)
        return None if found is None else found.estimate

    return [
        (Column(f"− {name}", decimals=3, signed=True), estimate),
        (
            Column("deciding interval", Voice.DIM, signed=True),
            lambda score: _deciding(difference(score)),
        ),
        (Column("E", Voice.DIM), evidence),
    ]


def _columns(
    standing: Standing, scale: Scale, strength: Mapping[str, float]
) -> list[tuple[Column, _Cells]]:
    """Columns and their cells, the most important first; without people there is little to show."""
    baseline, decision = standing.baseline, standing.decision
    recommended = decision.recommended if decision is not None else None
    columns: list[tuple[Column, _Cells]] = [
        (Column(""), lambda one: one.label + (" ▸" if one.number == recommended else "")),
        (Column("size", right=True), lambda one: human_bytes(one.candidate.size)),
        (Column("final", Voice.STRONG, decimals=3), lambda one: one.final),
    ]
    if any(one.final is not None for one in standing.scores):
        ruler = f"{scale.low:.2f}".ljust(SCALE_WIDTH - 4) + f"{scale.high:.2f}"
        columns.append((Column(ruler, Voice.DIM, scale=scale), lambda one: _mark(one, baseline)))
    columns += [
        (Column("people", Voice.PEOPLE, decimals=3), lambda one: one.human),
        (Column("AI", Voice.AI, decimals=3), lambda one: one.ai),
        (Column("rated", Voice.DIM), lambda one: one.rated_items),
    ]
    if baseline is not None and any(one.to_baseline for one in standing.scores):
        columns += _against(baseline.label, lambda one: one.to_baseline)
    if decision is not None and (baseline is None or decision.leader != baseline.number):
        leader = standing.score_of(decision.leader)
        columns += _against(leader.label, lambda one: one.to_leader)
    if strength:
        title = Column("Bradley-Terry", Voice.PEOPLE, decimals=3)
        columns.append((title, lambda one: strength.get(one.label)))
    return columns


def _difference_data(difference: Difference | None) -> dict[str, Any] | None:
    if difference is None:
        return None
    return {
        "estimate": difference.estimate,
        "fixed_n_interval": ends(difference.fixed),
        "deciding_interval": ends(difference.deciding),
        "evidence": difference.evidence,
        "prompts": difference.prompts,
    }


def _legend(view: StudyView, baseline: CandidateScore) -> str:
    margin = f"{view.config.judging_config.equivalence_margin:g}"
    return (
        f"├─┤ is 95% at every look for the difference from {baseline.label}, ░ is within {margin} "
        "of it: as good is a rung whose whole interval is right of the band's left edge"
    )


def ranking_section(view: StudyView) -> Section | None:
    """AI, human and final score per candidate, with intervals on one scale."""
    standing = standing_of(view)
    scores = standing.scores
    scale = _scale(view, scores)
    baseline = standing.baseline
    pairwise = pairwise_strengths(view)
    strength: dict[str, float] = {}
    if pairwise.strengths is not None:
        found = pairwise.strengths
        strength = dict(zip(found.names, map(float, found.scores), strict=True))
    columns = _columns(standing, scale, strength)
    rows = tuple(
        Row(
            tuple(cell(score) for _, cell in columns),
            Voice.BASELINE if score.candidate.is_baseline else Voice.PLAIN,
        )
        for score in scores
    )
    blocks: list[Block] = [Table(tuple(column for column, _ in columns), rows)]
    if baseline is not None and any(one.to_baseline for one in scores):
        blocks.append(Sentence(_legend(view, baseline), Voice.DIM))
    figures = [value for one in scores for value in (one.final, one.human) if value is not None]
    if any(not 0 <= value <= 1 for value in figures):
        said = "few items: an estimate can lie beyond 0 and 1, and is not cut off there"
        blocks.append(Sentence(said, Voice.DIM))
    return Section(
        name="ranking",
        title="ranking",
        report_key=ReportKey.RANKINGS,
        blocks=tuple(blocks),
        data=_ranking_data(view, standing, strength, pairwise),
    )


def _ranking_data(
    view: StudyView,
    standing: Standing,
    strength: dict[str, float],
    pairwise: PairwiseStrengths,
) -> dict[str, Any]:
    spread: dict[str, tuple[float, float]] = {}
    if pairwise.strengths is not None and pairwise.strengths.intervals is not None:
        pairs = pairwise.strengths.intervals
        spread = {
            name: (float(low), float(high))
            for name, (low, high) in zip(pairwise.strengths.names, pairs, strict=True)
        }
    complete = bool(standing.scores) and all(one.final is not None for one in standing.scores)
    return {
        "complete": complete,
        "ranked_by": "final_score" if complete else "ai_score",
        "weights": {
            "ai": view.config.judging_config.ai_judge_weight,
            "human": view.config.judging_config.human_judge_weight,
        },
        "bradley_terry": (
            pairwise.why_not
            or "strengths of people's within-item preferences and quick votes, ties half"
        ),
        "bradley_terry_pairs": pairwise.pairs,
        "bradley_terry_votes": pairwise.votes,
        "ranking": [
            {
                "rank": rank,
                "candidate": score.candidate.name,
                "sha256": score.candidate.sha256,
                "size_bytes": score.candidate.size,
                "is_baseline": score.candidate.is_baseline,
                "final_score": score.final,
                "ai_score": score.ai,
                "human_score": score.human,
                "rated_items": score.rated_items,
                "judged_responses": score.ai_responses,
                "minus_baseline": _difference_data(score.to_baseline),
                "minus_leader": _difference_data(score.to_leader),
                "bradley_terry": strength.get(score.label),
                "bradley_terry_interval": ends(spread.get(score.label)),
            }
            for rank, score in enumerate(standing.scores, start=1)
        ],
    }


def criteria_section(view: StudyView) -> Section | None:
    """People's level of each candidate on each criterion."""
    if not view.counted_items:
        return None
    levels = criterion_levels(view)
    scores = standing_of(view).scores

    def level(number: int, place: int) -> float | None:
        value = float(levels[number, place])
        return None if math.isnan(value) else value

    def bar(value: float | None) -> Bar | None:
        return None if value is None else Bar(value)

    places = range(len(Criterion))
    rows = tuple(
        Row(
            (score.label, *(bar(level(score.number, place)) for place in places)),
            Voice.BASELINE if score.candidate.is_baseline else Voice.PLAIN,
        )
        for score in scores
    )
    columns = (Column(""), *(Column(one.label, Voice.PEOPLE) for one in Criterion))
    data = {
        score.candidate.name: {
            "rated_items": score.rated_items,
            **{one.value: level(score.number, place) for place, one in enumerate(Criterion)},
        }
        for score in scores
    }
    return Section("criteria", "criteria", ReportKey.HUMAN, (Table(columns, rows),), data)
