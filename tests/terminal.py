"""The installed program in a pseudo-terminal, seen through a terminal emulator."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pexpect
import pyte

PROGRAM = Path(sys.executable).with_name("emojudge")
_PATIENCE = 120.0


class Terminal:
    """A program on a screen of ``columns`` × ``rows``."""

    def __init__(self, *arguments: str, cwd: Path, columns: int = 80, rows: int = 24) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.child = pexpect.spawn(
            str(PROGRAM),
            list(arguments),
            cwd=str(cwd),
            dimensions=(rows, columns),
            env={**os.environ, "TERM": "xterm-256color", "LINES": "", "COLUMNS": ""},
            timeout=_PATIENCE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.child.close(force=True)

    @property
    def text(self) -> str:
        """What a person sees."""
        return "\n".join(self.screen.display)

    def _read(self) -> bool:
        """Take in what the program wrote within a moment; False when it has ended."""
        try:
            self._stream.feed(self.child.read_nonblocking(65536, timeout=0.1))
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        return True

    def wait_for(
        self, *wanted: str, without: str | None = None, patience: float = _PATIENCE
    ) -> str:
        """Read until all of ``wanted`` stand on the screen; returns its text."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            alive = self._read()
            text = self.text
            if all(one in text for one in wanted) and (without is None or without not in text):
                return text
            if not alive:
                break
        raise AssertionError(f"never saw {wanted} (without {without!r}) in:\n{self.text}")

    def resize(self, columns: int, rows: int) -> None:
        """Another size, as when a person drags the window."""
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    def press(self, keys: str) -> None:
        """Type; ``\\r`` is enter."""
        self.child.send(keys)

    def wait_for_end(self) -> int:
        """Read until the program ends; returns its exit status (128 + n for signal n)."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and self._read():
            pass
        self.child.close()
        if self.child.exitstatus is not None:
            return int(self.child.exitstatus)
        return 128 + int(self.child.signalstatus or 0)


F2, F3, F4, F5 = "\x1bOQ", "\x1bOR", "\x1bOS", "\x1b[15~"
