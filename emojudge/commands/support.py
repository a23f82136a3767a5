"""What commands do once they are parsed: open studies, run event loops, turn signals into ends."""

from __future__ import annotations

import asyncio
import difflib
import logging
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from emojudge.candidates.discover import inspect
from emojudge.candidates.ggml_types import FILE_TYPES
from emojudge.config_file import LoadedConfig, load_config
from emojudge.deploy.companion_manifest import CompanionManifest
from emojudge.engine.quantizer import quantize_ladder
from emojudge.errors import Interrupted, NeedsPerson, NoCandidates, UsageError
from emojudge.pipeline.cache import CacheContents, cache_contents, prune
from emojudge.pipeline.headless import HeadlessRun
from emojudge.pipeline.judges_found import JudgesFound, check_judges, judges_found, require_judges
from emojudge.pipeline.log_file import start_log
from emojudge.pipeline.outcome import Outcome
from emojudge.pipeline.reporting import write_report
from emojudge.pipeline.study import Study
from emojudge.processors import usable_cores
from emojudge.progress_bars import ProgressBars
from emojudge.prompts import load_prompts
from emojudge.report.write import Written
from emojudge.say import is_verbose, say, say_progress
from emojudge.text import sentence

T = TypeVar("T")
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
    load_prompts(loaded.resolve(config.evaluation_prompts))
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


def run_until_signalled(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work``; Ctrl-C, termination and a hang-up end it in order. Raises Interrupted."""

    async def supervise() -> T:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)
        received: list[signal.Signals] = []

        def stop(number: signal.Signals) -> None:
            received.append(number)
            task.cancel()

        for number in _ENDING_SIGNALS:
            loop.add_signal_handler(number, stop, number)
        try:
            return await task
        except asyncio.CancelledError as cancelled:
            if not received:
                raise
            raise Interrupted(
                f"Stopped by {received[0].name}. What was finished is stored; the same command "
                "goes on from there."
            ) from cancelled

    return asyncio.run(supervise())


def run_headless(
    loaded: LoadedConfig, work: Callable[[HeadlessRun], Coroutine[Any, Any, Any]]
) -> Outcome:
    """Run phases with log lines on stderr, and bars below them on a terminal."""
    bars = ProgressBars()
    with_log(loaded, bars.log_handler)
    study = Study(loaded)
    try:
        with bars:
            run = HeadlessRun(study, show=bars if bars.on_terminal else None)
            stopped = None
            try:
                run_until_signalled(work(run))
            except NeedsPerson as problem:
                # What was done until here is a result, too.
                stopped = problem
        return run.outcome(stopped)
    finally:
        study.close()


def with_log(loaded: LoadedConfig, shown_by: logging.Handler | None) -> None:
    """Start the study's log."""
    start_log(loaded.study_dir, logging.DEBUG if is_verbose() else loaded.log_level, shown_by)


def run_study(loaded: LoadedConfig, phase: str, *, force: str | None) -> Outcome:
    """``emojudge run`` without screens."""
    return run_headless(loaded, lambda run: run.run(phase, force=force))


def run_quantize(source: Path, types: str, out: Path, imatrix: Path | None) -> list[Path]:
    """``emojudge quantize``."""
    wanted = [one.strip().upper() for one in types.split(",") if one.strip()]
    if not wanted:
        raise UsageError("--types names no type; give for example --types Q8_0,Q5_0,Q4_0.")
    for one in wanted:
        if one not in FILE_TYPES.values():
            near = ", ".join(difflib.get_close_matches(one, FILE_TYPES.values(), n=3))
            raise UsageError(
                f"There is no quantization type {one!r}.{f' Near: {near}.' if near else ''} "
                f"There are {', '.join(FILE_TYPES.values())}."
            )

    def progress(kind: str, done: int, total: int) -> None:
        say_progress(f"{kind}: tensor {done} of {total}", last=done == total)

    return run_until_signalled(
        quantize_ladder(
            source,
            wanted,
            out,
            threads=usable_cores(),
            imatrix=imatrix,
            progress=progress,
        )
    )


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
