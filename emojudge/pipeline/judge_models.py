"""Asking the models of judges: local ones through the executor, others at their endpoints."""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Sequence

from emojudge.config import JudgeConfig
from emojudge.domain import Message
from emojudge.engine.endpoint import ContextExceeded, Endpoint
from emojudge.engine.fitting import LEAST_CHARACTERS, cut, filled
from emojudge.engine.protocol import Score, Scored
from emojudge.engine.tasks import Executor, ModelSpec
from emojudge.errors import EngineError
from emojudge.judges.questions import Answer, NoAnswer, Question
from emojudge.pipeline.cells import JUDGE_WIDTH
from emojudge.pipeline.likelihoods import measure
from emojudge.pipeline.study import Study

_LOG = logging.getLogger(__name__)
_HALVINGS = 8


class JudgeModels:
    """Puts questions to judges. A question without an answer stops no other."""

    def __init__(self, study: Study, executor: Executor) -> None:
        self._study = study
        self._executor = executor
        self._endpoints: dict[str, Endpoint] = {}

    def _config(self, title: str) -> JudgeConfig:
        return self._study.ensemble.emotional_judge.config(title)

    async def ask(self, title: str, questions: Sequence[Question]) -> list[Answer | NoAnswer]:
        """The answers of a judge's model, in the order of the questions."""
        config = self._config(title)
        try:
            if config.url is not None:
                endpoint = self._endpoint(config)
                return list(
                    await asyncio.gather(*(self._remote(endpoint, one) for one in questions))
                )
            model = self._spec(config)
        except EngineError as problem:
            return [NoAnswer(str(problem))] * len(questions)
        deadline = self._study.config.performance_config.response_timeout_seconds
        return await ask_local(self._executor, model, questions, deadline)

    # Here

    def _spec(self, config: JudgeConfig) -> ModelSpec:
        known = self._study.ensemble.model(config.model or "")
        if known is None:
            raise EngineError(
                f"The model of judge {config.name} has not been read yet: {config.model}. Run "
                "`emojudge run --phase discover`."
            )
        return ModelSpec(
            # A candidate may be its own judge, and is asked with another template then.
            key=f"{known.sha256}@judge",
            name=f"judge model {known.path.stem}",
            path=known.path,
            size=known.size,
            files=known.files,
            batch_width=JUDGE_WIDTH,
        )

    # Elsewhere

    def _endpoint(self, config: JudgeConfig) -> Endpoint:
        if config.name not in self._endpoints:
            assert config.url is not None
            key = None
            if config.api_key_env is not None:
                key = os.environ.get(config.api_key_env, "").strip()
                if not key:
                    raise EngineError(
                        f"Judge {config.name} needs a key, and the environment variable "
                        f"{config.api_key_env} that should hold it is not set. Set it, and start "
                        "again."
                    )
            self._endpoints[config.name] = Endpoint(
                config.url,
                config.model or "",
                key,
                timeout_seconds=self._study.config.performance_config.response_timeout_seconds,
            )
        return self._endpoints[config.name]

    async def _remote(self, endpoint: Endpoint, question: Question) -> Answer | NoAnswer:
        """Suffix by suffix; texts that are too long are halved until they are not."""
        most = max(map(len, question.texts), default=0)
        for _ in range(_HALVINGS):
            texts = [cut(text, most) for text in question.texts]
            try:
                rows = [
                    await endpoint.choose(_asked(question, texts, asked), question.options)
                    for asked in question.asked
                ]
            except ContextExceeded as problem:
                if most <= LEAST_CHARACTERS:
                    return NoAnswer(str(problem))
                most = max(LEAST_CHARACTERS, most // 2)
                continue
            except EngineError as problem:
                return NoAnswer(str(problem))
            except Exception as problem:  # noqa: BLE001 - what an endpoint does stops no run
                _LOG.exception("asking an endpoint")
                return NoAnswer(f"asking it failed: {type(problem).__name__}")
            left_out = sum(max(0, len(text) - most) for text in question.texts)
            return Answer(
                tuple(row for row, _ in rows), left_out, single=any(one for _, one in rows)
            )
        return NoAnswer("the question is longer than the endpoint's context, however cut")

    def try_again(self) -> None:
        """Ask endpoints again that were given up: somebody has started the phase anew."""
        for one in self._endpoints.values():
            one.try_again()

    async def close(self) -> None:
        """Close connections; local models are the executor's."""
        await asyncio.gather(*(one.close() for one in self._endpoints.values()))


def _asked(question: Question, texts: Sequence[str], asked: str) -> list[Message]:
    """The conversation with the texts in place, and what is asked at its end."""
    *before, last = filled(question.messages, texts)
    return [*before, last.model_copy(update={"content": f"{last.content} {asked}"})]


def score_of(question: Question) -> Score:
    """A question as a worker takes it."""
    return Score(
        id="",
        messages=question.messages,
        texts=question.texts,
        suffixes=question.suffixes,
        options=question.options,
    )


async def ask_local(
    executor: Executor, model: ModelSpec, questions: Sequence[Question], deadline_seconds: float
) -> list[Answer | NoAnswer]:
    """The answers of a local model, in the order of the questions; all are queued at once."""

    async def ask(question: Question) -> Answer | NoAnswer:
        try:
            result = await measure(executor, model, score_of(question), deadline_seconds)
        except EngineError as problem:
            return NoAnswer(str(problem))
        assert isinstance(result, Scored)
        rows = tuple(tuple(math.exp(value) for value in row) for row in result.log_probs)
        return Answer(rows, result.left_out)

    return list(await asyncio.gather(*map(ask, questions)))
