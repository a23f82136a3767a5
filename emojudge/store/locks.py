"""One process at a time: an flock, with a note beside it that says who holds it."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from filelock import FileLock, Timeout

from emojudge.errors import LockHeld, StoreError
from emojudge.paths import share_with_team
from emojudge.text import visible_line


class HeldLock:
    """An exclusive lock that is held until :meth:`release`, or until the process ends."""

    def __init__(self, file: Path, what: str) -> None:
        """Take the lock at once. Raises LockHeld naming the holder's pid and host."""
        self._note = file.with_name(file.name + ".holder")
        self._lock = FileLock(
            file, blocking=False, fallback_to_soft=False, thread_local=False, mode=0o660
        )
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout as held:
            raise LockHeld(f"{what} is in use by {self._holder()}.") from held
        except (OSError, NotImplementedError) as problem:
            reason = getattr(problem, "strerror", None) or problem
            raise StoreError(
                f"Cannot lock {file}: {reason}. Its folder must be writable and on a filesystem "
                "with flock, which some network filesystems lack."
            ) from problem
        try:
            self._note.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
            share_with_team(self._note)
        except OSError as problem:
            self._lock.release()
            raise StoreError(
                f"Cannot write {self._note}: {problem.strerror}. Free some space or mend the "
                "permissions, then try again."
            ) from problem

    def _holder(self) -> str:
        try:
            holder = json.loads(self._note.read_text())
            return visible_line(f"process {holder['pid']} on {holder['host']}")
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def release(self) -> None:
        """Let the next one in."""
        self._note.unlink(missing_ok=True)
        self._lock.release()
