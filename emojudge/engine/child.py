"""What every child process does first: keep its protocol apart from everyone's prints."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import BinaryIO

from emojudge.engine.protocol import Command, decode_command, encode
from emojudge.errors import EngineError
from emojudge.frozen import Frozen


class Channel:
    """The child's end of the protocol.

    File descriptor 1 is pointed at stderr, because llama.cpp and torch print to it; events go to a
    private copy of the original. A thread reads stdin and ends the process when it closes, even
    in the middle of a long native call, so that no child outlives the app.
    """

    def __init__(self, notice: Callable[[Command], None] = lambda command: None) -> None:
        """``notice`` sees each command on the reader's thread, before it is taken."""
        self._out: BinaryIO = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        self._notice = notice
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="commands", daemon=True).start()

    def _read(self) -> None:
        try:
            for line in sys.stdin.buffer:
                try:
                    command = decode_command(line)
                except EngineError as problem:
                    print(problem, file=sys.stderr, flush=True)
                    continue
                self._notice(command)
                self._commands.put(command)
        finally:
            # A child that cannot be told anything must not stay.
            os._exit(0)

    def next_command(self) -> Command:
        """Wait for the next command."""
        return self._commands.get()

    def take(self, *, wait_seconds: float | None) -> list[Command]:
        """All commands that have come, after waiting for the first; None waits for ever."""
        taken = []
        with contextlib.suppress(queue.Empty):
            if wait_seconds is None or wait_seconds > 0:
                taken.append(self._commands.get(timeout=wait_seconds))
            while True:
                taken.append(self._commands.get_nowait())
        return taken

    def send(self, event: Frozen) -> None:
        """Send one event; a parent that is gone ends the process."""
        try:
            self._out.write(encode(event))
        except BrokenPipeError:
            os._exit(0)
