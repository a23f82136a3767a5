"""Phase 2's second half: letting the judges judge what is generated."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from emojudge.domain import Message, Prompt, Unanswered
from emojudge.errors import EngineError
from emojudge.judges.ensemble_member import PREFIX, EnsembleMember
from emojudge.judges.judge import JudgeTools, PromptResponses, ResponseJudge
from emojudge.pipeline.judge_models import JudgeModels
from emojudge.pipeline.likelihoods import Likelihoods
from emojudge.pipeline.study import Study
from emojudge.pipeline.text_models import TextModels
from emojudge.store.tables import JUDGEMENTS, UNANSWERED
from emojudge.text import counted

_LOG = logging.getLogger(__name__)
_PROMPTS_AT_ONCE = 16
_READ_AT_ONCE = 2


class Judging:
    """Judges prompts whose responses are there; what is judged already costs nothing."""

    def __init__(
        self,
        study: Study,
        text_models: TextModels,
        likelihoods: Likelihoods,
        judge_models: JudgeModels,
    ) -> None:
        self._study = study
        self._text_models = text_models
        self._judge_models = judge_models
        self._complained_of: set[str] = set()
        self.tools = JudgeTools(
            embed=text_models.embed,
            emotions=text_models.emotions,
            likelihoods=likelihoods.of,
            ask=judge_models.ask,
            situation=self._situation,
            unanswered=self._unanswered,
        )

    def try_again(self) -> None:
        """Ask again what gave no answer before, and say so again if there is none."""
        self._complained_of.clear()
        self._judge_models.try_again()

    def _situation(self, prompt_id: str) -> tuple[Message, ...]:
        prompts = self._study.discovery.prompts
        return next(one.messages for one in prompts if one.id == prompt_id)

    def _unanswered(self, missing: Sequence[Unanswered]) -> None:
        """Keep what judges could not be asked, and say it once for each of them."""
        if not missing:
            return
        self._study.lead().put(UNANSWERED, missing)
        title = missing[0].judge.removeprefix(PREFIX)
        problem = f"judge {title} gives no answer: {missing[0].reason}"
        if title in self._complained_of:
            _LOG.debug("%s; %s more", problem, counted(len(missing), "question"))
            return
        self._complained_of.add(title)
        _LOG.warning("%s; the results count what it was asked in vain", problem)
        self._study.state.report_problem(problem)

    async def warm_up(self) -> None:
        """Start what judges need, while candidates generate. Raises EngineError."""
        await self._text_models.warm_up()

    def _groups(self, judge: ResponseJudge, prompts: Sequence[Prompt]) -> list[PromptResponses]:
        """What of these prompts this judge can judge and has not yet."""
        groups = [self._study.group(prompt) for prompt in prompts]
        return [group for group in groups if None in self._study.judgements_of(judge, group)]

    def unjudged(self, prompts: Sequence[Prompt]) -> bool:
        """Whether :meth:`judge` would have work with these prompts."""
        return any(self._groups(judge, prompts) for judge in self._study.judges)

    async def judge(self, prompts: Sequence[Prompt]) -> int:
        """Judge the given prompts; returns how many judgements were made.

        A judge that fails stops no other. Raises EngineError when what one needs cannot be run,
        after the others have judged.
        """
        made = 0
        failures: list[EngineError] = []
        try:
            await self._text_models.identify()
        except EngineError as problem:
            failures.append(problem)
        for judge in self._study.judges:
            groups = self._groups(judge, prompts)
            if not groups:
                continue
            made += await self._with(judge, groups, failures)
        if failures:
            raise failures[0]
        return made

    async def _with(
        self, judge: ResponseJudge, groups: Sequence[PromptResponses], failures: list[EngineError]
    ) -> int:
        """Let one judge judge, some prompts at a time, so that what is done is kept.

        A failure may be one reply's doing, so it costs its prompts; a second one in a row is not.
        """
        study = self._study
        made = done = 0
        total = sum(map(_size, groups))
        asked = judge.name.rpartition("/")[2]
        failed_before = False
        # A judge of the ensemble takes seconds for a prompt, and what it said must not be lost.
        at_once = _READ_AT_ONCE if isinstance(judge, EnsembleMember) else _PROMPTS_AT_ONCE
        for start in range(0, len(groups), at_once):
            part = groups[start : start + at_once]
            study.state.say(f"judging {asked}: {done} of {total} responses", running=True)
            try:
                judgements = await judge.judge(part, self.tools, study.judged)
            except EngineError as problem:
                _LOG.error("%s: %s", judge.name, problem)
                failures.append(problem)
                if failed_before:
                    break
                failed_before = True
                continue
            failed_before = False
            study.lead().put(JUDGEMENTS, judgements)
            made += len(judgements)
            for group in part:
                study.changed(group.prompt_id)
            done += sum(map(_size, part))
            study.state.say(f"judging {asked}: {done} of {total} responses", running=True)
            study.state.judged(study.judged_prompts(), len(study.discovery.prompts))
            # Others of this process get their turn between two parts.
            await asyncio.sleep(0)
        return made


def _size(group: PromptResponses) -> int:
    """How many responses a group has, the baseline's second ones included."""
    return len(group.baseline) + len(group.others) + len(group.again)
