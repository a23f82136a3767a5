"""ModelJudge: what is measured of responses without asking anybody, against the baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from emojudge.domain import Response
from emojudge.judges.fluency import FluencyJudge
from emojudge.judges.judge import ResponseJudge
from emojudge.judges.likeness import PreservationJudge, SimilarityJudge
from emojudge.judges.own_metrics import OwnMetric


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
            own += (OwnMetric(self.custom_metric, self._custom_key, self._custom_name),)
        return own

    def _custom_key(self) -> tuple[str, ...]:
        kind = type(self)
        return kind.__module__, kind.__qualname__, kind.custom_version

    @property
    def _custom_name(self) -> str:
        return f"{type(self).__name__}.custom_metric"

    def custom_metric(self, responses: Sequence[Response]) -> Mapping[str, float]:
        """Figures of your own, by name, of one candidate's responses to one prompt.

        Override it; ``custom_version`` says when its figures change. They are averaged over
        prompts and shown with intervals beside the baseline's, and are no part of any score.
        Values must be finite.
        """
        return {}

    custom_version = "1"
    """Count this up when ``custom_metric`` gives other figures for the same responses."""
