"""Small studies on scripted workers, for tests of our own logic."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from emojudge.config_file import LoadedConfig, load_config
from emojudge.domain import Criterion
from emojudge.engine.modules import EngineModules
from emojudge.pipeline.headless import HeadlessRun
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.study import Study
from tests.gguf_files import write_ladder

SCRIPTED = EngineModules(
    worker="tests.fakes.scripted_worker", encoder="tests.fakes.scripted_encoder"
)
PROMPTS: list[dict[str, Any]] = [
    {"id": "quiet-house", "prompt": "My dog died this morning and the house is so quiet.",
     "category": "comfort in crisis", "complexity": "simple", "expected_emotion": "caring"},
    {"id": "towels", "prompt": "She refolds my towels. I refolded them back.",
     "category": "lighthearted teasing", "complexity": "moderate"},
    {"id": "letter", "messages": [
        {"role": "user", "content": "the letter came"},
        {"role": "assistant", "content": "Have you opened it?"},
        {"role": "user", "content": "no. i made tea. i made tea for the letter also"}],
     "category": "compassionate dialogue", "complexity": "complex"},
]  # fmt: skip


def write_study(
    folder: Path, *, prompts: list[dict[str, Any]] | None = None, **changes: Any
) -> LoadedConfig:
    """A study folder with three tiny candidates; ``changes`` are merged into its config."""
    if not (folder / "models").exists():
        write_ladder(folder / "models")
    lines = [json.dumps(prompt) for prompt in (PROMPTS if prompts is None else prompts)]
    (folder / "prompts.jsonl").write_text("\n".join(lines) + "\n")
    config: dict[str, Any] = {
        "name": "trial",
        "candidate_dir": "models",
        "evaluation_prompts": "prompts.jsonl",
        "generation": {"samples_per_prompt": 1, "max_tokens": 32},
        "judging_config": {"minimum_human_samples": 2},
        # These tiny files have no weights that llama.cpp could load.
        "replacement_config": {"minimum_size_mb": 0, "validation_required": False},
    }
    for key, value in changes.items():
        if isinstance(value, dict):
            config[key] = {**config.get(key, {}), **value}
        else:
            config[key] = value
    (folder / "phase2_config.json").write_text(json.dumps(config))
    return load_config(folder)


async def judged_study(folder: Path, **changes: Any) -> Study:
    """A study whose ai-judge phase is done; this process no longer leads it."""
    study = Study(write_study(folder, **changes))
    run = HeadlessRun(study, SCRIPTED)
    study.lead()
    await run.discover()
    await run.ai_judge()
    study.close()
    return study


def situations(count: int) -> list[dict[str, Any]]:
    """So many different prompts."""
    return [
        {
            "id": f"p{number}",
            "prompt": f"{PROMPTS[number % 2]['prompt']} It is day {number}.",
            "category": PROMPTS[number % 2]["category"],
        }
        for number in range(count)
    ]


async def well_rated_study(
    folder: Path,
    *,
    prompts: int = 24,
    raters: tuple[str, ...] = ("ana", "ben"),
    items: int = 16,
    samples: int = 1,
) -> Study:
    """A judged study in which people put F16 before Q8_0, and both far before Q4_0."""
    study = await judged_study(
        folder,
        prompts=situations(prompts),
        judging_config={"minimum_human_samples": 10},
        generation={"samples_per_prompt": samples},
    )
    liked = {
        one.sha256: level
        for one, level in zip(study.discovery.candidates, (4.2, 3.4, 1.8), strict=True)
    }
    rng = random.Random(7)
    for rater in raters:
        session = RaterSession(Study(study.loaded), rater)
        for _ in range(items):
            item = session.next_item()
            assert item is not None
            for sha in item.panes:
                for _ in Criterion:
                    session.score(min(5, max(1, round(rng.gauss(liked[sha], 0.6)))))
            session.comment("too cheerful for the moment")
            session.submit()
        session.close()
    return Study(study.loaded)
