"""Commands on one study: load its config, look at what it names, run it, say what it holds."""

from __future__ import annotations

from pathlib import Path

from emojudge.candidates.discover import inspect
from emojudge.commands.running import run_headless
from emojudge.config_file import LoadedConfig, load_config
from emojudge.deploy.companion_manifest import CompanionManifest
from emojudge.errors import NoCandidates
from emojudge.pipeline.cache import CacheContents, cache_contents, prune
from emojudge.pipeline.judges_found import JudgesFound, check_judges, judges_found, require_judges
from emojudge.pipeline.outcome import Outcome
from emojudge.pipeline.reporting import write_report
from emojudge.pipeline.study import Study
from emojudge.prompts import load_prompts
from emojudge.ranking.evidence import too_few_prompts
from emojudge.report.write import Written
from emojudge.say import say
from emojudge.text import sentence


def load_for_command(config: Path, prompts: int | None) -> LoadedConfig:
    """Load a config and apply ``--prompts``."""
    loaded = load_config(config)
    for warning in loaded.warnings:
        say(f"warning: {warning}")
    return loaded.with_prompts(prompts)


def check_inputs(loaded: LoadedConfig) -> None:
    """Look at what the config names, without writing anything. Raises what a run would."""
    config = loaded.config
    check_judges(loaded)
    prompts = load_prompts(loaded.resolve(config.evaluation_prompts))
    chosen = len(prompts)
    if config.performance_config.max_prompts is not None:
        chosen = min(chosen, config.performance_config.max_prompts)
    few = too_few_prompts(chosen, config.judging_config.minimum_human_samples)
    if few is not None:
        say(f"warning: {few}")
    sound, left_out = inspect(
        loaded.resolve(config.candidate_dir),
        wanted=config.models_to_compare,
        baseline=config.baseline_model,
        resolve=loaded.resolve,
    )
    for one in left_out:
        say(f"warning: {one.name} is left out: {sentence(one.reason)} {sentence(one.remedy)}")
    if not sound:
        raise NoCandidates("No model in candidate_dir can be read: there is nothing to compare.")
    wanted = config.replacement_config.manifest
    if wanted is not None and config.replacement_config.manifest_update:
        CompanionManifest(loaded.resolve(wanted)).remember()


def run_study(loaded: LoadedConfig, phase: str, *, force: str | None) -> Outcome:
    """``emojudge run`` without screens."""
    return run_headless(loaded, lambda run: run.run(phase, force=force))


def look_at_cache(loaded: LoadedConfig, *, prune_it: bool) -> CacheContents:
    """``emojudge cache``."""
    study = Study(loaded)
    try:
        return prune(study) if prune_it else cache_contents(study)
    finally:
        study.close()


def look_at_judges(loaded: LoadedConfig, *, exam: bool) -> JudgesFound:
    """``emojudge judges``; with ``exam`` it generates and asks what is missing."""
    if exam:
        require_judges(loaded)
        run_headless(loaded, lambda run: run.sit_exams())
    study = Study(loaded)
    try:
        return judges_found(study)
    finally:
        study.close()


def rewrite_report(loaded: LoadedConfig, *, html: bool | None) -> Written:
    """``emojudge report``."""
    study = Study(loaded)
    try:
        return write_report(study, html=html)
    finally:
        study.close()
