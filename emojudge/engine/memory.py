"""How much memory is free for models, and who holds the rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pynvml

from emojudge.text import human_bytes, visible_line


@dataclass(frozen=True)
class Memory:
    """``free`` of ``total`` bytes of ``kind`` (RAM or VRAM); ``holders`` are others' shares."""

    kind: str
    free: int
    total: int
    holders: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{human_bytes(self.free)} of {human_bytes(self.total)} {self.kind} free"
        return f"{text}; held by {', '.join(self.holders)}" if self.holders else text


def free_ram() -> Memory:
    """Main memory that can be had without swapping."""
    now = psutil.virtual_memory()
    return Memory("RAM", now.available, now.total)


def free_vram(index: int = 0, nvml: ModuleType | Any = pynvml) -> Memory | None:
    """Memory of one NVIDIA GPU, or None when NVML cannot say (no driver, another maker)."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    try:
        device = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(device)
        return Memory("VRAM", int(memory.free), int(memory.total), _holders(device, nvml))
    except nvml.NVMLError:
        return None
    finally:
        nvml.nvmlShutdown()


def vram_of(pid: int, nvml: ModuleType | Any = pynvml) -> int | None:
    """Bytes that a process holds on all NVIDIA GPUs together; None where NVML does not tell."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    try:
        devices = map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount()))
        own = [
            process.usedGpuMemory
            for device in devices
            for process in nvml.nvmlDeviceGetComputeRunningProcesses(device)
            if process.pid == pid and process.usedGpuMemory is not None
        ]
        return sum(own) if own else None
    except nvml.NVMLError:
        return None
    finally:
        nvml.nvmlShutdown()


def peak_resident_bytes(pid: int) -> int:
    """The most memory a process has had in RAM."""
    status = Path(f"/proc/{pid}/status")
    try:
        line = next(one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
    except (OSError, StopIteration):
        # Without /proc the present size is the best there is.
        return int(psutil.Process(pid).memory_info().rss)
    return int(line.split()[1]) * 1024


def _holders(device: Any, nvml: ModuleType | Any) -> tuple[str, ...]:
    """Who holds memory of a GPU; not every driver tells."""
    try:
        processes = nvml.nvmlDeviceGetComputeRunningProcesses(device)
    except nvml.NVMLError:
        return ()
    return tuple(_holder(one) for one in processes)


def _holder(process: Any) -> str:
    """A process that holds GPU memory, by name where it can be seen."""
    try:
        name = visible_line(psutil.Process(process.pid).name())
    except psutil.Error:
        name = "another's process"
    held = process.usedGpuMemory
    return f"{name} ({process.pid}{'' if held is None else f', {human_bytes(held)}'})"
