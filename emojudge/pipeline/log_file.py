"""``pass2_execution.log``: what a run did, for people."""

from __future__ import annotations

import logging
from pathlib import Path

from emojudge.errors import StoreError
from emojudge.paths import make_private_folder, share_with_team
from emojudge.text import visible_line

LOG_NAME = "pass2_execution.log"
_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"


class _Harmless(logging.Formatter):
    """Names and model output may hold terminal escapes; a log is read in a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The message on one harmless line; a traceback that follows keeps its lines."""
        return visible_line(super().formatMessage(record))


def start_log(folder: Path, level: int, shown_by: logging.Handler | None) -> None:
    """Append to the study's log, and hand it to who shows it. Raises StoreError."""
    root = logging.getLogger("emojudge")
    root.setLevel(level)
    root.propagate = False
    for handler in tuple(root.handlers):
        root.removeHandler(handler)
        handler.close()
    try:
        make_private_folder(folder)
        file = logging.FileHandler(folder / LOG_NAME, encoding="utf-8")
        share_with_team(folder / LOG_NAME)
    except OSError as problem:
        raise StoreError(
            f"Cannot write {folder / LOG_NAME}: {problem.strerror}. Make the study folder "
            "writable, or name another with study_dir in the config."
        ) from problem
    file.setFormatter(_Harmless(_FORMAT))
    root.addHandler(file)
    if shown_by is not None:
        shown_by.setFormatter(_Harmless("%(message)s"))
        root.addHandler(shown_by)
