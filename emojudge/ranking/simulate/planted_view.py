"""A whole study's view of planted truth, for benchmarks, pictures and tests; nothing is on disk."""

from __future__ import annotations

import datetime
import random
from collections.abc import Sequence

import numpy as np

from emojudge.config import Config
from emojudge.domain import (
    Candidate,
    Criterion,
    Message,
    ModelFile,
    Prompt,
    RatedItem,
    Rating,
    Response,
    Specs,
    stable_hash,
)
from emojudge.ranking.choice import Shown, balanced
from emojudge.ranking.simulate.planted import Design, PlantedScores, Truth
from emojudge.view import StudyView

_MEGABYTE = 1_000_000
_START = datetime.datetime(2026, 11, 3, 9, 0, tzinfo=datetime.UTC)
_CRITERION_SD = 0.12


def planted_candidates(sizes: Sequence[tuple[str, int]]) -> tuple[Candidate, ...]:
    """Candidates of the given names and megabytes; the first is the baseline."""
    return tuple(
        Candidate(
            name=name,
            files=(
                ModelFile(
                    path=f"/models/{name}.gguf",
                    size=megabytes * _MEGABYTE,
                    sha256=stable_hash(name, 64),
                    mtime_ns=0,
                    inode=number,
                ),
            ),
            specs=Specs(
                architecture="llama",
                model_name=None,
                parameters=135_000_000,
                quantization=name,
                bits_per_weight=16.0 * megabytes / sizes[0][1],
                tensor_types={name: 1},
                context_length=2048,
                vocabulary_size=49152,
                chat_template=None,
            ),
            is_baseline=number == 0,
            compression_ratio=sizes[0][1] / megabytes,
        )
        for number, (name, megabytes) in enumerate(sizes)
    )


def planted_view(
    truth: Truth,
    design: Design,
    sizes: Sequence[tuple[str, int]],
    *,
    items: int,
    seed: int = 1,
    config: Config | None = None,
) -> StudyView:
    """A view after so many items. Scores are whole, from 1 to 5, on each of the four criteria."""
    planted = PlantedScores(truth, design, np.random.default_rng(seed))
    candidates = planted_candidates(sizes)
    prompts = tuple(
        Prompt(
            id=f"prompt-{number}",
            messages=(Message(role="user", content=f"Situation number {number}."),),
            category="comfort in crisis",
        )
        for number in range(design.prompts)
    )
    responses = tuple(
        _response(candidate, prompt, sample)
        for candidate in candidates
        for prompt in prompts
        for sample in range(design.samples)
    )
    return StudyView(
        config=config or Config(name="planted"),
        seed=seed,
        candidates=candidates,
        unusable=(),
        prompts=prompts,
        responses=responses,
        failures=(),
        judgements=(),
        rated=_rated(planted, candidates, prompts, items, seed),
        ai_scores={
            one.id: float(score) for one, score in zip(responses, planted.ai.ravel(), strict=True)
        },
    )


def _response_id(candidate: Candidate, prompt: Prompt, sample: int) -> str:
    return f"{candidate.name}/{prompt.id}/{sample}"


def _response(candidate: Candidate, prompt: Prompt, sample: int) -> Response:
    return Response(
        id=_response_id(candidate, prompt, sample),
        candidate=candidate.sha256,
        prompt_id=prompt.id,
        sample=sample,
        seed=sample,
        text=f"Answer {sample} to {prompt.id}.",
        finish="end",
        prompt_tokens=40,
        tokens=30,
        first_token_seconds=0.1,
        seconds=1.0,
        rendered_sha256="",
        engine="planted",
        created=_START.isoformat(),
    )


def _rated(
    planted: PlantedScores,
    candidates: Sequence[Candidate],
    prompts: Sequence[Prompt],
    items: int,
    seed: int,
) -> tuple[RatedItem, ...]:
    rng = np.random.default_rng([seed, 2])
    draw = random.Random(seed)
    shown = Shown(len(candidates))
    weights = Config().human_judging.criteria_weights
    assert set(weights) == set(Criterion)
    rated = []
    for number, (rater, prompt, sample) in enumerate(planted.visits()[:items]):
        chosen = balanced(shown, min(planted.design.panes, len(candidates)), draw)
        shown.add(chosen)
        values = planted.rate(rater, prompt, sample, np.array(chosen))
        name = f"rater-{rater + 1}"
        rated.append(
            RatedItem(
                id=f"{name}:{number}",
                rater=name,
                number=number,
                prompt_id=prompts[prompt].id,
                sample=sample,
                ratings=tuple(
                    Rating(
                        candidate=candidates[one].sha256,
                        response_id=_response_id(candidates[one], prompts[prompt], sample),
                        scores=_whole(float(value), rng),
                    )
                    for one, value in zip(chosen, values, strict=True)
                ),
                seconds=40.0,
                submitted=(_START + datetime.timedelta(minutes=number)).isoformat(),
            )
        )
    return tuple(rated)


def _whole(value: float, rng: np.random.Generator) -> dict[Criterion, int]:
    """Four whole scores around one value."""
    noisy = 1 + 4 * (value + rng.normal(0, _CRITERION_SD, len(Criterion)))
    return {
        criterion: int(min(max(round(float(one)), 1), 5))
        for criterion, one in zip(Criterion, noisy, strict=True)
    }
