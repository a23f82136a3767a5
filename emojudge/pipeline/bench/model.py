"""``emojudge bench``: this machine's speed against its own limits, on the worker's real loops."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emojudge.candidates.discover import read_model
from emojudge.config import GenerationConfig
from emojudge.domain import Message, Quality, Sampling, Specs
from emojudge.engine.context_size import context_tokens
from emojudge.engine.memory import peak_resident_bytes
from emojudge.engine.modules import WORKER_MODULE
from emojudge.engine.process import MODEL_ENVIRONMENT, WorkerProcess
from emojudge.engine.protocol import (
    Bench,
    BenchDone,
    BenchProgress,
    Cancel,
    Generate,
    Generated,
    LoadModel,
    ModelReady,
    SpeedRatios,
    StepShares,
    TaskFailed,
    TextFrame,
)
from emojudge.errors import EngineError
from emojudge.pipeline.bench.judging import (
    bench_json_questions,
    bench_questions,
    judge_pass_rate,
)
from emojudge.pipeline.bench.text import TextCost, text_cost
from emojudge.pipeline.cells import conversation, engine_version
from emojudge.processors import usable_cores
from emojudge.prompts import BUNDLED_NAME, bundled_prompts, parse_prompts
from emojudge.text import human_bytes

BENCH_MODULE = "emojudge.engine.bench_worker"
WIDTHS = (8, 16, 32)
_STEP_SECONDS = 900.0
_PEAK_WIDTH = 16
_CANCELLED_TOKENS = 1000
_MEGABYTE = 1e6
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Peak:
    """A worker's peak resident memory in bytes after a batch, and what it must hold."""

    resident: int
    file: int
    kv: int
    load_mode: str

    @property
    def beside(self) -> int:
        """What the worker needs beside the model and its context."""
        return self.resident - self.file - self.kv


@dataclass(frozen=True)
class BenchResult:
    """Everything a benchmark found."""

    model: Path
    specs: Specs
    threads: int
    repetitions: int
    tokens: int
    done: BenchDone
    peak: Peak
    cancel_seconds: float
    text: TextCost
    judge_pass: float

    @property
    def judge_pass_over_json(self) -> float:
        """The whole judge pass, as a study runs it, against one JSON answer each."""
        return self.judge_pass / self.done.judged_by_json

    def as_json(self) -> dict[str, Any]:
        """The form of ``--json``; tables by batch width have the width as a string key."""
        done = self.done
        return {
            "greedy": done.greedy.model_dump(mode="json"),
            "sampled": done.sampled.model_dump(mode="json"),
            "judge_over_json": done.judge_over_json,
            "judge_pass_over_json": self.judge_pass_over_json,
            "load_seconds": done.load_seconds,
            "cancel_seconds": self.cancel_seconds,
            "peak_mb": self.peak.resident / _MEGABYTE,
            "peak": {
                "width": _PEAK_WIDTH,
                "load_mode": self.peak.load_mode,
                "file_mb": self.peak.file / _MEGABYTE,
                "kv_mb": self.peak.kv / _MEGABYTE,
                "beside_mb": self.peak.beside / _MEGABYTE,
            },
            "bound": {str(width): rate for width, rate in done.bound.items()},
            "judged_per_second": {
                "prefix": done.judged_by_prefix,
                "pass": self.judge_pass,
                "json": done.judged_by_json,
            },
            "measuring": self.text.as_json(),
            "embedding_over_generation": self.text.embedding_over_generation,
            "same_texts": done.texts.model_dump(mode="json"),
            "settings": {
                "model": str(self.model),
                "quantization": self.specs.quantization,
                "engine": engine_version(),
                "threads": self.threads,
                "cores": usable_cores(),
                "flash_attention": True,
                "repetitions": self.repetitions,
                "tokens_per_text": self.tokens,
                "widths": list(WIDTHS),
                "temperature": 0.7,
                "top_p": 0.9,
                "rates": "tokens per second while decoding, prompts evaluated before",
                "sequential": "Llama.create_completion, streaming",
            },
        }

    def lines(self) -> list[str]:
        """The form for people."""
        done = self.done
        peak = self.peak
        texts = done.texts
        shares = ", ".join(
            f"{share:.0%} at {width}" for width, share in texts.batched_and_single.items()
        )
        gap = texts.largest_gap
        apart = "" if gap is None else f"; where they part, logits differ by at most {gap:.2f}"
        return [
            f"{self.model.name} ({self.specs.quantization}), {self.threads} threads, "
            f"{engine_version()}; medians of {self.repetitions}",
            "",
            *_table("greedy", done.greedy),
            "",
            *_table("temperature .7, top-p .9", done.sampled),
            "",
            f"judging    {done.judged_by_prefix:.1f} responses/s by shared prefix, "
            f"{done.judged_by_json:.1f} by one JSON answer each: ×{done.judge_over_json:.1f}; a "
            f"judge's whole pass {self.judge_pass:.1f}: ×{self.judge_pass_over_json:.1f}",
            self.text.line(),
            f"loading    {done.load_seconds:.2f} s, {peak.load_mode}; "
            f"cancelling takes {self.cancel_seconds * 1000:.0f} ms at most",
            f"memory     {human_bytes(peak.resident)} at most with {_PEAK_WIDTH} texts together: "
            f"{human_bytes(peak.file)} model, {human_bytes(peak.kv)} context, "
            f"{human_bytes(peak.beside)} beside",
            f"same text  {texts.single_and_sequential:.0%} of 10 greedy texts one by one as the "
            "high-level loop's",
            f"           {shares} together as one by one{apart}",
        ]


