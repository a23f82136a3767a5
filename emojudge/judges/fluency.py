"""ModelJudge's fluency: how probable a response is under the baseline, given the situation.

Broken text that embeddings forgive is improbable word by word. The *excess* of a candidate on a
prompt is its mean negative log-likelihood per token less the baseline's own, in nats; a candidate
has one score, exp(−max(0, mean excess over prompts)), because a short text's own likelihood says
little, and clipping before averaging would be biased.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Container, Sequence

from emojudge.domain import Judgement, stable_hash
from emojudge.judges.judge import (
    MIN_BASELINE_SAMPLES,
    JudgeTools,
    PromptResponses,
    judgement_of,
)

_VERSION = 1
TOKENS, TOTAL = "tokens", "log_likelihood"


class FluencyJudge:
    """The judge around these figures.

    ``baseline`` is its sha256, ``identity`` says what else decides a likelihood: the template and
    the engine.
    """

    name = "model-judge/fluency"
    part = "fluency"

    def __init__(self, baseline: Callable[[], str], identity: Callable[[], str]) -> None:
        self._baseline = baseline
        self._identity = identity

    def ids(self, group: PromptResponses) -> list[str]:
        """See :class:`emojudge.judges.judge.ResponseJudge`."""
        if len(group.baseline) < MIN_BASELINE_SAMPLES:
            return []
        key = [self.name, _VERSION, self._baseline(), self._identity()]
        return [stable_hash([*key, one.id], 24) for one in group.all]

    async def judge(
        self, groups: Sequence[PromptResponses], tools: JudgeTools, known: Container[str]
    ) -> list[Judgement]:
        """See :class:`emojudge.judges.judge.ResponseJudge`."""
        new = [
            (judgement_id, response)
            for group in groups
            for judgement_id, response in zip(self.ids(group), group.all, strict=True)
            if judgement_id not in known
        ]
        likelihoods = await tools.likelihoods([response for _, response in new])
        return [
            judgement_of(
                self.name,
                judgement_id,
                response,
                {TOKENS: float(likelihood.tokens), TOTAL: likelihood.total},
            )
            for (judgement_id, response), likelihood in zip(new, likelihoods, strict=True)
        ]

    def scores(self, judgements: Sequence[Judgement]) -> dict[str, float]:
        """See :class:`emojudge.judges.judge.ResponseJudge`: each candidate's score on all its own.

        A candidate that never said anything scores 0. The baseline's own score is 1.
        """
        own = [one for one in judgements if one.judge == self.name]
        excess = self.excess(judgements)
        scores = {
            candidate: fluency_score(list(excess.get(candidate, {}).values()))
            for candidate in {one.candidate for one in own}
        }
        return {one.response_id: scores[one.candidate] for one in own}

    def excess(self, judgements: Sequence[Judgement]) -> dict[str, dict[str, float]]:
        """Excess by candidate and prompt, from this judge's own judgements among those given."""
        own = [one for one in judgements if one.judge == self.name]
        return excess_of(own, self._baseline()) if own else {}


def fluency_score(excess: Sequence[float]) -> float:
    """exp(−max(0, mean excess)); 0 without any, for there was no text."""
    if not excess:
        return 0.0
    return math.exp(-max(0.0, math.fsum(excess) / len(excess)))


def losses_per_token(judgements: Sequence[Judgement]) -> dict[tuple[str, str], list[float]]:
    """Negative log-likelihood per token of each response, by (candidate, prompt), in nats.

    Texts without a token are left out.
    """
    losses: dict[tuple[str, str], list[float]] = defaultdict(list)
    for one in judgements:
        if one.figures[TOKENS] > 0:
            loss = -one.figures[TOTAL] / one.figures[TOKENS]
            losses[one.candidate, one.prompt_id].append(loss)
    return losses


def excess_of(judgements: Sequence[Judgement], baseline: str) -> dict[str, dict[str, float]]:
    """Excess by candidate and prompt, where both said something."""
    losses = losses_per_token(judgements)
    excess: dict[str, dict[str, float]] = defaultdict(dict)
    for (candidate, prompt_id), own in losses.items():
        reference = losses.get((baseline, prompt_id))
        if reference:
            excess[candidate][prompt_id] = _mean(own) - _mean(reference)
    return excess


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
