"""``pass2_execution.log``: what a run did, for people."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from emojudge.errors import StoreError

LOG_NAME = "pass2_execution.log"
_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"


def start_log(folder: Path, level: int, *, to_stderr: bool) -> None:
    """Append to the study's log; with ``to_stderr`` also show it. Raises StoreError."""
    root = logging.getLogger("emojudge")
    root.setLevel(level)
    root.propagate = False
    for handler in tuple(root.handlers):
        root.removeHandler(handler)
        handler.close()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = logging.FileHandler(folder / LOG_NAME, encoding="utf-8")
    except OSError as problem:
        raise StoreError(
            f"Cannot write {folder / LOG_NAME}: {problem.strerror}. Make the study folder "
            "writable, or name another with study_dir in the config."
        ) from problem
    file.setFormatter(logging.Formatter(_FORMAT))
    root.addHandler(file)
    if to_stderr:
        stream = logging.StreamHandler(sys.stderr)
        stream.setFormatter(logging.Formatter("%(message)s"))
        root.addHandler(stream)
