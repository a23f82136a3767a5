"""A child's system calls, seen and ended by strace: what a crash at each of them leaves."""

from __future__ import annotations

import ctypes
import os
import random
import re
import resource
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emojudge.errors import EmojudgeError
from tests.conftest import require_tool
from tests.depth import DEEP

Work = Callable[[], object]
DONE, FAILED, REFUSED = 0, 1, 3
_PR_SET_PTRACER = 0x59616D61

MUTATING = (
    "open", "openat", "creat", "write", "pwrite64", "writev", "ftruncate", "truncate",
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat",
    "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir",
    "chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat",
    "fsync", "fdatasync", "sync_file_range", "copy_file_range", "sendfile", "ioctl", "flock",
)  # fmt: skip
"""Whatever can change a file, a folder or what of them is on the disk."""
_READING = re.compile(r"^(?:open|openat)\(.*O_RDONLY(?!.*O_CREAT)")
_LINE = re.compile(r"^(?:\d+ +)?(?P<call>\w+)\(")


@dataclass(frozen=True)
class Point:
    """The ``number``-th call of this name, from 1."""

    call: str
    number: int


def _attached(work: Work, arguments: list[str]) -> int:
    """Do ``work`` in a forked child under strace; its status, or minus the signal that ended it."""
    strace = require_tool("strace")
    child = os.fork()
    if child == 0:
        try:
            # Where only parents may trace, strace is none.
            ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            work()
            os._exit(DONE)
        except EmojudgeError:
            os._exit(REFUSED)
        finally:
            os._exit(FAILED)
    os.waitpid(child, os.WUNTRACED)
    command = [strace, "-f", "-p", str(child), *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        line = tracer.stderr.readline()
        assert "attached" in line, line
        os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, 0)
        tracer.stderr.read()
    return os.waitstatus_to_exitcode(status)


def trace(work: Work, calls: tuple[str, ...] = MUTATING, *options: str) -> tuple[int, list[str]]:
    """The status of ``work``, and the lines that strace writes of its mutating calls."""
    with tempfile.NamedTemporaryFile() as file:
        filters = ["-e", f"trace={','.join(calls)}", "-o", file.name, *options]
        status = _attached(work, filters)
        lines = Path(file.name).read_text(errors="replace").splitlines()
    return status, [line for line in lines if _LINE.match(line)]


def points_of(work: Work) -> list[Point]:
    """Every mutating call that ``work`` makes, in order; it must end well."""
    status, lines = trace(work)
    assert status == 0, lines[-5:]
    seen: Counter[str] = Counter()
    points = []
    for line in lines:
        match = _LINE.match(line)
        assert match is not None
        call = match["call"]
        seen[call] += 1
        if not _READING.match(line.split(None, 1)[-1] if line[:1].isdigit() else line):
            points.append(Point(call, seen[call]))
    return points


def inject(work: Work, point: Point, fault: str) -> int:
    """Do ``work`` with a fault at one call: ``signal=KILL``, ``error=EIO``, ``error=ENOSPC``."""
    fault = f"inject={point.call}:{fault}:when={point.number}"
    return _attached(work, ["-e", f"trace={point.call}", "-e", fault, "-o", "/dev/null"])


def kill_at(work: Work, point: Point) -> bool:
    """Do ``work`` and end it before one call takes effect; False when it never came so far."""
    status = inject(work, point, "signal=KILL")
    assert status in (0, -signal.SIGKILL), status
    return status != 0


def limited(work: Work, size: int) -> int:
    """The status of ``work`` in a child whose files may not become larger than ``size``."""
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            work()
            os._exit(DONE)
        except EmojudgeError:
            os._exit(REFUSED)
        finally:
            os._exit(FAILED)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def require_nearly_all(killed: int, points: list[Point]) -> None:
    """Almost every point was reached; some calls (opening a library's file) come and go."""
    assert len(points) - killed <= max(2, len(points) // 20), (killed, len(points))


def sample(points: list[Point], most: int, seed: int) -> list[Point]:
    """All points in the deep run, else as many, drawn with a seed."""
    if DEEP or len(points) <= most:
        return points
    return random.Random(seed).sample(points, most)
