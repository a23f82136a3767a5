"""How a study uses the machine: batch width, models at once, threads, from what memory allows."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from emojudge.domain import Candidate, Prompt
from emojudge.engine.context_size import context_tokens
from emojudge.engine.gpu import can_offload, gpu_present
from emojudge.engine.local import LocalExecutor, WorkerOptions
from emojudge.engine.memory import Memory, free_ram, free_vram
from emojudge.engine.modules import WORKER_MODULE
from emojudge.errors import EngineError
from emojudge.pipeline.cells import JUDGE_WIDTH, conversation, sample_count
from emojudge.pipeline.study import Study
from emojudge.processors import usable_cores
from emojudge.store.tables import STUDY

_LOG = logging.getLogger(__name__)
_WIDTHS = (32, 16, 8, 4, 2, 1)
_SHARE = 0.75
"""Of the free memory; the rest is for the encoder, the screen, and being wrong."""

_WORKER_BYTES = 200 << 20
"""What a worker needs beside its model and its context, measured by ``emojudge bench``."""

_CHARACTERS_PER_TOKEN = 3.0
_TOKENS_PER_TURN = 8
_UNKNOWN_KV = 256 << 10
"""Context bytes per token where a header does not say: more than most small models take."""


@dataclass(frozen=True)
class EnginePlan:
    """``width`` texts decode together in each of ``models_at_once`` workers.

    ``threads`` are each worker's, or shared between those that work if ``share_threads``.
    """

    width: int
    models_at_once: int
    threads: int
    share_threads: bool
    memory: Memory

    def __str__(self) -> str:
        models = "one model" if self.models_at_once == 1 else f"{self.models_at_once} models"
        threads = f"{self.threads} threads"
        if self.models_at_once > 1:
            threads += " between them" if self.share_threads else " each"
        return f"{models} at once, {self.width} texts together, {threads}; {self.memory}"


def expected_context(study: Study) -> int:
    """Tokens of context that the longest prompt and its answer will take, roughly.

    Only for planning: the worker takes what the prompts need, counted in its own tokens.
    """
    generation = study.config.generation

    def tokens(prompt: Prompt) -> float:
        turns = conversation(prompt, generation)
        text = sum(len(turn.content) for turn in turns)
        return text / _CHARACTERS_PER_TOKEN + _TOKENS_PER_TURN * len(turns)

    longest = max(map(tokens, study.discovery.prompts)) + generation.max_tokens
    expected = context_tokens(int(longest))
    return min(expected, study.config.performance_config.context_length or expected)


def worker_bytes(candidate: Candidate, width: int, context: int) -> int:
    """Memory of a worker with this model, in bytes."""
    per_token = candidate.specs.kv_bytes_per_token or _UNKNOWN_KV
    return candidate.size + width * context * per_token + _WORKER_BYTES


def widest(study: Study, memory: Memory, context: int) -> int:
    """The largest batch width that the largest candidate can have, and that there is work for."""
    largest = max(study.discovery.candidates, key=lambda one: one.size)
    samples = max(sample_count(one, study.config.generation) for one in study.discovery.candidates)
    texts = samples * len(study.discovery.prompts)
    for width in _WIDTHS:
        # A width above the number of texts would only take memory.
        useful = width == 1 or width < 2 * texts
        if useful and worker_bytes(largest, width, context) <= memory.free * _SHARE:
            return width
    return 1


def models_that_fit(study: Study, memory: Memory, width: int, context: int) -> int:
    """How many models can be loaded together: what free memory holds, at most as configured."""
    found = study.discovery
    configured = study.config.performance_config.parallel_models
    needs = [worker_bytes(one, width, context) for one in found.candidates]
    needs += [worker_bytes(one, JUDGE_WIDTH, context) for one in found.judge_models]
    room = memory.free * _SHARE
    fitting = 0
    # Any of them may be loaded beside any other, so the largest must fit.
    for need in sorted(needs, reverse=True):
        room -= need
        if room < 0:
            break
        fitting += 1
    fitting = max(1, fitting)
    if configured is not None and configured > fitting:
        _LOG.warning(
            "parallel_models is %d, but memory holds %d at once (%s)", configured, fitting, memory
        )
    return min(configured or fitting, fitting)


def study_width(study: Study, memory: Memory, context: int) -> int:
    """The study's batch width: as configured, else as first chosen, and then kept.

    Texts of different widths differ in low-order bits, so one study has one width.
    """
    configured = study.config.performance_config.batch_size
    record = study.store.get(STUDY, "study")
    before = record.batch_width if record is not None else None
    width = configured or before or widest(study, memory, context)
    if record is not None and width != before:
        if before is not None:
            _LOG.warning(
                "batch width %d from now on; stored responses were generated at %d and are kept",
                width,
                before,
            )
        study.lead().put(STUDY, [record.model_copy(update={"batch_width": width})])
    return width


async def plan_engine(study: Study, most_models: int | None = None) -> EnginePlan:
    """Plan for the discovered candidates; ``most_models`` bounds what is not configured."""
    performance = study.config.performance_config
    memory = None
    try:
        if performance.gpu_layers != 0 and gpu_present() is not None and await can_offload():
            memory = free_vram(performance.main_gpu)
    except EngineError as problem:
        _LOG.warning("planning from main memory: %s", problem)
    memory = memory or free_ram()
    context = expected_context(study)
    width = study_width(study, memory, context)
    at_once = models_that_fit(study, memory, width, context)
    if performance.parallel_models is None and most_models is not None:
        at_once = min(at_once, most_models)
    cores = usable_cores()
    plan = EnginePlan(
        width,
        at_once,
        threads=performance.threads or cores,
        share_threads=performance.threads is None,
        memory=memory,
    )
    _LOG.info("engine: %s", plan)
    return plan


def make_executor(study: Study, plan: EnginePlan, module: str = WORKER_MODULE) -> LocalExecutor:
    """A local executor for this study."""
    performance = study.config.performance_config
    return LocalExecutor(
        plan.models_at_once,
        WorkerOptions(
            threads=plan.threads,
            share_threads=plan.share_threads,
            batch_width=plan.width,
            context_length=performance.context_length,
            gpu_layers=performance.gpu_layers,
            main_gpu=performance.main_gpu,
            tensor_split=performance.tensor_split,
            module=module,
        ),
    )
