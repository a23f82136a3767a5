"""The local executor's books: what is queued, what is running, and what is under suspicion."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from dataclasses import dataclass, field

from emojudge.engine.process import WorkerProcess
from emojudge.engine.tasks import (
    LIVE,
    Failed,
    ModelSpec,
    ModelTask,
    NewText,
    TaskEvent,
)


@dataclass(eq=False)
class Ticket:
    """A task and the way back to who asked.

    Text that nobody reads is joined, so that a reader who stops costs one text and no more.
    """

    task: ModelTask
    priority: int
    began: bool = False
    crashes: int = 0
    withdrawn: bool = False
    events: deque[TaskEvent] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def __lt__(self, other: Ticket) -> bool:
        return (self.priority, self.task.order) < (other.priority, other.task.order)

    def put(self, event: TaskEvent) -> None:
        """Give an event to who asked."""
        last = self.events[-1] if self.events else None
        if isinstance(event, NewText) and isinstance(last, NewText):
            self.events[-1] = NewText(
                text=last.text + event.text, tokens=last.tokens + event.tokens
            )
        else:
            self.events.append(event)
        self.news.set()

    async def next_event(self) -> TaskEvent:
        """Wait for the next event."""
        while not self.events:
            self.news.clear()
            await self.news.wait()
        return self.events.popleft()


class Slot:
    """One model: its queue, what its worker is doing, and the worker while it is loaded.

    ``suspects`` were in a batch whose worker died; each is tried again alone, so that only the
    one that kills its worker is lost.
    """

    def __init__(self, model: ModelSpec) -> None:
        self.model = model
        self.queue: list[Ticket] = []
        self.running: dict[str, Ticket] = {}
        self.suspects: list[Ticket] = []
        self.process: WorkerProcess | None = None
        self.ready = False
        self.held = False
        self.threads = 0
        self.promoted: list[str] = []
        self.load_seconds = 0.0
        self.deaths = 0
        self.feeding = asyncio.Lock()
        self.runner: asyncio.Task[None] | None = None

    def _first(self) -> Ticket | None:
        """The ticket at the head of the queue; withdrawn ones are dropped when they get there."""
        while self.queue and self.queue[0].withdrawn:
            heapq.heappop(self.queue)
        return self.queue[0] if self.queue else None

    @property
    def has_work(self) -> bool:
        """Whether anything is queued, running or to be tried again."""
        return bool(self._first() or self.running or self.suspects)

    def tickets(self) -> list[Ticket]:
        """All that were not withdrawn, and what is running."""
        queued = [one for one in self.queue if not one.withdrawn]
        return [*queued, *self.running.values(), *self.suspects]

    @property
    def urgency(self) -> int | None:
        """The best priority here, or None without work."""
        first = self._first()
        heads = [*([first] if first else []), *self.running.values(), *self.suspects]
        return min((one.priority for one in heads if not one.withdrawn), default=None)

    @property
    def works(self) -> bool:
        """Whether its worker computes now, or is about to."""
        return bool(self.running) and (not self.held or self.has_live)

    @property
    def has_live(self) -> bool:
        """Whether somebody is looking at a text of this model."""
        return self.urgency is not None and self.urgency <= LIVE

    def more_urgent_than(self, other: Slot) -> bool:
        """Whether this model has something of a better priority; order alone changes none."""
        if self.urgency is None:
            return False
        return other.urgency is None or self.urgency < other.urgency

    def add(self, ticket: Ticket) -> None:
        """Queue a ticket."""
        heapq.heappush(self.queue, ticket)

    def next_to_send(self, window: int) -> Ticket | None:
        """The ticket to hand to the worker next, now running; None if it has enough.

        Suspects go alone.
        """
        if self.suspects:
            if self.running:
                return None
            ticket = self.suspects.pop(0)
        elif self._first() is not None and len(self.running) < window:
            ticket = heapq.heappop(self.queue)
        else:
            return None
        self.running[ticket.task.id] = ticket
        return ticket

    def withdraw(self, ticket: Ticket) -> bool:
        """Forget a ticket; True if the worker has it and must be told."""
        ticket.withdrawn = True
        if ticket in self.suspects:
            self.suspects.remove(ticket)
        return ticket.task.id in self.running

    def raise_priority(self, ticket: Ticket, priority: int) -> None:
        """Give a ticket a better priority; one that is running is made urgent."""
        if priority >= ticket.priority:
            return
        ticket.priority = priority
        heapq.heapify(self.queue)
        if priority <= LIVE and ticket.task.id in self.running:
            self.promoted.append(ticket.task.id)

    def take_back(self) -> None:
        """Queue again what the worker had; its work is lost, and nothing is suspected."""
        for ticket in self.running.values():
            if not ticket.withdrawn:
                ticket.began = False
                self.add(ticket)
        self.running.clear()

    def fail_all(self, reason: str) -> None:
        """Fail everything that is here."""
        for ticket in self.tickets():
            ticket.put(Failed(reason=reason))
        self.queue.clear()
        self.running.clear()
        self.suspects.clear()

    def after_death(self, reason: str) -> None:
        """Sort what a worker that died was working on.

        What it had not begun is queued again. What it had begun is tried once more, alone; what
        was alone already has failed.
        """
        begun = [one for one in self.running.values() if one.began and not one.withdrawn]
        untouched = [one for one in self.running.values() if not one.began and not one.withdrawn]
        self.running.clear()
        for ticket in untouched:
            self.add(ticket)
        for ticket in begun:
            ticket.began = False
            ticket.crashes += 1
            if ticket.crashes > 1:
                ticket.put(Failed(reason=reason))
            else:
                self.suspects.append(ticket)
        self.suspects.sort()

    def forget_process(self) -> WorkerProcess | None:
        """The worker is gone, or is to be ended by the caller."""
        process, self.process = self.process, None
        self.ready = False
        self.held = False
        self.promoted.clear()
        return process
