"""The renderer of chat templates as its user sees it: ask, and be answered within seconds."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from emojudge.engine.chat_template import Turn
from emojudge.errors import EngineError

RENDERER_MODULE = "emojudge.engine.template_renderer"
_START_SECONDS = 60.0
_EXIT_SECONDS = 1.0
_RENDER_SECONDS = 20.0
"""Wall time; the processor time is limited in the renderer, and a busy machine shares it."""


class TemplateStopped(EngineError):
    """A template did not finish within its limits."""


class TemplateProcess:
    """Renders templates in a child process, started anew after one had to be stopped.

    The child ends with its stdin, so it never outlives the process that holds this.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._unread = b""

    def start(self) -> None:
        """Begin starting the child, so that it is ready when it is first needed."""
        if self._child is None:
            self._unread = b""
            self._child = subprocess.Popen(
                [sys.executable, "-m", RENDERER_MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=dict(os.environ, PYTHONSAFEPATH="1"),
            )
            os.set_blocking(self._child.stdout.fileno(), False)  # type: ignore[union-attr]
            self._ready = False

    def render(self, template: str, turns: Sequence[Turn], bos: str, eos: str) -> str:
        """Render a conversation up to where the assistant begins. Raises EngineError."""
        self.start()
        if not self._ready:
            self._answer(_START_SECONDS)
            self._ready = True
        request = {"template": template, "turns": list(turns), "bos": bos, "eos": eos}
        assert self._child is not None
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            # A child that ended is noticed, and explained, where its answer is read.
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()
        answer = self._answer(_RENDER_SECONDS)
        if "problem" in answer:
            raise EngineError(answer["problem"])
        return str(answer["text"])

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._child is not None
        assert self._child.stdout is not None
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                chunk = b""
                if selector.select(max(0.0, deadline - time.monotonic())):
                    chunk = self._child.stdout.read(1 << 20) or b""
                if not chunk:
                    raise TemplateStopped(
                        f"The chat template {self._end()}. Set generation.chat_template in the "
                        "config to one that works."
                    )
                self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _end(self) -> str:
        """End the child, and say how it ended if it did so by itself."""
        assert self._child is not None
        try:
            code: int | None = self._child.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        self.close()
        if code is None:
            return f"did not finish within {_RENDER_SECONDS:.0f} s"
        if code == -signal.SIGXCPU:
            return "took more than 2 s of processor time"
        return f"ended its renderer with status {code}, out of memory perhaps (512 MB)"

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for stream in (self._child.stdin, self._child.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
            self._child = None
