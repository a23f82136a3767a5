"""Fidelity on the Results screen and in the report: losses, their floors, the AI score's parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emojudge.domain import Candidate
from emojudge.estimates import Estimate
from emojudge.judges.baseline_health import baseline_findings, silent_responses
from emojudge.judges.fidelity import Fidelity, Floor, Loss, Measure, fidelity_of
from emojudge.judges.judge import shares_of
from emojudge.judges.section_parts import (
    baseline_first,
    baseline_of,
    estimate_data,
    finite,
    listed,
    number_text,
    percent_text,
    voice_of,
)
from emojudge.sections import (
    Block,
    Cell,
    Column,
    Mark,
    ReportKey,
    Row,
    Scale,
    Section,
    Sentence,
    Table,
    Voice,
)
from emojudge.view import StudyView, mean_over_prompts

_FOUND, _NOT_FOUND = " !", "  "
_FURTHEST = 0.5
_SPARE = 0.01
_MOST_NAMED = 8


@dataclass(frozen=True)
class _Kind:
    """How a measure reads: percent, or nats a token."""

    title: str
    name: str
    factor: float
    decimals: int
    unit: str

    def text(self, value: float) -> str:
        return number_text(self.factor * value, self.decimals) + self.unit


_COSINE = _Kind("", "", 1.0, 2, "")
_KINDS = {
    Measure.DEGRADATION: _Kind("degradation", "emotional degradation", 100.0, 1, "%"),
    Measure.SIMILARITY: _Kind("similarity loss", "similarity loss", 100.0, 1, "%"),
    Measure.FLUENCY: _Kind("fluency loss", "fluency loss", 1.0, 2, ""),
}


def fidelity_section(view: StudyView) -> Section | None:
    """What each candidate loses against the baseline, and what the AI score is made of."""
    baseline = baseline_of(view)
    findings = baseline_findings(view)
    if baseline is None or not (view.ai_scores or view.judgements or findings):
        return None
    fidelity = fidelity_of(view)
    base = view.labels[baseline.sha256]
    blocks: list[Block] = [Sentence(one.sentence, Voice.BAD) for one in findings]
    if any(one.losses for one in fidelity.candidates.values()):
        blocks += _losses(view, fidelity, base)
    elif len(view.candidates) > 1:
        blocks.append(Sentence(_nothing_measured(view, base), Voice.DIM))
    if view.ai_scores:
        blocks += _scores(view)
    blocks.append(
        Sentence(
            "likeness, not quality: by construction no candidate can beat the baseline here "
            "except by chance",
            Voice.DIM,
        )
    )
    return Section(
        "fidelity", f"fidelity to {base}", ReportKey.AI, tuple(blocks), _data(view, fidelity)
    )


def _nothing_measured(view: StudyView, base: str) -> str:
    if view.judgements:
        return (
            f"losses against {base} are not known yet: each needs two of its responses to a prompt "
            "and a candidate's, judged; s on the Candidates screen goes on"
        )
    return (
        f"losses against {base} are not measured yet: s on the Candidates screen, or emojudge run "
        "--phase ai-judge, measures them"
    )


# Losses


def _losses(view: StudyView, fidelity: Fidelity, base: str) -> list[Block]:
    columns = _loss_columns(view, fidelity)
    order = baseline_first(view)
    rows = tuple(
        Row(tuple(cells[number] for _, cells in columns), voice_of(candidate))
        for number, candidate in enumerate(order)
    )
    blocks: list[Block] = [
        Table(tuple(column for column, _ in columns), rows),
        Sentence(_found(view, fidelity, base)),
        *_diversity(view, fidelity, base),
        _floors(view, fidelity),
        Sentence(_meaning(base), Voice.DIM),
    ]
    return blocks


def _loss_columns(view: StudyView, fidelity: Fidelity) -> list[tuple[Column, list[Cell]]]:
    order = baseline_first(view)
    columns: list[tuple[Column, list[Cell]]] = [
        (Column(""), [view.labels[one.sha256] for one in order])
    ]
    said = [one.pass1.emotional_degradation if one.pass1 is not None else None for one in order]
    for measure, kind in _KINDS.items():
        losses = [_loss(fidelity, one, measure) for one in order]
        if not any(losses):
            continue
        estimates = [_shown(fidelity, one, measure) for one in order]
        cells: list[Cell] = [*_with_radius(kind, estimates, losses)]
        columns.append((Column(kind.title, Voice.AI, decimals=kind.decimals), cells))
        if measure is Measure.DEGRADATION and any(finite(one) is not None for one in said):
            known: list[Cell] = [None if finite(one) is None else _percent(one) for one in said]
            columns.append((Column("Pass 1 said", Voice.DIM, decimals=1), known))
    degradations = [_shown(fidelity, one, Measure.DEGRADATION) for one in order]
    if any(one is not None for one in degradations):
        scale = _scale(degradations, fidelity.floors.get(Measure.DEGRADATION))
        marks: list[Cell] = [None if one is None else _mark(one) for one in degradations]
        columns.append((Column("degradation, ░ floor", Voice.AI, scale=scale), marks))
    return columns


def _percent(value: float | None) -> str | None:
    return None if value is None else percent_text(value)


def _loss(fidelity: Fidelity, candidate: Candidate, measure: Measure) -> Loss | None:
    own = fidelity.candidates.get(candidate.sha256)
    return None if own is None else own.losses.get(measure)


def _shown(fidelity: Fidelity, candidate: Candidate, measure: Measure) -> Estimate | None:
    """The baseline's row holds what it loses against itself."""
    if candidate.is_baseline:
        floor = fidelity.floors.get(measure)
        return None if floor is None else floor.itself
    loss = _loss(fidelity, candidate, measure)
    return None if loss is None else loss.estimate


