"""The local executor: one worker process per loaded model, loaded as capacity allows."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from emojudge.engine.process import WorkerProcess
from emojudge.engine.protocol import (
    Cancel,
    Generate,
    Generated,
    LoadModel,
    ModelReady,
    TaskFailed,
    TextFrame,
)
from emojudge.engine.tasks import (
    Failed,
    Finished,
    GenerateTask,
    ModelSpec,
    NewText,
    Started,
    TaskEvent,
)
from emojudge.errors import EngineError, WorkerDied

_LOG = logging.getLogger(__name__)
WORKER_MODULE = "emojudge.engine.worker"
_LOAD_DEADLINE = 600.0
_ATTEMPTS = 2
_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class WorkerOptions:
    """How workers load models; see ``performance_config``."""

    threads: int
    context_length: int | None = None
    gpu_layers: int | None = None
    main_gpu: int = 0
    tensor_split: tuple[float, ...] | None = None
    module: str = WORKER_MODULE


@dataclass
class _Ticket:
    """A queued task and the way back to who asked."""

    task: GenerateTask
    priority: int
    events: asyncio.Queue[TaskEvent] = field(default_factory=asyncio.Queue)
    cancelled: bool = False

    def __lt__(self, other: _Ticket) -> bool:
        return (self.priority, self.task.order) < (other.priority, other.task.order)


class _Slot:
    """One model: its queue, and its worker while it is loaded."""

    def __init__(self, model: ModelSpec) -> None:
        self.model = model
        self.queue: list[_Ticket] = []
        self.process: WorkerProcess | None = None
        self.load_seconds = 0.0
        self.runner: asyncio.Task[None] | None = None
        self.current: _Ticket | None = None

    def more_urgent_than(self, other: _Slot) -> bool:
        """Whether this slot's next task has a better priority; order alone changes no model."""
        if not self.queue:
            return False
        return not other.queue or self.queue[0].priority < other.queue[0].priority


