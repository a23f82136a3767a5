"""The emotion profile of each candidate: means over its responses, then over prompts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emojudge.domain import Judgement
from emojudge.estimates import Floats
from emojudge.judges.emotions import (
    GROUPS,
    LABELS,
    group_probabilities,
    intensities,
    valences,
)
from emojudge.judges.likeness import EMOTION, PreservationJudge
from emojudge.view import StudyView


@dataclass(frozen=True)
class CandidateProfile:
    """``labels`` are mean probabilities by label. The rest is None for labels that are not known.

    ``groups`` are Ekman's six and neutral, ``valence`` is −1..1, ``intensity`` 0..1; each is a
    mean of what single responses show. ``responses`` counts those that say something.
    """

    labels: Mapping[str, float]
    groups: Mapping[str, float] | None
    valence: float | None
    intensity: float | None
    responses: int


def profiles_of(view: StudyView) -> dict[str, CandidateProfile]:
    """By candidate sha256, as far as they are judged."""
    return view.of_judgements("profiles", _profiles)


def _profiles(view: StudyView) -> dict[str, CandidateProfile]:
    by_candidate: dict[str, list[Judgement]] = defaultdict(list)
    for one in view.judgements:
        if one.judge == PreservationJudge.name:
            by_candidate[one.candidate].append(one)
    return {sha: found for sha, own in by_candidate.items() if (found := _profile(own))}


def _profile(judgements: Sequence[Judgement]) -> CandidateProfile | None:
    names = sorted({key for one in judgements for key in one.figures if key.startswith(EMOTION)})
    labels = [name.removeprefix(EMOTION) for name in names]
    rows, prompts = [], []
    for one in judgements:
        row = [one.figures.get(name, 0.0) for name in names]
        if any(row):
            rows.append(row)
            prompts.append(one.prompt_id)
    if not rows:
        return None
    table = np.array(rows)
    weights = _prompt_weights(prompts)
    means = {label: float(value) for label, value in zip(labels, weights @ table, strict=True)}
    if not set(labels) <= set(LABELS):
        return CandidateProfile(means, None, None, None, len(rows))
    places = [LABELS.index(label) for label in labels]
    whole = np.zeros((len(rows), len(LABELS)))
    whole[:, places] = table
    groups = weights @ group_probabilities(whole)
    return CandidateProfile(
        means,
        {group: float(value) for group, value in zip(GROUPS, groups, strict=True)},
        float(weights @ valences(whole)),
        float(weights @ intensities(whole)),
        len(rows),
    )


def _prompt_weights(prompts: Sequence[str]) -> Floats:
    """Weights that average per prompt, then over prompts; they sum to 1."""
    _, place, counts = np.unique(prompts, return_inverse=True, return_counts=True)
    weights: Floats = 1 / (counts[place] * len(counts))
    return weights
