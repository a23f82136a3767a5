"""The command line: parse, call, print. Rooms are imported inside commands, so help stays quick."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from emojudge import __version__
from emojudge.cli_options import (
    ConfigOption,
    EncodingOption,
    JsonOption,
    PromptsOption,
    VerboseOption,
    load,
    result,
)
from emojudge.deploy_commands import deploy_app
from emojudge.errors import EmojudgeError, UsageError
from emojudge.paths import CONFIG_NAME
from emojudge.say import say

PHASES = ("discover", "ai-judge", "human-judge", "rank", "deploy", "full")

app = typer.Typer(
    name="emojudge",
    help="Find the quantized rung of a companion model that still feels right, and promote it.",
    no_args_is_help=False,
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=True,
    pretty_exceptions_enable=False,
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
    verbose: VerboseOption = False,
) -> None:
    """Without a command: open the workstation on the study in this folder."""
    if version:
        from emojudge.engine.build import llama_build

        python = f"Python {'.'.join(map(str, sys.version_info[:3]))}"
        print(f"emojudge {__version__} ({llama_build() or 'without llama-cpp-python'}, {python})")
        raise typer.Exit
    if context.invoked_subcommand is None:
        _open_here(verbose=verbose)


def _open_here(*, verbose: bool) -> None:
    """``emojudge`` alone: the study in this folder, or the first-run screen."""
    if not at_terminal():
        raise UsageError(
            "The workstation needs a terminal. See `emojudge --help` for what runs without one."
        )
    if (Path() / CONFIG_NAME).exists():
        from emojudge.opening import open_workstation

        open_workstation(Path(), screen="candidates", verbose=verbose)
    else:
        from emojudge.cli_support import first_run

        first_run(Path())


@app.command()
def demo(
    headless: Annotated[bool, typer.Option("--headless", help="No terminal: run, report.")] = False,
    prompts: PromptsOption = None,
    out: Annotated[Path, typer.Option("--out", help="The study's folder.")] = Path("emojudge-demo"),
    verbose: VerboseOption = False,
) -> None:
    """A complete study on real small models, with the F16 as the current core."""
    from emojudge.cli_support import run_demo

    run_demo(out, prompts, headless=headless, verbose=verbose)


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
    """Write a config and the bundled prompt set; at a terminal it asks three questions."""
    from emojudge.cli_support import start_study

    given = models is not None or baseline is not None or core is not None
    start_study(folder, models, baseline, core, ask=at_terminal() and not yes and not given)


@app.command()
def run(
    config: ConfigOption = Path(),
    phase: Annotated[str, typer.Option("--phase", help=", ".join(PHASES))] = "full",
    headless: Annotated[bool, typer.Option("--headless", help="No terminal screens.")] = False,
    prompts: PromptsOption = None,
    force: Annotated[
        str | None, typer.Option("--force", help="Deploy in spite of open gates: the reason.")
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """The workflow, or one phase of it."""
    from emojudge.opening import SCREEN_OF_PHASE, open_workstation

    if phase not in PHASES:
        raise UsageError(f"There is no phase {phase!r}; there are {', '.join(PHASES)}.")
    screen = SCREEN_OF_PHASE.get(phase)
    if screen is None or headless or force or not at_terminal():
        from emojudge.cli_support import run_study

        run_study(load(config, prompts), phase, force=force, verbose=verbose)
        return
    start = phase in ("ai-judge", "full")
    open_workstation(config, prompts, screen=screen, start=start, verbose=verbose)


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
        from emojudge.cli_support import rate_plainly

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
) -> None:
    """Make a ladder in the Pass 1 layout with llama.cpp's quantizer."""
    from emojudge.cli_support import run_quantize

    for folder in run_quantize(source, types, out, imatrix):
        print(folder)


