"""The encoder from the app's side: texts in, unit vectors out."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from emojudge.engine.process import WorkerProcess
from emojudge.engine.protocol import Embed, Embedded, EncoderReady, LoadEncoder, TaskFailed
from emojudge.errors import EngineError

ENCODER_MODULE = "emojudge.engine.embedding_worker"
_LOAD_DEADLINE = 300.0
_EMBED_DEADLINE = 1800.0


class Encoder:
    """A sentence-transformers model in its own worker, started on first use."""

    def __init__(self, name: str, threads: int, module: str = ENCODER_MODULE) -> None:
        self.name = name
        self._threads = threads
        self._module = module
        self._process: WorkerProcess | None = None
        self._lock = asyncio.Lock()
        self._ids = itertools.count()

    async def warm_up(self) -> None:
        """Start the worker now, so that its imports overlap with other work."""
        async with self._lock:
            await self._started()

    async def _started(self) -> WorkerProcess:
        if self._process is not None:
            return self._process
        # A model in a folder needs nothing from a hub, and must not wait for one.
        offline = {"HF_HUB_OFFLINE": "1"} if Path(self.name).is_dir() else None
        process = await WorkerProcess.start(self._module, "the encoder", offline)
        try:
            await process.send(LoadEncoder(name=self.name, threads=self._threads))
            event = await process.receive(_LOAD_DEADLINE)
            if not isinstance(event, EncoderReady):
                raise EngineError(
                    event.reason if isinstance(event, TaskFailed) else f"it answered {event}"
                )
        except BaseException:
            await process.kill()
            raise
        self._process = process
        return process

    async def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embed texts; rows of shape (texts, dimensions) have length 1. Raises EngineError."""
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        async with self._lock:
            process = await self._started()
            task_id = f"embed-{next(self._ids)}"
            try:
                await process.send(Embed(id=task_id, texts=tuple(texts)))
                event = await process.receive(_EMBED_DEADLINE)
            except EngineError:
                self._process = None
                raise
        if isinstance(event, Embedded) and event.id == task_id:
            return event.unpack()
        raise EngineError(
            event.reason if isinstance(event, TaskFailed) else f"the encoder answered {event}"
        )

    async def close(self) -> None:
        """Stop the worker."""
        if self._process is not None:
            await self._process.kill()
            self._process = None
