"""Standard output and error on terminals and in locales that know fewer signs than Unicode."""

from __future__ import annotations

import codecs
import io
import sys

_STAND_INS = {
    "✓": "ok", "✗": "FAIL", "–": "-", "−": "-", "—": "-", "…": "...", "→": "->", "·": "|",
    "×": "x", "±": "+-", "≥": ">=", "≤": "<=", "≠": "!=", "α": "alpha", "κ": "kappa",
    "ρ": "rho", "τ": "tau", "ν": "nu", "▸": ">", "●": "o", "◆": "*", "░": ".", "“": '"',
    "”": '"', "’": "'", "⏎": "enter", "├": "|", "┤": "|", "─": "-", "│": "|", "´": "'",
}  # fmt: skip
"""What a sign becomes where it cannot be written; everything else becomes a question mark."""
_NAME = "emojudge.stand-ins"


def _stand_in(problem: UnicodeError) -> tuple[str, int]:
    assert isinstance(problem, UnicodeEncodeError)
    rest = problem.object[problem.start : problem.end]
    return "".join(_STAND_INS.get(one, "?") for one in rest), problem.end


def never_fail_on_signs() -> None:
    """Let stdout and stderr write a stand-in for what their encoding does not have."""
    codecs.register_error(_NAME, _stand_in)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not speaks_unicode(stream):
            stream.reconfigure(errors=_NAME)


def speaks_unicode(stream: object) -> bool:
    """Whether everything can be written to a stream."""
    encoding = getattr(stream, "encoding", None) or "ascii"
    return codecs.lookup(encoding).name.startswith("utf")
