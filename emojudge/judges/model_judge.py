"""ModelJudge: what is measured of responses without asking anybody, against the baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

from emojudge.domain import Judgement, Response
from emojudge.errors import EngineError
from emojudge.judges.fluency import FluencyJudge
from emojudge.judges.judge import (
    JudgeTools,
    PromptResponses,
    ResponseJudge,
    ids_by_samples,
    judgement_of,
)
from emojudge.judges.likeness import PreservationJudge, SimilarityJudge

CUSTOM = "model-judge/custom"


@dataclass(frozen=True)
class MeasuredBy:
    """What decides the figures beside the texts, asked for whenever an id is computed.

    ``encoder`` and ``emotions`` identify those models, ``labels`` names a profile's columns,
    ``baseline`` is its sha256, and ``likelihoods`` stands for its template and the engine.
    """

    encoder: Callable[[], str]
    emotions: Callable[[], str]
    labels: Callable[[], tuple[str, ...]]
    baseline: Callable[[], str]
    likelihoods: Callable[[], str]


class ModelJudge:
    """Similarity, emotional preservation and fluency; a subclass may add figures of its own."""

    def __init__(self, by: MeasuredBy) -> None:
        self.similarity = SimilarityJudge(by.encoder)
        self.preservation = PreservationJudge(by.emotions, by.labels)
        self.fluency = FluencyJudge(by.baseline, by.likelihoods)

    @property
    def judges(self) -> tuple[ResponseJudge, ...]:
        """The judges of all parts."""
        own: tuple[ResponseJudge, ...] = (self.similarity, self.preservation, self.fluency)
        if type(self).custom_metric is not ModelJudge.custom_metric:
            own += (_CustomJudge(self),)
        return own

    def custom_metric(self, responses: Sequence[Response]) -> Mapping[str, float]:
        """Figures of your own, by name, of one candidate's responses to one prompt.

        Override it; ``custom_version`` says when its figures change. They are averaged over
        prompts and shown with intervals beside the baseline's, and are no part of any score.
        Values must be finite.
        """
        return {}

    custom_version = "1"
    """Count this up when :meth:`custom_metric` gives other figures for the same responses."""


class _CustomJudge:
    """A subclass's figures, kept like all others."""

    name = CUSTOM
    part = None

    def __init__(self, owner: ModelJudge) -> None:
        self._owner = owner

    def ids(self, group: PromptResponses) -> list[str]:
        """See :class:`emojudge.judges.judge.ResponseJudge`."""
        kind = type(self._owner)
        key = [CUSTOM, kind.__module__, kind.__qualname__, kind.custom_version]
        return ids_by_samples(key, group)

    async def judge(
        self, groups: Sequence[PromptResponses], tools: JudgeTools, known: Container[str]
    ) -> list[Judgement]:
        """See :class:`emojudge.judges.judge.ResponseJudge`."""
        judgements = []
        for group in groups:
            ids = dict(zip([one.id for one in group.all], self.ids(group), strict=True))
            for samples in group.by_candidate:
                new = [one for one in samples if ids[one.id] not in known]
                if new:
                    figures = self._figures(samples)
                    judgements += [judgement_of(CUSTOM, ids[one.id], one, figures) for one in new]
        return judgements

    def _figures(self, samples: Sequence[Response]) -> dict[str, float]:
        figures = {
            str(key): float(value) for key, value in self._owner.custom_metric(samples).items()
        }
        wrong = [key for key, value in figures.items() if not math.isfinite(value)]
        if wrong:
            raise EngineError(
                f"{type(self._owner).__name__}.custom_metric gave {wrong[0]} = "
                f"{figures[wrong[0]]} for {samples[0].prompt_id}; leave out what is not defined."
            )
        return figures

    def scores(self, judgements: Sequence[Judgement]) -> dict[str, float]:
        """It is part of no score."""
        return {}