class LocalExecutor:
    """Runs tasks on this machine, at most ``capacity`` models at once.

    A worker that dies costs one retried task: the task is tried once more on a fresh worker and
    then reported as failed; tasks of a model that does not load all fail with the same reason.
    """

    def __init__(self, capacity: int, options: WorkerOptions) -> None:
        self._capacity = capacity
        self._options = options
        self._slots: dict[str, _Slot] = {}
        self._loaded: list[_Slot] = []
        self._waiting: list[_Slot] = []
        self._room = asyncio.Condition()
        self._closed = False

    async def submit(self, task: GenerateTask) -> AsyncGenerator[TaskEvent, None]:
        """Queue a task; iterate its events up to Finished or Failed. Closing cancels it."""
        if self._closed:
            raise EngineError("The engine has been stopped.")
        slot = self._slots.setdefault(task.model.key, _Slot(task.model))
        ticket = _Ticket(task, task.priority)
        heapq.heappush(slot.queue, ticket)
        if slot.runner is None or slot.runner.done():
            slot.runner = asyncio.create_task(self._run(slot), name=f"runner {task.model.name}")
        try:
            while True:
                event = await ticket.events.get()
                yield event
                if isinstance(event, Finished | Failed):
                    return
        finally:
            await self._withdraw(slot, ticket)

    def prioritise(self, task: GenerateTask, priority: int) -> None:
        """Let a queued task go earlier; one that is running or over is left as it is."""
        slot = self._slots.get(task.model.key)
        for ticket in slot.queue if slot else []:
            if ticket.task is task:
                ticket.priority = min(ticket.priority, priority)
        if slot is not None:
            heapq.heapify(slot.queue)

    async def _withdraw(self, slot: _Slot, ticket: _Ticket) -> None:
        """Forget a ticket; if it is being worked on, tell the worker to stop."""
        ticket.cancelled = True
        if ticket in slot.queue:
            slot.queue.remove(ticket)
            heapq.heapify(slot.queue)
            async with self._room:
                self._room.notify_all()
        elif slot.current is ticket and slot.process is not None:
            with contextlib.suppress(WorkerDied):
                await slot.process.send(Cancel(id=ticket.task.id))

    async def _run(self, slot: _Slot) -> None:
        """Work off one model's queue, giving way to more urgent models when capacity is short."""
        while slot.queue:
            await self._make_room(slot)
            if not slot.queue:
                break
            ticket = heapq.heappop(slot.queue)
            slot.current = ticket
            try:
                await self._attempt(slot, ticket)
            except Exception as problem:  # noqa: BLE001 - reported, logged, and not ours to stop at
                # Whoever waits for this ticket must hear of it, whatever went wrong.
                _LOG.exception("unexpected while running %s", slot.model.name)
                ticket.events.put_nowait(Failed(reason=f"{type(problem).__name__}: {problem}"))
            finally:
                slot.current = None
            async with self._room:
                self._room.notify_all()

    async def _make_room(self, slot: _Slot) -> None:
        """Wait until this slot may be loaded; returns early when its queue was emptied.

        A slot that is loaded gives way between its tasks when a more urgent one waits.
        """
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
                while slot.queue and not await self._enter(slot):
                    await self._room.wait()
            finally:
                self._waiting.remove(slot)

    async def _enter(self, slot: _Slot) -> bool:
        """Load this slot's place if it is its turn, unloading an idle model if need be."""
        if any(one.more_urgent_than(slot) for one in self._waiting if one is not slot):
            return False
        if len(self._loaded) >= self._capacity:
            idle = [one for one in self._loaded if one.current is None and not one.queue]
            if not idle:
                return False
            self._loaded.remove(idle[0])
            await self._unload(idle[0])
        self._loaded.append(slot)
        return True

    async def _unload(self, slot: _Slot) -> None:
        if slot.process is not None:
            await slot.process.close()
            slot.process = None

    async def _load(self, slot: _Slot) -> WorkerProcess:
        """Start a worker and load the model. Raises EngineError."""
        if slot.process is not None:
            return slot.process
        model, options = slot.model, self._options
        process = await WorkerProcess.start(options.module, f"the worker of {model.name}")
        slot.process = process
        await process.send(
            LoadModel(
                path=str(model.path),
                threads=options.threads,
                context_length=options.context_length or model.context_length,
                gpu_layers=options.gpu_layers,
                main_gpu=options.main_gpu,
                tensor_split=options.tensor_split,
                template=model.template,
            )
        )
        event = await process.receive(_LOAD_DEADLINE)
        if isinstance(event, ModelReady):
            slot.load_seconds = event.load_seconds
            _LOG.info("loaded %s in %.2f s", model.name, event.load_seconds)
            return process
        await self._unload(slot)
        reason = event.reason if isinstance(event, TaskFailed) else f"it answered {event}"
        raise EngineError(f"{model.name} could not be loaded: {reason}")

    async def _attempt(self, slot: _Slot, ticket: _Ticket) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            if ticket.cancelled:
                return
            try:
                process = await self._load(slot)
                ticket.events.put_nowait(Started(attempt=attempt, load_seconds=slot.load_seconds))
                ticket.events.put_nowait(await self._converse(process, ticket))
                return
            except WorkerDied as death:
                slot.process = None
                _LOG.warning("%s (attempt %d of %d)", death, attempt, _ATTEMPTS)
                problem: EngineError = death
            except EngineError as refusal:
                ticket.events.put_nowait(Failed(reason=str(refusal)))
                return
        ticket.events.put_nowait(Failed(reason=str(problem)))

    async def _converse(self, process: WorkerProcess, ticket: _Ticket) -> TaskEvent:
        """Send the task and pass its events on; returns the last one."""
        task = ticket.task
        await process.send(
            Generate(
                id=task.id,
                messages=task.messages,
                sampling=task.sampling,
                seed=task.seed,
                deadline_seconds=task.deadline_seconds,
            )
        )
        while True:
            event = await process.receive(task.deadline_seconds + _GRACE_SECONDS)
            if isinstance(event, TextFrame):
                for delta in event.deltas:
                    if delta.id == task.id:
                        ticket.events.put_nowait(NewText(text=delta.text))
            elif isinstance(event, Generated) and event.id == task.id:
                return Finished(result=event)
            elif isinstance(event, TaskFailed) and event.id == task.id:
                return Failed(reason=event.reason)
            else:
                await process.kill()
                raise WorkerDied(
                    f"{process.name} answered something else than asked.", process.last_words
                )

    async def close(self) -> None:
        """Stop all workers; open tasks fail."""
        self._closed = True
        runners = [slot.runner for slot in self._slots.values() if slot.runner is not None]
        for runner in runners:
            runner.cancel()
        await asyncio.gather(*runners, return_exceptions=True)
        await asyncio.gather(
            *(slot.process.kill() for slot in self._slots.values() if slot.process is not None)
        )
        for slot in self._slots.values():
            for ticket in [*slot.queue, *([slot.current] if slot.current else [])]:
                ticket.events.put_nowait(Failed(reason="the engine was stopped"))
            slot.process = None
            slot.queue.clear()
        self._loaded.clear()
