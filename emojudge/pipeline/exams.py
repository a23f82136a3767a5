"""Letting judges sit their exam, once for the same texts, before they count."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from emojudge import clock
from emojudge.domain import CellFailure, Exam, Judgement, Quality, Unanswered, stable_hash
from emojudge.errors import EngineError
from emojudge.judges.controls import CONTROLS, control_exam
from emojudge.judges.damage import EXAM_PROMPTS, ExamPrompt
from emojudge.judges.ensemble_member import EnsembleMember, Reading
from emojudge.judges.exam import Sat, sit
from emojudge.judges.judge import JudgeTools
from emojudge.judges.questions import Figures, NoAnswer
from emojudge.pipeline.exam_material import ExamMaterial
from emojudge.pipeline.responses import Responses
from emojudge.pipeline.stored_ensemble import control_key, exam_attempt_id
from emojudge.pipeline.study import Study
from emojudge.store.tables import EXAMS, JUDGEMENTS, UNANSWERED
from emojudge.text import human_seconds

_LOG = logging.getLogger(__name__)
_EXAM = "exam/"
_MOST_UNANSWERED = 0.05
"""With more texts unanswered an exam says nothing of the judge, and is sat again."""


class Exams:
    """The exams of one study. Every answer is kept, so an exam goes on where it was stopped."""

    def __init__(self, study: Study, responses: Responses, tools: JudgeTools) -> None:
        self._study = study
        self._responses = responses
        self._tools = tools

    async def run(self) -> int:
        """Let everybody sit who has not; returns how many did. Nobody does in a small study."""
        study = self._study
        if not study.ensemble.sits_exams or study.only_rated:
            return 0
        found = study.ensemble.exam_material()
        return 0 if found is None else await self._all_sit(found)

    async def run_alone(self) -> int:
        """Like :meth:`run`, whatever the study's size; generates the replies that are missing.

        A small study's judges are examined on the bundled prompts. Raises EngineError when the
        baseline does not answer.
        """
        ensemble = self._study.ensemble
        found = ensemble.exam_material()
        if found is None:
            await self._generate()
            found = ensemble.exam_material()
        if found is None:
            raise EngineError(
                "The baseline did not answer the prompts of the exam; pass2_execution.log has the "
                "reasons."
            )
        return await self._all_sit(found)

    async def _generate(self) -> None:
        study = self._study
        missing = [
            (cell, prompt)
            for prompt in study.ensemble.exam_prompts[:EXAM_PROMPTS]
            for cell in study.ensemble.exam_cells(prompt)
            if study.stored(cell) is None
        ]
        said = f"exam: {len(missing)} replies of {study.baseline.name} to generate"
        study.state.say(said, running=True)
        _LOG.info("%s", said)
        jobs = [self._responses.ensure(cell, prompt=prompt) for cell, prompt in missing]
        done, _ = await asyncio.wait(jobs)
        failed = sum(isinstance(job.result(), CellFailure) for job in done)
        if failed:
            _LOG.warning("exam: %d replies could not be generated", failed)

    async def _all_sit(self, found: ExamMaterial) -> int:
        study = self._study
        missing = [
            one
            for one in study.ensemble.emotional_judge.members
            if study.ensemble.exam_of(one.key) is None
        ]
        controls = [name for name in CONTROLS if study.ensemble.exam_of(control_key(name)) is None]
        if not missing and not controls:
            return 0
        prompts = await asyncio.to_thread(found.prompts)
        for name in controls:
            counts = await asyncio.to_thread(control_exam, name, prompts)
            self._keep(name, control_key(name), found, Sat(counts, 1.0, 0, ""))
        sat = 0
        for member in missing:
            sat += await self._one_sits(member, prompts, found)
        return sat

    async def _one_sits(
        self, member: EnsembleMember, prompts: Sequence[ExamPrompt], found: ExamMaterial
    ) -> bool:
        """Whether enough of it was answered to say anything of the judge."""
        study = self._study

        began = time.monotonic()

        def told(done: int, total: int) -> None:
            said = f"exam of {member.title}: {done} of {total} prompts"
            if 0 < done < total:
                left = (time.monotonic() - began) * (total - done) / done
                said += f", {human_seconds(left)} left"
            study.state.say(said, running=True)

        async def read(
            readings: Sequence[Reading], qualities: tuple[Quality, ...]
        ) -> list[Figures | NoAnswer]:
            return await self._read(member, readings, qualities)

        told(0, len(prompts))
        sat = await sit(read, prompts, told)
        texts = sum(
            len({*one.genuine, *(text for own in one.damaged.values() for text in own if text)})
            for one in prompts
        )
        if sat.unanswered > _MOST_UNANSWERED * texts:
            problem = (
                f"{member.title} left {sat.unanswered} of {texts} texts of its exam unanswered, so "
                f"it has not sat it: {sat.reason}"
            )
            _LOG.error("%s", problem)
            study.lead().put(UNANSWERED, [self._attempt(member, sat.reason)])
            study.state.report_problem(problem)
            study.ensemble.forget()
            return False
        self._keep(member.title, member.key, found, sat)
        return True

    def _attempt(self, member: EnsembleMember, reason: str) -> Unanswered:
        return Unanswered(
            id=exam_attempt_id(member.key),
            judge=member.name,
            candidate=self._study.baseline.sha256,
            prompt_id="exam",
            sample=0,
            reason=reason,
            created=clock.stamp(),
        )

    async def _read(
        self, member: EnsembleMember, readings: Sequence[Reading], qualities: tuple[Quality, ...]
    ) -> list[Figures | NoAnswer]:
        """Figures from the store; what is not there is asked for and kept."""
        study = self._study
        ids = [
            stable_hash(
                [
                    "exam",
                    member.key,
                    qualities,
                    [turn.model_dump() for turn in one.situation],
                    one.text,
                ],
                24,
            )
            for one in readings
        ]
        known = [study.store.get(JUDGEMENTS, own) for own in ids]
        missing = [place for place, one in enumerate(known) if one is None]
        found = await member.read_each_once(
            [readings[place] for place in missing], qualities, self._tools
        )
        new = dict(zip(missing, found, strict=True))
        study.lead().put(
            JUDGEMENTS,
            {
                ids[place]: Judgement(
                    id=ids[place],
                    judge=_EXAM + member.title,
                    response_id=ids[place],
                    candidate=study.baseline.sha256,
                    prompt_id="exam",
                    sample=0,
                    figures=dict(figures),
                )
                for place, figures in new.items()
                if not isinstance(figures, NoAnswer)
            }.values(),
        )
        return [new[place] if one is None else one.figures for place, one in enumerate(known)]

    def _keep(self, title: str, key: str, found: ExamMaterial, sat: Sat) -> None:
        study = self._study
        exam = Exam(
            id=study.ensemble.exam_id(key, found),
            judge=title,
            key=key,
            bundled=found.bundled,
            counts=sat.counts,
            valid=sat.valid,
            unanswered=sat.unanswered,
            created=clock.stamp(),
        )
        study.lead().put(EXAMS, [exam])
        study.ensemble.forget()
        study.forget_judged()