def _with_radius(
    kind: _Kind, estimates: Sequence[Estimate | None], losses: Sequence[Loss | None]
) -> list[str | None]:
    """Value ± half the interval's width, and the sign of what is found; aligned on the point."""
    radii = [_radius(kind, one) for one in estimates]
    width = max(map(len, radii), default=0)
    signs = any(loss is not None and loss.found for loss in losses)
    cells: list[str | None] = []
    for estimate, radius, loss in zip(estimates, radii, losses, strict=True):
        if estimate is None or finite(estimate.value) is None:
            cells.append(None)
            continue
        sign = (_FOUND if loss is not None and loss.found else _NOT_FOUND) if signs else ""
        value = number_text(kind.factor * estimate.value, kind.decimals)
        spread = f" {radius:>{width}}" if width else ""
        cells.append(f"{value}{spread}{kind.unit}{sign}")
    return cells


def _radius(kind: _Kind, estimate: Estimate | None) -> str:
    if estimate is None or estimate.interval is None:
        return ""
    low, high = estimate.interval
    return "±" + number_text(kind.factor * (high - low) / 2, kind.decimals)


def _mark(estimate: Estimate) -> Mark:
    low, high = estimate.interval or (None, None)
    return Mark(estimate.value, low, high)


def _scale(estimates: Sequence[Estimate | None], floor: Floor | None) -> Scale:
    """From the lowest to the highest end; intervals that reach far beyond are cut."""
    band = (-floor.largest, floor.largest) if floor is not None else None
    shown = [0.0, *(band or ())]
    for one in estimates:
        if one is not None:
            shown += [one.value, *(one.interval or ())]
    low, high = max(min(shown), -_FURTHEST), min(max(shown), 2 * _FURTHEST)
    return Scale(low - _SPARE, high + _SPARE, band)


def fidelity_sentence(view: StudyView) -> str | None:
    """Who is found to lose, in a sentence; None before anything was measured."""
    baseline, fidelity = baseline_of(view), fidelity_of(view)
    if baseline is None or not any(one.losses for one in fidelity.candidates.values()):
        return None
    return _found(view, fidelity, view.labels[baseline.sha256])


