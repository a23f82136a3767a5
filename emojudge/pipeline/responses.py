"""Getting responses: from the store, from a running worker, or from a new task.

Every cell is generated at most once at a time and stored once; whoever asks for it again gets the
same text, whether it was the live screen, prefetch or a headless run that asked first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from emojudge import clock
from emojudge.domain import Candidate, Cell, CellFailure, Prompt, Response
from emojudge.engine.tasks import (
    BACKGROUND,
    Executor,
    Failed,
    Finished,
    GenerateTask,
    NewText,
    Started,
)
from emojudge.pipeline.cells import conversation, engine_version
from emojudge.pipeline.pace import Pace
from emojudge.pipeline.state import CandidateProgress
from emojudge.pipeline.study import Study
from emojudge.store.tables import FAILURES, RESPONSES

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LiveText:
    """What a cell has said so far."""

    text: str
    finished: bool
    problem: str | None = None


class _Job:
    """A cell being generated."""

    def __init__(self, request: GenerateTask, pace: Pace) -> None:
        self.request = request
        self.priority = request.priority
        self.pace = pace
        self.started = False
        self.text = ""
        self.task: asyncio.Task[Response | CellFailure] | None = None


class Responses:
    """The study's responses, generated on demand by the process that leads."""

    def __init__(self, study: Study, executor: Executor) -> None:
        self._study = study
        self._executor = executor
        self._jobs: dict[str, _Job] = {}
        self._failed: dict[str, CellFailure] = {}
        self._paces: dict[str, Pace] = {}
        self._reused: dict[str, set[str]] = {}

    def live(self, cell_id: str) -> LiveText:
        """What there is of a cell that is not stored yet; a screen may ask on every paint."""
        failure = self._failed.get(cell_id)
        if failure is not None:
            return LiveText("", finished=True, problem=failure.reason)
        job = self._jobs.get(cell_id)
        return LiveText(job.text if job else "", finished=False)

    def ensure(
        self,
        cell: Cell,
        priority: int = BACKGROUND,
        *,
        width: int | None = None,
        prompt: Prompt | None = None,
    ) -> asyncio.Future[Response | CellFailure]:
        """A future of the cell's response; a running job is joined, never doubled.

        ``width`` is the batch width of a cell that is not decoded at the study's, ``prompt`` that
        of a cell that is of none of the study's prompts.
        A cell that failed in this run is not tried again before the next.
        """
        settled = self._study.stored(cell) or self._failed.get(cell.id)
        if settled is not None:
            future: asyncio.Future[Response | CellFailure] = (
                asyncio.get_running_loop().create_future()
            )
            future.set_result(settled)
            return future
        job = self._jobs.get(cell.id)
        if job is not None and job.task is not None:
            if priority < job.priority:
                job.priority = priority
                self._executor.prioritise(job.request, priority)
            return job.task
        job = _Job(self._request(cell, priority, width, prompt), self._pace(cell.candidate))
        job.task = asyncio.create_task(self._generate(cell, job), name=f"cell {cell.id}")
        job.task.add_done_callback(self._note_problem)
        self._jobs[cell.id] = job
        return job.task

    def _pace(self, candidate: str) -> Pace:
        return self._paces.setdefault(candidate, Pace())

    def drop(self, priority: int, *, under_way: bool) -> None:
        """Forget jobs of this priority or less urgent that wait, or also those ``under_way``."""
        for cell_id, job in tuple(self._jobs.items()):
            may_go = under_way or not job.started
            if job.priority >= priority and may_go and job.task is not None:
                # Whoever asks again gets a new job, not one that is being cancelled.
                del self._jobs[cell_id]
                job.task.cancel()

    def _note_problem(self, task: asyncio.Task[Response | CellFailure]) -> None:
        """A job nobody waits for (a live pane's) must not fail in silence."""
        problem = None if task.cancelled() else task.exception()
        if problem is not None:
            _LOG.error("%s", problem)
            self._study.state.report_problem(str(problem))

    def _request(
        self, cell: Cell, priority: int, width: int | None, prompt: Prompt | None
    ) -> GenerateTask:
        study = self._study
        candidate = next(one for one in study.discovery.candidates if one.sha256 == cell.candidate)
        if prompt is None:
            prompt = next(one for one in study.discovery.prompts if one.id == cell.prompt_id)
        return GenerateTask(
            priority=priority,
            model=study.model_spec(candidate, width),
            messages=conversation(prompt, study.config.generation),
            sampling=study.config.generation.sampling,
            seed=cell.seed,
            deadline_seconds=study.config.performance_config.response_timeout_seconds,
        )

    async def _generate(self, cell: Cell, job: _Job) -> Response | CellFailure:
        result: Response | CellFailure | None = None
        try:
            async with contextlib.aclosing(self._executor.submit(job.request)) as events:
                async for event in events:
                    if isinstance(event, Started):
                        job.text = ""
                        if not job.started:
                            job.started = True
                            job.pace.begin()
                    elif isinstance(event, NewText):
                        job.text += event.text
                        job.pace.more(event.tokens)
                    elif isinstance(event, Finished):
                        result = self._store(cell, event)
                    elif isinstance(event, Failed):
                        result = self._record_failure(cell, event.reason)
        finally:
            if job.started:
                job.pace.end()
            if self._jobs.get(cell.id) is job:
                del self._jobs[cell.id]
        assert result is not None
        return result

    def _store(self, cell: Cell, event: Finished) -> Response:
        generated = event.result
        response = Response(
            id=cell.id,
            candidate=cell.candidate,
            prompt_id=cell.prompt_id,
            sample=cell.sample,
            seed=cell.seed,
            text=generated.text,
            finish=generated.finish,
            prompt_tokens=generated.prompt_tokens,
            tokens=generated.tokens,
            first_token_seconds=generated.first_token_seconds,
            seconds=generated.seconds,
            rendered_sha256=generated.rendered_sha256,
            engine=engine_version(),
            batch_width=generated.batch_width,
            created=clock.stamp(),
        )
        writer = self._study.lead()
        if self._study.stored(cell) is None:
            writer.put(RESPONSES, [response])
        if self._study.store.get(FAILURES, cell.id) is not None:
            writer.remove(FAILURES, [cell.id])
        self._pace(cell.candidate).finished()
        self._study.changed(cell.prompt_id)
        return response

    def _record_failure(self, cell: Cell, reason: str) -> CellFailure:
        failure = CellFailure(
            id=cell.id,
            candidate=cell.candidate,
            prompt_id=cell.prompt_id,
            sample=cell.sample,
            reason=reason,
            created=clock.stamp(),
        )
        _LOG.error("no response from %s to %s: %s", cell.candidate[:12], cell.prompt_id, reason)
        self._failed[cell.id] = failure
        self._study.lead().put(FAILURES, [failure])
        self._study.changed()
        return failure

    def progress_of(self, candidate: Candidate, cells: Iterable[Cell]) -> CandidateProgress:
        """Progress over the wanted cells of one candidate."""
        wanted = list(cells)
        ids = {cell.id for cell in wanted}
        done = {cell.id for cell in wanted if self._study.stored(cell) is not None}
        reused = self._reused.setdefault(candidate.sha256, done)
        failed = len(ids & self._failed.keys())
        pace = self._pace(candidate.sha256)
        left = len(ids) - len(done) - failed
        return CandidateProgress(
            done=len(done),
            total=len(ids),
            reused=len(reused & ids),
            failed=failed,
            tokens_per_second=pace.tokens_per_second,
            seconds_left=pace.seconds_left(left, self._study.config.generation.max_tokens),
        )

    async def close(self) -> None:
        """Stop generating; unfinished cells stay undone."""
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._executor.close()
