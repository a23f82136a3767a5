"""ModelJudge's similarity: how close a response is to what the baseline says of the same prompt.

The likeness is the cosine of sentence embeddings. For a prompt p, *cross* is the mean likeness of
a response with the baseline's samples of other numbers, and *self* the mean over pairs of the
baseline's own different samples; averaging over all ways to split the baseline's samples into a
player and a reference gives these means. Equal sample numbers share a seed, so a nearly lossless
candidate repeats the baseline's sample of its own number almost word for word; counting that pair
would put it above the baseline. The score is

    s_p = 1 + (cross_p − self_p) / mean over prompts of self

so the baseline scores 1 against itself, and a score is never clipped in analysis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from emojudge.domain import Judgement, stable_hash
from emojudge.judges.judge import MIN_BASELINE_SAMPLES, JudgeTools, PromptResponses, Vectors
from emojudge.text import without_thinking

JUDGE = "model-judge/similarity"


def figures_of(group: PromptResponses, vectors: Mapping[str, Vectors]) -> list[dict[str, float]]:
    """Figures *cross* and *self* for each response of ``group.all``.

    ``vectors`` maps response ids to unit vectors of one dimension. Raises ValueError with fewer
    than two baseline samples.
    """
    count = len(group.baseline)
    if count < MIN_BASELINE_SAMPLES:
        raise ValueError(f"{group.prompt_id} needs two baseline samples, it has {count}")
    reference = np.stack([vectors[one.id] for one in group.baseline]).astype(np.float64)
    likeness = reference @ reference.T
    self_mean = float((likeness.sum() - np.trace(likeness)) / (count * (count - 1)))
    numbers = np.array([one.sample for one in group.baseline])
    figures = []
    for response in group.all:
        other_seeds = reference[numbers != response.sample]
        cross = float((other_seeds @ vectors[response.id].astype(np.float64)).mean())
        figures.append({"cross": cross, "self": self_mean})
    return figures


def similarity_scores(judgements: Sequence[Judgement]) -> dict[str, float]:
    """The similarity score of each judged response, by response id.

    The common denominator, the mean of *self* over prompts, is taken over all given judgements.
    """
    own = [one for one in judgements if one.judge == JUDGE]
    self_of_prompt = {one.prompt_id: one.figures["self"] for one in own}
    if not self_of_prompt:
        return {}
    scale = math.fsum(self_of_prompt.values()) / len(self_of_prompt)
    if scale <= 0:
        return {}
    return {
        one.response_id: 1 + (one.figures["cross"] - one.figures["self"]) / scale for one in own
    }


class SimilarityJudge:
    """The judge around these figures; ``encoder`` is the encoder's name as configured."""

    part = "similarity"

    def __init__(self, encoder: str) -> None:
        self._encoder = encoder

    def ids(self, group: PromptResponses) -> list[str]:
        """See :class:`emojudge.judges.judge.ResponseJudge`."""
        if len(group.baseline) < MIN_BASELINE_SAMPLES:
            return []
        baseline = sorted(one.id for one in group.baseline)
        return [stable_hash([JUDGE, self._encoder, one.id, baseline], 24) for one in group.all]

    async def judge(self, groups: Sequence[PromptResponses], tools: JudgeTools) -> list[Judgement]:
        """See :class:`emojudge.judges.judge.ResponseJudge`."""
        responses = [response for group in groups for response in group.all]
        rows = await tools.embed([without_thinking(one.text) for one in responses])
        vectors = {response.id: row for response, row in zip(responses, rows, strict=True)}
        return [
            Judgement(
                id=judgement_id,
                judge=JUDGE,
                response_id=response.id,
                candidate=response.candidate,
                prompt_id=group.prompt_id,
                sample=response.sample,
                figures=figures,
            )
            for group in groups
            for judgement_id, response, figures in zip(
                self.ids(group), group.all, figures_of(group, vectors), strict=True
            )
        ]

    def scores(self, judgements: Sequence[Judgement]) -> dict[str, float]:
        """See :class:`emojudge.judges.judge.ResponseJudge`."""
        return similarity_scores(judgements)
