"""Figures of somebody's own, by name, of one candidate's responses to one prompt.

They are averaged over prompts and shown with intervals beside the baseline's, and are no part of
any score. They come from subclasses of ModelJudge and from plug-ins.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Container, Mapping, Sequence

from emojudge.domain import Judgement, Response
from emojudge.errors import EngineError
from emojudge.judges.judge import JudgeTools, PromptResponses, ids_by_samples, judgement_of

OWN_METRIC = "model-judge/custom"
"""What the names of these judges begin with."""

Measure = Callable[[Sequence[Response]], Mapping[str, float]]


class OwnMetric:
    """The judge around such figures, kept like all others."""

    part = None

    def __init__(
        self,
        measure: Measure,
        key: Callable[[], Sequence[object]],
        called: str,
        plugin: str | None = None,
    ) -> None:
        """``key`` stands for what decides the figures beside the responses.

        ``called`` is what to call the code in errors; a ``plugin``'s figures carry its name.
        """
        self.name = OWN_METRIC if plugin is None else f"{OWN_METRIC}/{plugin}"
        self._prefix = "" if plugin is None else f"{plugin}."
        self._measure = measure
        self._key = key
        self._called = called

    def ids(self, group: PromptResponses) -> list[str]:
        """See :class:`emojudge.judges.judge.ResponseJudge`."""
        return ids_by_samples([self.name, *self._key()], group)

    async def judge(
        self, groups: Sequence[PromptResponses], tools: JudgeTools, known: Container[str]
    ) -> list[Judgement]:
        """See :class:`emojudge.judges.judge.ResponseJudge`; in a thread, for it may take long."""
        judgements = []
        for group in groups:
            ids = dict(zip([one.id for one in group.all], self.ids(group), strict=True))
            for samples in group.by_candidate:
                new = [one for one in samples if ids[one.id] not in known]
                if new:
                    figures = await asyncio.to_thread(self._figures, samples)
                    judgements += [
                        judgement_of(self.name, ids[one.id], one, figures) for one in new
                    ]
        return judgements

    def _figures(self, samples: Sequence[Response]) -> dict[str, float]:
        try:
            found = {str(key): float(value) for key, value in self._measure(samples).items()}
        except Exception as problem:
            raise EngineError(
                f"{self._called} failed on {samples[0].prompt_id}: {type(problem).__name__}: "
                f"{problem}"
            ) from problem
        wrong = [key for key, value in found.items() if not math.isfinite(value)]
        if wrong:
            raise EngineError(
                f"{self._called} gave {wrong[0]} = {found[wrong[0]]} for {samples[0].prompt_id}; "
                "leave out what is not defined."
            )
        return {self._prefix + key: value for key, value in found.items()}

    def scores(self, judgements: Sequence[Judgement]) -> dict[str, float]:
        """It is part of no score."""
        return {}
