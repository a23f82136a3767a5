"""Limits of a process that touches a file which is not trusted yet."""

from __future__ import annotations

import resource

from emojudge.engine.limits import cut_network, gain_nothing, lower, shrink_stacks
from emojudge.frozen import Frozen

_OPEN_FILES = 256
_STACK = 1 << 20


class SandboxLimits(Frozen):
    """What a sandboxed process may use.

    ``memory`` bounds its address space, ``cpu_seconds`` the processor time of all its threads,
    ``deadline_seconds`` the wall time of the whole trial.
    """

    memory: int
    cpu_seconds: int = 120
    deadline_seconds: float = 300.0


def limits_for(model_bytes: int) -> SandboxLimits:
    """Limits that an honest model of this size stays under: its weights twice over, and 3 GB."""
    gigabytes = model_bytes >> 30
    return SandboxLimits(
        memory=2 * model_bytes + (3 << 30),
        cpu_seconds=120 + 60 * gigabytes,
        deadline_seconds=300.0 + 60.0 * gigabytes,
    )


def enter(limits: SandboxLimits) -> bool:
    """Limit this process and its children; returns whether the network is cut off.

    No file can be written to, nothing can gain privileges, and where the system allows it there
    is a network namespace without any interface. Must be called while there is one thread, so
    before numpy or llama.cpp are imported.
    """
    lower(resource.RLIMIT_CPU, limits.cpu_seconds, for_good=True)
    lower(resource.RLIMIT_AS, limits.memory, for_good=True)
    lower(resource.RLIMIT_FSIZE, 0, for_good=True)
    lower(resource.RLIMIT_CORE, 0, for_good=True)
    lower(resource.RLIMIT_NOFILE, _OPEN_FILES, for_good=True)
    shrink_stacks(_STACK)
    gain_nothing()
    return cut_network()
