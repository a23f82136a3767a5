"""One simulated study: scores come in item by item, and each look is the real analysis."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

import numpy as np

from emojudge.ranking.choice import Shown, adaptive, balanced
from emojudge.ranking.decision import Evidence, Rules, evidence_of
from emojudge.ranking.effects import Effects, effects_of
from emojudge.ranking.normal_equations import NormalEquations
from emojudge.ranking.simulate.planted import Design, PlantedScores, Truth

Chooser = Literal["balanced", "adaptive"]


def default_rules(candidates: int, minimum_items: int = 10, margin: float = 0.075) -> Rules:
    """The first candidate is the baseline, the others follow from the largest down."""
    return Rules(0, tuple(range(1, candidates)), margin, minimum_items)


class SimulatedStudy:
    """A study of planted truth; iterating rates one item after another until none is left."""

    def __init__(
        self,
        truth: Truth,
        design: Design,
        seed: int,
        *,
        chooser: Chooser = "balanced",
        ai_weight: float = 0.4,
    ) -> None:
        self.truth = truth
        self.design = design
        count = len(truth.people)
        self.rules = default_rules(count)
        self._chooser = chooser
        self._ai_weight = ai_weight
        self._planted = PlantedScores(truth, design, np.random.default_rng(seed))
        self._draw = random.Random(seed)
        self.visits = self._planted.visits()
        self._panes = min(design.panes, count)
        self._shown = Shown(count)
        self.people = NormalEquations(count, design.prompts)
        self.ai = self._judged()
        self.ratings = 0
        self.items = 0

    def _judged(self) -> Effects:
        """The AI has scored everything before people begin: each prompt is one item of means."""
        sums = NormalEquations(len(self.truth.people), self.design.prompts)
        everyone = np.arange(len(self.truth.people))
        for prompt, means in enumerate(self._planted.ai.mean(axis=2).T):
            sums.add(prompt, everyone, means)
        return effects_of(sums)

    def evidence(self) -> Evidence:
        """What is known now."""
        people = effects_of(self.people)
        known = evidence_of(self.ai, people, self.people.scored, self._ai_weight)
        assert known is not None
        return known

    def __iter__(self) -> Iterator[Evidence]:
        """Rate an item, and give what is known then."""
        evidence: Evidence | None = None
        for rater, prompt, sample in self.visits:
            if self._chooser == "adaptive":
                chosen, _ = adaptive(evidence, self.rules, self._shown, self._panes, self._draw)
            else:
                chosen = balanced(self._shown, self._panes, self._draw)
            who = np.array(chosen)
            self._shown.add(chosen)
            self.people.add(prompt, who, self._planted.rate(rater, prompt, sample, who))
            self.ratings += len(chosen)
            self.items += 1
            evidence = self.evidence()
            yield evidence
