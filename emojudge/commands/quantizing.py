"""``emojudge quantize``: a ladder of one model, at the types asked for."""

from __future__ import annotations

import difflib
from pathlib import Path

from emojudge.candidates.ggml_types import FILE_TYPES
from emojudge.commands.running import run_until_signalled
from emojudge.engine.quantizer import quantize_ladder
from emojudge.errors import UsageError
from emojudge.processors import usable_cores
from emojudge.say import say_progress


def run_quantize(source: Path, types: str, out: Path, imatrix: Path | None) -> list[Path]:
    """``emojudge quantize``."""
    wanted = [one.strip().upper() for one in types.split(",") if one.strip()]
    if not wanted:
        raise UsageError("--types names no type; give for example --types Q8_0,Q5_0,Q4_0.")
    for one in wanted:
        if one not in FILE_TYPES.values():
            near = ", ".join(difflib.get_close_matches(one, FILE_TYPES.values(), n=3))
            raise UsageError(
                f"There is no quantization type {one!r}.{f' Near: {near}.' if near else ''} "
                f"There are {', '.join(FILE_TYPES.values())}."
            )

    def progress(kind: str, done: int, total: int) -> None:
        say_progress(f"{kind}: tensor {done} of {total}", last=done == total)

    return run_until_signalled(
        quantize_ladder(
            source,
            wanted,
            out,
            threads=usable_cores(),
            imatrix=imatrix,
            progress=progress,
        )
    )