def _found(view: StudyView, fidelity: Fidelity, base: str) -> str:
    """Who loses more than the floor, measure by measure, in words."""
    losing = []
    for measure, kind in _KINDS.items():
        names = [
            view.labels[one.sha256]
            for one in baseline_first(view)
            if (loss := _loss(fidelity, one, measure)) is not None and loss.found
        ]
        if len(names) > _MOST_NAMED:
            names = [*names[: _MOST_NAMED - 1], f"{len(names) - _MOST_NAMED + 1} more"]
        if names:
            losing.append(f"{kind.name}: {listed(names)}")
    if not losing:
        return f"no candidate is found to lose more than {base} loses against itself"
    return f"found to lose more than {base} loses against itself (!), {'; '.join(losing)}"


def _diversity(view: StudyView, fidelity: Fidelity, base: str) -> list[Sentence]:
    """Whose replies to a prompt are more alike than the baseline's, or less."""
    known = {
        view.labels[one.sha256]: own.narrower
        for one in view.candidates
        if (own := fidelity.candidates.get(one.sha256)) is not None and own.narrower is not None
    }
    if not known:
        return []
    odd = [
        f"{name} is {'duller' if one.value > 0 else 'more varied'} "
        f"({number_text(one.value, 2, signed=True)} {_radius(_COSINE, one)})"
        for name, one in known.items()
        if one.interval is not None and (one.interval[0] > 0 or one.interval[1] < 0)
    ]
    said = listed(odd) if odd else "no candidate is duller or more varied, beyond chance,"
    return [
        Sentence(f"diversity: {said} than {base}, by the cosines of its own replies to a prompt")
    ]


def _floors(view: StudyView, fidelity: Fidelity) -> Table:
    rows = []
    single = view.config.generation.samples_per_prompt < 2
    unknown = "needs 2 samples" if single else "not measured yet"
    for measure, kind in _KINDS.items():
        floor, seen = fidelity.floors.get(measure), smallest_seen(fidelity, measure)
        sampling = numeric = unknown
        if floor is not None:
            sampling = kind.text(floor.sampling)
            if floor.numeric is not None:
                numeric = kind.text(floor.numeric.value)
        rows.append(
            Row(
                (
                    kind.name + ("" if kind.unit else " (nats)"),
                    sampling,
                    numeric,
                    _range(kind, seen),
                )
            )
        )
    columns = (
        Column("", Voice.DIM),
        Column("sampling floor"),
        Column("numeric floor"),
        Column("would be found from"),
    )
    return Table(columns, tuple(rows))


def _range(kind: _Kind, seen: tuple[float, float] | None) -> str | None:
    if seen is None:
        return None
    low, high = map(kind.text, seen)
    return low if low == high else f"{low.removesuffix(kind.unit)} to {high}"


def smallest_seen(fidelity: Fidelity, measure: Measure) -> tuple[float, float] | None:
    """The smallest loss that this study could have seen: of the candidates, least and most."""
    losses = (one.losses.get(measure) for one in fidelity.candidates.values())
    seen = [
        value
        for one in losses
        if one is not None and (value := finite(one.smallest_seen)) is not None
    ]
    return (min(seen), max(seen)) if seen else None


def _meaning(base: str) -> str:
    return (
        f"! is worse: the whole interval lies above both floors. Floors are what {base} loses "
        "against itself: sampling, where half of its samples play the candidate (19 of 20 splits "
        "lose less); numeric, with the same seeds at another batch width. Would be found from: "
        "8 of 10 such studies would find that loss. ±: 95% t interval over prompts, for one look"
    )


# The AI score


@dataclass(frozen=True)
class _Scores:
    """One candidate's AI score, its parts, and what became of its responses."""

    ai: float | None
    parts: Mapping[str, float | None]
    judged: int
    failed: int
    silent: int


