"""What measuring replies costs beside generating them, in CPU seconds of real workers."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from emojudge.config import GenerationConfig
from emojudge.domain import Message, Sampling
from emojudge.engine.encoder import Encoder
from emojudge.engine.modules import WORKER_MODULE
from emojudge.engine.process import MODEL_ENVIRONMENT, WorkerProcess
from emojudge.engine.protocol import Generate, Generated, LoadModel, ModelReady, TaskFailed
from emojudge.errors import EngineError
from emojudge.judges.emotion_head import EmotionHead
from emojudge.judges.emotion_tracker import HeadTracker
from emojudge.judges.sentences import sentences
from emojudge.pipeline.encoders import name_of_encoder
from emojudge.pipeline.text_models import ENCODER_THREADS

_WIDTH = 16
_SAMPLES = 4
_STEP_SECONDS = 900.0


@dataclass(frozen=True)
class TextCost:
    """CPU seconds for the same replies: generated in batches, embedded, their emotions tracked.

    ``start_seconds`` is wall time until the encoder answers, which passes while candidates
    generate; ``load_cpu_seconds`` is what that takes of the processor, and is not in the ratio.
    """

    responses: int
    tokens: int
    sentences: int
    generate_cpu_seconds: float
    embed_cpu_seconds: float
    track_cpu_seconds: float
    start_seconds: float
    load_cpu_seconds: float

    @property
    def embedding_over_generation(self) -> float:
        """Embedding and tracking over generating."""
        return (self.embed_cpu_seconds + self.track_cpu_seconds) / self.generate_cpu_seconds

    def as_json(self) -> dict[str, Any]:
        """The form of ``--json``."""
        return {"embedding_over_generation": self.embedding_over_generation, **asdict(self)}

    def line(self) -> str:
        """The form for people."""
        return (
            f"measuring  {self.embedding_over_generation:.2f} of the CPU seconds of generating "
            f"{self.responses} replies ({self.generate_cpu_seconds:.1f} s), {_WIDTH} together: "
            f"embedding {self.embed_cpu_seconds:.1f} s, emotions {self.track_cpu_seconds:.1f} s; "
            f"the encoder answers after {self.start_seconds:.1f} s"
        )


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


async def text_cost(
    model: Path, talks: tuple[tuple[Message, ...], ...], threads: int, gpu_layers: int | None
) -> TextCost:
    """Generate replies to ``talks``, then measure them. Raises EngineError.

    Texts are as long as the default settings make them.
    """
    replies: list[Generated] = []
    process = await WorkerProcess.start(WORKER_MODULE, "the worker", MODEL_ENVIRONMENT)
    try:
        load = LoadModel(
            path=str(model), batch_width=_WIDTH, threads=threads, gpu_layers=gpu_layers
        )
        await process.send(load)
        if not isinstance(await process.receive(_STEP_SECONDS), ModelReady):
            raise EngineError(f"{model.name} could not be loaded to generate replies.")
        before = _cpu_seconds(process.pid)
        sampling = Sampling(max_tokens=GenerationConfig().max_tokens, temperature=0.7, top_p=0.9)
        wanted = len(talks) * _SAMPLES
        for number in range(wanted):
            await process.send(
                Generate(
                    id=str(number),
                    messages=talks[number // _SAMPLES],
                    sampling=sampling,
                    seed=number,
                    deadline_seconds=_STEP_SECONDS,
                )
            )
        while len(replies) < wanted:
            event = await process.receive(_STEP_SECONDS)
            if isinstance(event, TaskFailed):
                raise EngineError(f"{model.name} could not answer a prompt: {event.reason}")
            if isinstance(event, Generated):
                replies.append(event)
        generating = _cpu_seconds(process.pid) - before
    finally:
        await process.kill()
    return await _measured(replies, generating)


async def _measured(replies: list[Generated], generating: float) -> TextCost:
    texts = [one.text for one in replies]
    head = EmotionHead.load()
    encoder = Encoder(name_of_encoder(head.encoder), ENCODER_THREADS)
    try:
        started = time.monotonic()
        await encoder.embed([head.probe])
        start_seconds = time.monotonic() - started
        assert encoder.pid is not None
        loaded = _cpu_seconds(encoder.pid)
        await encoder.embed(texts)
        embedded = _cpu_seconds(encoder.pid)
        own = time.process_time()
        await HeadTracker(encoder, head).profiles(texts)
        tracking = _cpu_seconds(encoder.pid) - embedded + time.process_time() - own
    finally:
        await encoder.close()
    return TextCost(
        responses=len(replies),
        tokens=sum(one.tokens for one in replies),
        sentences=sum(len(sentences(text)) for text in texts),
        generate_cpu_seconds=generating,
        embed_cpu_seconds=embedded - loaded,
        track_cpu_seconds=tracking,
        start_seconds=start_seconds,
        load_cpu_seconds=loaded,
    )
