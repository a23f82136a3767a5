"""A program on a pseudo-terminal, timed from the other end of its wire."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from emojudge.errors import EngineError

_CHUNK = 1 << 16
_TAIL = 400
_END_SECONDS = 10.0


@dataclass(frozen=True)
class Sample:
    """CPU seconds, resident bytes and bytes written to the terminal, all since the start."""

    at: float
    cpu: float
    resident: int
    written: int


@dataclass
class TimedTerminal:
    """A child on a terminal of ``columns`` × ``rows``; everything it writes is read and counted."""

    command: Sequence[str]
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    columns: int = 120
    rows: int = 40

    def __enter__(self) -> Self:
        self._main, side = pty.openpty()
        size = struct.pack("HHHH", self.rows, self.columns, 0, 0)
        fcntl.ioctl(side, termios.TIOCSWINSZ, size)
        environment = {
            **os.environ,
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            **self.environment,
        }
        for name in ("LINES", "COLUMNS", "NO_COLOR"):
            environment.pop(name, None)
        self.began = time.perf_counter()
        self._child = subprocess.Popen(
            self.command,
            cwd=self.cwd,
            env=environment,
            stdin=side,
            stdout=side,
            stderr=side,
            start_new_session=True,
        )
        os.close(side)
        self._process = psutil.Process(self._child.pid)
        self._seen = b""
        self.written = 0
        self.arrivals: list[tuple[float, int]] = []
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            end = time.perf_counter() + _END_SECONDS
            while self._child.poll() is None and time.perf_counter() < end:
                self._read(0.05)
        self._child.kill()
        self._child.wait()
        os.close(self._main)

    def _read(self, seconds: float) -> bool:
        """Take in what comes within so many seconds; False when the child has closed its end."""
        ready, _, _ = select.select([self._main], [], [], seconds)
        if not ready:
            return True
        try:
            chunk = os.read(self._main, _CHUNK)
        except OSError:
            return False
        now = time.perf_counter()
        self.written += len(chunk)
        self.arrivals.append((now, len(chunk)))
        self._seen += chunk
        return bool(chunk)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._main, keys.encode())

    def forget(self) -> None:
        """What was seen so far answers no question any more."""
        self._seen = b""

    def has_seen(self, text: str) -> bool:
        """Whether ``text`` was written since the last :meth:`forget`."""
        return text.encode() in self._seen

    def wait_for(self, text: str, seconds: float) -> float:
        """Read until ``text`` was written since the last :meth:`forget`; returns the time then.

        Raises EngineError when the program ends or takes longer.
        """
        wanted = text.encode()
        end = time.perf_counter() + seconds
        alive = True
        while wanted not in self._seen:
            left = end - time.perf_counter()
            if left <= 0 or not alive:
                tail = self._seen[-_TAIL:].decode("utf-8", "replace")
                raise EngineError(f"The program never wrote {text!r}; its last words: {tail!r}")
            alive = self._read(min(left, 0.5))
        return self.arrivals[-1][0]

    def read_for(self, seconds: float) -> None:
        """Read, whatever comes."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0 and self._read(left):
            pass

    def wait_for_end(self, seconds: float) -> float:
        """Read until the program ends by itself; returns the seconds it ran. Raises EngineError."""
        end = time.perf_counter() + seconds
        while self._child.poll() is None:
            if time.perf_counter() > end:
                raise EngineError("The program did not end.")
            if not self._read(0.05):
                break
        self._child.wait()
        return time.perf_counter() - self.began

    def sample(self) -> Sample:
        """What the program alone, without its workers, has used so far."""
        times = self._process.cpu_times()
        return Sample(
            time.perf_counter(),
            times.user + times.system,
            self._process.memory_info().rss,
            self.written,
        )

    def busiest_second(self, since: float) -> int:
        """The most bytes that came within any one second after ``since``."""
        arrivals = [(at, size) for at, size in self.arrivals if at >= since]
        most = total = first = 0
        for at, size in arrivals:
            total += size
            while arrivals[first][0] < at - 1:
                total -= arrivals[first][1]
                first += 1
            most = max(most, total)
        return most
