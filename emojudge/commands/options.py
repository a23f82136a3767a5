"""What commands share: their options, reading the config, printing a result."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emojudge.errors import UsageError
from emojudge.terminal_text import speaks_unicode

if TYPE_CHECKING:
    from emojudge.config_file import LoadedConfig

ConfigOption = Annotated[
    Path, typer.Option("--config", help="phase2_config.json, or the folder that holds it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
VERBOSE = "--verbose"
EncodingOption = Annotated[
    str | None, typer.Option("--encoding", help="The file's text encoding, if not UTF-8.")
]
PromptsOption = Annotated[
    int | None, typer.Option("--prompts", min=1, help="Use only so many prompts.")
]


def existing(file: Path) -> Path:
    """A file that a command was given. Raises UsageError before anything is started."""
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise UsageError(f"{file} {what}. Name a GGUF file.")
    return file


class CannotPrint(Exception):
    """Standard output takes nothing; ``reason`` is None where its reader only left."""

    def __init__(self, problem: OSError | None) -> None:
        gone = problem is not None and problem.errno == errno.EPIPE
        why = "it is closed" if problem is None else (problem.strerror or str(problem)).lower()
        self.reason = None if gone else why
        super().__init__(self.reason)


def write_out(content: str | bytes) -> None:
    """Write to standard output at once; bytes as they are, whatever the locale.

    Raises CannotPrint.
    """
    if sys.stdout is None:
        raise CannotPrint(None)
    try:
        if isinstance(content, bytes):
            sys.stdout.buffer.write(content)
        else:
            sys.stdout.write(content)
        sys.stdout.flush()
    except OSError as problem:
        raise CannotPrint(problem) from problem


def result(value: Any, as_json: bool, lines: list[str], notes: Sequence[str] = ()) -> None:
    """Print a command's result; notes follow it, dim on a terminal."""
    if as_json:
        import json

        ascii_only = not speaks_unicode(sys.stdout)
        write_out(json.dumps(value, indent=2, ensure_ascii=ascii_only) + "\n")
        return
    from emojudge.text import visible

    dim, plain = ("\x1b[2m", "\x1b[0m") if _styled() else ("", "")
    printed = [visible(line) for line in lines]
    printed += [f"{dim}{visible(note)}{plain}" for note in notes]
    if printed:
        write_out("\n".join(printed) + "\n")


def _styled() -> bool:
    """Whether stdout is a terminal whose user has not asked for plain text."""
    dumb = os.environ.get("TERM", "dumb") == "dumb"
    out = sys.stdout
    return out is not None and out.isatty() and not dumb and not os.environ.get("NO_COLOR")


def load(config: Path, prompts: int | None = None) -> LoadedConfig:
    """The config, with warnings shown and ``--prompts`` applied."""
    from emojudge.commands.studies import load_for_command

    return load_for_command(config, prompts)
