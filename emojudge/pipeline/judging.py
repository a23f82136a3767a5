"""Phase 2's second half: letting the judges judge what is generated."""

from __future__ import annotations

from collections.abc import Sequence

from emojudge.domain import Prompt
from emojudge.engine.encoder import Encoder
from emojudge.judges.judge import JudgeTools, PromptResponses, ResponseJudge
from emojudge.pipeline.study import Study
from emojudge.store.tables import JUDGEMENTS


class Judging:
    """Judges prompts whose responses are there; what is judged already costs nothing."""

    def __init__(self, study: Study, encoder: Encoder) -> None:
        self._study = study
        self._encoder = encoder
        self._tools = JudgeTools(embed=encoder.embed)

    @property
    def encoder(self) -> Encoder:
        """The encoder, to be warmed up while candidates generate."""
        return self._encoder

    def _groups(self, judge: ResponseJudge, prompts: Sequence[Prompt]) -> list[PromptResponses]:
        """The prompts that this judge can judge and has not yet."""
        groups = [self._study.group(prompt) for prompt in prompts]
        return [group for group in groups if None in self._study.judgements_of(judge, group)]

    def unjudged(self, prompts: Sequence[Prompt]) -> bool:
        """Whether :meth:`judge` would have work with these prompts."""
        return any(self._groups(judge, prompts) for judge in self._study.judges)

    async def judge(self, prompts: Sequence[Prompt]) -> int:
        """Judge the given prompts; returns how many judgements were made.

        Raises EngineError when what a judge needs cannot be run.
        """
        made = 0
        for judge in self._study.judges:
            groups = self._groups(judge, prompts)
            if not groups:
                continue
            judgements = await judge.judge(groups, self._tools)
            self._study.lead().put(JUDGEMENTS, judgements)
            made += len(judgements)
            for group in groups:
                self._study.changed(group.prompt_id)
        return made
