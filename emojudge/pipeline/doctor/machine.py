"""The machine: Python, llama.cpp, GPU, processors, memory, disk."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

import psutil

from emojudge.deploy.copying import reflink
from emojudge.engine.build import INSTALL, REBUILD, llama_build
from emojudge.engine.gpu import LlamaProbe, gpu_present, probe_llama, rebuild_command
from emojudge.engine.memory import free_ram, free_vram
from emojudge.errors import EngineError, UsageError
from emojudge.pipeline.doctor.findings import Finding, failure, warning, well
from emojudge.processors import usable_cores
from emojudge.text import counted, human_bytes

TESTED_PYTHONS = ((3, 11), (3, 12), (3, 13))
"""Of the last two all but real models and terminals; see docs/install.md."""
_LITTLE_DISK = 1_000_000_000
_RESERVE = 64_000_000
_NETWORK_FILESYSTEMS = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "afs")


def python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Finding:
    """Whether this Python is one that emojudge is tested with."""
    text = ".".join(map(str, version))
    if version[:2] in TESTED_PYTHONS:
        return well("python", f"{text}, {sys.executable}")
    tested = f"{TESTED_PYTHONS[0][0]}.{TESTED_PYTHONS[0][1]} to 3.{TESTED_PYTHONS[-1][1]}"
    return warning(
        "python",
        f"{text}; emojudge is tested with {tested}",
        "make a venv with one of those: python3.13 -m venv .venv",
    )


async def llama_cpp() -> list[Finding]:
    """Whether llama.cpp loads, and whether it uses the GPU that is there."""
    build = llama_build()
    if build is None:
        return [failure("llama.cpp", "llama-cpp-python is not installed", INSTALL)]
    try:
        probed = await probe_llama()
    except EngineError as problem:
        kind = gpu_present()
        mend = REBUILD if kind is None else rebuild_command(kind)
        return [failure("llama.cpp", f"{build}: {problem}", mend)]
    return [well("llama.cpp", str(build)), gpu(probed, gpu_present())]


def gpu(probed: LlamaProbe, kind: str | None) -> Finding:
    """What llama.cpp makes of a GPU of this kind, or of none."""
    if kind is None and not probed.gpu_offload:
        return well("gpu", "none found; models run on the CPU")
    if kind is not None and not probed.gpu_offload:
        return warning(
            "gpu",
            f"there is {kind}, but llama.cpp was built without support for it",
            rebuild_command(kind),
        )
    memory = free_vram()
    held = f": {memory}" if memory is not None else ""
    return well("gpu", f"llama.cpp offloads to {kind or 'a GPU'}{held}")


def processors(threads: int | None, in_machine: int) -> Finding:
    """Threads of the config against the cores that this process may use."""
    try:
        usable = usable_cores()
    except UsageError as problem:
        return failure("processors", str(problem), "unset LOKY_MAX_CPU_COUNT")
    cores = counted(usable, "core")
    if usable < in_machine:
        cores += f" of {in_machine}, the others are barred (affinity, or the limit of a container)"
    if threads is not None and threads > usable:
        return warning(
            "processors",
            f"performance_config.threads is {threads}, and there are {cores}: threads would wait "
            "for each other",
            f"set performance_config.threads to {usable}, or take the key out",
        )
    chosen = f"{counted(threads, 'thread')} set" if threads else "shared between the models at work"
    return well("processors", f"{cores}, {chosen}")


def memory(largest: int) -> Finding:
    """Free memory against the largest model of the study (0: none known)."""
    free = free_ram()
    if largest and free.free < largest:
        return failure(
            "memory",
            f"{free}; the largest model takes {human_bytes(largest)}",
            "close other programs, or take the largest models out of models_to_compare",
        )
    if largest and free.free < 2 * largest:
        return warning(
            "memory",
            f"{free}; the largest model takes {human_bytes(largest)}, contexts come on top",
            "set performance_config.parallel_models to 1, and context_length to what you need",
        )
    return well("memory", str(free))


def filesystem_of(folder: Path) -> str:
    """The filesystem's type, as the kernel names it."""
    mounts = psutil.disk_partitions(all=True)
    inside = [one for one in mounts if folder.is_relative_to(one.mountpoint)]
    return max(inside, key=lambda one: len(one.mountpoint)).fstype if inside else "unknown"


def shares_blocks(folder: Path) -> bool:
    """Whether a copy costs no disk here (reflinks). Raises OSError where nothing can be written."""
    with tempfile.TemporaryDirectory(prefix=".emojudge-", dir=folder) as name:
        source, copy = Path(name) / "source", Path(name) / "copy"
        source.write_bytes(bytes(4096))
        with source.open("rb") as one, copy.open("wb") as other:
            return reflink(one.fileno(), other.fileno())


def disk(what: str, folder: Path, needed: int, *, failing: bool = True) -> Finding:
    """Room and kind of filesystem where something is stored; ``needed`` bytes are asked for.

    Not ``failing`` where a run does without: then what is missing is a warning.
    """
    while not folder.is_dir():
        folder = folder.parent
    folder = folder.resolve()
    wrong = failure if failing else warning
    free = shutil.disk_usage(folder).free
    kind = filesystem_of(folder)
    text = f"{human_bytes(free)} free in {folder} ({kind})"
    look = f"du -xh --max-depth=2 {folder} | sort -h | tail"
    if free < needed + _RESERVE:
        room = human_bytes(needed + _RESERVE)
        return wrong(what, f"{text}; {room} are wanted", f"free some space: {look}")
    try:
        text += ", copies share blocks" if shares_blocks(folder) else ", no reflinks"
    except OSError as problem:
        mend = f"ls -ld {folder}; df {folder}"
        return wrong(what, f"{text}; nothing can be written there: {problem.strerror}", mend)
    if kind.startswith(_NETWORK_FILESYSTEMS):
        said = f"{text}: locks and fsync are only as good as that server's"
        return warning(what, said, "put it on a local disk")
    if free < _LITTLE_DISK:
        return warning(what, text, f"free some space: {look}")
    return well(what, text)


def look_at_machine() -> list[Finding]:
    """Python and llama.cpp."""
    return [python(), *asyncio.run(llama_cpp())]