def _table(name: str, ratios: SpeedRatios) -> list[str]:
    rows = [
        f"{name:26} tokens/s   × high-level   of the bound   × with prompts   llama.cpp  choosing",
        f"  high-level loop          {ratios.sequential:8.0f}           1.00",
        f"  own loop, one by one     {ratios.single:8.0f}   {ratios.single_over_sequential:12.2f}"
        f"{'':32}   {_shares(ratios.shares[1])}",
    ]
    for width, rate in ratios.batched.items():
        rows.append(
            f"  own loop, {width:2} together    {rate:8.0f}   "
            f"{ratios.batched_over_sequential[width]:12.2f}   "
            f"{ratios.batched_over_bound[width]:12.2f}   {ratios.with_prompts[width]:14.2f}   "
            f"{_shares(ratios.shares[width])}"
        )
    return rows


def _shares(shares: StepShares) -> str:
    return f"{shares.evaluating:9.1%} {shares.choosing:9.1%}"


def _conversations() -> tuple[tuple[Message, ...], ...]:
    """Bundled prompts behind the default system turn."""
    chosen = parse_prompts(bundled_prompts().decode(), BUNDLED_NAME)[: max(WIDTHS)]
    return tuple(conversation(one, GenerationConfig()) for one in chosen)


async def run_benchmark(
    model: Path,
    *,
    threads: int | None,
    gpu_layers: int | None,
    repetitions: int,
    tokens: int,
    progress: Progress,
) -> BenchResult:
    """Time a model (minutes). Raises EngineError when it cannot be loaded or run."""
    specs, _ = read_model(model.stem, [model])
    threads = threads or usable_cores()
    talks = _conversations()
    command = Bench(
        path=str(model),
        threads=threads,
        gpu_layers=gpu_layers,
        widths=WIDTHS,
        repetitions=repetitions,
        tokens=tokens,
        conversations=talks,
        questions=bench_questions(talks),
        json_questions=bench_json_questions(talks),
        json_keys=tuple(one.value for one in Quality),
    )
    event_count = 1
    process = await WorkerProcess.start(BENCH_MODULE, "the benchmark", MODEL_ENVIRONMENT)
    try:
        await process.send(command)
        while not isinstance(event := await process.receive(_STEP_SECONDS), BenchDone):
            if isinstance(event, BenchProgress):
                event_count = event.total
                progress(event.what, event.done, event.total)
            else:
                reason = event.reason if isinstance(event, TaskFailed) else f"it answered {event}"
                raise EngineError(f"{model.name} could not be timed: {reason}")
    finally:
        await process.kill()
    peak, cancel_seconds = await _worker_figures(model, specs, threads, gpu_layers, tokens, talks)
    text = await text_cost(model, talks, threads, gpu_layers)
    progress("a judge's pass", event_count, event_count)
    judging = await judge_pass_rate(model, talks, threads, gpu_layers, repetitions)
    return BenchResult(
        model, specs, threads, repetitions, tokens, event, peak, cancel_seconds, text, judging
    )


