"""What commands do once they are parsed: open studies, run event loops, turn signals into ends."""

from __future__ import annotations

import asyncio
import difflib
import functools
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import typer

from emojudge.candidates.discover import scan_names
from emojudge.candidates.ggml_types import FILE_TYPES
from emojudge.candidates.nearby import Nearby, find_nearby, models_in
from emojudge.commands.init_questions import ask_start
from emojudge.config_file import LoadedConfig, load_config
from emojudge.deploy.companion_manifest import CompanionManifest
from emojudge.engine.quantizer import quantize_ladder
from emojudge.errors import Interrupted, NeedsPerson, UsageError
from emojudge.opening import open_workstation, require_terminal
from emojudge.paths import CONFIG_NAME, write_durably
from emojudge.pipeline import setup
from emojudge.pipeline.bench.deploy import run_deploy_benchmark
from emojudge.pipeline.bench.figures import BenchFigures
from emojudge.pipeline.bench.model import BenchResult, run_benchmark
from emojudge.pipeline.bench.ranking import RankingBench, run_ranking_benchmark
from emojudge.pipeline.bench.ui import run_ui_benchmark
from emojudge.pipeline.cache import CacheContents, cache_contents, prune
from emojudge.pipeline.desk import Desk
from emojudge.pipeline.exchange import Imported, chosen_format, export_text, import_ratings
from emojudge.pipeline.headless import HeadlessRun, Outcome
from emojudge.pipeline.judges_found import JudgesFound, check_judges, judges_found, require_judges
from emojudge.pipeline.log_file import start_log
from emojudge.pipeline.reporting import write_report
from emojudge.pipeline.setup import demo_ladder, prepare_demo
from emojudge.pipeline.study import Study
from emojudge.progress_bars import ProgressBars
from emojudge.prompts import load_prompts
from emojudge.report.write import Written
from emojudge.say import is_verbose, say, say_progress
from emojudge.settings import load_settings, rater_name
from emojudge.text import counted, visible

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
    scan_names(
        loaded.resolve(config.candidate_dir),
        wanted=config.models_to_compare,
        baseline=config.baseline_model,
        resolve=loaded.resolve,
    )
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


