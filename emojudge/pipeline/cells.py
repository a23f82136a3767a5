"""Cells: which responses a study wants, and the key under which each is stored."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from functools import lru_cache

from emojudge.config import GenerationConfig, PerformanceConfig
from emojudge.domain import Candidate, Cell, Message, Prompt, Response, stable_hash
from emojudge.judges.judge import MIN_BASELINE_SAMPLES

_SEED_DIGITS = 7
_TECHNICAL_VERSION = 1
JUDGE_WIDTH = 1
"""Judges read one text after another, so that each shares what the one before began with."""

_AGAIN_PROMPTS = 24
"""So many prompts say how much the batch width alone changes."""


@lru_cache(maxsize=1)
def engine_version() -> str:
    """The llama.cpp binding's version, which fixes llama.cpp's own."""
    return f"llama-cpp-python {importlib.metadata.version('llama-cpp-python')}"


def conversation(prompt: Prompt, generation: GenerationConfig) -> tuple[Message, ...]:
    """The prompt's messages behind the study's system turn."""
    if not generation.system_prompt or prompt.messages[0].role == "system":
        return prompt.messages
    return (Message(role="system", content=generation.system_prompt), *prompt.messages)


def template_for(
    candidate: Candidate, baseline: Candidate, generation: GenerationConfig
) -> str | None:
    """The chat template a candidate is asked with.

    The configured one, else the baseline's for the same architecture and vocabulary, so that all
    see the same text, else the candidate's own.
    """
    if generation.chat_template is not None:
        return generation.chat_template
    own, base = candidate.specs, baseline.specs
    same_family = (own.architecture, own.vocabulary_size) == (
        base.architecture,
        base.vocabulary_size,
    )
    return base.chat_template if same_family and base.chat_template else own.chat_template


def sample_count(candidate: Candidate, generation: GenerationConfig) -> int:
    """Samples per prompt: the baseline gives twice as many, so that it can be halved."""
    if candidate.is_baseline:
        return max(MIN_BASELINE_SAMPLES, 2 * generation.samples_per_prompt)
    return generation.samples_per_prompt


def cell_for(
    candidate: Candidate,
    baseline: Candidate,
    prompt: Prompt,
    sample: int,
    generation: GenerationConfig,
) -> Cell:
    """The cell of one response.

    The seed depends on prompt and sample only, so every candidate gets the same. The id covers
    all that decides the text: model, template and conversation (hence the rendered prompt),
    sampling, seed and engine version; it needs no loaded model to be computed.
    """
    return _cell(candidate, baseline, prompt, sample, generation, None)


def cells_again(
    baseline: Candidate,
    prompt: Prompt,
    study_width: int,
    generation: GenerationConfig,
) -> list[Cell]:
    """The baseline's cells with the same seeds, to be generated at :func:`other_width`.

    As many as a candidate has; they measure the numeric noise floor and are shown to nobody.
    """
    return [
        _cell(baseline, baseline, prompt, sample, generation, other_width(study_width))
        for sample in range(generation.samples_per_prompt)
    ]


def other_width(study_width: int) -> int:
    """The batch width at which the baseline is generated again: half the study's, or 2 for 1."""
    return max(1, study_width // 2) if study_width > 1 else 2


def prompts_again(prompts: Sequence[Prompt], seed: int) -> tuple[Prompt, ...]:
    """A seeded choice of prompts, the same whatever order they come in."""
    order = sorted(prompts, key=lambda one: stable_hash([seed, "again", one.id]))
    return tuple(order[:_AGAIN_PROMPTS])


def technical_id(
    candidate: Candidate, replies: Sequence[Response], machine: PerformanceConfig
) -> str:
    """The id of a candidate's figures: of what, with which engine, where, on which replies."""
    places = [machine.gpu_layers, machine.main_gpu, machine.tensor_split, machine.threads]
    key = [_TECHNICAL_VERSION, candidate.sha256, engine_version(), places]
    return stable_hash([*key, [one.id for one in replies]], 24)


def _cell(
    candidate: Candidate,
    baseline: Candidate,
    prompt: Prompt,
    sample: int,
    generation: GenerationConfig,
    width: int | None,
) -> Cell:
    seed_hex = stable_hash([generation.seed, prompt.id, sample], _SEED_DIGITS)
    seed = int(seed_hex, 16)
    inputs = [
        candidate.sha256,
        template_for(candidate, baseline, generation),
        [turn.model_dump() for turn in conversation(prompt, generation)],
        generation.sampling.model_dump(),
        seed,
        engine_version(),
    ]
    # The study's own width is no part of the id: its first response is the canonical one.
    key = stable_hash(inputs if width is None else [*inputs, "width", width], 32)
    return Cell(id=key, candidate=candidate.sha256, prompt_id=prompt.id, sample=sample, seed=seed)
