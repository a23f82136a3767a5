"""What every AI judge of responses is, and how their scores become one."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import numpy as np
import numpy.typing as npt

from emojudge.config import AiScoring
from emojudge.domain import Judgement, Message, Response, Unanswered, stable_hash
from emojudge.judges.questions import Answer, NoAnswer, Question

MIN_BASELINE_SAMPLES = 2
"""So many of the baseline's responses to a prompt are needed to know its own spread."""
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PromptResponses:
    """All stored responses to one prompt.

    ``again`` are the baseline's with the same seeds at another batch width: they are measured like
    a candidate's, and say what the arithmetic alone changes.
    """

    prompt_id: str
    baseline: tuple[Response, ...]
    others: tuple[Response, ...]
    again: tuple[Response, ...] = ()

    @property
    def all(self) -> tuple[Response, ...]:
        """Baseline first."""
        return self.baseline + self.others + self.again

    @property
    def by_candidate(self) -> list[tuple[Response, ...]]:
        """The samples of each, baseline first; what was generated again is one of them."""
        others = groupby(self.others, key=lambda one: one.candidate)
        sets = [self.baseline, *(tuple(own) for _, own in others), self.again]
        return [own for own in sets if own]


@dataclass(frozen=True)
class Likelihood:
    """``total`` is the natural log-likelihood of a text of ``tokens`` tokens."""

    tokens: int
    total: float


@dataclass(frozen=True)
class JudgeTools:
    """What a judge may use to work: each runs in a process of its own.

    ``embed`` turns texts into unit vectors, ``emotions`` into probabilities per label (means over
    sentences); rows are in the order of the texts, and zero for a text that says nothing.
    ``likelihoods`` says how probable responses are under the baseline behind their prompts.
    ``ask`` puts questions to the model of a judge of the ensemble, by the judge's title;
    ``situation`` gives the conversation behind a prompt's id as it was written; ``unanswered``
    keeps what a judge could not be asked.
    """

    embed: Callable[[Sequence[str]], Awaitable[Vectors]]
    emotions: Callable[[Sequence[str]], Awaitable[Vectors]]
    likelihoods: Callable[[Sequence[Response]], Awaitable[list[Likelihood]]]
    ask: Callable[[str, Sequence[Question]], Awaitable[list[Answer | NoAnswer]]]
    situation: Callable[[str], tuple[Message, ...]]
    unanswered: Callable[[Sequence[Unanswered]], None]


class ResponseJudge(Protocol):
    """One judge. What it stores are raw figures; scores are derived from them when read."""

    @property
    def name(self) -> str:
        """The name on its judgements."""
        ...

    @property
    def part(self) -> str | None:
        """The part of ``ai_scoring`` that its scores count for; None: reported only."""
        ...

    def ids(self, group: PromptResponses) -> list[str]:
        """The judgement id of each response that it judges of ``group``, from all that decides it.

        Empty while the group cannot be judged. The same inputs give the same ids, so nothing is
        judged twice.
        """
        ...

    async def judge(
        self, groups: Sequence[PromptResponses], tools: JudgeTools, known: Container[str]
    ) -> list[Judgement]:
        """Judge every response whose id is not in ``known``, of groups that have ids.

        Raises EngineError.
        """
        ...

    def scores(self, judgements: Sequence[Judgement]) -> dict[str, float]:
        """Scores about 0..1 by response id, from this judge's own judgements among those given."""
        ...


def ids_by_samples(key: Sequence[object], group: PromptResponses) -> list[str]:
    """Ids for figures that also depend on the other samples of the response's own candidate."""
    inputs = stable_hash(list(key))
    ids = []
    for samples in group.by_candidate:
        together = stable_hash(sorted(one.id for one in samples))
        ids += [stable_hash([inputs, together, one.id], 24) for one in samples]
    return ids


def judgement_of(
    judge: str, judgement_id: str, response: Response, figures: Mapping[str, float]
) -> Judgement:
    """What a judge stores of one response."""
    return Judgement(
        id=judgement_id,
        judge=judge,
        response_id=response.id,
        candidate=response.candidate,
        prompt_id=response.prompt_id,
        sample=response.sample,
        figures=dict(figures),
    )


def shares_of(parts: Mapping[str, Mapping[str, float]], weights: AiScoring) -> dict[str, float]:
    """The share of each part that has any score; shares sum to 1, or there are none."""
    counting = {name: getattr(weights, name) for name, scores in parts.items() if scores}
    total = math.fsum(counting.values())
    return {name: weight / total for name, weight in counting.items()} if total > 0 else {}


def combine_scores(
    parts: Mapping[str, Mapping[str, float]], weights: AiScoring
) -> dict[str, float]:
    """One AI score per response: the weighted mean over the parts that scored it.

    ``parts`` maps part names of ``ai_scoring`` to scores by response id. Weights are rescaled over
    the parts that have any score at all; a response that one of those lacks gets no score.
    """
    shares = shares_of(parts, weights)
    if not shares:
        return {}
    complete = set.intersection(*(set(parts[name]) for name in shares))
    return {
        response_id: math.fsum(share * parts[name][response_id] for name, share in shares.items())
        for response_id in complete
    }
