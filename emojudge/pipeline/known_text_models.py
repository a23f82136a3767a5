"""Which encoder and emotion model a study was measured with, as far as its logs tell."""

from __future__ import annotations

from functools import cached_property

from emojudge.domain import TextModel, stable_hash
from emojudge.judges.emotion_head import EmotionHead
from emojudge.judges.emotion_tracker import head_identity, model_identity
from emojudge.judges.emotions import LABELS
from emojudge.store.study import StudyStore
from emojudge.store.tables import TEXT_MODELS


def record_id(task: str, name: str) -> str:
    """The id under which a model for texts is recorded."""
    return f"{task}:{name}"


class KnownTextModels:
    """Identities for judgement ids, known without loading a model."""

    def __init__(self, store: StudyStore, encoder: str, emotion_model: str | None) -> None:
        """Names are as configured."""
        self._store = store
        self.encoder_name = encoder
        self.emotion_model = emotion_model

    def record(self, task: str, name: str) -> TextModel | None:
        """What was recorded when it was last loaded."""
        return self._store.get(TEXT_MODELS, record_id(task, name))

    @property
    def encoder(self) -> str:
        """The encoder's name and what it was found to be."""
        return identity_of(self.encoder_name, self.record("embed", self.encoder_name))

    @cached_property
    def head(self) -> EmotionHead:
        """The shipped head."""
        return EmotionHead.load()

    @property
    def emotions(self) -> str:
        """The emotion model's identity, or the shipped head's."""
        if self.emotion_model is None:
            return head_identity(self.head)
        return model_identity(
            identity_of(self.emotion_model, self.record("classify", self.emotion_model))
        )

    @property
    def emotion_labels(self) -> tuple[str, ...]:
        """The names of a profile's columns; empty before the emotion model was first loaded."""
        if self.emotion_model is None:
            return LABELS
        record = self.record("classify", self.emotion_model)
        return record.labels if record is not None else ()


def identity_of(name: str, record: TextModel | None) -> str:
    """A hash of the name and of what it gives; where files lie does not matter."""
    if record is None:
        return stable_hash([name])
    return stable_hash([name, record.dimensions, record.probe, record.labels])