def demo_workstation(out: Path, prompts: int | None) -> None:
    """``emojudge demo``."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "The demo opens a workstation and this is not a terminal; add --headless to run it "
            "without one."
        )
    require_terminal()
    run_until_signalled(prepare_demo(out, say))
    open_workstation(out, prompts, screen="candidates", start=True)


def demo_headless(out: Path, prompts: int | None) -> Outcome:
    """``emojudge demo --headless``: everything up to where people are needed."""
    run_until_signalled(prepare_demo(out, say))

    async def work(run: HeadlessRun) -> None:
        await run.run("ai-judge")
        run.rank()

    return run_headless(load_for_command(out, prompts), work)


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


def rate_plainly(loaded: LoadedConfig, rater: str | None) -> None:
    """``emojudge rate --plain``."""
    from emojudge.plain import PlainRating, lines_of

    settings = load_settings()
    name = rater_name(rater, settings)
    for stream in (sys.stdin, sys.stdout):
        # A terminal may know fewer characters than a model, or send other bytes.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    with_log(loaded, None)
    study = Study(loaded)
    try:
        desk = Desk(study, name)
        # A pipe's other end reads each line when it is said.
        say_line = functools.partial(print, flush=True)
        run_until_signalled(
            PlainRating(desk, say_line, settings.break_minutes).run(lines_of(sys.stdin))
        )
    finally:
        study.close()


def first_run(here: Path) -> None:
    """What ``emojudge`` offers in a folder without a study."""
    from emojudge.first_run import FirstRunApp

    require_terminal()
    choice = FirstRunApp(load_settings(), here).run()
    if choice is None:
        return
    if choice.what == "demo":
        demo_workstation(Path("emojudge-demo"), None)
        return
    config = setup.init(here, setup.Start(choice.models))
    say(setup.how_to_go_on(config, choice.models))
    if choice.models is not None and len(choice.models.models) > 1:
        open_workstation(here, screen="candidates")


def start_study(
    folder: Path, models: Path | None, baseline: str | None, core: str | None, *, ask: bool
) -> None:
    """``emojudge init``: from what was given, from answers, or from what lies in the folder."""
    start = setup.Start(_given(models), baseline, core or setup.CORE_DIR)
    if ask:
        if (folder / CONFIG_NAME).exists():
            setup.init(folder)
        start = ask_start(find_nearby(folder), _prompt)
    elif models is None:
        # What other programs keep is theirs: without an answer only a ladder here is taken.
        near = [one for one in find_nearby(folder) if one.folder and len(one.models) > 1]
        own = (one for one in near if one.folder and one.folder.is_relative_to(folder))
        start = setup.Start(next(own, None), baseline, start.core)
    say(setup.how_to_go_on(setup.init(folder, start), start.models))


def _given(models: Path | None) -> Nearby | None:
    """The candidate folder that ``--models`` names. Raises UsageError."""
    if models is None:
        return None
    if not models.is_dir():
        raise UsageError(f"{models} is no folder. Give --models the folder of your GGUF files.")
    return models_in(models)


def _prompt(question: str, default: str) -> str:
    return str(typer.prompt(question, default=default, err=True))


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
            threads=len(os.sched_getaffinity(0)),
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


def run_bench(
    model: Path | None,
    *,
    repetitions: int,
    tokens: int,
    threads: int | None,
    gpu_layers: int | None,
) -> BenchResult:
    """``emojudge bench``; progress goes to stderr, on one line of a terminal."""

    async def work() -> BenchResult:
        chosen = model or next((await demo_ladder(say)).glob("*-Q8_0/*.gguf"))
        return await run_benchmark(
            chosen,
            threads=threads,
            gpu_layers=gpu_layers,
            repetitions=repetitions,
            tokens=tokens,
            progress=_bench_progress,
        )

    return run_until_signalled(work())


def _bench_progress(what: str, done: int, total: int) -> None:
    say_progress(f"{done} of {total}: {what}", last=done == total)


def run_bench_of_ranking(repetitions: int) -> RankingBench:
    """``emojudge bench --ranking``."""
    return run_ranking_benchmark(repetitions, _bench_progress)


def run_bench_of_ui(repetitions: int) -> BenchFigures:
    """``emojudge bench --ui``."""
    return run_ui_benchmark(repetitions, _bench_progress)


def run_bench_of_deploy(repetitions: int) -> BenchFigures:
    """``emojudge bench --deploy``."""
    return run_deploy_benchmark(repetitions, _bench_progress)


def export_ratings(loaded: LoadedConfig, form: str, out: Path | None, *, votes: bool) -> None:
    """``emojudge export``: to a file, or to stdout, where a terminal gets no control characters."""
    chosen = chosen_format(form)
    study = Study(loaded)
    try:
        text = export_text(study, chosen, votes=votes)
    finally:
        study.close()
    if out is not None:
        write_durably(out, text.encode())
        rows = text.count("\n") - (chosen == "csv")
        say(f"Wrote {out}: {counted(rows, 'row')}.")
    elif sys.stdout.isatty():
        print(visible(text), end="")
    else:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()


def import_into(
    loaded: LoadedConfig, file: Path, encoding: str | None, *, replace: bool, dry_run: bool
) -> Imported:
    """``emojudge import``."""
    study = Study(loaded)
    try:
        return import_ratings(study, file, encoding=encoding, replace=replace, dry_run=dry_run)
    finally:
        study.close()


def rewrite_report(loaded: LoadedConfig, *, html: bool | None) -> Written:
    """``emojudge report``."""
    study = Study(loaded)
    try:
        return write_report(study, html=html)
    finally:
        study.close()
