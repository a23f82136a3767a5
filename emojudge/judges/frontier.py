"""Size against likeness: which candidates nobody smaller comes up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emojudge.domain import Candidate
from emojudge.estimates import Estimate, from_left_out
from emojudge.judges.fidelity import fidelity_of
from emojudge.judges.fluency import fluency_score
from emojudge.judges.pairs import prompt_scores
from emojudge.judges.section_parts import ai_in_words, baseline_of, estimate_data
from emojudge.sections import (
    PlotAxis,
    ReportKey,
    Scatter,
    ScatterPoint,
    Section,
    Sentence,
    Voice,
)
from emojudge.view import StudyView


@dataclass(frozen=True)
class FrontierPoint:
    """A candidate with its AI score, the mean over prompts of means over responses.

    ``minus_baseline`` is over the prompts that both have, None for the baseline and where there is
    none; ``on_frontier``: nobody else has at least its score in at most its bytes.
    """

    candidate: Candidate
    score: float
    minus_baseline: Estimate | None
    on_frontier: bool


def frontier_of(view: StudyView) -> list[FrontierPoint]:
    """Candidates that have an AI score, largest first."""
    by_prompt = prompt_scores(view)
    baseline = baseline_of(view)
    scores = {sha: float(np.mean(list(own.values()))) for sha, own in by_prompt.items() if own}
    scored = [one for one in view.candidates if np.isfinite(scores.get(one.sha256, np.nan))]

    def beaten(one: Candidate) -> bool:
        own = (-one.size, scores[one.sha256])
        others = ((-other.size, scores[other.sha256]) for other in scored)
        return any(
            size >= own[0] and score >= own[1] and (size, score) != own for size, score in others
        )

    return [
        FrontierPoint(
            one,
            scores[one.sha256],
            _minus_baseline(view, by_prompt, one, baseline),
            not beaten(one),
        )
        for one in sorted(scored, key=lambda one: -one.size)
    ]


def _minus_baseline(
    view: StudyView,
    by_prompt: dict[str, dict[str, float]],
    candidate: Candidate,
    baseline: Candidate | None,
) -> Estimate | None:
    """Leaving a prompt out changes the candidate's fluency too, which all its responses carry."""
    if baseline is None or candidate.is_baseline:
        return None
    own, reference = by_prompt[candidate.sha256], by_prompt.get(baseline.sha256, {})
    prompts = sorted(set(own) & set(reference))
    if not prompts:
        return None
    differences = np.array([own[one] - reference[one] for one in prompts])
    count = len(prompts)
    value = float(differences.mean())
    if count == 1:
        return Estimate(value, None, count)
    left_out = (differences.sum() - differences) / (count - 1)
    if view.fluency.share > 0:
        excess = dict(view.fluency.excess.get(candidate.sha256, {}))
        whole = fluency_score(list(excess.values()))
        without = [
            fluency_score([own for prompt, own in excess.items() if prompt != one])
            for one in prompts
        ]
        left_out = left_out + view.fluency.share * (np.array(without) - whole)
    return from_left_out(value, left_out, count)


def smallest_within_floors(view: StudyView) -> Candidate | None:
    """Of the frontier, the smallest candidate none of whose losses is found to be one."""
    found = fidelity_of(view).candidates
    for point in reversed(frontier_of(view)):
        own = found.get(point.candidate.sha256)
        losses = own.losses.values() if own is not None else ()
        known = [one for one in losses if one.floor is not None]
        if point.on_frontier and known and not any(one.found for one in known):
            return point.candidate
    return None


def frontier_section(view: StudyView) -> Section | None:
    """The plot of size against the AI score; None with fewer than two candidates to draw."""
    points = frontier_of(view)
    if len(points) < 2:
        return None
    level = next((one.score for one in points if one.candidate.is_baseline), None)
    scatter = Scatter(
        tuple(_point(view, one, level) for one in points),
        PlotAxis("size", in_bytes=True),
        PlotAxis("AI score"),
        "frontier: nobody as small or smaller has as high a score",
        Voice.AI,
    )
    note = Sentence(f"AI score against size: {ai_in_words(view)}", Voice.DIM)
    return Section(
        "frontier", "size against fidelity", ReportKey.AI, (scatter, note), _data(points)
    )


def _point(view: StudyView, point: FrontierPoint, level: float | None) -> ScatterPoint:
    """Its interval is that of the difference, at the baseline's level."""
    ends = point.minus_baseline.interval if point.minus_baseline is not None else None
    low, high = (level + ends[0], level + ends[1]) if ends and level is not None else (None, None)
    return ScatterPoint(
        view.labels[point.candidate.sha256],
        float(point.candidate.size),
        point.score,
        low,
        high,
        point.on_frontier,
        Voice.BASELINE if point.candidate.is_baseline else Voice.PLAIN,
    )


def _data(points: Sequence[FrontierPoint]) -> list[dict[str, Any]]:
    return [
        {
            "candidate": one.candidate.name,
            "is_baseline": one.candidate.is_baseline,
            "size_bytes": one.candidate.size,
            "ai_score": one.score,
            "minus_baseline": estimate_data(one.minus_baseline),
            "on_frontier": one.on_frontier,
        }
        for one in points
    ]
