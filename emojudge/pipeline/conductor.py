"""Working in the background while people look and rate.

What raters are about to see goes first; with :meth:`Conductor.run_all` everything else follows,
which is the ai-judge phase. All texts are handed to the executor at once, so that each model
works off its own in batches; a prompt is judged when all its responses are there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emojudge.domain import CellFailure, Prompt, Response
from emojudge.engine.tasks import BACKGROUND, PREFETCH
from emojudge.errors import EmojudgeError
from emojudge.pipeline.judging import Judging
from emojudge.pipeline.measurements import Measurements
from emojudge.pipeline.responses import Responses
from emojudge.pipeline.study import Study

_LOG = logging.getLogger(__name__)
_PROGRESS_SECONDS = 0.5


_Jobs = Sequence[asyncio.Future[Response | CellFailure]]


@dataclass(frozen=True)
class _Preparation:
    """A prompt whose responses are being waited for."""

    task: asyncio.Task[None]
    jobs: _Jobs


class Conductor:
    """Prepares prompts in the process that leads the study."""

    def __init__(
        self,
        study: Study,
        responses: Responses,
        judging: Judging,
        measurements: Measurements,
    ) -> None:
        self._study = study
        self._responses = responses
        self._judging = judging
        self._measurements = measurements
        self._measuring: asyncio.Task[int] | None = None
        self._asking: asyncio.Task[Any] | None = None
        self._all = False
        self._working = False
        self._paused = False
        self._preparing: dict[str, _Preparation] = {}
        self._ready: list[Prompt] = []
        self._judged_in_vain: set[str] = set()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def want(self, prompts: Sequence[Prompt]) -> None:
        """Prepare these prompts next; raters will see them soon."""
        for prompt in prompts:
            self._prepare(prompt, PREFETCH)

    def run_all(self) -> None:
        """Work through all prompts; what could not be judged before is tried again."""
        self._all = True
        self._study.state.run_phase(True)
        self._judged_in_vain.clear()
        self._judging.try_again()
        for prompt in self._study.discovery.prompts:
            self._prepare(prompt, BACKGROUND)

    def pause(self) -> None:
        """Finish the texts that are under way, then only prepare what raters need."""
        self._hold("paused; texts under way are finished", at_once=False)

    def stop(self) -> None:
        """Drop the texts and questions that are under way; only raters' texts are made then."""
        self._hold("stopped; what was finished is stored", at_once=True)

    def _hold(self, what: str, *, at_once: bool) -> None:
        if not (self._all or (at_once and self._paused)):
            return
        self._all = False
        self._study.state.run_phase(False)
        self._responses.drop(BACKGROUND, under_way=at_once)
        if self._measuring is not None:
            self._measuring.cancel()
        if at_once and self._asking is not None:
            self._asking.cancel()
        self._paused = True
        self._study.state.say(what, running=False)

    def _prepare(self, prompt: Prompt, priority: int) -> None:
        self._start()
        self._working = True
        self._paused = False
        cells = [
            cell
            for candidate in self._study.discovery.candidates
            for cell in self._study.reachable_cells(candidate, prompt)
        ]
        jobs = [self._responses.ensure(cell, priority) for cell in cells]
        before = self._preparing.get(prompt.id)
        if before is not None:
            if not any(job not in before.jobs and not job.done() for job in jobs):
                return
            # Some of its jobs were dropped by a pause, and begun anew since.
            before.task.cancel()
        task = asyncio.create_task(self._await_responses(prompt, jobs), name=f"prepare {prompt.id}")
        self._preparing[prompt.id] = _Preparation(task, jobs)

    async def _await_responses(self, prompt: Prompt, jobs: _Jobs) -> None:
        """Hand a prompt to the judges once all its responses are there, or have failed."""
        try:
            await asyncio.wait(jobs)
            if not any(job.cancelled() for job in jobs) and prompt.id not in self._judged_in_vain:
                self._ready.append(prompt)
        finally:
            now = self._preparing.get(prompt.id)
            if now is not None and now.jobs is jobs:
                del self._preparing[prompt.id]
            self._wake.set()

    def _start(self) -> None:
        if not self._tasks:
            # The encoder's imports take seconds; a failure shows when the first prompt is judged.
            self._tasks = [
                asyncio.create_task(self._judging.warm_up(), name="warm-up"),
                asyncio.create_task(self._judge(), name="judging"),
                asyncio.create_task(self._report(), name="progress"),
            ]

    async def _judge(self) -> None:
        """Judge what is ready, as much as is ready at once."""
        while True:
            self._wake.clear()
            prompts = [one for one in self._ready if self._judging.unjudged([one])]
            self._ready.clear()
            if prompts:
                self._study.state.say("judging", running=True)
                try:
                    await self._ask(prompts)
                except EmojudgeError as problem:
                    _LOG.error("judging %d prompts: %s", len(prompts), problem)
                    self._give_up(prompts, str(problem))
                except Exception as problem:  # noqa: BLE001 - a judge may be somebody's plug-in
                    _LOG.exception("judging %d prompts", len(prompts))
                    self._give_up(prompts, f"A judge failed: {type(problem).__name__} {problem}")
            if self._all and not self._preparing and not self._ready:
                await self._measure()
            if not self._paused:
                self._say_where_we_are()
            if not self._ready:
                await self._wake.wait()

    async def _ask(self, prompts: Sequence[Prompt]) -> None:
        """Let the judges judge; a stop ends it, and a new start asks again."""
        self._asking = asyncio.create_task(self._judging.judge(prompts), name="asking judges")
        try:
            await asyncio.wait({self._asking})
            if not self._asking.cancelled():
                self._asking.result()
        finally:
            self._asking.cancel()
            self._asking = None

    async def _measure(self) -> None:
        """What follows when everything is generated and judged; a pause stops it."""
        self._measuring = asyncio.create_task(self._measurements.run(), name="measuring")
        try:
            await asyncio.wait({self._measuring})
            problem = None if self._measuring.cancelled() else self._measuring.exception()
            if problem is not None:
                _LOG.error("measuring", exc_info=problem)
                self._study.state.report_problem(str(problem))
        finally:
            self._measuring.cancel()
            self._measuring = None

    def _give_up(self, prompts: Sequence[Prompt], why: str) -> None:
        """These are not judged again before the phase is started again."""
        self._judged_in_vain |= {one.id for one in prompts}
        self._study.state.report_problem(why)

    def _say_where_we_are(self) -> None:
        self.report_progress()
        if self._paused and self._preparing:
            return
        if self._preparing:
            self._study.state.say("generating", running=True)
        elif self._working and not self._ready:
            done = "ai-judge is complete" if self._all else "ready"
            self._all = self._working = self._paused = False
            self._study.state.run_phase(False)
            self._study.state.say(done, running=False)

    async def _report(self) -> None:
        """Progress moves while texts grow, not only when they are finished."""
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            if self._preparing:
                self._say_where_we_are()

    def report_progress(self) -> None:
        """Publish progress per candidate."""
        study = self._study
        prompts = study.discovery.prompts
        study.state.progress(
            {
                candidate.sha256: self._responses.progress_of(
                    candidate,
                    [
                        cell
                        for prompt in prompts
                        for cell in study.reachable_cells(candidate, prompt)
                    ],
                )
                for candidate in study.discovery.candidates
            }
        )
        study.state.judged(study.judged_prompts(), len(prompts))

    async def close(self) -> None:
        """Stop working."""
        tasks: list[asyncio.Task[Any]] = [
            *self._tasks,
            *(one.task for one in self._preparing.values()),
            *([self._measuring] if self._measuring is not None else []),
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
