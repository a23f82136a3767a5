"""One child process from the app's side: started with asyncio, spoken to in JSON lines."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence

from emojudge.engine.protocol import Event, decode_event, encode
from emojudge.errors import EngineError, WorkerDied
from emojudge.frozen import Frozen
from emojudge.text import visible_line

_LOG = logging.getLogger(__name__)
_LINE_LIMIT = 64 << 20
_KEPT_STDERR_LINES = 40
MODEL_ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""For processes that hold weights: huge pages, where the kernel gives them on request, save a few
hundredths of decoding time. The setting must be there when the process starts."""
_EXIT_SECONDS = 2.0
# Where llama.cpp was built; what it says when it aborts begins with it.
_BUILT_IN = re.compile(r"/\S+/llama\.cpp/")


class WorkerProcess:
    """A running child. Its stderr goes to the log, and its last lines into error messages."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.name = name
        self._process = process
        self._stderr: collections.deque[str] = collections.deque(maxlen=_KEPT_STDERR_LINES)
        self._drain = asyncio.create_task(self._drain_stderr(), name=f"stderr of {name}")

    @classmethod
    async def start(
        cls,
        module: str,
        name: str,
        extra_environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> WorkerProcess:
        """Run ``python -m module`` in a session of its own, so that Ctrl-C stays with the app.

        Raises EngineError when no process can be started.
        """
        environment = dict(os.environ, PYTHONUNBUFFERED="1", PYTHONSAFEPATH="1")
        # Where it aborts, llama.cpp would start a debugger, whose words hide what went wrong.
        environment["GGML_NO_BACKTRACE"] = "1"
        environment.update(extra_environment or {})
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LINE_LIMIT,
                start_new_session=True,
                env=environment,
            )
        except OSError as problem:
            raise EngineError(
                f"Cannot start {name}: {problem.strerror}. Close other programs, or raise the "
                "limits on processes and open files (ulimit)."
            ) from problem
        return cls(process, name)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def last_words(self) -> tuple[str, ...]:
        """The last lines of its stderr, harmless to show."""
        return tuple(self._stderr)

    async def _drain_stderr(self) -> None:
        assert self._process.stderr is not None
        while True:
            try:
                line = await self._process.stderr.readline()
            except ValueError:
                # A line beyond the limit: its start is dropped by asyncio, the rest follows.
                continue
            if not line:
                return
            text = visible_line(_BUILT_IN.sub("", line.decode("utf-8", "replace").rstrip()))
            if text.strip(" ."):
                self._stderr.append(text)
                _LOG.debug("%s: %s", self.name, text)

    async def send(self, command: Frozen) -> None:
        """Send one command. Raises WorkerDied."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(encode(command))
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as gone:
            raise await self._death() from gone

    async def receive(self, deadline_seconds: float) -> Event:
        """Wait for the next event; a worker that overruns the deadline is killed.

        Raises WorkerDied when it ended, hung or talked nonsense.
        """
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(deadline_seconds):
                line = await self._process.stdout.readline()
        except TimeoutError as late:
            await self.kill()
            raise WorkerDied(
                f"{self.name} did not answer within {deadline_seconds:.0f} s and was stopped.",
                self.last_words,
            ) from late
        except ValueError as endless:
            await self.kill()
            raise WorkerDied(f"{self.name} sent a line without an end.", self.last_words) from (
                endless
            )
        if not line.endswith(b"\n"):
            raise await self._death()
        try:
            return decode_event(line)
        except EngineError as nonsense:
            await self.kill()
            raise WorkerDied(f"{self.name} talked nonsense: {nonsense}", self.last_words) from (
                nonsense
            )

    async def _death(self) -> WorkerDied:
        """Explain how the child ended."""
        await self.kill()
        code = self._process.returncode
        if code is not None and code < 0:
            known = -code in set(signal.Signals)
            how = f"was ended by {signal.Signals(-code).name if known else f'signal {-code}'}"
        else:
            how = f"ended with status {code}"
        return WorkerDied(f"{self.name} {how}.", self.last_words)

    async def close(self) -> None:
        """Ask the child to end by closing its stdin; kill it if it does not."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_EXIT_SECONDS):
                await self._process.wait()
        except TimeoutError:
            _LOG.warning("%s did not end when asked", self.name)
        await self.kill()

    async def kill(self) -> None:
        """End the child now and wait until it is gone."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self._drain
