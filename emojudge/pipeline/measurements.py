"""What follows when everything is generated: noise floors, exams, judging, votes, the models."""

from __future__ import annotations

import asyncio
import logging

from emojudge.domain import CellFailure
from emojudge.errors import EngineError
from emojudge.pipeline.baseline_check import check_baseline, check_id
from emojudge.pipeline.cells import other_width
from emojudge.pipeline.exams import Exams
from emojudge.pipeline.judging import Judging
from emojudge.pipeline.responses import Responses
from emojudge.pipeline.study import Study
from emojudge.pipeline.technical import Technical
from emojudge.pipeline.text_models import TextModels
from emojudge.pipeline.voting import Voting
from emojudge.store.tables import BASELINE_CHECKS
from emojudge.text import without_thinking

_LOG = logging.getLogger(__name__)


class Measurements:
    """The end of phase 2. What is stored is never measured again."""

    def __init__(
        self,
        study: Study,
        responses: Responses,
        judging: Judging,
        text_models: TextModels,
        technical: Technical,
        exams: Exams,
        voting: Voting,
    ) -> None:
        self._study = study
        self._responses = responses
        self._judging = judging
        self._text_models = text_models
        self._technical = technical
        self._exams = exams
        self._voting = voting

    async def generate_again(self) -> int:
        """The baseline once more at another batch width; returns how many texts were generated."""
        study = self._study
        width = study.batch_width
        if width is None or study.baseline.gone:
            return 0
        prompts = [one for one in study.discovery.prompts if study.cells_again(one)]
        cells = [cell for one in prompts for cell in study.cells_again(one)]
        missing = [cell for cell in cells if study.stored(cell) is None]
        if not missing:
            return 0
        other = other_width(width)
        jobs = [self._responses.ensure(cell, width=other) for cell in missing]

        def tell(_: object = None) -> None:
            ended = sum(job.done() for job in jobs)
            study.state.say(f"the baseline again: {ended} of {len(jobs)} texts", running=True)

        tell()
        for job in jobs:
            job.add_done_callback(tell)
        # Who stops waiting, as a pause does, leaves what is under way to be finished.
        await asyncio.wait(jobs)
        failed = sum(isinstance(job.result(), CellFailure) for job in jobs)
        for prompt in prompts:
            study.changed(prompt.id)
        _LOG.info(
            "noise floor: %s generated again at batch width %d instead of %d: %d texts, %d failed",
            study.baseline.name,
            other,
            width,
            len(missing) - failed,
            failed,
        )
        return len(missing) - failed

    async def check_baseline(self) -> None:
        """Look whether the baseline answers what it is asked. Raises EngineError."""
        study = self._study
        responses = study.baseline_responses()
        if not responses:
            return
        if study.baseline_check() is not None:
            return
        rows = await self._text_models.embed([without_thinking(one.text) for one in responses])
        check = check_id(study.text_models.encoder, responses)
        found = check_baseline(check, responses, rows)
        if found is not None:
            study.lead().put(BASELINE_CHECKS, [found])
            study.measured()

    async def run(self) -> int:
        """Everything that is missing; returns how many judgements were made.

        Raises EngineError when a judge cannot be run, after all else was measured.
        """
        await self.generate_again()
        await self._exams.run()
        made = 0
        problem: EngineError | None = None
        prompts = self._study.discovery.prompts
        try:
            made = await self._judging.judge(prompts)
            await self.check_baseline()
        except EngineError as failure:
            problem = failure
        await self._voting.run(prompts)
        await self._technical.run()
        if problem is not None:
            raise problem
        return made
