"""The whole checkup, in the order in which somebody reads it."""

from __future__ import annotations

import os
from pathlib import Path

from emojudge.config_file import LoadedConfig, load_config
from emojudge.errors import UsageError
from emojudge.paths import CONFIG_NAME, cache_dir
from emojudge.pipeline.doctor import machine, models, study, terminal
from emojudge.pipeline.doctor.findings import Checkup, Finding, failure, well


def checkup(place: Path) -> Checkup:
    """Look at this machine, and at the study of a config (a file, or the folder of one)."""
    loaded, told = _config(place)
    found = machine.look_at_machine()
    threads = loaded.config.performance_config.threads if loaded else None
    found.append(machine.processors(threads, os.cpu_count() or 1))
    if loaded is None:
        found += [machine.memory(0), machine.disk("disk", Path(), 0)]
        found += [terminal.look_at_terminal(), models.demo(), models.encoder(None), told]
        return Checkup(tuple(found))
    candidates, largest = models.candidates(loaded)
    store = loaded.resolve(loaded.config.replacement_config.active_dir)
    found += [
        machine.memory(largest),
        machine.disk("disk", loaded.study_dir, 0),
        machine.disk("core's disk", store, largest, failing=False),
        machine.disk("cache", cache_dir(), 0),
        terminal.look_at_terminal(),
        models.demo(),
        models.encoder(loaded),
        told,
        candidates,
        models.prompts(loaded),
        models.judges(loaded),
        study.stored(loaded),
        study.core(loaded),
    ]
    return Checkup(tuple(found))


def _config(place: Path) -> tuple[LoadedConfig | None, Finding]:
    """The study's config; a folder without one is no failure."""
    if place.is_dir() and not (place / CONFIG_NAME).exists():
        return None, well("study", f"none in {place.resolve()}", "emojudge init, or emojudge demo")
    try:
        loaded = load_config(place)
    except UsageError as problem:
        return None, failure("config", str(problem), "emojudge config check")
    return loaded, study.config(loaded)
