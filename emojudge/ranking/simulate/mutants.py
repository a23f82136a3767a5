"""Wrong analyses that are common in practice: the acceptance test must find each of them out."""

from __future__ import annotations

import numpy as np

from emojudge.estimates import fixed_radius
from emojudge.ranking.effects import effects_of
from emojudge.ranking.evidence import (
    DECISIVE,
    MIN_PROMPTS,
    log_evidence,
)
from emojudge.ranking.normal_equations import NormalEquations
from emojudge.ranking.simulate.study import SimulatedStudy
from emojudge.ranking.simulate.walk import Task

_RESAMPLES = 200
_SURE = 0.95


def bootstrap_winner(task: Task) -> bool:
    """Declares a winner once it leads in 95 % of bootstrap samples of prompts, at any look."""
    study = SimulatedStudy(task.truth, task.design, task.seed, ai_weight=0.0)
    rng = np.random.default_rng([task.seed, 1])
    for _ in study:
        sums = study.people
        rated = np.flatnonzero(sums.items)
        if len(rated) < MIN_PROMPTS or sums.scored.min() < study.rules.minimum_items:
            continue
        weights = rng.multinomial(len(rated), np.full(len(rated), 1 / len(rated)), _RESAMPLES)
        matrix = np.einsum("bp,pij->bij", weights, sums.matrix[rated]) + 1
        moment = weights @ sums.moment[rated]
        best = np.linalg.solve(matrix, moment[..., None])[..., 0].argmax(axis=1)
        if np.bincount(best).max() >= _SURE * _RESAMPLES:
            return True
    return False


def independent_items(task: Task) -> bool:
    """Declares a winner as we do, but leaves out items instead of prompts."""
    study = SimulatedStudy(task.truth, task.design, task.seed, ai_weight=0.0)
    before = NormalEquations(study.people.candidates, study.design.prompts)
    own = NormalEquations(study.people.candidates, len(study.visits))
    for item, evidence in enumerate(study):
        prompt = study.visits[item][1]
        own.matrix[item] = study.people.matrix[prompt] - before.matrix[prompt]
        own.moment[item] = study.people.moment[prompt] - before.moment[prompt]
        before.matrix[prompt] = study.people.matrix[prompt]
        before.moment[prompt] = study.people.moment[prompt]
        own.items[item] = 1
        own.scored = study.people.scored
        if evidence.final.prompts < MIN_PROMPTS or own.scored.min() < study.rules.minimum_items:
            continue
        effects = effects_of(own)
        leader = int(effects.values.argmax())
        difference, variance = effects.against(leader)
        shown = log_evidence(difference, variance, effects.prompts - 1) >= np.log(DECISIVE)
        shown[leader] = True
        if shown.all():
            return True
    return False


def peeking_ladder(task: Task) -> bool:
    """Calls a rung as good by the interval that holds when one looks once, at any look."""
    study = SimulatedStudy(task.truth, task.design, task.seed, ai_weight=task.ai_weight)
    for evidence in study:
        final = evidence.final
        if final.prompts < MIN_PROMPTS or study.people.scored.min() < study.rules.minimum_items:
            continue
        difference, variance = final.against(study.rules.baseline)
        lower = -difference - fixed_radius(variance, final.prompts - 1)
        if lower[study.rules.ladder[0]] > -study.rules.margin:
            return True
    return False
