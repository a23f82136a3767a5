"""Candidate scores: AI, human and final, each from 0 to 1 (AI may leave that range slightly)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from emojudge.domain import Candidate, human_score
from emojudge.view import StudyView, mean_over_prompts


@dataclass(frozen=True)
class CandidateScore:
    """One candidate's scores; None where nothing was measured. AI never stands in for people."""

    candidate: Candidate
    label: str
    ai: float | None
    human: float | None
    final: float | None
    ai_responses: int
    rated_items: int


def _ai_values(view: StudyView) -> dict[str, list[tuple[str, float]]]:
    values: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for response in view.responses:
        score = view.ai_scores.get(response.id)
        if score is not None:
            values[response.candidate].append((response.prompt_id, score))
    return values


def _human_values(view: StudyView) -> dict[str, list[tuple[str, float]]]:
    values: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for item in view.counted_items:
        for rating in item.ratings:
            score = human_score(rating.scores, view.criteria_weights)
            values[rating.candidate].append((item.prompt_id, score))
    return values


def rank_candidates(view: StudyView) -> list[CandidateScore]:
    """Scores of all candidates, best first: by final score, by AI score where that is missing."""
    judging = view.config.judging_config
    ai_values, human_values = _ai_values(view), _human_values(view)
    scores = []
    for candidate in view.candidates:
        ai = mean_over_prompts(ai_values[candidate.sha256])
        human = mean_over_prompts(human_values[candidate.sha256])
        final = (
            judging.ai_judge_weight * ai + judging.human_judge_weight * human
            if ai is not None and human is not None
            else None
        )
        scores.append(
            CandidateScore(
                candidate=candidate,
                label=view.labels[candidate.sha256],
                ai=ai,
                human=human,
                final=final,
                ai_responses=len(ai_values[candidate.sha256]),
                rated_items=len(human_values[candidate.sha256]),
            )
        )

    def worst_last(score: CandidateScore) -> tuple[bool, float, bool, float]:
        return (score.final is None, -(score.final or 0), score.ai is None, -(score.ai or 0))

    return sorted(scores, key=worst_last)
