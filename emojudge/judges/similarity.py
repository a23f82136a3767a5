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
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emojudge.domain import Judgement, Response, stable_hash

JUDGE = "model-judge/similarity"
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PromptResponses:
    """All stored responses to one prompt; at least two of the baseline's."""

    prompt_id: str
    baseline: tuple[Response, ...]
    others: tuple[Response, ...]

    @property
    def all(self) -> tuple[Response, ...]:
        """Baseline first."""
        return self.baseline + self.others


def judgement_id(encoder: str, response: Response, baseline: Sequence[Response]) -> str:
    """The same inputs give the same id, so nothing is judged twice."""
    return stable_hash([JUDGE, encoder, response.id, sorted(one.id for one in baseline)], 24)


def judge_prompt(
    group: PromptResponses, vectors: Mapping[str, Vectors], encoder: str
) -> list[Judgement]:
    """Figures *cross* and *self* for each response.

    ``vectors`` maps response ids to unit vectors of one dimension. Raises ValueError with fewer
    than two baseline samples.
    """
    count = len(group.baseline)
    if count < 2:
        raise ValueError(f"{group.prompt_id} needs two baseline samples, it has {count}")
    reference = np.stack([vectors[one.id] for one in group.baseline]).astype(np.float64)
    likeness = reference @ reference.T
    self_mean = float((likeness.sum() - np.trace(likeness)) / (count * (count - 1)))
    numbers = np.array([one.sample for one in group.baseline])
    judgements = []
    for response in group.all:
        other_seeds = reference[numbers != response.sample]
        cross = float((other_seeds @ vectors[response.id].astype(np.float64)).mean())
        judgements.append(
            Judgement(
                id=judgement_id(encoder, response, group.baseline),
                judge=JUDGE,
                response_id=response.id,
                candidate=response.candidate,
                prompt_id=group.prompt_id,
                sample=response.sample,
                figures={"cross": cross, "self": self_mean},
            )
        )
    return judgements


def response_scores(judgements: Sequence[Judgement]) -> dict[str, float]:
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
