"""What every AI judge of responses is, and how their scores become one."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from emojudge.config import AiScoring
from emojudge.domain import Judgement, Response

MIN_BASELINE_SAMPLES = 2
"""So many of the baseline's responses to a prompt are needed to know its own spread."""
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PromptResponses:
    """All stored responses to one prompt."""

    prompt_id: str
    baseline: tuple[Response, ...]
    others: tuple[Response, ...]

    @property
    def all(self) -> tuple[Response, ...]:
        """Baseline first."""
        return self.baseline + self.others


@dataclass(frozen=True)
class JudgeTools:
    """What a judge may use to work: each runs in a process of its own.

    ``embed`` turns texts into unit vectors, rows in the order of the texts.
    """

    embed: Callable[[Sequence[str]], Awaitable[Vectors]]


class ResponseJudge(Protocol):
    """One judge. What it stores are raw figures; scores are derived from them when read."""

    @property
    def part(self) -> str:
        """The part of ``ai_scoring`` that its scores count for."""
        ...

    def ids(self, group: PromptResponses) -> list[str]:
        """The judgement id of each response of ``group.all``, from all that decides it.

        Empty while the group cannot be judged. The same inputs give the same ids, so nothing is
        judged twice.
        """
        ...

    async def judge(self, groups: Sequence[PromptResponses], tools: JudgeTools) -> list[Judgement]:
        """Judge every response of groups that have ids. Raises EngineError."""
        ...

    def scores(self, judgements: Sequence[Judgement]) -> dict[str, float]:
        """Scores about 0..1 by response id, from this judge's own judgements among those given."""
        ...


def combine_scores(
    parts: Mapping[str, Mapping[str, float]], weights: AiScoring
) -> dict[str, float]:
    """One AI score per response: the weighted mean over the parts that scored it.

    ``parts`` maps part names of ``ai_scoring`` to scores by response id. Weights are rescaled over
    the parts that have any score at all; a response that one of those lacks gets no score.
    """
    counting = {name: (getattr(weights, name), scores) for name, scores in parts.items() if scores}
    total = math.fsum(weight for weight, _ in counting.values())
    if total <= 0:
        return {}
    complete = set.intersection(*(set(scores) for _, scores in counting.values()))
    return {
        response_id: math.fsum(weight * scores[response_id] for weight, scores in counting.values())
        / total
        for response_id in complete
    }
