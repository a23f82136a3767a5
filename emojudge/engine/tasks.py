"""What can be asked of an executor, and what comes back."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from emojudge.domain import Message, ModelFile, Sampling
from emojudge.engine.protocol import Generate, Generated, Measured, Measurement
from emojudge.frozen import Frozen

LIVE = 0
"""Somebody is looking at it."""

PREFETCH = 5
"""Somebody will look at it next."""

BACKGROUND = 10
_sequence = itertools.count()


@dataclass(frozen=True)
class ModelSpec:
    """A model to load: ``key`` (its sha256) identifies it, ``template`` None means its own.

    ``files`` are the files as they were hashed; a model whose files have changed since is refused.
    ``batch_width`` None means the executor's. The same model at another width, or for timing, has
    another key and so a worker of its own.
    """

    key: str
    name: str
    path: Path
    size: int
    template: str | None = None
    files: tuple[ModelFile, ...] = ()
    batch_width: int | None = None


@dataclass(frozen=True)
class ModelTask(ABC):
    """Something one model is to do. Lower priorities go first, then the order of making."""

    priority: int
    model: ModelSpec
    deadline_seconds: float
    order: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", next(_sequence))

    @property
    def id(self) -> str:
        """Unique in this process, so that a late answer is never taken for another task's."""
        return f"task-{self.order}"

    @abstractmethod
    def command(self, *, urgent: bool) -> Generate | Measurement:
        """What to tell the worker."""


@dataclass(frozen=True)
class GenerateTask(ModelTask):
    """One conversation to answer."""

    messages: tuple[Message, ...]
    sampling: Sampling
    seed: int

    def command(self, *, urgent: bool) -> Generate:
        """The command that generates it."""
        return Generate(
            id=self.id,
            messages=self.messages,
            sampling=self.sampling,
            seed=self.seed,
            deadline_seconds=self.deadline_seconds,
            urgent=urgent,
        )


@dataclass(frozen=True)
class MeasureTask(ModelTask):
    """Figures to read off a model; the measurement's own id is replaced by the task's."""

    measurement: Measurement

    def command(self, *, urgent: bool) -> Measurement:
        """The measurement under this task's id."""
        return self.measurement.model_copy(update={"id": self.id})


class Started(Frozen):
    """The task is being worked on; ``attempt`` counts from 1, text so far is void on a retry."""

    attempt: int
    load_seconds: float


class NewText(Frozen):
    """More text, of ``tokens`` tokens."""

    text: str
    tokens: int = 0


class Finished(Frozen):
    """The whole response."""

    result: Generated


class Figures(Frozen):
    """What was measured."""

    result: Measured


class Failed(Frozen):
    """No response, and why."""

    reason: str


TaskEvent = Started | NewText | Finished | Figures | Failed


class Executor(Protocol):
    """Runs tasks somewhere. Judges and screens know only this."""

    def submit(self, task: ModelTask) -> AsyncGenerator[TaskEvent, None]:
        """Queue a task; iterate its events up to the last one. Closing cancels it."""
        ...

    @property
    def urgent_texts(self) -> int:
        """How many texts were asked for by people so far; they disturb what is being timed."""
        ...

    def prioritise(self, task: ModelTask, priority: int) -> None:
        """Let a task go earlier that is queued, or make one urgent that is being worked on."""
        ...

    async def close(self) -> None:
        """Stop everything."""
        ...
