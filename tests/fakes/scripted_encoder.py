"""An encoder without a model: unit vectors that depend on the words of a text.

It has the dimensions of the encoder that the emotion head was fitted on, and answers the head's
probe as that one does. As a classifier it knows three labels.
"""

from __future__ import annotations

import hashlib

import numpy as np

from emojudge.engine.child import Channel
from emojudge.engine.protocol import Embed, Embedded, EncoderReady, LoadEncoder, TaskFailed
from emojudge.judges.emotion_head import EmotionHead

_DIMENSIONS = 384
_LABELS = ("joy", "sadness", "neutral")
_HEAD = EmotionHead.load()


def _vector(text: str, dimensions: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    if text == _HEAD.probe and dimensions == _DIMENSIONS:
        return _HEAD._probe_vector
    total = np.full(dimensions, 0.02, dtype=np.float32)
    for word in text.split():
        digest = hashlib.shake_256(word.encode()).digest(dimensions)
        total += np.frombuffer(digest, dtype=np.uint8).astype(np.float32) / 255 - 0.5
    return np.asarray(total / np.linalg.norm(total), dtype=np.float32)


def serve(embedding: int) -> None:
    """Answer as an encoder of so many dimensions."""
    channel = Channel()
    dimensions = embedding
    while True:
        command = channel.next_command()
        if isinstance(command, LoadEncoder):
            if "missing" in command.name:
                channel.send(TaskFailed(reason=f"{command.name} cannot be loaded"))
                continue
            classifies = command.task == "classify"
            dimensions = len(_LABELS) if classifies else embedding
            labels = _LABELS if classifies else ()
            channel.send(EncoderReady(dimensions=dimensions, load_seconds=0.0, labels=labels))
        elif isinstance(command, Embed):
            channel.send(
                Embedded.pack(
                    command.id, np.stack([_vector(text, dimensions) for text in command.texts])
                )
            )


if __name__ == "__main__":
    serve(_DIMENSIONS)