def _candidate_scores(view: StudyView) -> dict[str, _Scores]:
    by_candidate: dict[str, list[tuple[str, str]]] = {one.sha256: [] for one in view.candidates}
    for response in view.responses:
        by_candidate.setdefault(response.candidate, []).append((response.prompt_id, response.id))
    failed, silent = Counter(one.candidate for one in view.failures), silent_responses(view)

    def mean(sha: str, scores: Mapping[str, float]) -> float | None:
        known = ((prompt, scores[one]) for prompt, one in by_candidate[sha] if one in scores)
        return finite(mean_over_prompts(known))

    return {
        sha: _Scores(
            ai=mean(sha, view.ai_scores),
            parts={part: mean(sha, scores) for part, scores in view.part_scores.items() if scores},
            judged=sum(one in view.ai_scores for _, one in own),
            failed=failed[sha],
            silent=silent[sha],
        )
        for sha, own in by_candidate.items()
    }


def _scores(view: StudyView) -> list[Block]:
    scores, shares = _candidate_scores(view), _shares(view)
    parts = [part for part, own in view.part_scores.items() if own]
    columns = (
        Column(""),
        Column("AI score", Voice.AI, decimals=3),
        *(Column(part, Voice.AI, decimals=3) for part in parts),
        Column("judged", Voice.DIM),
        Column("failed", Voice.DIM),
        Column("silent", Voice.DIM),
    )
    rows = tuple(
        Row(
            (
                view.labels[one.sha256],
                (own := scores[one.sha256]).ai,
                *(own.parts[part] for part in parts),
                own.judged,
                own.failed,
                own.silent,
            ),
            voice_of(one),
        )
        for one in baseline_first(view)
    )
    weights = view.config.ai_scoring.model_dump()
    missing = [part for part, weight in weights.items() if weight and part not in shares]
    counted_parts = ", ".join(f"{part} {percent_text(share, 0)}" for part, share in shares.items())
    text = f"of the AI score: {counted_parts}"
    if shares and missing:
        text += f"; {listed(missing)} not there, so the rest counts for it"
    return [Table(columns, rows), *([Sentence(text, Voice.DIM)] if shares else [])]


def _shares(view: StudyView) -> dict[str, float]:
    return shares_of(view.part_scores, view.config.ai_scoring)


# JSON


def _loss_data(loss: Loss | None) -> dict[str, Any] | None:
    estimate = estimate_data(loss.estimate) if loss is not None else None
    if loss is None or estimate is None:
        return None
    return {
        **estimate,
        "floor": finite(loss.floor),
        "found": loss.found,
        "smallest_seen": finite(loss.smallest_seen),
    }


def _candidate_data(candidate: Candidate, fidelity: Fidelity, scores: _Scores) -> dict[str, Any]:
    own = fidelity.candidates.get(candidate.sha256)
    pass1 = candidate.pass1.emotional_degradation if candidate.pass1 is not None else None
    return {
        "is_baseline": candidate.is_baseline,
        **{one.value: _loss_data(_loss(fidelity, candidate, one)) for one in Measure},
        "pass1_emotional_degradation": finite(pass1),
        "discrepancy": estimate_data(own.discrepancy) if own is not None else None,
        "narrower": estimate_data(own.narrower) if own is not None else None,
        "ai_score": scores.ai,
        "parts": dict(scores.parts),
        "judged_responses": scores.judged,
        "failed_responses": scores.failed,
        "silent_responses": scores.silent,
    }


def _floor_data(floor: Floor | None) -> dict[str, Any] | None:
    if floor is None:
        return None
    return {
        "sampling": finite(floor.sampling),
        "splits": floor.splits,
        "itself": estimate_data(floor.itself),
        "numeric": estimate_data(floor.numeric),
    }


def _data(view: StudyView, fidelity: Fidelity) -> dict[str, Any]:
    scores = _candidate_scores(view)
    seen = {one: smallest_seen(fidelity, one) for one in Measure}
    return {
        "candidates": {
            one.name: _candidate_data(one, fidelity, scores[one.sha256]) for one in view.candidates
        },
        "floors": {one.value: _floor_data(fidelity.floors.get(one)) for one in Measure},
        "smallest_seen": {one.value: list(ends) if ends else None for one, ends in seen.items()},
        "shares": _shares(view),
        "sentence": fidelity_sentence(view),
        "baseline_warnings": [
            {"fault": one.fault.value, "sentence": one.sentence} for one in baseline_findings(view)
        ],
    }