async def _worker_figures(
    model: Path,
    specs: Specs,
    threads: int,
    gpu_layers: int | None,
    tokens: int,
    talks: tuple[tuple[Message, ...], ...],
) -> tuple[Peak, float]:
    """Peak memory of a real worker that has done a batch, and the longest of some cancellations."""
    process = await WorkerProcess.start(WORKER_MODULE, "the worker", MODEL_ENVIRONMENT)

    async def ask(number: int, most: int) -> None:
        await process.send(
            Generate(
                id=str(number),
                messages=talks[number % len(talks)],
                sampling=Sampling(max_tokens=most, temperature=0.7, top_p=0.9),
                seed=number,
                deadline_seconds=_STEP_SECONDS,
            )
        )

    try:
        load = LoadModel(
            path=str(model), batch_width=_PEAK_WIDTH, threads=threads, gpu_layers=gpu_layers
        )
        await process.send(load)
        ready = await process.receive(_STEP_SECONDS)
        if not isinstance(ready, ModelReady):
            raise EngineError(f"{model.name} could not be loaded again to measure its memory.")
        for number in range(_PEAK_WIDTH):
            await ask(number, tokens)
        longest = done = 0
        while done < _PEAK_WIDTH:
            event = await process.receive(_STEP_SECONDS)
            if isinstance(event, TaskFailed):
                raise EngineError(f"{model.name} could not answer a prompt: {event.reason}")
            if isinstance(event, Generated):
                done += 1
                longest = max(longest, event.prompt_tokens + tokens)
        resident = peak_resident_bytes(process.pid)
        # With all slots taken, so that a step is as long as it gets.
        for number in range(_PEAK_WIDTH):
            await ask(number, _CANCELLED_TOKENS)
        slowest = await _slowest_cancellation(process)
    finally:
        await process.kill()
    per_sequence = context_tokens(longest)
    kv = (specs.kv_bytes_per_token or 0) * per_sequence * _PEAK_WIDTH
    return Peak(resident, model.stat().st_size, kv, ready.load_mode), slowest


async def _slowest_cancellation(process: WorkerProcess) -> float:
    """Seconds from asking a worker to stop a text until it says so, at most, over a full batch.

    Texts that end by themselves meanwhile are not counted.
    """
    ended: set[str] = set()

    async def until(task_id: str | None) -> None:
        """Read events up to the end of a task, or up to the next frame of text."""
        while True:
            event = await process.receive(_STEP_SECONDS)
            if isinstance(event, TaskFailed | Generated) and event.id is not None:
                ended.add(event.id)
                if event.id == task_id:
                    return
            elif isinstance(event, TextFrame) and task_id is None:
                return

    slowest = 0.0
    for number in range(_PEAK_WIDTH):
        await until(None)
        if str(number) not in ended:
            started = time.perf_counter()
            await process.send(Cancel(id=str(number)))
            await until(str(number))
            slowest = max(slowest, time.perf_counter() - started)
        if len(ended) == _PEAK_WIDTH:
            break
    return slowest
