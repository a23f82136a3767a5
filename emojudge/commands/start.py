"""Beginning: the demo, ``init``, and a folder without a study."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

import typer

from emojudge.candidates.nearby import Nearby, find_nearby, models_in
from emojudge.commands.init_questions import ask_start
from emojudge.commands.running import run_headless, run_until_signalled
from emojudge.commands.studies import load_for_command
from emojudge.errors import UsageError
from emojudge.opening import open_workstation, require_terminal
from emojudge.pipeline import setup
from emojudge.pipeline.headless import HeadlessRun
from emojudge.pipeline.outcome import Outcome
from emojudge.pipeline.setup import prepare_demo
from emojudge.say import say
from emojudge.settings import load_settings


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
    if choice.models is not None and len(choice.models.models) > 1:
        open_workstation(here, screen="candidates")
    else:
        say(setup.how_to_go_on(config, choice.models))


def start_study(
    folder: Path, models: Path | None, baseline: str | None, core: str | None, *, ask: bool
) -> None:
    """``emojudge init``: from what was given, from answers, or from what lies in the folder."""
    start = setup.Start(_given(models), baseline, core or setup.CORE_DIR)
    if ask:
        setup.require_new(folder)
        start = ask_start(find_nearby(folder), _prompt)
    elif models is None:
        # What other programs keep is theirs: without an answer only a ladder here is taken.
        near = [one for one in find_nearby(folder) if one.folder and len(one.models) > 1]
        own = (one for one in near if one.folder and one.folder.is_relative_to(folder))
        start = setup.Start(next(own, None), baseline, start.core)
    _require_baseline(start)
    say(setup.how_to_go_on(setup.init(folder, start), start.models))


def _given(models: Path | None) -> Nearby | None:
    """The candidate folder that ``--models`` names. Raises UsageError."""
    if models is None:
        return None
    if not models.is_dir():
        raise UsageError(f"{models} is no folder. Give --models the folder of your GGUF files.")
    found = models_in(models)
    if not found.models:
        raise UsageError(
            f"There is no GGUF file in {models} or in its folders; nothing was written. Name "
            "another folder, or leave --models out and set candidate_dir later."
        )
    return found


def _require_baseline(start: setup.Start) -> None:
    """Raises UsageError for a baseline that is none of the models."""
    names = [one.name for one in start.models.models] if start.models else []
    if start.baseline is not None and names and start.baseline not in names:
        near = difflib.get_close_matches(start.baseline, names, n=1)
        hint = f" The nearest is {near[0]!r}." if near else ""
        raise UsageError(
            f"The baseline {start.baseline!r} is none of the models ({', '.join(names)}); nothing "
            f"was written.{hint}"
        )


def _prompt(question: str, default: str) -> str:
    return str(typer.prompt(question, default=default, err=True))
