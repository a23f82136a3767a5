"""How close responses are to what the baseline says of the same prompt, on one measure.

For a prompt p, *cross* is the mean likeness of a response with the baseline's samples of other
numbers, and *self* the mean over pairs of the baseline's own different samples; averaging over
all ways to split the baseline's samples into a player and a reference gives these means. Equal
sample numbers share a seed, so a nearly lossless candidate repeats the baseline's sample of its
own number almost word for word; counting that pair would put it above the baseline. The score is

    s_p = 1 + (cross_p − self_p) / mean over prompts of self

so the baseline scores 1 against itself, and a score is never clipped in analysis.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from emojudge.domain import Judgement
from emojudge.judges.judge import (
    MIN_BASELINE_SAMPLES,
    JudgeTools,
    PromptResponses,
    Vectors,
    ids_by_samples,
    judgement_of,
)
from emojudge.text import without_thinking

_VERSION = 2
PAIR = "pair."
"""Figures of the baseline's samples: the likeness with its sample of the number that follows."""
EMOTION = "emotion."
"""Figures of an emotion profile: the probability of the label that follows."""
_DECIMALS = 5
SELF, CROSS, OWN = "self", "cross", "own"
Floats = npt.NDArray[np.float64]
Identity = Callable[[], str]


def cosine(one: Vectors, other: Vectors) -> Floats:
    """Cosines of rows of unit vectors, shape (rows of one, rows of other), −1..1.

    A zero row stands for a text that says nothing: it is like no text but another such.
    """
    likeness: Floats = one.astype(np.float64) @ other.astype(np.float64).T
    return likeness + np.outer(~one.any(axis=1), ~other.any(axis=1))


def _entropy(distributions: Floats) -> Floats:
    """In bits, over the last axis; what has probability 0 adds nothing."""
    logs = np.log2(distributions, where=distributions > 0, out=np.zeros_like(distributions))
    entropy: Floats = -(distributions * logs).sum(axis=-1)
    return entropy


def same_emotions(one: Vectors, other: Vectors) -> Floats:
    """1 − the Jensen-Shannon distance of emotion profiles, shape (rows of one, of other), 0..1.

    Profiles are probabilities per label, normalised here; the distance is the square root of the
    divergence in bits (Endres and Schindelin 2003), so a metric from 0 to 1. A zero row stands for
    a text that says nothing: it shares nothing with any other text.
    """

    def normalised(rows: Vectors) -> Floats:
        wide = np.concatenate([rows, ~rows.any(axis=1, keepdims=True)], axis=1, dtype=np.float64)
        distributions: Floats = wide / wide.sum(axis=1, keepdims=True)
        return distributions

    left, right = normalised(one)[:, None, :], normalised(other)[None, :, :]
    divergence = _entropy((left + right) / 2) - (_entropy(left) + _entropy(right)) / 2
    likeness: Floats = 1 - np.sqrt(np.clip(divergence, 0.0, 1.0))
    return likeness


def _other_pairs(matrix: Floats, place: int) -> Floats:
    return np.delete(matrix[place], place)


def figures_of(
    group: PromptResponses,
    vectors: Mapping[str, Vectors],
    likeness: Callable[[Vectors, Vectors], Floats],
) -> dict[str, dict[str, float]]:
    """Figures of each response of ``group.all``, by response id.

    ``vectors`` maps response ids to rows of one width. Each gets *cross* and *self*, and *own*,
    its mean likeness with its own candidate's other samples, where there are any; the baseline's
    also get each pair's. Raises ValueError with fewer than two baseline samples.
    """
    count = len(group.baseline)
    if count < MIN_BASELINE_SAMPLES:
        raise ValueError(f"{group.prompt_id} needs two baseline samples, it has {count}")
    reference = np.stack([vectors[one.id] for one in group.baseline])
    numbers = np.array([one.sample for one in group.baseline])
    within = likeness(reference, reference)
    self_mean = float((within.sum() - np.trace(within)) / (count * (count - 1)))
    figures: dict[str, dict[str, float]] = {}
    for samples in group.by_candidate:
        rows = np.stack([vectors[one.id] for one in samples])
        to_baseline = likeness(rows, reference)
        among = likeness(rows, rows)
        for place, response in enumerate(samples):
            own = {
                CROSS: float(to_baseline[place, numbers != response.sample].mean()),
                SELF: self_mean,
            }
            if len(samples) > 1:
                own[OWN] = float(_other_pairs(among, place).mean())
            figures[response.id] = own
    for place, response in enumerate(group.baseline):
        for other, number in enumerate(numbers):
            if other != place:
                figures[response.id][f"{PAIR}{number}"] = float(within[place, other])
    return figures


