"""The local executor: one worker process per loaded model, loaded as capacity allows."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from emojudge.engine.modules import WORKER_MODULE
from emojudge.engine.process import MODEL_ENVIRONMENT, WorkerProcess
from emojudge.engine.protocol import (
    Cancel,
    Event,
    Generated,
    Hold,
    LoadModel,
    Measured,
    ModelReady,
    Prioritise,
    TaskBegan,
    TaskFailed,
    TextFrame,
    UseThreads,
)
from emojudge.engine.tasks import (
    BACKGROUND,
    LIVE,
    Failed,
    Figures,
    Finished,
    ModelSpec,
    ModelTask,
    NewText,
    Started,
    TaskEvent,
)
from emojudge.engine.tickets import Slot, Ticket
from emojudge.errors import EngineError, WorkerDied

_LOG = logging.getLogger(__name__)
_LOAD_DEADLINE = 600.0
_GRACE_SECONDS = 10.0
_MOST_DEATHS_IN_A_ROW = 16
_AHEAD = 2
"""Tasks that a worker has at once, in batch widths: as many again wait there, so that a freed
place is taken at once and in the same order whatever this process is busy with."""


@dataclass(frozen=True)
class WorkerOptions:
    """How workers load models; see ``performance_config``.

    ``threads`` are each worker's own; with ``share_threads`` they are divided between the workers
    that work, anew whenever one begins or ceases to.
    """

    threads: int
    share_threads: bool = False
    batch_width: int = 1
    context_length: int | None = None
    gpu_layers: int | None = None
    main_gpu: int = 0
    tensor_split: tuple[float, ...] | None = None
    module: str = WORKER_MODULE


class LocalExecutor:
    """Runs tasks on this machine, at most ``capacity`` models at once.

    Each model's tasks run in batches in its own worker process. A worker that dies costs one
    retry of what it was working on. While a text that somebody looks at is generated, workers
    hold all others, so that panes share the machine between themselves only.
    """

    def __init__(self, capacity: int, options: WorkerOptions) -> None:
        self._capacity = capacity
        self._options = options
        self._slots: dict[str, Slot] = {}
        self._loaded: list[Slot] = []
        self._waiting: list[Slot] = []
        self._room = asyncio.Condition()
        self._closed = False
        self.urgent_texts = 0
        self._errands: set[asyncio.Task[None]] = set()

    # What is asked

    async def submit(self, task: ModelTask) -> AsyncGenerator[TaskEvent, None]:
        """Queue a task; iterate its events up to the last one. Closing cancels it."""
        if self._closed:
            raise EngineError("The engine has been stopped.")
        slot = self._slots.setdefault(task.model.key, Slot(task.model))
        ticket = Ticket(task, task.priority)
        slot.add(ticket)
        self.urgent_texts += task.priority < BACKGROUND
        if slot.runner is None or slot.runner.done():
            slot.runner = asyncio.create_task(self._run(slot), name=f"runner {task.model.name}")
        self._tell_workers(slot, everybody=task.priority <= LIVE)
        try:
            while True:
                event = await ticket.next_event()
                yield event
                if isinstance(event, Finished | Figures | Failed):
                    return
        finally:
            await self._withdraw(slot, ticket)

    def prioritise(self, task: ModelTask, priority: int) -> None:
        """Let a task go earlier that is queued, or make one urgent that is being worked on."""
        slot = self._slots.get(task.model.key)
        for ticket in slot.tickets() if slot else []:
            if slot is not None and ticket.task is task:
                slot.raise_priority(ticket, priority)
                self._tell_workers(slot, everybody=priority <= LIVE)

    async def _withdraw(self, slot: Slot, ticket: Ticket) -> None:
        """Forget a ticket; if it is being worked on, tell the worker to stop."""
        if slot.withdraw(ticket) and slot.process is not None:
            with contextlib.suppress(WorkerDied):
                await slot.process.send(Cancel(id=ticket.task.id))
        self._tell_workers(slot, everybody=ticket.priority <= LIVE)
        async with self._room:
            self._room.notify_all()

    # What workers are told

    def _tell_workers(self, slot: Slot, *, everybody: bool) -> None:
        """Send what is new to a model's worker; what people look at concerns all of them.

        So does a worker that begins or ceases to work, because they share the cores.
        """
        for one in self._slots.values() if everybody else (slot,):
            if one.ready:
                errand = asyncio.create_task(self._feed(one), name=f"feed {one.model.name}")
                self._errands.add(errand)
                errand.add_done_callback(self._errands.discard)

    @property
    def _somebody_looks(self) -> bool:
        return any(slot.has_live for slot in self._slots.values())

    @property
    def _threads_each(self) -> int:
        if not self._options.share_threads:
            return self._options.threads
        working = sum(slot.works for slot in self._slots.values())
        return max(1, self._options.threads // max(1, working))

    def _width(self, model: ModelSpec) -> int:
        return model.batch_width or self._options.batch_width

    async def _feed(self, slot: Slot) -> None:
        """Tell a worker what to hold and what is urgent, and keep it supplied with tasks."""
        async with slot.feeding:
            process = slot.process
            if process is None or not slot.ready:
                return
            # A death is noticed, and dealt with, where the worker's events are read.
            with contextlib.suppress(WorkerDied):
                while slot.promoted:
                    await process.send(Prioritise(id=slot.promoted.pop(0)))
                window = _AHEAD * self._width(slot.model)
                while slot.process is process and not self._should_drain(slot):
                    ticket = slot.next_to_send(window)
                    if ticket is None:
                        break
                    await process.send(ticket.task.command(urgent=ticket.priority <= LIVE))
                if self._somebody_looks != slot.held and slot.process is process:
                    slot.held = not slot.held
                    await process.send(Hold(held=slot.held))
                if slot.threads != self._threads_each and slot.process is process:
                    slot.threads = self._threads_each
                    await process.send(UseThreads(threads=slot.threads))

    # Models come and go

    async def _run(self, slot: Slot) -> None:
        """Work off one model's tasks, giving way to more urgent models when capacity is short."""
        while slot.has_work:
            await self._make_room(slot)
            if not slot.has_work:
                break
            try:
                await self._serve(slot)
            except WorkerDied as death:
                slot.forget_process()
                self._after_death(slot, death)
            except EngineError as refusal:
                slot.fail_all(str(refusal))
            except Exception as problem:  # noqa: BLE001 - reported, logged, and not ours to stop at
                # Whoever waits must hear of it, whatever went wrong.
                _LOG.exception("unexpected while running %s", slot.model.name)
                slot.fail_all(f"{type(problem).__name__}: {problem}")
            self._tell_workers(slot, everybody=True)
            async with self._room:
                self._room.notify_all()

    def _after_death(self, slot: Slot, death: WorkerDied) -> None:
        slot.deaths += 1
        suspected = sum(one.began for one in slot.running.values())
        _LOG.warning("%s It was working on %d texts.", death, suspected)
        slot.after_death(str(death))
        while_loading = not suspected and slot.deaths > 1
        if while_loading or slot.deaths >= _MOST_DEATHS_IN_A_ROW:
            slot.fail_all(f"{death} It ended {slot.deaths} times in a row; given up.")

    async def _make_room(self, slot: Slot) -> None:
        """Wait until this model may be loaded; returns early when its work was withdrawn."""
        async with self._room:
            if slot in self._loaded:
                self._loaded.remove(slot)
                if not any(one.more_urgent_than(slot) for one in self._waiting):
                    self._loaded.append(slot)
                    return
                await self._unload(slot)
                self._room.notify_all()
            self._waiting.append(slot)
            try:
                while slot.has_work and not await self._enter(slot):
                    await self._room.wait()
            finally:
                self._waiting.remove(slot)
                self._room.notify_all()

    async def _enter(self, slot: Slot) -> bool:
        """Take a place if it is this model's turn, unloading an idle one if need be."""
        if any(one.more_urgent_than(slot) for one in self._waiting if one is not slot):
            return False
        if len(self._loaded) >= self._capacity:
            idle = [one for one in self._loaded if not one.has_work]
            if not idle:
                return False
            self._loaded.remove(idle[0])
            await self._unload(idle[0])
        self._loaded.append(slot)
        return True

    async def _unload(self, slot: Slot) -> None:
        """End a worker; what it had been given is queued again."""
        slot.take_back()
        process = slot.forget_process()
        if process is not None:
            await process.close()

    async def _load(self, slot: Slot) -> WorkerProcess:
        """Start a worker and load the model. Raises EngineError."""
        if slot.process is not None and slot.ready:
            return slot.process
        model, options = slot.model, self._options
        _check_unchanged(model)
        process = await WorkerProcess.start(
            options.module, f"the worker of {model.name}", MODEL_ENVIRONMENT
        )
        slot.process = process
        slot.threads = self._threads_each
        await process.send(
            LoadModel(
                path=str(model.path),
                batch_width=self._width(model),
                threads=slot.threads,
                context_length=options.context_length,
                gpu_layers=options.gpu_layers,
                main_gpu=options.main_gpu,
                tensor_split=options.tensor_split,
                template=model.template,
            )
        )
        event = await process.receive(_LOAD_DEADLINE)
        if not isinstance(event, ModelReady):
            await self._unload(slot)
            reason = event.reason if isinstance(event, TaskFailed) else f"it answered {event}"
            raise EngineError(f"{model.name} could not be loaded: {reason}")
        try:
            _check_unchanged(model)
        except EngineError:
            await self._unload(slot)
            raise
        # Held until it has its first batch whole, so that the same run decodes the same batches.
        await process.send(Hold(held=True))
        slot.held = True
        slot.load_seconds = event.load_seconds
        slot.ready = True
        _LOG.info("loaded %s in %.2f s (%s)", model.name, event.load_seconds, event.load_mode)
        return process

    # A loaded model works

    def _should_drain(self, slot: Slot) -> bool:
        """Whether a model that waits has more urgent work than this one."""
        return any(one.more_urgent_than(slot) for one in self._waiting)

    async def _serve(self, slot: Slot) -> None:
        """Feed the worker and pass its events on, until there is no work or it must give way."""
        process = await self._load(slot)
        await self._feed(slot)
        self._tell_workers(slot, everybody=True)
        while slot.running:
            deadline = max(one.task.deadline_seconds for one in slot.running.values())
            await self._dispatch(slot, await process.receive(deadline + _GRACE_SECONDS))
            if self._should_drain(slot) and any(one.has_live for one in self._waiting):
                # Somebody waits in front of a pane: what runs here is begun again later.
                await self._unload(slot)
                return
            await self._feed(slot)

    async def _dispatch(self, slot: Slot, event: Event) -> None:
        """Pass a worker's event on to who asked. Raises WorkerDied when nobody did."""
        match event:
            case TextFrame():
                for delta in event.deltas:
                    ticket = slot.running.get(delta.id)
                    if ticket is not None and (delta.text or delta.tokens):
                        ticket.put(NewText(text=delta.text, tokens=delta.tokens))
                return
            case TaskBegan():
                ticket = slot.running.get(event.id)
                if ticket is not None:
                    ticket.began = True
                    ticket.put(Started(attempt=ticket.crashes + 1, load_seconds=slot.load_seconds))
                    return
            case Generated():
                ticket = slot.running.pop(event.id, None)
                if ticket is not None:
                    slot.deaths = 0
                    ticket.put(Finished(result=event))
                    return
            case _ if isinstance(event, Measured):
                ticket = slot.running.pop(event.id, None)
                if ticket is not None:
                    slot.deaths = 0
                    ticket.put(Figures(result=event))
                    return
            case TaskFailed():
                ticket = slot.running.pop(event.id or "", None)
                if ticket is not None:
                    ticket.put(Failed(reason=event.reason))
                    return
        process = slot.process
        assert process is not None
        await process.kill()
        raise WorkerDied(f"{process.name} answered something else than asked.", process.last_words)

    async def close(self) -> None:
        """Stop all workers; open tasks fail."""
        self._closed = True
        runners = [slot.runner for slot in self._slots.values() if slot.runner is not None]
        for task in (*runners, *self._errands):
            task.cancel()
        await asyncio.gather(*runners, *self._errands, return_exceptions=True)
        processes = [slot.forget_process() for slot in self._slots.values()]
        await asyncio.gather(*(process.kill() for process in processes if process is not None))
        for slot in self._slots.values():
            slot.fail_all("the engine was stopped")
        self._loaded.clear()


def _check_unchanged(model: ModelSpec) -> None:
    """Refuse a model whose files are not those that were hashed. Raises EngineError."""
    for file in model.files:
        try:
            now = Path(file.path).stat()
        except OSError as problem:
            raise EngineError(
                f"{model.name} cannot be read: {file.path}: {problem.strerror}. Put the file back, "
                "or run `emojudge run --phase discover` again."
            ) from problem
        if (now.st_size, now.st_mtime_ns, now.st_ino) != (file.size, file.mtime_ns, file.inode):
            raise EngineError(
                f"{file.path} is not the file that was hashed: it was replaced or changed since. "
                "Run `emojudge run --phase discover` again, so that results name what they are of."
            )
