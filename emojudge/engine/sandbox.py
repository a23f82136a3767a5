"""Limits that a process puts on itself before it touches a file that is not trusted yet."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

from emojudge.domain import Frozen

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_NO_NEW_PRIVS = 38
_OPEN_FILES = 256


class SandboxLimits(Frozen):
    """What a sandboxed process may use.

    ``memory`` bounds its address space, ``cpu_seconds`` the processor time of all its threads,
    ``deadline_seconds`` the wall time that its parent waits.
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
    """Limit this process and its children for good; returns whether the network is cut off.

    No file can be written to, nothing can gain privileges, and where the system allows it there
    is a network namespace without any interface. Must be called while there is one thread.
    """
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Root may unshare the network alone; anybody else needs a user namespace of their own.
    for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET):
        if libc.unshare(flags) == 0:
            return True
    print(f"network not isolated: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
    return False
