"""How fast a judge judges: its questions for the worker's own loop, and a whole pass of a study."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from emojudge import clock
from emojudge.domain import Message, Quality, Response, Unanswered
from emojudge.engine.fitting import filled
from emojudge.engine.local import LocalExecutor, WorkerOptions
from emojudge.engine.protocol import Score
from emojudge.engine.tasks import Executor, ModelSpec
from emojudge.errors import EngineError
from emojudge.judges.ensemble_member import PersonaJudge
from emojudge.judges.judge import JudgeTools, PromptResponses
from emojudge.judges.questions import Answer, NoAnswer, Question, score_question
from emojudge.judges.rubric import PERSONAS
from emojudge.pipeline.judge_models import ask_local, score_of
from emojudge.store.study import StudyStore, Writer
from emojudge.store.tables import JUDGEMENTS

_PERSONA = "analytical"
_JUDGED = 7
_SAMPLES = 4
_DEADLINE = 600.0
_REPLY = (
    "I am so sorry. That sounds really hard, and it makes sense that you feel lost right now. "
    "Tell me about it, if you like. I have all evening, and I would rather listen than guess what "
    "it is like for you."
)
_SAMPLE_ENDINGS = (
    "Come over, if you want to.",
    "And eat something, will you?",
    "Or say nothing at all.",
    "Take your time with it.",
)


def _questions(talks: Sequence[tuple[Message, ...]]) -> list[Question]:
    return [
        score_question(PERSONAS[_PERSONA], talk[-1:], _REPLY, tuple(Quality))
        for talk in talks[:_JUDGED]
    ]


def bench_questions(talks: Sequence[tuple[Message, ...]]) -> tuple[Score, ...]:
    """A judge's questions about a reply to each of some prompts."""
    return tuple(score_of(one) for one in _questions(talks))


def bench_json_questions(talks: Sequence[tuple[Message, ...]]) -> tuple[tuple[Message, ...], ...]:
    """The same conversations, asking for one JSON object."""
    asked = " Answer with a JSON object of the seven qualities and their scores from 1 to 5."
    conversations = []
    for one in _questions(talks):
        *before, last = filled(one.messages, one.texts)
        conversations.append((*before, last.model_copy(update={"content": last.content + asked})))
    return tuple(conversations)


def _group(talk: Sequence[Message], number: int) -> PromptResponses:
    """As many samples of two candidates as a study has, no two of them equal."""

    def said(candidate: str, sample: int) -> Response:
        return Response(
            id=f"{candidate}/{number}/{sample}",
            candidate=candidate,
            prompt_id=str(number),
            sample=sample,
            seed=0,
            text=f"{_REPLY} {candidate.capitalize()}. {_SAMPLE_ENDINGS[sample]}",
            finish="end",
            prompt_tokens=0,
            tokens=0,
            first_token_seconds=0.0,
            seconds=0.0,
            rendered_sha256="",
            engine="",
            created=clock.stamp(),
        )

    samples = range(_SAMPLES)
    return PromptResponses(
        str(number),
        tuple(said("one", sample) for sample in samples),
        tuple(said("other", sample) for sample in samples),
    )


async def judge_pass_rate(
    model: Path,
    talks: Sequence[tuple[Message, ...]],
    threads: int,
    gpu_layers: int | None,
    repetitions: int,
) -> float:
    """Responses a second from the first question to the last stored judgement, in the median.

    The model is loaded, and what the judge is told is evaluated, before the clock starts.
    Raises EngineError.
    """
    options = WorkerOptions(threads=threads, batch_width=1, gpu_layers=gpu_layers)
    executor = LocalExecutor(1, options)
    spec = ModelSpec(key="bench", name=model.stem, path=model, size=model.stat().st_size)
    rates = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            store = StudyStore(Path(folder))
            writer = store.pipeline_writer()
            for number in range(repetitions + 1):
                # Another voice each time, so that nothing is left of the pass before.
                voice = f"This is pass {'abcdefghijklmnopqrstuvwxyz'[number % 26]}."
                rate = await _one_pass(executor, spec, talks, voice, writer)
                if number:
                    rates.append(rate)
            writer.close()
    finally:
        await executor.close()
    return statistics.median(rates)


async def _one_pass(
    executor: Executor,
    spec: ModelSpec,
    talks: Sequence[tuple[Message, ...]],
    voice: str,
    writer: Writer,
) -> float:
    async def ask(title: str, questions: Sequence[Question]) -> list[Answer | NoAnswer]:
        return await ask_local(executor, spec, questions, _DEADLINE)

    async def not_asked(texts: object) -> list[object]:
        raise AssertionError("a judge of the ensemble measures nothing")

    judge = PersonaJudge(
        "bench",
        1.0,
        persona=_PERSONA,
        voice=f"{voice} {PERSONAS[_PERSONA]}",
        model=spec.name,
        model_key=lambda: voice,
    )
    tools = JudgeTools(
        embed=not_asked,  # type: ignore[arg-type]
        emotions=not_asked,  # type: ignore[arg-type]
        likelihoods=not_asked,  # type: ignore[arg-type]
        ask=ask,
        situation=lambda prompt_id: talks[int(prompt_id)][-1:],
        unanswered=_refuse,
    )
    groups = [_group(talks[number], number) for number in range(_JUDGED)]
    # Another situation, so that only what the judge is told is known already.
    warm_up = score_question(judge.voice, talks[_JUDGED][-1:], _REPLY, tuple(Quality))
    await ask("bench", [warm_up])
    started = time.perf_counter()
    judgements = await judge.judge(groups, tools, frozenset())
    writer.put(JUDGEMENTS, judgements)
    return len(judgements) / (time.perf_counter() - started)


def _refuse(missing: Sequence[Unanswered]) -> None:
    if missing:
        raise EngineError(f"The model did not judge: {missing[0].reason}")
