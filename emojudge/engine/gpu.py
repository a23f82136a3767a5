"""Saying so when there is a GPU that llama.cpp was not built to use."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from emojudge.engine.build import REBUILD
from emojudge.errors import EngineError
from emojudge.text import visible_line

PROBE_MODULE = "emojudge.engine.gpu_probe"
_PROBE_DEADLINE = 30.0
_DEVICE_FILES = {
    "an NVIDIA GPU": ("/dev/nvidia0", "/proc/driver/nvidia/version"),
    "an AMD GPU": ("/dev/kfd",),
}
_CMAKE_OPTION = {
    "an NVIDIA GPU": "-DGGML_CUDA=on",
    "an AMD GPU": "-DGGML_HIP=on",
}


def gpu_present(root: Path = Path("/")) -> str | None:
    """What kind of GPU the system shows, or None. ``root`` is where device files are looked for."""
    for kind, files in _DEVICE_FILES.items():
        if any((root / file.lstrip("/")).exists() for file in files):
            return kind
    return None


@dataclass(frozen=True)
class LlamaProbe:
    """What a loaded llama.cpp says of itself: whether it can use a GPU, and its features."""

    gpu_offload: bool
    system: str


async def probe_llama() -> LlamaProbe:
    """Load llama.cpp in a process of its own and ask it. Raises EngineError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        PROBE_MODULE,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_PROBE_DEADLINE):
            output, said = await process.communicate()
    except TimeoutError as problem:
        process.kill()
        raise EngineError(f"llama.cpp did not answer within {_PROBE_DEADLINE:.0f} s.") from problem
    try:
        answer = json.loads(output)
        return LlamaProbe(bool(answer["gpu_offload"]), visible_line(str(answer["system"])))
    except (ValueError, KeyError) as problem:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise EngineError(
            f"llama.cpp cannot be loaded: {visible_line(last) or _ended(process.returncode)}"
        ) from problem


def _ended(status: int | None) -> str:
    """How a process ended that said nothing."""
    if status == -signal.SIGILL:
        return "it was built for another processor (SIGILL); build it here"
    if status is not None and status < 0:
        return f"its process was ended by {signal.Signals(-status).name}"
    return f"its process ended with status {status}"


async def can_offload() -> bool:
    """Whether this llama.cpp was built to use a GPU. Raises EngineError."""
    return (await probe_llama()).gpu_offload


def rebuild_command(kind: str) -> str:
    """What builds llama.cpp for this kind of GPU."""
    return f'CMAKE_ARGS="{_CMAKE_OPTION[kind]}" {REBUILD}'


async def gpu_warning(kind: str | None) -> str | None:
    """A sentence when ``kind`` of GPU is there and unused, else None. Raises EngineError."""
    if kind is None or await can_offload():
        return None
    return (
        f"There is {kind} here, but llama.cpp was built without support for it, so models run on "
        f"the CPU. To mend it: {rebuild_command(kind)}"
    )