@app.command()
def report(
    config: ConfigOption = Path(),
    html: Annotated[bool, typer.Option("--html", help="Also write the HTML page.")] = False,
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
    from emojudge.cli_support import rewrite_report

    written = rewrite_report(load(config), html=html)
    files = {
        "report": written.report,
        "summary": written.summary,
        "comparisons": written.comparisons,
        "html": written.html,
    }
    named = {name: str(file) for name, file in files.items() if file is not None}
    result(named, as_json, list(named.values()))


@app.command()
def agree(
    file: Annotated[Path, typer.Argument(help="CSV or JSONL; - is standard input.")],
    columns: Annotated[
        str | None, typer.Option("--columns", help="The raters' columns: a,b[,c…].")
    ] = None,
    item: Annotated[
        str | None, typer.Option("--item", help="One row per rating: the items' column.")
    ] = None,
    rater: Annotated[str | None, typer.Option("--rater", help="… the raters' column.")] = None,
    value: Annotated[str | None, typer.Option("--value", help="… the ratings' column.")] = None,
    level: Annotated[
        str, typer.Option("--level", help="nominal, ordinal or interval.")
    ] = "ordinal",
    encoding: EncodingOption = None,
    as_json: JsonOption = False,
) -> None:
    """How far raters agree, in anybody's file: α, κ, AC2, correlations, with intervals."""
    from emojudge.ranking.agree_file import agree_file, chosen_form, chosen_level

    form = chosen_form(columns, item, rater, value)
    found = agree_file(file, form, chosen_level(level), encoding)
    result(found.as_json(), as_json, found.lines(), found.notes)


@app.command()
def rank(
    file: Annotated[
        Path, typer.Argument(help="CSV or JSONL with left, right, winner; - is standard input.")
    ],
    encoding: EncodingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bradley-Terry strengths of names from pairwise votes, with intervals."""
    from emojudge.ranking.rank_file import rank_file

    found = rank_file(file, encoding)
    result(found.as_json(), as_json, found.lines(), found.notes)


@app.command()
def simulate(
    strengths: Annotated[
        str, typer.Option("--strengths", help="True scores, the baseline's first.")
    ] = "0.60,0.60,0.60,0.50",
    ai_strengths: Annotated[
        str | None, typer.Option("--ai-strengths", help="With the AI; unset: the same.")
    ] = None,
    prompts: Annotated[int, typer.Option("--prompts", min=2)] = 100,
    raters: Annotated[int, typer.Option("--raters", min=1)] = 2,
    panes: Annotated[int, typer.Option("--panes", min=2, max=4)] = 4,
    noise: Annotated[
        float, typer.Option("--noise", min=0, help="sd that one rating adds.")
    ] = 0.2236,
    text: Annotated[float, typer.Option("--text", min=0, help="sd of a candidate's texts.")] = 0.1,
    interaction: Annotated[
        float, typer.Option("--interaction", min=0, help="sd of prompt × candidate.")
    ] = 0.05,
    taste: Annotated[float, typer.Option("--taste", min=0, help="sd of rater × candidate.")] = 0.0,
    prompt_sd: Annotated[float, typer.Option("--prompt-sd", min=0)] = 0.1,
    rater_sd: Annotated[
        float, typer.Option("--rater-sd", min=0, help="sd of raters' bias.")
    ] = 0.08,
    correlation: Annotated[
        float, typer.Option("--ai-correlation", min=-1, max=1, help="AI with a text's quality.")
    ] = 0.5,
    ai_weight: Annotated[float, typer.Option("--ai-weight", min=0, max=1)] = 0.4,
    studies: Annotated[
        int | None, typer.Option("--studies", min=1, help="Unset: 200, for --acceptance 2000.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Write an SVG of ratings until a verdict.")
    ] = None,
    acceptance: Annotated[
        bool,
        typer.Option("--acceptance", help="Every promise beside its bound; 1 if one is missed."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Planted truth: error rates, power, ratings to a verdict, balanced against adaptive."""
    from emojudge.ranking.simulate.planted import Design, Truth
    from emojudge.ranking.simulate.summary import Question
    from emojudge.simulate_command import numbers, run_acceptance, run_simulation

    if acceptance:
        found = run_acceptance(studies)
        result(found.as_json(), as_json, found.lines())
        if not found.reached:
            raise typer.Exit(1)
        return
    people = numbers("--strengths", strengths)
    truth = Truth(
        people=people,
        ai=numbers("--ai-strengths", ai_strengths) if ai_strengths is not None else people,
        noise=noise,
        text=text,
        interaction=interaction,
        taste=taste,
        prompt=prompt_sd,
        rater=rater_sd,
        correlation=correlation,
    )
    design = Design(prompts, raters, panes)
    summary = run_simulation(Question(truth, design, ai_weight, studies or 200, seed), plot)
    result(summary.as_json(), as_json, summary.lines())


@app.command("export")
def export_command(
    config: ConfigOption = Path(),
    form: Annotated[str, typer.Option("--format", help="csv or jsonl.")] = "csv",
    out: Annotated[Path | None, typer.Option("--out", help="A file; unset: stdout.")] = None,
    votes: Annotated[
        bool, typer.Option("--votes", help="Quick votes on pairs, as `emojudge rank` reads them.")
    ] = False,
) -> None:
    """All ratings of a study, one row for each rated answer."""
    from emojudge.cli_support import export_ratings

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
    """Ratings into a study: all of the file's, or none where something is wrong."""
    from emojudge.cli_support import import_into

    done = import_into(load(config), file, encoding, replace=replace, dry_run=dry_run)
    result(done.as_json(), as_json, done.lines(), done.notes)


@app.command()
def judges(
    config: ConfigOption = Path(),
    exam: Annotated[
        bool, typer.Option("--exam", help="Let every judge sit the exam now (minutes).")
    ] = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """The judges of the ensemble: their exam, what they count for, and people's view of them."""
    from emojudge.cli_support import look_at_judges

    found = look_at_judges(load(config), exam=exam, verbose=verbose)
    result(found.as_json(), as_json, found.lines())
    if exam and not found.all_examined:
        raise typer.Exit(1)


@app.command()
def cache(
    config: ConfigOption = Path(),
    prune: Annotated[bool, typer.Option("--prune", help="Remove what nothing refers to.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What the study has stored; pruning never removes a judged or rated response."""
    from emojudge.cli_support import look_at_cache

    contents = look_at_cache(load(config), prune_it=prune)
    result(contents.as_json(), as_json, contents.lines())


@app.command()
def doctor(config: ConfigOption = Path(), as_json: JsonOption = False) -> None:
    """What would stop a run here, and the command that mends it; exit 1 if anything would."""
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
    from emojudge.cli_support import (
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
        model, repetitions=repeat, tokens=tokens, threads=threads, gpu_layers=gpu_layers
    )
    result(done.as_json(), as_json, done.lines())


@config_app.command("schema")
def config_schema() -> None:
    """The JSON Schema of phase2_config.json."""
    from emojudge.config import json_schema

    result(json_schema(), True, [])


@config_app.command("check")
def config_check(file: Annotated[Path, typer.Argument(metavar="F")] = Path()) -> None:
    """Check a config; every error with line and column."""
    from emojudge.cli_support import check_inputs

    loaded = load(file)
    check_inputs(loaded)
    say(f"{loaded.file} is sound, and its candidates and prompts can be read.")


def main() -> None:
    """The console script: errors as one paragraph, tracebacks only with --verbose."""
    try:
        app(standalone_mode=True)
    except EmojudgeError as problem:
        if "--verbose" in sys.argv:
            traceback.print_exception(problem)
        say(f"emojudge: {problem}")
        sys.exit(problem.exit_code)
