"""Working in the background while people look and rate.

Prompts are prepared whole: all candidates' samples are generated, then judged, so that agreement
is live. Prompts that a rater is about to see come first; with :meth:`Conductor.run_all` the rest
follows, which is the ai-judge phase.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from emojudge.domain import Prompt
from emojudge.engine.tasks import BACKGROUND
from emojudge.errors import EmojudgeError
from emojudge.pipeline.judging import Judging
from emojudge.pipeline.responses import Responses
from emojudge.pipeline.study import Study

_LOG = logging.getLogger(__name__)


class Conductor:
    """Prepares prompts one after another, in the process that leads the study."""

    def __init__(self, study: Study, responses: Responses, judging: Judging) -> None:
        self._study = study
        self._responses = responses
        self._judging = judging
        self._wanted: list[Prompt] = []
        self._all = False
        self._attempted: set[str] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._warm_up: asyncio.Task[None] | None = None

    def want(self, prompts: Sequence[Prompt]) -> None:
        """Prepare these prompts next, in this order."""
        self._wanted = list(prompts)
        self._start()

    def run_all(self) -> None:
        """Work through all prompts; what failed before is tried again."""
        self._all = True
        self._attempted.clear()
        self._start()

    def pause(self) -> None:
        """Finish the prompt in hand, then only prepare what raters need."""
        if self._all:
            self._all = False
            self._study.state.say("paused after the prompt in hand", running=False)

    def _start(self) -> None:
        self._wake.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="conductor")

    def _next(self) -> Prompt | None:
        queue = [*self._wanted, *(self._study.discovery.prompts if self._all else ())]
        return next((one for one in queue if one.id not in self._attempted), None)

    async def _work(self) -> None:
        # Its imports take seconds; a failure shows when the first prompt is judged.
        self._warm_up = asyncio.create_task(self._judging.encoder.warm_up())
        while True:
            self._wake.clear()
            prompt = self._next()
            if prompt is None:
                self._rest()
                await self._wake.wait()
                continue
            self._attempted.add(prompt.id)
            try:
                await self.prepare(prompt)
            except EmojudgeError as problem:
                _LOG.error("preparing %s: %s", prompt.id, problem)
                self._study.state.report_problem(str(problem))
            self.report_progress()

    def _rest(self) -> None:
        if self._all:
            self._all = False
            self._study.state.say("ai-judge is complete", running=False)
        else:
            self._study.state.say("ready", running=False)

    async def prepare(self, prompt: Prompt) -> None:
        """Generate and judge everything for one prompt. Raises EmojudgeError."""
        self._study.state.say("generating", running=True)
        jobs = [
            self._responses.ensure(cell, BACKGROUND)
            for candidate in self._study.discovery.candidates
            for cell in self._study.cells(candidate, prompt)
        ]
        for job in asyncio.as_completed(jobs):
            await job
            self.report_progress()
        if self._judging.unjudged([prompt]):
            self._study.state.say("judging", running=True)
            await self._judging.judge([prompt])

    def report_progress(self) -> None:
        """Publish progress per candidate."""
        study = self._study
        prompts = study.discovery.prompts
        study.state.progress(
            {
                candidate.sha256: self._responses.progress_of(
                    candidate,
                    [cell for prompt in prompts for cell in study.cells(candidate, prompt)],
                )
                for candidate in study.discovery.candidates
            }
        )
        study.state.judged(study.judged_prompts(), len(prompts))

    async def close(self) -> None:
        """Stop working."""
        tasks = [task for task in (self._task, self._warm_up) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
