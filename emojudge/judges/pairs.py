"""Every pair of candidates, prompt by prompt: which one the AI score prefers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from emojudge.domain import Candidate
from emojudge.view import StudyView


@dataclass(frozen=True)
class PairCount:
    """``wins`` of ``left`` over ``right``, ``ties`` and ``losses``, in prompts."""

    left: str
    right: str
    wins: int
    ties: int
    losses: int


def near_pairs(candidates: Sequence[Candidate]) -> set[frozenset[str]]:
    """The pairs that matter most, by sha256: with the baseline, and next to each other in size."""
    ladder = sorted(candidates, key=lambda one: (-one.size, one.sha256))
    near = {frozenset((one.sha256, other.sha256)) for one, other in pairwise(ladder)}
    baseline = [one.sha256 for one in candidates if one.is_baseline]
    return near | {
        frozenset((one, other.sha256))
        for one in baseline
        for other in candidates
        if other.sha256 != one
    }


def prompt_scores(
    view: StudyView, scores: Mapping[str, float] | None = None
) -> dict[str, dict[str, float]]:
    """The score of each candidate (sha256) on each prompt: the mean over its scored responses.

    ``scores`` are by response id; the AI's where they are not given.
    """
    known = view.ai_scores if scores is None else scores
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for response in view.responses:
        score = known.get(response.id)
        if score is not None:
            values[response.candidate][response.prompt_id].append(score)
    return {
        candidate: {prompt: math.fsum(own) / len(own) for prompt, own in by_prompt.items()}
        for candidate, by_prompt in values.items()
    }


def pair_counts(view: StudyView) -> list[PairCount]:
    """All pairs in the view's order; within ``equivalence_margin`` of each other is a tie."""
    margin = view.config.judging_config.equivalence_margin
    scores = prompt_scores(view)
    counts = []
    for left, right in combinations([one.sha256 for one in view.candidates], 2):
        own, other = scores.get(left, {}), scores.get(right, {})
        differences = [own[prompt] - other[prompt] for prompt in own if prompt in other]
        wins = sum(one > margin for one in differences)
        losses = sum(one < -margin for one in differences)
        if differences:
            counts.append(PairCount(left, right, wins, len(differences) - wins - losses, losses))
    return counts