class LikenessJudge(ABC):
    """A judge around these figures, on one measure of likeness.

    ``identity`` says what decides the vectors beside the texts: judgements made with another are
    not this judge's.
    """

    name: str
    part: str

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    @abstractmethod
    async def vectors(self, texts: Sequence[str], tools: JudgeTools) -> Vectors:
        """The row of each text."""

    @abstractmethod
    def likeness(self, one: Vectors, other: Vectors) -> Floats:
        """How like rows of one are to rows of another, shape (rows of one, of other)."""

    def extra(self, row: Vectors) -> Mapping[str, float]:
        """Figures of a response that its own row gives."""
        return {}

    def ids(self, group: PromptResponses) -> list[str]:
        """See :class:`emojudge.judges.judge.ResponseJudge`."""
        if len(group.baseline) < MIN_BASELINE_SAMPLES:
            return []
        baseline = sorted(one.id for one in group.baseline)
        return ids_by_samples([self.name, _VERSION, self._identity(), baseline], group)

    async def judge(
        self, groups: Sequence[PromptResponses], tools: JudgeTools, known: Container[str]
    ) -> list[Judgement]:
        """See :class:`emojudge.judges.judge.ResponseJudge`."""
        responses = [response for group in groups for response in group.all]
        rows = await self.vectors([without_thinking(one.text) for one in responses], tools)
        vectors = {response.id: row for response, row in zip(responses, rows, strict=True)}
        judgements = []
        for group in groups:
            # Some milliseconds a prompt, which no screen should wait for.
            figures = await asyncio.to_thread(figures_of, group, vectors, self.likeness)
            for judgement_id, response in zip(self.ids(group), group.all, strict=True):
                if judgement_id in known:
                    continue
                own = {**figures[response.id], **self.extra(vectors[response.id])}
                judgements.append(judgement_of(self.name, judgement_id, response, own))
        return judgements

    def scores(self, judgements: Sequence[Judgement]) -> dict[str, float]:
        """See :class:`emojudge.judges.judge.ResponseJudge`."""
        return likeness_scores([one for one in judgements if one.judge == self.name])


def likeness_scores(judgements: Sequence[Judgement]) -> dict[str, float]:
    """The score of each judged response, by response id, from one judge's judgements.

    The common denominator, the mean of *self* over prompts, is taken over all given judgements.
    """
    self_of_prompt = {one.prompt_id: one.figures[SELF] for one in judgements}
    if not self_of_prompt:
        return {}
    scale = math.fsum(self_of_prompt.values()) / len(self_of_prompt)
    if scale <= 0:
        return {}
    return {
        one.response_id: 1 + (one.figures[CROSS] - one.figures[SELF]) / scale for one in judgements
    }


class SimilarityJudge(LikenessJudge):
    """ModelJudge's similarity: cosine of sentence embeddings."""

    name = "model-judge/similarity"
    part = "similarity"

    async def vectors(self, texts: Sequence[str], tools: JudgeTools) -> Vectors:
        """Embeddings."""
        return await tools.embed(texts)

    def likeness(self, one: Vectors, other: Vectors) -> Floats:
        """See :func:`cosine`."""
        return cosine(one, other)


class PreservationJudge(LikenessJudge):
    """ModelJudge's emotional preservation: likeness of emotion profiles.

    ``labels`` says what the columns of a profile are called. What a response's own profile says is
    kept with its figures, so that it can be shown beside the baseline's.
    """

    name = "model-judge/preservation"
    part = "preservation"

    def __init__(self, identity: Identity, labels: Callable[[], tuple[str, ...]]) -> None:
        super().__init__(identity)
        self._labels = labels

    async def vectors(self, texts: Sequence[str], tools: JudgeTools) -> Vectors:
        """Emotion profiles."""
        return await tools.emotions(texts)

    def likeness(self, one: Vectors, other: Vectors) -> Floats:
        """See :func:`same_emotions`."""
        return same_emotions(one, other)

    def extra(self, row: Vectors) -> Mapping[str, float]:
        """The profile, label by label."""
        return {
            f"{EMOTION}{label}": round(float(value), _DECIMALS)
            for label, value in zip(self._labels(), row, strict=True)
        }
