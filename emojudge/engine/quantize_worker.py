"""Entry point of the quantizer: ``python -m emojudge.engine.quantize_worker``."""

from __future__ import annotations

import ctypes
import re
import sys
import time
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as low

from emojudge.engine.child import Channel
from emojudge.engine.imatrix import load_imatrix
from emojudge.engine.protocol import Quantize, Quantized, QuantizeProgress, TaskFailed
from emojudge.errors import EngineError

_TENSOR_LINE = re.compile(rb"\[\s*(\d+)/\s*(\d+)\]")


def _file_type(name: str) -> int:
    for prefix in ("LLAMA_FTYPE_MOSTLY_", "LLAMA_FTYPE_ALL_"):
        number = getattr(low, prefix + name, None)
        if number is not None:
            return int(number)
    known = sorted(
        one.removeprefix("LLAMA_FTYPE_MOSTLY_")
        for one in dir(low)
        if one.startswith("LLAMA_FTYPE_MOSTLY_")
    )
    raise EngineError(f"llama.cpp has no quantization type {name!r}; it has {', '.join(known)}.")


def _quantize(channel: Channel, command: Quantize) -> Quantized:
    started = time.monotonic()

    def log(level: int, text: bytes, data: Any) -> None:
        sys.stderr.buffer.write(text)
        match = _TENSOR_LINE.match(text)
        if match:
            done, total = (int(group) for group in match.groups())
            channel.send(QuantizeProgress(done=done, total=total))

    callback = low.llama_log_callback(log)
    low.llama_log_set(callback, ctypes.c_void_p(0))
    parameters = low.llama_model_quantize_default_params()
    parameters.ftype = _file_type(command.type)
    parameters.nthread = command.threads
    parameters.allow_requantize = True
    matrix = None if command.imatrix is None else load_imatrix(Path(command.imatrix))
    if matrix is not None:
        parameters.imatrix = ctypes.cast(matrix.array, ctypes.POINTER(low.llama_model_imatrix_data))
    status = low.llama_model_quantize(
        command.source.encode(), command.target.encode(), ctypes.byref(parameters)
    )
    if status != 0:
        raise EngineError(f"llama.cpp could not quantize {command.source} to {command.type}.")
    return Quantized(seconds=time.monotonic() - started)


def main() -> None:
    """Serve until the parent closes stdin."""
    channel = Channel()
    while True:
        command = channel.next_command()
        try:
            if not isinstance(command, Quantize):
                raise EngineError(f"the quantizer does not know {command.kind!r}")
            channel.send(_quantize(channel, command))
        except (EngineError, RuntimeError) as problem:
            channel.send(TaskFailed(reason=str(problem)))


if __name__ == "__main__":
    main()
