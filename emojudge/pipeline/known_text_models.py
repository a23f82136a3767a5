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
        self._identities: dict[str, tuple[TextModel | None, str]] = {}
        self.encoder_name = encoder
        self.emotion_model = emotion_model

    def record(self, task: str, name: str) -> TextModel | None:
        """What was recorded when it was last loaded."""
        return self._store.get(TEXT_MODELS, record_id(task, name))

    @property
    def encoder(self) -> str:
        """The encoder's name and what it was found to be."""
        return self._identity("embed", self.encoder_name)

    def _identity(self, task: str, name: str) -> str:
        """Kept, because it is asked for with every judgement's id."""
        record = self.record(task, name)
        known = self._identities.get(task)
        if known is None or known[0] is not record:
            known = self._identities[task] = record, identity_of(name, record)
        return known[1]

    @property
    def vector_keys(self) -> tuple[str, str]:
        """Under which models' names embeddings and profiles are kept in the cache of vectors."""
        return f"embed:{self.encoder}", f"emotions:{self.emotions}"

    @cached_property
    def head(self) -> EmotionHead:
        """The shipped head."""
        return EmotionHead.load()

    @cached_property
    def _head_identity(self) -> str:
        return head_identity(self.head)

    @property
    def emotions(self) -> str:
        """The emotion model's identity, or the shipped head's."""
        if self.emotion_model is None:
            return self._head_identity
        return model_identity(self._identity("classify", self.emotion_model))

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
