"""What can be asked of an executor, and what comes back."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from emojudge.domain import Frozen, Message, Sampling
from emojudge.engine.protocol import Generated

LIVE = 0
BACKGROUND = 10
_sequence = itertools.count()


@dataclass(frozen=True)
class ModelSpec:
    """A model to load: ``key`` (its sha256) identifies it, ``template`` None means its own.

    ``context_length`` is what to load it with, in tokens; None leaves it to the worker.
    """

    key: str
    name: str
    path: Path
    size: int
    template: str | None = None
    context_length: int | None = None


@dataclass(frozen=True, order=True)
class GenerateTask:
    """One conversation to answer. Lower priority values go first, then submission order."""

    priority: int
    order: int = field(init=False)
    model: ModelSpec = field(compare=False)
    messages: tuple[Message, ...] = field(compare=False)
    sampling: Sampling = field(compare=False)
    seed: int = field(compare=False)
    deadline_seconds: float = field(compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", next(_sequence))

    @property
    def id(self) -> str:
        """Unique in this process, so that a late answer is never taken for another task's."""
        return f"task-{self.order}"


class Started(Frozen):
    """The task is being worked on; ``attempt`` counts from 1, text so far is void on a retry."""

    attempt: int
    load_seconds: float


class NewText(Frozen):
    """More text."""

    text: str


class Finished(Frozen):
    """The whole response."""

    result: Generated


class Failed(Frozen):
    """No response, and why."""

    reason: str


TaskEvent = Started | NewText | Finished | Failed


class Executor(Protocol):
    """Runs tasks somewhere. Judges and screens know only this."""

    def submit(self, task: GenerateTask) -> AsyncGenerator[TaskEvent, None]:
        """Queue a task; iterate its events up to Finished or Failed. Closing cancels it."""
        ...

    def prioritise(self, task: GenerateTask, priority: int) -> None:
        """Let a task that is still queued go earlier."""
        ...

    async def close(self) -> None:
        """Stop everything."""
        ...
