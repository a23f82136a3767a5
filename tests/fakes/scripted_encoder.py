"""An encoder without a model: unit vectors that depend on the words of a text."""

from __future__ import annotations

import hashlib

import numpy as np

from emojudge.engine.child import Channel
from emojudge.engine.protocol import Embed, Embedded, EncoderReady, LoadEncoder

_DIMENSIONS = 16


def _vector(text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    total = np.full(_DIMENSIONS, 0.5, dtype=np.float32)
    for word in text.split():
        digest = hashlib.sha256(word.encode()).digest()
        total += np.frombuffer(digest[:_DIMENSIONS], dtype=np.uint8).astype(np.float32) / 255
    return np.asarray(total / np.linalg.norm(total), dtype=np.float32)


def main() -> None:
    channel = Channel()
    while True:
        command = channel.next_command()
        if isinstance(command, LoadEncoder):
            channel.send(EncoderReady(dimensions=_DIMENSIONS, load_seconds=0.0))
        elif isinstance(command, Embed):
            channel.send(
                Embedded.pack(command.id, np.stack([_vector(text) for text in command.texts]))
            )


if __name__ == "__main__":
    main()
