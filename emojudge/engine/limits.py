"""Limits that a process puts on itself. Only the standard library: nothing may start a thread."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_NO_NEW_PRIVS = 38
# More than any C library's pthread_attr_t.
_PTHREAD_ATTRIBUTES = 256


def lower(what: int, most: int, *, for_good: bool = False) -> None:
    """Lower a limit, within the hard one that may be set already; ``for_good`` lowers that too."""
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(what, (most, most if for_good else hard))


def shrink_stacks(size: int) -> None:
    """Give threads that start from now on stacks of ``size`` bytes, where the C library can.

    Stacks count against the address space, and llama.cpp starts a thread per tensor to check it.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "pthread_setattr_default_np"):
        return
    attributes = ctypes.create_string_buffer(_PTHREAD_ATTRIBUTES)
    libc.pthread_attr_init(attributes)
    libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(size))
    libc.pthread_setattr_default_np(attributes)
    libc.pthread_attr_destroy(attributes)


def gain_nothing() -> None:
    """Let no program that this process starts have more privileges than it has."""
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def cut_network() -> bool:
    """Move into a network namespace without interfaces; whether the system allowed it.

    A user namespace of its own comes first: in it even root has no power over the system. Where
    there are none, root can still leave the network alone. Must be called with one thread.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (_CLONE_NEWUSER | _CLONE_NEWNET, _CLONE_NEWNET):
        if libc.unshare(flags) == 0:
            return True
    print(f"network not isolated: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
    return False
