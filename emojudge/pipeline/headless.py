"""The phases without a terminal: progress as lines in the log, reports at the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Protocol

from emojudge.deploy.generation import Generation
from emojudge.deploy.progress import Lines
from emojudge.domain import Candidate, CellFailure
from emojudge.engine.modules import EngineModules
from emojudge.errors import EngineError, NeedsPerson
from emojudge.judges.exam_lines import exam_sentences
from emojudge.judges.section_parts import ai_in_words
from emojudge.judges.sections import fidelity_sentence
from emojudge.pipeline.deploying import incoming, judgement_gates, replacer_for
from emojudge.pipeline.engine_plan import plan_engine
from emojudge.pipeline.estimate import estimate_generation
from emojudge.pipeline.outcome import Outcome
from emojudge.pipeline.reporting import people_done, write_report
from emojudge.pipeline.state import CandidateProgress, Phase
from emojudge.pipeline.study import Study
from emojudge.pipeline.workspace import Workspace, unused_gpu
from emojudge.ranking.standing import rank_candidates, standing_of
from emojudge.ranking.verdict import conclude
from emojudge.report.write import Written
from emojudge.text import counted, human_bytes, human_seconds

_LOG = logging.getLogger(__name__)
_PROGRESS_SECONDS = 5.0
_STILL_SECONDS = 30.0
_BAR_SECONDS = 0.2


class ShowsProgress(Protocol):
    """Draws how far a candidate is."""

    def candidate(self, name: str, now: CandidateProgress) -> None:
        """Called a few times a second, and once when the candidate is complete."""
        ...


class HeadlessRun:
    """Runs phases of one study one after another. What is stored is never computed again."""

    def __init__(
        self,
        study: Study,
        modules: EngineModules | None = None,
        show: ShowsProgress | None = None,
    ) -> None:
        """Progress goes to ``show``; without one it is a log line every few seconds."""
        self.study = study
        self._modules = modules
        self._show = show
        self._written: Written | None = None

    async def run(self, phase: str, *, force: str | None = None) -> Written | None:
        """Run one phase, or ``full``. Raises NeedsPerson where only a person can go on."""
        self.study.lead()
        warning = await unused_gpu()
        if warning:
            _LOG.warning("%s", warning)
        await self.discover()
        if phase in (Phase.AI_JUDGE, "full"):
            await self.ai_judge()
        if phase == Phase.HUMAN_JUDGE:
            raise NeedsPerson(
                "Rating needs a person: run `emojudge rate` in a terminal, or `emojudge rate "
                "--rater NAME` for each rater."
            )
        if phase in (Phase.RANK, "full"):
            written = self.rank()
            if phase == "full" and not people_done(self.study.view()):
                raise NeedsPerson(
                    f"Stopped before human-judge, which needs a person at a terminal: `emojudge "
                    f"rate`. The report so far, marked incomplete, is {written.report}."
                )
            if phase == Phase.RANK:
                return written
        if phase in (Phase.DEPLOY, "full"):
            await asyncio.to_thread(self.deploy, force)
            self._written = write_report(self.study)
            return self._written
        return None

    async def discover(self) -> None:
        """Phase 1."""
        discovery = await self.study.discover()
        _LOG.info(
            "discover: %d candidates, %d prompts", len(discovery.candidates), len(discovery.prompts)
        )
        for one in discovery.candidates:
            _LOG.info(
                "  %s: %s, %.2f bits/weight, %s%s",
                one.name,
                one.specs.quantization,
                one.specs.bits_per_weight,
                human_bytes(one.size),
                ", baseline" if one.is_baseline else "",
            )

    async def ai_judge(self) -> None:
        """Phase 2: generate candidate by candidate, then judge.

        Raises EngineError when no candidate could answer anything.
        """
        study = self.study
        estimate = estimate_generation(study)
        _LOG.info("%s", estimate)
        # One model at a time: each is loaded once and has all cores to itself.
        plan = await plan_engine(study, most_models=1)
        workspace = Workspace(study, plan, self._modules)
        warm_up: asyncio.Task[None] | None = None
        try:
            if estimate.cells:
                warm_up = asyncio.create_task(workspace.judging.warm_up())
            turns = asyncio.Semaphore(plan.models_at_once)

            async def generate(candidate: Candidate) -> None:
                async with turns:
                    await self._generate(workspace, candidate)
                    if warm_up is not None and warm_up.done():
                        # A missing encoder is told now, and not after hours of generating.
                        await warm_up

            await asyncio.gather(*map(generate, study.discovery.candidates))
            if not study.view().responses:
                raise EngineError(
                    "No candidate answered any prompt; pass2_execution.log has each reason. "
                    f"The first: {study.view().failures[0].reason}"
                )
            telling = asyncio.create_task(self._tell_activity())
            try:
                made = await workspace.measurements.run()
                before = self._judgements() - made
                _LOG.info("made %d judgements, %d were there before", made, before)
            finally:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)
        finally:
            if warm_up is not None:
                warm_up.cancel()
                await asyncio.gather(warm_up, return_exceptions=True)
            await workspace.close()

    async def sit_exams(self) -> None:
        """Let every judge sit the exam that has not, generating replies that are missing.

        Raises EngineError when the baseline does not answer.
        """
        self.study.lead()
        await self.discover()
        workspace = Workspace(
            self.study, await plan_engine(self.study, most_models=1), self._modules
        )
        telling = asyncio.create_task(self._tell_activity())
        try:
            sat = await workspace.exams.run_alone()
            _LOG.info("exam: %s sat it now", counted(sat, "judge"))
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            await workspace.close()

    async def _tell_activity(self) -> None:
        """A line every few seconds while something is measured, rarer ones while it lasts."""
        told = self.study.state.status.activity
        since = last = time.monotonic()
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            activity, now = self.study.state.status.activity, time.monotonic()
            if activity != told:
                told, since, last = activity, now, now
                _LOG.info("%s", activity)
            elif now - last > _STILL_SECONDS:
                last = now
                _LOG.info("%s, for %s now", activity, human_seconds(now - since))

    def _judgements(self) -> int:
        view = self.study.view()
        return len(view.judgements) + len(view.again_judgements)

    async def _generate(self, workspace: Workspace, candidate: Candidate) -> None:
        study, responses = self.study, workspace.responses
        cells = [
            cell
            for prompt in study.discovery.prompts
            for cell in study.reachable_cells(candidate, prompt)
        ]
        before = responses.progress_of(candidate, cells)
        if before.complete:
            _LOG.info("%s: all %d responses reused", candidate.name, before.reused)
            return

        async def report() -> None:
            while True:
                await asyncio.sleep(_PROGRESS_SECONDS if self._show is None else _BAR_SECONDS)
                now = responses.progress_of(candidate, cells)
                if self._show is not None:
                    self._show.candidate(candidate.name, now)
                    continue
                left = (
                    "" if now.seconds_left is None else f", {human_seconds(now.seconds_left)} left"
                )
                speed = now.tokens_per_second
                rate = "" if speed is None else f", {speed:.0f} tokens/s"
                _LOG.info(
                    "%s: %d of %d responses%s%s", candidate.name, now.done, now.total, rate, left
                )

        reporter = asyncio.create_task(report())
        try:
            results = await asyncio.gather(*(responses.ensure(cell) for cell in cells))
        finally:
            reporter.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reporter
        after = responses.progress_of(candidate, cells)
        if self._show is not None:
            self._show.candidate(candidate.name, after)
        failures = [one for one in results if isinstance(one, CellFailure)]
        _LOG.info(
            "%s: %d responses generated, %d reused, %d failed%s",
            candidate.name,
            after.done - before.reused,
            before.reused,
            len(failures),
            f", {after.tokens_per_second:.0f} tokens/s" if after.tokens_per_second else "",
        )

    def rank(self) -> Written:
        """Phase 4: scores and reports from what is stored."""
        written = self._written = write_report(self.study)
        for file in (written.report, written.summary, written.comparisons, written.html):
            if file is not None:
                _LOG.info("wrote %s", file)
        return written

    def outcome(self, stopped: NeedsPerson | None = None) -> Outcome:
        """What was done, for whoever started it."""
        discovered = self.study.discovery.candidates
        if self._written is None:
            return Outcome(discovered, stopped=stopped)
        view = self.study.view()
        found = fidelity_sentence(view)
        return Outcome(
            discovered,
            tuple(rank_candidates(view)),
            conclude(view, standing_of(view)),
            self._written.report,
            (
                f"AI: {ai_in_words(view)}",
                *exam_sentences(view),
                *([f"fidelity: {found}"] if found is not None else []),
            ),
            stopped,
        )

    def deploy(self, force: str | None) -> Generation:
        """Phase 5: promote what the verdict recommends, if it is not the core already.

        With a reason and without a verdict: the leader. Raises GateRefused without a reason for
        open gates.
        """
        view = self.study.view()
        standing = standing_of(view)
        chosen = standing.scores[0]
        if standing.decision is not None and standing.decision.recommended is not None:
            chosen = standing.score_of(standing.decision.recommended)
        elif not force:
            raise NeedsPerson(
                f"Nothing is recommended: {conclude(view, standing).sentence} To deploy "
                f"{chosen.label}, which leads, all the same, give a reason with --force."
            )
        replacer = replacer_for(self.study.loaded)
        status = replacer.status()
        current = status.current
        if current is not None and current.holds(chosen.candidate.files):
            _LOG.info("%s is the core already", chosen.candidate.name)
            return current
        generation = replacer.replace(
            incoming(self.study.loaded, view, chosen.candidate),
            expected=current.number if current is not None else None,
            seen=status.head,
            judgements=judgement_gates(view, chosen.candidate, standing),
            force=force,
            progress=Lines(_LOG.info),
        )
        _LOG.info("core is now generation %d: %s", generation.number, generation.manifest.name)
        return generation
