"""A planted truth, and the scores that raters and an AI would give under it.

Nothing here knows how scores are analysed; the analysis sees only the scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from emojudge.estimates import Floats, Ints


@dataclass(frozen=True)
class Truth:
    """What is true of a study, on the scale of scores from 0 to 1; all sd are standard deviations.

    ``people`` and ``ai`` (K) are the candidates' strengths with either. ``noise`` is what one
    rating adds by itself, ``text`` how much a candidate's texts for one prompt differ,
    ``interaction`` how much prompts suit candidates differently, ``taste`` how much raters do.
    ``correlation`` is that of the AI's score with a text's true quality around its candidate's
    strength.
    """

    people: tuple[float, ...]
    ai: tuple[float, ...]
    noise: float = 0.2236
    text: float = 0.1
    interaction: float = 0.05
    taste: float = 0.0
    prompt: float = 0.1
    rater: float = 0.08
    correlation: float = 0.5

    @property
    def rating_sd(self) -> float:
        """Standard deviation of one rating around its prompt, rater and candidate."""
        return math.sqrt(self.noise**2 + self.text**2 + self.interaction**2)


@dataclass(frozen=True)
class Design:
    """Prompts that each of the raters rates once; ``samples`` texts a candidate and prompt."""

    prompts: int
    raters: int
    panes: int = 4
    samples: int = 4


class PlantedScores:
    """One draw of everything that is random about a study, before anybody has rated."""

    def __init__(self, truth: Truth, design: Design, rng: np.random.Generator) -> None:
        self.truth = truth
        self.design = design
        self._rng = rng
        candidates = len(truth.people)
        shape = (candidates, design.prompts)
        suits = rng.normal(0, truth.interaction, shape) if truth.interaction else np.zeros(shape)
        texts = rng.normal(0, truth.text, (*shape, design.samples))
        self._quality: Floats = np.array(truth.people)[:, None, None] + suits[..., None] + texts
        self._prompt: Floats = rng.normal(0, truth.prompt, design.prompts)
        self._rater: Floats = rng.normal(0, truth.rater, design.raters)
        self._taste: Floats = rng.normal(0, truth.taste, (design.raters, candidates))
        shared, own = truth.correlation, math.sqrt(1 - truth.correlation**2)
        self.ai: Floats = (
            np.array(truth.ai)[:, None, None]
            + shared * (suits[..., None] + texts)
            + own * rng.normal(0, truth.interaction, shape)[..., None]
            + own * rng.normal(0, truth.text, texts.shape)
            + rng.normal(0, truth.prompt, design.prompts)[None, :, None]
        )
        """The AI's score of every text (K × prompts × samples)."""

    def rate(self, rater: int, prompt: int, sample: int, candidates: Ints) -> Floats:
        """What a rater says of the shown candidates' texts."""
        level = self._prompt[prompt] + self._rater[rater]
        scores: Floats = (
            self._quality[candidates, prompt, sample]
            + self._taste[rater, candidates]
            + level
            + self._rng.normal(0, self.truth.noise, len(candidates))
        )
        return scores

    def visits(self) -> list[tuple[int, int, int]]:
        """(rater, prompt, sample) of every item in the order of rating.

        Raters take turns in rounds; each meets the prompts in an order of its own, and samples
        rotate from a start of the rater's own.
        """
        design = self.design
        orders = [self._rng.permutation(design.prompts) for _ in range(design.raters)]
        starts = self._rng.integers(0, design.samples, design.raters)
        return [
            (int(rater), int(orders[rater][turn]), int((starts[rater] + turn) % design.samples))
            for turn in range(design.prompts)
            for rater in self._rng.permutation(design.raters)
        ]
