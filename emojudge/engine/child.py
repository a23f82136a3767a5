"""What every child process does first: keep its protocol apart from everyone's prints."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import BinaryIO

from emojudge.domain import Frozen
from emojudge.engine.protocol import Command, decode_command, encode
from emojudge.errors import EngineError


class Channel:
    """The child's end of the protocol.

    File descriptor 1 is pointed at stderr, because llama.cpp and torch print to it; events go to a
    private copy of the original. A thread reads stdin and ends the process when it closes, even
    in the middle of a long native call, so that no child outlives the app.
    """

    def __init__(self, urgent: Callable[[Command], bool] = lambda command: False) -> None:
        """``urgent`` sees each command on the reader thread; returning True consumes it."""
        self._out: BinaryIO = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        self._urgent = urgent
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="commands", daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            try:
                command = decode_command(line)
            except EngineError as problem:
                print(problem, file=sys.stderr, flush=True)
                continue
            if not self._urgent(command):
                self._commands.put(command)
        os._exit(0)

    def next_command(self) -> Command:
        """Wait for the next command."""
        return self._commands.get()

    def send(self, event: Frozen) -> None:
        """Send one event; a parent that is gone ends the process."""
        try:
            self._out.write(encode(event))
        except BrokenPipeError:
            os._exit(0)
