"""The encoder from the app's side: texts in, rows of numbers out."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from emojudge.engine.modules import ENCODER_MODULE
from emojudge.engine.process import WorkerProcess
from emojudge.engine.protocol import Embed, Embedded, EncoderReady, LoadEncoder, TaskFailed
from emojudge.errors import EngineError

_LOAD_DEADLINE = 300.0
_EMBED_DEADLINE = 1800.0
_TEXTS_AT_ONCE = 1024
"""What a line of the protocol holds in any dimension."""
_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads that spin while they wait would take cores from the models that generate."""


class Encoder:
    """A model for texts in its own worker, started on first use.

    ``task`` is ``embed`` for a sentence-transformers model, whose rows are unit vectors, or
    ``classify`` for a text classifier, whose rows are probabilities of :meth:`labels`.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        module: str = ENCODER_MODULE,
        task: Literal["embed", "classify"] = "embed",
    ) -> None:
        self.name = name
        self.task = task
        self._threads = threads
        self._module = module
        self._process: WorkerProcess | None = None
        self._ready: EncoderReady | None = None
        self._lock = asyncio.Lock()
        self._ids = itertools.count()

    @property
    def pid(self) -> int | None:
        """The worker's process id while it runs."""
        return None if self._process is None else self._process.pid

    async def warm_up(self) -> EncoderReady:
        """Start the worker now, so that its imports overlap with other work; says what it is."""
        async with self._lock:
            await self._started()
            assert self._ready is not None
            return self._ready

    async def _started(self) -> WorkerProcess:
        if self._process is not None:
            return self._process
        # A model in a folder needs nothing from a hub, and must not wait for one.
        offline = {"HF_HUB_OFFLINE": "1"} if Path(self.name).is_dir() else {}
        process = await WorkerProcess.start(
            self._module, "the encoder", {**_ENVIRONMENT, **offline}
        )
        try:
            await process.send(LoadEncoder(name=self.name, threads=self._threads, task=self.task))
            event = await process.receive(_LOAD_DEADLINE)
            if not isinstance(event, EncoderReady):
                raise EngineError(
                    event.reason if isinstance(event, TaskFailed) else f"it answered {event}"
                )
        except BaseException:
            await process.kill()
            raise
        self._process, self._ready = process, event
        return process

    async def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Rows of shape (texts, dimensions), in the order of the texts. Raises EngineError."""
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        # Texts of about one length go together, because a batch is padded to its longest.
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        parts = []
        for start in range(0, len(order), _TEXTS_AT_ONCE):
            chosen = order[start : start + _TEXTS_AT_ONCE]
            parts.append(await self._ask([texts[place] for place in chosen]))
        rows = np.empty((len(texts), parts[0].shape[1]), dtype=np.float32)
        rows[order] = np.concatenate(parts)
        return rows

    async def _ask(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        async with self._lock:
            process = await self._started()
            task_id = f"embed-{next(self._ids)}"
            try:
                await process.send(Embed(id=task_id, texts=tuple(texts)))
                event = await process.receive(_EMBED_DEADLINE)
            except BaseException:
                # Who stops waiting leaves an answer behind that the next one would take for its.
                self._process = None
                await process.kill()
                raise
        if isinstance(event, Embedded) and event.id == task_id:
            return event.unpack()
        raise EngineError(
            event.reason
            if isinstance(event, TaskFailed)
            else f"the encoder answered {event.event!r} to something else"
        )

    async def close(self) -> None:
        """Stop the worker."""
        if self._process is not None:
            await self._process.kill()
            self._process = None
