"""The command line: parse, call, print. Rooms are imported inside commands, so help stays quick."""

from __future__ import annotations

import dataclasses
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Literal

import typer

from emojudge import __version__
from emojudge.commands import statistics
from emojudge.commands.deploy import deploy_app
from emojudge.commands.options import (
    VERBOSE,
    CannotPrint,
    ConfigOption,
    EncodingOption,
    JsonOption,
    PromptsOption,
    existing,
    load,
    result,
)
from emojudge.errors import EmojudgeError, UsageError
from emojudge.paths import CONFIG_NAME
from emojudge.say import be_verbose, is_verbose, say
from emojudge.terminal_text import never_fail_on_signs

PhaseName = Literal["discover", "ai-judge", "human-judge", "rank", "deploy", "full"]

app = typer.Typer(
    name="emojudge",
    help="Find the quantized rung of a companion model that still feels right, and promote it.\n\n"
    "Without a command: open the workstation on the study in this folder, or begin one.",
    no_args_is_help=False,
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(
    help="The config's schema, and its errors.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(deploy_app, name="deploy")
app.add_typer(config_app, name="config")


def at_terminal() -> bool:
    """Whether a person can answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the versions and leave.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option(VERBOSE, help="More log, and tracebacks; anywhere on the line.")
    ] = False,
) -> None:
    """Without a command: open the workstation on the study in this folder."""
    if version:
        from emojudge.engine.build import llama_build

        python = f"Python {'.'.join(map(str, sys.version_info[:3]))}"
        print(f"emojudge {__version__} ({llama_build() or 'without llama-cpp-python'}, {python})")
        raise typer.Exit
    if context.invoked_subcommand is None:
        _open_here()


def _open_here() -> None:
    """``emojudge`` alone: the study in this folder, or the first-run screen."""
    if not at_terminal():
        raise UsageError(
            "The workstation needs a terminal. See `emojudge --help` for what runs without one."
        )
    if (Path() / CONFIG_NAME).exists():
        from emojudge.opening import open_workstation

        open_workstation(Path(), screen="candidates")
    else:
        from emojudge.commands.start import first_run

        first_run(Path())


@app.command()
def demo(
    headless: Annotated[bool, typer.Option("--headless", help="No terminal: run, report.")] = False,
    prompts: PromptsOption = None,
    out: Annotated[Path, typer.Option("--out", help="The study's folder.")] = Path("emojudge-demo"),
    as_json: JsonOption = False,
) -> None:
    """A complete study on real small models."""
    from emojudge.commands.start import demo_headless, demo_workstation

    if not headless:
        demo_workstation(out, prompts)
        return
    done = demo_headless(out, prompts)
    result(done.as_json(), as_json, done.lines())
    say(f"next: cd {out}, then emojudge: F3 rates, F4 shows all that was measured")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The study's folder.")] = Path(),
    models: Annotated[
        Path | None, typer.Option("--models", help="The folder of your GGUF files.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option("--baseline", help="A model's name; unset: the most bits.")
    ] = None,
    core: Annotated[
        str | None, typer.Option("--core", help="Where the companion's core lives; unset: core.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
) -> None:
    """Write a config and the bundled prompts.

    At a terminal it asks three questions; with options, or with --yes, none.
    """
    from emojudge.commands.start import start_study

    given = models is not None or baseline is not None or core is not None
    start_study(folder, models, baseline, core, ask=at_terminal() and not yes and not given)


@app.command()
def run(
    config: ConfigOption = Path(),
    phase: Annotated[PhaseName, typer.Option("--phase", help="One phase of it.")] = "full",
    headless: Annotated[bool, typer.Option("--headless", help="No terminal screens.")] = False,
    prompts: PromptsOption = None,
    force: Annotated[
        str | None, typer.Option("--force", help="Deploy in spite of open gates: the reason.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The workflow, or one phase of it."""
    from emojudge.opening import SCREEN_OF_PHASE, open_workstation

    screen = SCREEN_OF_PHASE.get(phase)
    if screen is None or headless or force or as_json or not at_terminal():
        from emojudge.commands.studies import run_study

        done = run_study(load(config, prompts), phase, force=force)
        result(done.as_json(), as_json, done.lines())
        if done.stopped is not None:
            raise done.stopped
        return
    start = phase in ("ai-judge", "full")
    open_workstation(config, prompts, screen=screen, start=start)


@app.command()
def rate(
    config: ConfigOption = Path(),
    rater: Annotated[str | None, typer.Option("--rater", help="Your name as a rater.")] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Line by line, for screen readers and dumb terminals.")
    ] = False,
) -> None:
    """Straight to rating."""
    if plain:
        from emojudge.commands.ratings import rate_plainly

        rate_plainly(load(config), rater)
        return
    if not at_terminal():
        raise UsageError(
            "Rating on a screen needs a terminal. Run `emojudge rate` in one, or rate line by line "
            "with `emojudge rate --plain`."
        )
    from emojudge.opening import open_workstation

    open_workstation(config, screen="rate", rater=rater)


@app.command()
def quantize(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The GGUF to start from.")],
    types: Annotated[str, typer.Option("--types", help="Comma-separated, e.g. Q8_0,Q5_0,Q4_0.")],
    out: Annotated[Path, typer.Option("--out", help="The folder for the new model folders.")],
    imatrix: Annotated[Path | None, typer.Option("--imatrix", help="Importance matrix.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a ladder of smaller files from one GGUF."""
    from emojudge.commands.quantizing import run_quantize

    made = [str(one) for one in run_quantize(existing(source), types, out, imatrix)]
    result({"models": made}, as_json, made)


@app.command()
def report(
    config: ConfigOption = Path(),
    html: Annotated[
        bool, typer.Option("--html", help="The HTML page too, whatever the config says.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the report's JSON Schema and write nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Reports again from what is stored."""
    if schema:
        from emojudge.report.schema import report_schema

        result(report_schema(), True, [])
        return
    from emojudge.commands.studies import rewrite_report

    written = rewrite_report(load(config), html=True if html else None)
    files = {
        "report": written.report,
        "summary": written.summary,
        "comparisons": written.comparisons,
        "html": written.html,
    }
    named = {name: str(file) for name, file in files.items() if file is not None}
    result(named, as_json, list(named.values()))


app.command()(statistics.agree)
app.command()(statistics.rank)
app.command()(statistics.simulate)


@app.command("export")
def export_command(
    config: ConfigOption = Path(),
    form: Annotated[Literal["csv", "jsonl"], typer.Option("--format")] = "csv",
    out: Annotated[Path | None, typer.Option("--out", help="A file; unset: stdout.")] = None,
    votes: Annotated[
        bool, typer.Option("--votes", help="Quick votes on pairs, as `emojudge rank` reads them.")
    ] = False,
) -> None:
    """All ratings of a study, one row for each rated response."""
    from emojudge.commands.ratings import export_ratings

    export_ratings(load(config), form, out, votes=votes)


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="CSV or JSONL as export writes it; - is stdin.")],
    config: ConfigOption = Path(),
    encoding: EncodingOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite items that are stored otherwise.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and compare; write nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Ratings into a study: all of a file's, or none."""
    from emojudge.commands.ratings import import_into

    done = import_into(load(config), file, encoding, replace=replace, dry_run=dry_run)
    result(done.as_json(), as_json, done.lines(), done.notes)


@app.command()
def judges(
    config: ConfigOption = Path(),
    exam: Annotated[
        bool, typer.Option("--exam", help="Let every judge sit the exam now (minutes).")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """The AI judges: their exam, and what they count for."""
    from emojudge.commands.studies import look_at_judges

    found = look_at_judges(load(config), exam=exam)
    result(found.as_json(), as_json, found.lines())
    if exam and not found.all_examined:
        raise typer.Exit(1)


@app.command()
def cache(
    config: ConfigOption = Path(),
    prune: Annotated[bool, typer.Option("--prune", help="Remove what nothing refers to.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What the study has stored, and pruning of what nothing needs.

    A response that somebody judged or rated is never removed.
    """
    from emojudge.commands.studies import look_at_cache

    contents = look_at_cache(load(config), prune_it=prune)
    result(contents.as_json(), as_json, contents.lines())


@app.command()
def doctor(config: ConfigOption = Path(), as_json: JsonOption = False) -> None:
    """What would stop a run here, and the command that mends it.

    Exit status 1 if anything would.
    """
    from emojudge.pipeline.doctor.checkup import checkup

    found = checkup(config)
    result(found.as_json(), as_json, found.lines())
    if found.failed:
        raise typer.Exit(1)


@app.command()
def bench(
    model: Annotated[
        Path | None, typer.Option("--model", help="A GGUF; unset: the demo's Q8_0.")
    ] = None,
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="Repetitions.")] = 5,
    tokens: Annotated[int, typer.Option("--tokens", min=8, help="Tokens of each text.")] = 48,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads; unset: all cores.")
    ] = None,
    gpu_layers: Annotated[
        int | None, typer.Option("--gpu-layers", help="Layers on the GPU; unset: all.")
    ] = None,
    ranking: Annotated[
        bool, typer.Option("--ranking", help="Ratings, rankings and votes instead of a model.")
    ] = False,
    ui: Annotated[
        bool, typer.Option("--ui", help="The workstation on a pseudo-terminal instead.")
    ] = False,
    deploy: Annotated[
        bool, typer.Option("--deploy", help="Promoting and rolling back a model of 2 GB instead.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Speed of this machine against its own limits (some minutes)."""
    if sum((ranking, ui, deploy, model is not None)) > 1:
        raise UsageError("--model, --ranking, --ui and --deploy exclude each other; give one.")
    from emojudge.commands.benches import (
        run_bench,
        run_bench_of_deploy,
        run_bench_of_ranking,
        run_bench_of_ui,
    )

    if ui or deploy:
        measured = run_bench_of_ui(repeat) if ui else run_bench_of_deploy(repeat)
        result(measured.as_json(), as_json, measured.lines())
        return
    if ranking:
        timings = run_bench_of_ranking(repeat)
        result(timings.as_json(), as_json, timings.lines())
        return
    done = run_bench(
        None if model is None else existing(model),
        repetitions=repeat,
        tokens=tokens,
        threads=threads,
        gpu_layers=gpu_layers,
    )
    result(done.as_json(), as_json, done.lines())


@config_app.command("schema")
def config_schema() -> None:
    """The JSON Schema of phase2_config.json."""
    from emojudge.config import json_schema

    result(json_schema(), True, [])


@config_app.command("check")
def config_check(
    file: Annotated[
        Path, typer.Argument(metavar="F", help="phase2_config.json, or the folder that holds it.")
    ] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Check a config: every error with line and column."""
    from emojudge.commands.studies import check_inputs
    from emojudge.errors import UnsoundConfig

    try:
        loaded = load(file)
    except UnsoundConfig as problem:
        found = [dataclasses.asdict(one) for one in problem.problems]
        value = {"file": str(problem.file), "sound": False, "problems": found}
        result(value, as_json, [str(one) for one in problem.problems])
        say(f"emojudge: {problem.file} cannot be used until that is mended.")
        raise typer.Exit(problem.exit_code) from problem
    try:
        check_inputs(loaded)
    except EmojudgeError as problem:
        if as_json:
            wrong = [{"path": "", "message": str(problem), "line": 0, "column": 0}]
            result({"file": str(loaded.file), "sound": False, "problems": wrong}, as_json, [])
        raise
    sound = f"{loaded.file} is sound, and its candidates and prompts can be read."
    result({"file": str(loaded.file), "sound": True, "problems": []}, as_json, [sound])


def main() -> None:
    """The console script: errors as one paragraph, tracebacks only with --verbose."""
    never_fail_on_signs()
    if VERBOSE in sys.argv:
        sys.argv.remove(VERBOSE)
        be_verbose()
    try:
        app(standalone_mode=True)
    except EmojudgeError as problem:
        if is_verbose():
            traceback.print_exception(problem)
        say(f"emojudge: {problem}")
        sys.exit(problem.exit_code)
    except CannotPrint as problem:
        # What is left in the buffer has no place to go.
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if problem.reason is not None:
            say(f"emojudge: Cannot write to standard output: {problem.reason}.")
        sys.exit(1)
