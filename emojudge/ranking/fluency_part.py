"""Fluency inside the AI's score: one value per candidate, recomputed in every replicate.

Every response carries its candidate's fluency, so plain least squares would take it for known;
leaving a prompt out, or drawing prompts anew, changes it for all prompts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from emojudge.estimates import Floats
from emojudge.ranking.effects import Effects
from emojudge.view import StudyView


@dataclass(frozen=True)
class FluencyPart:
    """``share`` of the AI score, and ``excess`` (prompts × K, nats; NaN: not measured)."""

    share: float
    excess: Floats

    @classmethod
    def of(cls, view: StudyView, prompts: Mapping[str, int]) -> FluencyPart:
        """From a view, its prompts numbered."""
        excess = np.full((len(prompts), len(view.candidates)), np.nan)
        for number, candidate in enumerate(view.candidates):
            for prompt, value in view.fluency.excess.get(candidate.sha256, {}).items():
                if prompt in prompts:
                    excess[prompts[prompt], number] = value
        return cls(view.fluency.share, excess)

    @property
    def counts(self) -> bool:
        """Whether it is a part of the score at all."""
        return self.share > 0 and not bool(np.isnan(self.excess).all())

    def _scores(self, sums: Floats, weights: Floats) -> Floats:
        """exp(−max(0, mean excess)); 0 for a candidate that never said anything."""
        with np.errstate(invalid="ignore", divide="ignore"):
            scores = np.exp(-np.maximum(0.0, sums / weights))
        result: Floats = np.where(weights > 0, scores, 0.0)
        return result

    def scores(self, weights: Floats) -> Floats:
        """Fluency (… × K) with prompts weighted by ``weights`` (… × prompts)."""
        known = ~np.isnan(self.excess)
        return self._scores(weights @ np.where(known, self.excess, 0.0), weights @ known)

    def recomputed(self, effects: Effects) -> Effects:
        """Effects of the AI's scores with the fluency that each left-out prompt leaves.

        What is left of them sums to zero within a group, as before.
        """
        if not self.counts:
            return effects
        prompts = len(self.excess)
        whole = self.scores(np.ones(prompts))
        without = self.scores(np.ones((prompts, prompts)) - np.eye(prompts))
        change = self.share * (without - whole)
        groups = effects.left_out_groups
        same = groups[:, :, None] == groups[:, None, :]
        centred = change - (same * change[:, None, :]).sum(axis=2) / same.sum(axis=2)
        return dataclasses.replace(effects, left_out=effects.left_out + centred)

    def change(self, weights: Floats, pair: tuple[int, int]) -> Floats:
        """How resampled prompts change a pair's difference (…): weights are (… × prompts)."""
        if not self.counts:
            return np.zeros(len(weights))
        one, other = pair
        resampled = self.scores(weights)
        whole = self.scores(np.ones(len(self.excess)))
        result: Floats = self.share * (
            resampled[:, one] - resampled[:, other] - (whole[one] - whole[other])
        )
        return result
