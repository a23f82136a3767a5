"""How probable responses are under the baseline, read off its model by the executor."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from emojudge.domain import Response
from emojudge.engine.protocol import GivenText, LogLikelihood, LogLikelihoods, Measured, Measurement
from emojudge.engine.tasks import (
    BACKGROUND,
    Executor,
    Failed,
    Figures,
    MeasureTask,
    ModelSpec,
)
from emojudge.errors import EngineError
from emojudge.judges.judge import Likelihood
from emojudge.judges.sentences import says_something
from emojudge.pipeline.cells import conversation
from emojudge.pipeline.study import Study
from emojudge.text import without_thinking

_TEXTS_AT_ONCE = 8
"""Few, because a person who opens a pane waits for at most these."""


async def measure(
    executor: Executor, model: ModelSpec, measurement: Measurement, deadline_seconds: float
) -> Measured:
    """Let one model measure, behind all generating; the measurement gets the task's id.

    Raises EngineError with the worker's reason.
    """
    task = MeasureTask(
        priority=BACKGROUND,
        model=model,
        deadline_seconds=deadline_seconds,
        measurement=measurement,
    )
    async with contextlib.aclosing(executor.submit(task)) as events:
        async for event in events:
            if isinstance(event, Figures):
                return event.result
            if isinstance(event, Failed):
                raise EngineError(f"{model.name} could not measure: {event.reason}")
    raise EngineError(f"{model.name} was stopped before it had measured.")


class Likelihoods:
    """Asks the baseline's model, some texts at a time, prompt by prompt."""

    def __init__(self, study: Study, executor: Executor) -> None:
        self._study = study
        self._executor = executor

    async def of(self, responses: Sequence[Response]) -> list[Likelihood]:
        """The likelihood of each response behind its prompt; of no tokens where it says nothing.

        Raises EngineError.
        """
        study = self._study
        prompts = {one.id: one for one in study.discovery.prompts}
        texts = [without_thinking(one.text) for one in responses]
        found = [Likelihood(0, 0.0)] * len(responses)
        said = [place for place, text in enumerate(texts) if says_something(text)]
        # Texts behind one prompt share its evaluation when they follow each other.
        said.sort(key=lambda place: responses[place].prompt_id)
        deadline = study.config.performance_config.response_timeout_seconds * _TEXTS_AT_ONCE
        for start in range(0, len(said), _TEXTS_AT_ONCE):
            chosen = said[start : start + _TEXTS_AT_ONCE]
            given = tuple(
                GivenText(
                    messages=conversation(
                        prompts[responses[place].prompt_id], study.config.generation
                    ),
                    text=texts[place],
                )
                for place in chosen
            )
            result = await measure(
                self._executor,
                study.model_spec(study.baseline),
                LogLikelihood(id="", texts=given),
                deadline,
            )
            assert isinstance(result, LogLikelihoods)
            for place, own in zip(chosen, result.texts, strict=True):
                found[place] = Likelihood(own.tokens, own.total)
        return found
