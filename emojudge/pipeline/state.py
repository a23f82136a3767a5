"""What a running study is doing, without Textual: screens and the headless run subscribe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Phase(StrEnum):
    """The five phases, in order."""

    DISCOVER = "discover"
    AI_JUDGE = "ai-judge"
    HUMAN_JUDGE = "human-judge"
    RANK = "rank"
    DEPLOY = "deploy"


@dataclass(frozen=True)
class CandidateProgress:
    """Responses of one candidate: ``done`` of ``total`` are stored, ``reused`` were before.

    ``tokens_per_second`` and ``seconds_left`` are None until something was generated in this run.
    """

    done: int
    total: int
    reused: int
    failed: int = 0
    tokens_per_second: float | None = None
    seconds_left: float | None = None

    @property
    def complete(self) -> bool:
        """Nothing is left to generate."""
        return self.done + self.failed >= self.total


@dataclass(frozen=True)
class Status:
    """A snapshot. ``progress`` is by candidate sha256; ``judged`` counts prompts.

    ``phase_running`` says that the whole ai-judge phase is under way, not only what raters need.
    ``data_version`` counts changes of what is stored, ``insight_version`` those of what was
    computed from it.
    """

    activity: str = ""
    running: bool = False
    phase_running: bool = False
    leading: bool = False
    problem: str | None = None
    progress: Mapping[str, CandidateProgress] = field(default_factory=dict)
    judged: int = 0
    to_judge: int = 0
    data_version: int = 0
    insight_version: int = 0


Subscriber = Callable[[Status], None]


class StudyState:
    """The one place where the status lives; subscribers are called on every change."""

    def __init__(self) -> None:
        self.status = Status()
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call ``subscriber`` on every change; returns the way to stop that."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def _set(self, status: Status) -> None:
        if status != self.status:
            self.status = status
            for subscriber in tuple(self._subscribers):
                subscriber(status)

    def say(self, activity: str, *, running: bool | None = None) -> None:
        """What is going on, in a few words."""
        now = self.status.running if running is None else running
        self._set(replace(self.status, activity=activity, running=now))

    def run_phase(self, running: bool) -> None:
        """Whether the whole ai-judge phase is under way."""
        self._set(replace(self.status, phase_running=running))

    def report_problem(self, problem: str | None) -> None:
        """Something that a person should read; None when it is over."""
        self._set(replace(self.status, problem=problem))

    def lead(self, leading: bool) -> None:
        """Whether this process generates and judges."""
        self._set(replace(self.status, leading=leading))

    def progress(self, progress: Mapping[str, CandidateProgress]) -> None:
        """Progress of all candidates."""
        self._set(replace(self.status, progress=dict(progress)))

    def judged(self, judged: int, to_judge: int) -> None:
        """Prompts judged so far."""
        self._set(replace(self.status, judged=judged, to_judge=to_judge))

    def data_changed(self) -> None:
        """Stored data changed: views are to be built again."""
        self._set(replace(self.status, data_version=self.status.data_version + 1))

    def insight_changed(self) -> None:
        """Something was computed from the stored data: screens that show it repaint."""
        self._set(replace(self.status, insight_version=self.status.insight_version + 1))
