"""Ratings: given line by line, carried out of a study and into one."""

from __future__ import annotations

import csv
import functools
import io
import os
import sys
from pathlib import Path

from emojudge.commands.options import write_out
from emojudge.commands.running import run_until_signalled, with_log
from emojudge.config_file import LoadedConfig
from emojudge.paths import write_durably
from emojudge.pipeline.desk import Desk
from emojudge.pipeline.exchange import Imported, chosen_format, export_text, import_ratings
from emojudge.pipeline.study import Study
from emojudge.say import say
from emojudge.settings import load_settings, rater_name
from emojudge.text import counted, visible


def _columns() -> int | None:
    """How wide the terminal is now; None where nobody looks at one."""
    return os.get_terminal_size(1).columns if sys.stdout.isatty() else None


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
            PlainRating(desk, say_line, settings.break_minutes, _columns).run(lines_of(sys.stdin))
        )
    finally:
        study.close()


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
        rows = (
            sum(1 for _ in csv.reader(io.StringIO(text))) - 1
            if chosen == "csv"
            else text.count("\n")
        )
        say(f"Wrote {out}: {counted(rows, 'row')}.")
    elif sys.stdout is not None and sys.stdout.isatty():
        write_out(visible(text))
    else:
        write_out(text.encode())


def import_into(
    loaded: LoadedConfig, file: Path, encoding: str | None, *, replace: bool, dry_run: bool
) -> Imported:
    """``emojudge import``."""
    study = Study(loaded)
    try:
        return import_ratings(study, file, encoding=encoding, replace=replace, dry_run=dry_run)
    finally:
        study.close()
