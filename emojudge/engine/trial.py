"""Trying out a model file that nobody vouches for: load it and let it say a few tokens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from emojudge.domain import Message, Sampling
from emojudge.engine.process import WorkerProcess
from emojudge.engine.protocol import (
    Generate,
    Generated,
    LoadModel,
    ModelReady,
    Sandboxed,
    TaskFailed,
)
from emojudge.engine.sandbox import SandboxLimits, limits_for
from emojudge.errors import EngineError

SANDBOX_MODULE = "emojudge.engine.sandboxed_worker"
E = TypeVar("E", Sandboxed, ModelReady, Generated)
_QUESTION = (Message(role="user", content="Hello. How are you today?"),)
_PLAIN_TEMPLATE = "{{ messages[-1]['content'] }}\n"


@dataclass(frozen=True)
class Trial:
    """A model that loaded and spoke in the sandbox."""

    text: str
    tokens: int
    load_seconds: float
    seconds: float
    network_cut: bool


async def try_model(
    path: Path,
    *,
    tokens: int = 8,
    threads: int = 1,
    has_template: bool = True,
    size: int | None = None,
    check_tensors: bool = False,
    limits: SandboxLimits | None = None,
) -> Trial:
    """Load ``path`` and generate greedily in a sandboxed worker, on the CPU.

    ``has_template`` False asks in plain text; ``size`` is that of all shards of a split model;
    ``check_tensors`` looks for NaN and Inf in all weights. Raises EngineError when llama.cpp
    refuses the file or the model says nothing, and WorkerDied when the file ends, hangs or
    exhausts the worker; either way only the worker is lost.
    """
    try:
        allowed = limits or limits_for(size or path.stat().st_size)
    except OSError as problem:
        raise EngineError(f"Cannot read {path}: {problem.strerror}.") from problem
    name = f"the sandboxed worker of {path.name}"
    process = await WorkerProcess.start(
        SANDBOX_MODULE, name, arguments=(allowed.model_dump_json(),)
    )

    async def answer(kind: type[E]) -> E:
        while True:
            event = await process.receive(allowed.deadline_seconds)
            if isinstance(event, kind):
                return event
            if isinstance(event, TaskFailed):
                raise EngineError(f"{path.name} failed its trial: {event.reason}")

    async def converse() -> Trial:
        sandboxed = await answer(Sandboxed)
        template = None if has_template else _PLAIN_TEMPLATE
        await process.send(
            LoadModel(
                path=str(path),
                threads=threads,
                gpu_layers=0,
                template=template,
                check_tensors=check_tensors,
            )
        )
        ready = await answer(ModelReady)
        await process.send(
            Generate(
                id="trial",
                messages=_QUESTION,
                sampling=Sampling(max_tokens=tokens, temperature=0, top_p=1),
                seed=0,
                deadline_seconds=allowed.deadline_seconds,
            )
        )
        said = await answer(Generated)
        if not said.text.strip():
            raise EngineError(f"{path.name} loaded, but had nothing to say to a greeting.")
        cut = sandboxed.network_cut
        return Trial(said.text, said.tokens, ready.load_seconds, said.seconds, cut)

    try:
        async with asyncio.timeout(allowed.deadline_seconds):
            return await converse()
    except TimeoutError as late:
        raise EngineError(
            f"{path.name} was not through its trial after {allowed.deadline_seconds:.0f} s."
        ) from late
    finally:
        await process.kill()
