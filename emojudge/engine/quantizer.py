"""Making a ladder of smaller GGUF files, each in a child process and in the Pass 1 layout."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from emojudge import clock
from emojudge.candidates.discover import read_model
from emojudge.candidates.pass1 import write_pass1
from emojudge.domain import Specs
from emojudge.engine.process import WorkerProcess
from emojudge.engine.protocol import Quantize, Quantized, QuantizeProgress, TaskFailed
from emojudge.errors import EngineError, UsageError
from emojudge.paths import fsync_folder

QUANTIZER_MODULE = "emojudge.engine.quantize_worker"
_STEP_DEADLINE = 1800.0
_TYPE_IN_NAME = re.compile(r"[.-](?:I?Q\d\w*|F16|F32|BF16)$", re.IGNORECASE)
Progress = Callable[[str, int, int], None]


async def _run_quantizer(command: Quantize, progress: Progress) -> None:
    process = await WorkerProcess.start(QUANTIZER_MODULE, "the quantizer")
    try:
        await process.send(command)
        while True:
            event = await process.receive(_STEP_DEADLINE)
            if isinstance(event, QuantizeProgress):
                progress(command.type, event.done, event.total)
            elif isinstance(event, Quantized):
                return
            else:
                raise EngineError(
                    event.reason if isinstance(event, TaskFailed) else f"it answered {event}"
                )
    finally:
        await process.kill()


def _describe(folder: Path, file: Path, source_size: int, requested: str, specs: Specs) -> None:
    write_pass1(
        folder,
        config={"architectures": [specs.architecture], "_name_or_path": specs.model_name},
        quantization_metadata={
            "quantization_method": specs.quantization,
            "requested_type": requested,
            "tensor_types": specs.tensor_types,
            "bits_per_weight": round(specs.bits_per_weight, 4),
            "compression_ratio": round(source_size / file.stat().st_size, 4),
            "timestamp": clock.stamp(),
        },
    )


async def quantize_one(
    source: Path,
    wanted: str,
    out: Path,
    *,
    threads: int,
    imatrix: Path | None = None,
    progress: Progress = lambda kind, done, total: None,
) -> Path:
    """Quantize ``source`` to one type; returns the new folder in ``out``.

    The folder appears whole or not at all, and its name says what the tensors really are.
    Raises EngineError, or UsageError when that folder exists already.
    """
    stem = _TYPE_IN_NAME.sub("", source.stem)
    staging = out / f".{stem}-{wanted}.{os.getpid()}.partial"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        staging.mkdir(parents=True)
    except OSError as problem:
        raise UsageError(f"Cannot write to {out}: {problem.strerror}. Choose another --out.") from (
            problem
        )
    try:
        file = staging / f"{stem}-{wanted}.gguf"
        command = Quantize(
            source=str(source),
            target=str(file),
            type=wanted,
            threads=threads,
            imatrix=str(imatrix) if imatrix else None,
        )
        await _run_quantizer(command, progress)
        specs, _ = read_model(stem, [file])
        name = f"{stem}-{specs.quantization}"
        file = file.rename(staging / f"{name}.gguf")
        _describe(staging, file, source.stat().st_size, wanted, specs)
        target = out / name
        if target.exists():
            raise UsageError(f"{target} exists already. Remove it, or choose another --out.")
        staging.rename(target)
        fsync_folder(out)
        return target
    finally:
        shutil.rmtree(staging, ignore_errors=True)


async def quantize_ladder(
    source: Path,
    types: Sequence[str],
    out: Path,
    *,
    threads: int,
    imatrix: Path | None = None,
    progress: Progress = lambda kind, done, total: None,
) -> list[Path]:
    """Make one folder per type. Raises ModelFileError, EngineError or UsageError."""
    read_model(source.stem, [source])
    return [
        await quantize_one(source, wanted, out, threads=threads, imatrix=imatrix, progress=progress)
        for wanted in types
    ]
