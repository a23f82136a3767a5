"""What the screens of one app share: the study, its engine, the rater's session, the core store."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from emojudge.deploy.replacer import CoreModelReplacer
from emojudge.domain import Item
from emojudge.engine.modules import EngineModules
from emojudge.engine.tasks import LIVE
from emojudge.errors import DeployError, EmojudgeError, EngineError
from emojudge.pipeline.core_desk import CoreDesk
from emojudge.pipeline.deploying import replacer_for
from emojudge.pipeline.engine_plan import plan_engine
from emojudge.pipeline.estimate import estimate_generation
from emojudge.pipeline.insights import Insights
from emojudge.pipeline.rating import LETTERS, RaterSession
from emojudge.pipeline.responses import LiveText
from emojudge.pipeline.reveal import PaneText
from emojudge.pipeline.study import Study
from emojudge.pipeline.workspace import Workspace
from emojudge.ranking.next_item import pane_count
from emojudge.store.tables import RESPONSES
from emojudge.text import visible

_LOG = logging.getLogger(__name__)
_PREFETCH_ITEMS = 2
_LEAD_AGAIN_SECONDS = 60.0


@dataclass(frozen=True)
class PaneState:
    """One pane of the item in hand."""

    text: PaneText
    problem: str | None


class Desk:
    """The Textual-free side of the workstation."""

    def __init__(self, study: Study, rater: str, modules: EngineModules | None = None) -> None:
        self.study = study
        self._modules = modules
        self.rater = rater
        self.workspace: Workspace | None = None
        self.openings = 0
        """How often the study was opened: 0 before the first time; a new engine counts anew."""
        self.insights = Insights(study, rater)
        self.session: RaterSession | None = None
        self.replacer: CoreModelReplacer = replacer_for(study.loaded, who=rater)
        self.core = CoreDesk(study, self.replacer, self.insights)
        self.core_recovery = ""
        """What the start found of an interrupted change of the core, and did about it."""
        self.changing_core = False
        self._lead_again = 0.0
        self.estimate = ""
        """What the running ai-judge phase was expected to take when it began."""
        self.store_name = study.loaded.shown(self.replacer.layout.root)

    @property
    def core_in_words(self) -> str:
        """The generation in use, or what is wrong with it; empty before the first."""
        layout = self.replacer.layout
        try:
            current, lost = layout.current_generation(), layout.lost()
            if current is not None:
                current.require_whole()
        except DeployError as problem:
            return f"! {problem}"
        if lost is not None:
            return f"! `current` is gone; it was generation {lost}"
        return f"generation {current.number}: {current.manifest.name}" if current else ""

    async def recover_core(self) -> None:
        """End a change of the core that a crash interrupted; rating goes on in any case."""
        try:
            said = await asyncio.to_thread(self.replacer.recover)
            self.core_recovery = said or ""
        except EmojudgeError as problem:
            self.core_recovery = f"An interrupted change of the core could not be ended: {problem}"
        if self.core_recovery:
            _LOG.warning("%s", self.core_recovery)

    async def begin(self) -> None:
        """Discover (in the process that leads), and get the engine ready. Raises EmojudgeError."""
        study = self.study
        if study.try_to_lead():
            await study.discover()
            # More models than the panes show would only divide the cores further.
            panes = pane_count(study.config.human_judging.panes, len(study.discovery.candidates))
            plan = await plan_engine(study, most_models=panes)
            self.workspace = Workspace(study, plan, self._modules)
            self.workspace.conductor.report_progress()
        else:
            study.follow()
            study.state.say("following another process")
            self._show_stored_progress()
        self.openings += 1
        self.insights.start()
        study.changed()

    async def follow(self) -> None:
        """Take in what others stored; take the lead when it is free. Raises EmojudgeError."""
        version = self.study.state.status.data_version
        self.study.follow()
        if self.study.leader is None and self.study.state.status.data_version != version:
            self._show_stored_progress()
        if self.study.leader is None and time.monotonic() >= self._lead_again:
            await self._take_the_lead()

    async def _take_the_lead(self) -> None:
        """Lead if nobody does; what stands in the way is said, and rating goes on without."""
        if not self.study.try_to_lead():
            return
        _LOG.info("the lead of this study is free: taking it")
        try:
            await self.begin()
        except EmojudgeError as problem:
            _LOG.error("%s", problem)
            self.study.close()
            self._lead_again = time.monotonic() + _LEAD_AGAIN_SECONDS
            self.study.state.report_problem(str(problem))

    def _show_stored_progress(self) -> None:
        if self.study.discovered:
            self.study.state.progress(self.study.stored_progress())
            self.study.state.judged(self.study.judged_prompts(), len(self.study.discovery.prompts))

    async def rediscover(self) -> None:
        """Look for candidates again, with a fresh engine."""
        if self.workspace is not None:
            await self.workspace.close()
            self.workspace = None
        await self.begin()

    def start_ai_judge(self) -> None:
        """Begin the ai-judge phase in the background. Raises EngineError saying why it cannot."""
        if self.workspace is None:
            if self.study.leader is None:
                raise EngineError(
                    self.study.not_leading_because or "The study is still being opened."
                )
            raise EngineError("The candidates could not be read; look for them again first.")
        self.estimate = str(estimate_generation(self.study))
        self.workspace.conductor.run_all()

    # Rating

    def open_session(self) -> RaterSession:
        """The rater's session, opened on first use. Raises LockHeld."""
        if self.session is None:
            self.session = RaterSession(self.study, self.rater)
        return self.session

    def take_item(self) -> Item | None:
        """The item to rate now; its responses, and those of the next ones, are on their way."""
        session = self.open_session()
        item = session.next_item()
        workspace = self.workspace
        if item is not None and workspace is not None:
            prompt = session.prompt
            for candidate in self.study.discovery.candidates:
                if candidate.sha256 in item.panes:
                    workspace.responses.ensure(
                        self.study.cell(candidate, prompt, item.sample), LIVE
                    )
            workspace.conductor.want([prompt, *session.upcoming_prompts()[:_PREFETCH_ITEMS]])
        return item

    def panes(self) -> list[PaneState]:
        """What each pane of the item in hand has to show, harmless and without thinking."""
        session = self.session
        if session is None or session.item is None:
            return []
        return [self._pane(response_id) for response_id in session.item.responses]

    def _pane(self, response_id: str) -> PaneState:
        stored = self.study.store.get(RESPONSES, response_id)
        if stored is not None:
            live = LiveText(stored.text, finished=True)
        elif self.workspace is not None:
            live = self.workspace.responses.live(response_id)
        else:
            live = LiveText("", finished=False)
        assert self.session is not None
        text = visible(self.session.as_shown(live.text))
        return PaneState(PaneText(text, live.finished), live.problem)

    def drop_item(self, problem: str) -> None:
        """Give up an item that cannot be completed; why is told where nobody rates."""
        if self.session is not None and self.session.item is not None:
            _LOG.warning("item %s dropped: %s", self.session.item.id, problem)
            self.study.state.report_problem(problem)
            self.session.drop(f"no response: {problem}")

    def what_the_ai_said(self, item: Item | None) -> str:
        """The AI's order of a submitted item, where the config wants raters to see it; else ""."""
        if item is None or self.study.config.human_judging.show_ai_scores != "after_item":
            return ""
        known = self.study.view().ai_scores
        scores = [
            (known.get(response), letter)
            for response, letter in zip(item.responses, LETTERS, strict=False)
        ]
        judged = sorted(
            ((score, letter) for score, letter in scores if score is not None), reverse=True
        )
        if len(judged) < len(scores):
            return "the AI has not judged that item yet"
        return "the AI's order was " + ", ".join(
            f"{letter} {score:.2f}" for score, letter in judged
        )

    async def close(self) -> None:
        """Stop the engine and give up the rater's lock."""
        await self.insights.close()
        if self.workspace is not None:
            await self.workspace.close()
        if self.session is not None:
            self.session.close()
