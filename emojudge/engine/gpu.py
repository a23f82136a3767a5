"""Saying so when there is a GPU that llama.cpp was not built to use."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from emojudge.errors import EngineError

PROBE_MODULE = "emojudge.engine.gpu_probe"
_PROBE_DEADLINE = 30.0
_DEVICE_FILES = {
    "an NVIDIA GPU": ("/dev/nvidia0", "/proc/driver/nvidia/version"),
    "an AMD GPU": ("/dev/kfd",),
}
_REBUILD = {
    "an NVIDIA GPU": "-DGGML_CUDA=on",
    "an AMD GPU": "-DGGML_HIP=on",
}


def gpu_present(root: Path = Path("/")) -> str | None:
    """What kind of GPU the system shows, or None. ``root`` is where device files are looked for."""
    for kind, files in _DEVICE_FILES.items():
        if any((root / file.lstrip("/")).exists() for file in files):
            return kind
    return None


async def can_offload() -> bool:
    """Whether this llama.cpp was built to use a GPU. Raises EngineError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        PROBE_MODULE,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_PROBE_DEADLINE):
            output, _ = await process.communicate()
        return bool(json.loads(output)["gpu_offload"])
    except (TimeoutError, ValueError, KeyError) as problem:
        if process.returncode is None:
            process.kill()
        raise EngineError(f"llama.cpp could not be asked about GPUs: {problem}.") from problem


async def gpu_warning(kind: str | None) -> str | None:
    """A sentence when ``kind`` of GPU is there and unused, else None. Raises EngineError."""
    if kind is None or await can_offload():
        return None
    return (
        f"There is {kind} here, but llama.cpp was built without support for it, so models run on "
        f'the CPU. To mend it: CMAKE_ARGS="{_REBUILD[kind]}" pip install --force-reinstall '
        "--no-cache-dir --no-deps llama-cpp-python==0.3.36"
    )
