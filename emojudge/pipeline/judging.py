"""Phase 2's second half: embedding responses and judging them against the baseline's."""

from __future__ import annotations

from collections.abc import Sequence

from emojudge.domain import Prompt
from emojudge.engine.encoder import Encoder
from emojudge.judges import similarity
from emojudge.pipeline.cells import MIN_BASELINE_SAMPLES
from emojudge.pipeline.study import Study
from emojudge.store.tables import JUDGEMENTS
from emojudge.text import without_thinking


class Judging:
    """Judges prompts whose responses are there; what is judged already costs nothing."""

    def __init__(self, study: Study, encoder: Encoder) -> None:
        self._study = study
        self._encoder = encoder

    @property
    def encoder(self) -> Encoder:
        """The encoder, to be warmed up while candidates generate."""
        return self._encoder

    def _group_to_judge(self, prompt: Prompt) -> similarity.PromptResponses | None:
        """The prompt's responses if they can be judged and are not yet."""
        group = self._study.group(prompt)
        if len(group.baseline) < MIN_BASELINE_SAMPLES:
            return None
        return group if None in self._study.judgements_of(group) else None

    def unjudged(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The prompts that :meth:`judge` would have work with."""
        return [prompt for prompt in prompts if self._group_to_judge(prompt) is not None]

    async def judge(self, prompts: Sequence[Prompt]) -> int:
        """Judge the given prompts; returns how many responses were judged anew.

        Raises EngineError when the encoder cannot be run.
        """
        groups = [
            group for prompt in prompts if (group := self._group_to_judge(prompt)) is not None
        ]
        if not groups:
            return 0
        responses = [response for group in groups for response in group.all]
        rows = await self._encoder.embed([without_thinking(one.text) for one in responses])
        vectors = {response.id: row for response, row in zip(responses, rows, strict=True)}
        name = self._study.config.judging_config.encoder
        judgements = [
            judgement
            for group in groups
            for judgement in similarity.judge_prompt(group, vectors, name)
        ]
        self._study.lead().put(JUDGEMENTS, judgements)
        for group in groups:
            self._study.changed(group.prompt_id)
        return len(judgements)
