"""Opening the workstation: what a terminal must be, and painting before the rest is imported."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from emojudge.errors import EmojudgeError, UsageError
from emojudge.say import is_verbose, say
from emojudge.terminal_text import speaks_unicode

if TYPE_CHECKING:
    from emojudge.engine.modules import EngineModules
    from emojudge.pipeline.study import Study

# Discover and rank print what they did; the others are worked on in their screens.
SCREEN_OF_PHASE = {
    "ai-judge": "candidates",
    "human-judge": "rate",
    "deploy": "deploy",
    "full": "candidates",
}


def own_command() -> str:
    """How a shell starts this program: by its name where that is found, else by its path."""
    if shutil.which("emojudge") is not None:
        return "emojudge"
    return shlex.quote(str(Path(sys.argv[0]).absolute()))


def require_terminal() -> None:
    """Raises UsageError on a terminal that cannot show screens."""
    if os.environ.get("TERM", "dumb") == "dumb":
        raise UsageError(
            "This terminal (TERM=dumb) cannot show the workstation. Use another terminal; or rate "
            "line by line with `emojudge rate --plain`, and run the phases with `emojudge run "
            "--headless`."
        )
    if not speaks_unicode(sys.stdout):
        raise UsageError(
            f"The locale's encoding is {sys.stdout.encoding}, and the screens need UTF-8. Set it: "
            "export LC_ALL=C.UTF-8"
        )


def open_workstation(
    config: Path,
    prompts: int | None = None,
    *,
    screen: str,
    rater: str | None = None,
    start: bool = False,
    modules: EngineModules | None = None,
) -> None:
    """Open the app on the study of a config (a file, or the folder that holds one).

    ``prompts`` limits them; ``modules`` are other child processes than the real ones. Raises
    UsageError on a terminal that cannot show the app, and whatever ended it.
    """
    require_terminal()
    from emojudge.app import EmojudgeApp
    from emojudge.settings import load_settings, rater_name

    opened: list[Study] = []

    def open_study() -> Study:
        from emojudge.config_file import load_config
        from emojudge.pipeline.log_file import start_log
        from emojudge.pipeline.study import Study

        loaded = load_config(config).with_prompts(prompts)
        start_log(loaded.study_dir, logging.DEBUG if is_verbose() else loaded.log_level, None)
        opened.append(Study(loaded))
        return opened[0]

    # A parent (a Python prompt, watch) may have set its size once; the terminal knows its own now.
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    settings = load_settings()
    app = EmojudgeApp(
        open_study,
        settings,
        rater=rater_name(rater, settings),
        first_screen=screen,
        start=start,
        modules=modules,
    )
    try:
        app.run()
    finally:
        for study in opened:
            study.close()
    problem: EmojudgeError | None = app.problem
    if problem is not None:
        raise problem
    if app.return_code:
        sys.exit(app.return_code)
    for study in opened:
        folder = study.loaded.file.parent
        say(f"Everything is stored in {folder}; `{own_command()}` there goes on where you left.")
