"""The terminal: whether the workstation can be shown on it, and what makes keys slow."""

from __future__ import annotations

import locale
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

from emojudge.pipeline.doctor.findings import Finding, warning, well

SMALLEST_COLUMNS, SMALLEST_ROWS = 80, 24
_SLOW_ESCAPE_MS = 50
_TMUX_DEADLINE = 5.0


def colours(environment: Mapping[str, str]) -> str:
    """How many colours a terminal says it has."""
    if environment.get("NO_COLOR"):
        return "no colours (NO_COLOR)"
    if environment.get("COLORTERM") in ("truecolor", "24bit"):
        return "16 million colours"
    term = environment.get("TERM", "dumb")
    return "256 colours" if "256color" in term else "16 colours or fewer"


def tmux_escape_time() -> int | None:
    """Milliseconds that tmux waits after an escape, or None outside tmux."""
    tmux = shutil.which("tmux")
    if not os.environ.get("TMUX") or tmux is None:
        return None
    try:
        done = subprocess.run(
            [tmux, "show-options", "-sv", "escape-time"],
            capture_output=True,
            text=True,
            timeout=_TMUX_DEADLINE,
            check=True,
        )
        return int(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def shown_on(
    size: tuple[int, int] | None,
    environment: Mapping[str, str],
    encoding: str,
    escape_time: int | None,
) -> Finding:
    """A terminal of (columns, rows), None where there is none; the first thing that is wrong."""
    if size is None:
        return well("terminal", "none; run, report and rate --plain work without one")
    columns, rows = size
    here = f"{columns}×{rows}, {colours(environment)}, {encoding}"
    if environment.get("TERM", "dumb") == "dumb":
        said = f"{here}; TERM=dumb cannot show the workstation"
        mend = "emojudge rate --plain, or a terminal with TERM=xterm-256color"
        return warning("terminal", said, mend)
    if encoding.lower().replace("-", "") != "utf8":
        said = f"{here}; the screens need UTF-8, and commands print ? for what it lacks"
        return warning("terminal", said, "export LC_ALL=C.UTF-8")
    if columns < SMALLEST_COLUMNS or rows < SMALLEST_ROWS:
        said = f"{here}; the screens want {SMALLEST_COLUMNS}×{SMALLEST_ROWS}"
        return warning("terminal", said, "enlarge the window or make its letters smaller")
    if escape_time is not None and escape_time > _SLOW_ESCAPE_MS:
        said = f"{here}, in tmux, which holds back the escape key for {escape_time} ms"
        return warning("terminal", said, "tmux set-option -s escape-time 10")
    inside = ", in tmux" if environment.get("TMUX") else ""
    return well("terminal", f"{here}{inside}")


def look_at_terminal() -> Finding:
    """This terminal."""
    size = os.get_terminal_size(1) if sys.stdout.isatty() else None
    encoding = (sys.stdout.encoding or locale.getpreferredencoding(False)).upper()
    return shown_on(
        None if size is None else (size.columns, size.lines),
        os.environ,
        encoding,
        tmux_escape_time(),
    )
