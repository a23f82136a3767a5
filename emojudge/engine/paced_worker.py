"""A model worker and an encoder without weights, for timing the screens: they speak at a set pace.

``EMOJUDGE_PACE`` is the tokens per second of every text; all texts at once have that pace, as on a
machine that is never short of anything. They speak the real protocol.
"""

from __future__ import annotations

import hashlib
import os
import random
import time

import numpy as np

from emojudge.engine.child import Channel
from emojudge.engine.protocol import (
    Cancel,
    Command,
    Embed,
    Embedded,
    EncoderReady,
    Generate,
    Generated,
    LoadEncoder,
    LoadModel,
    ModelReady,
    TaskBegan,
    TaskFailed,
    TextDelta,
    TextFrame,
)

PACE = "EMOJUDGE_PACE"
_FRAME_SECONDS = 0.08
_DIMENSIONS = 384
_WORDS = ("quiet", "house", "after", "years", "I", "would", "rather", "sit", "with", "you", "and")


class _Text:
    """One text on its way: words that depend on the model and the seed only."""

    def __init__(self, command: Generate, path: str, now: float) -> None:
        draw = random.Random(f"{path}:{command.seed}")
        most = command.sampling.max_tokens
        self.words = [draw.choice(_WORDS) for _ in range(draw.randint(most * 3 // 4, most))]
        self.command = command
        self.began = now
        self.said = 0

    def piece(self, now: float, pace: float) -> TextDelta | None:
        """What is new by now."""
        due = min(len(self.words), int((now - self.began) * pace))
        new = self.words[self.said : due]
        if not new:
            return None
        blank = " " if self.said else ""
        self.said = due
        return TextDelta(id=self.command.id, text=blank + " ".join(new), tokens=len(new))

    def whole(self, now: float) -> Generated:
        """The finished text."""
        return Generated(
            id=self.command.id,
            text=" ".join(self.words),
            finish="end",
            prompt_tokens=10,
            tokens=len(self.words),
            first_token_seconds=_FRAME_SECONDS,
            seconds=now - self.began,
            rendered_sha256=hashlib.sha256(self.command.model_dump_json().encode()).hexdigest(),
        )


class _Speaker:
    def __init__(self) -> None:
        self._channel = Channel()
        self._pace = float(os.environ.get(PACE, "100"))
        self._path = ""
        self._texts: dict[str, _Text] = {}

    def run(self) -> None:
        """Answer until nobody asks any more."""
        while True:
            wait = _FRAME_SECONDS if self._texts else None
            for command in self._channel.take(wait_seconds=wait):
                self._obey(command)
            self._speak(time.monotonic())

    def _obey(self, command: Command) -> None:
        send = self._channel.send
        match command:
            case LoadModel():
                self._path = command.path
                send(
                    ModelReady(
                        context_length=8192,
                        load_seconds=0.0,
                        load_mode="paced",
                        gpu_offload=False,
                    )
                )
            case Generate():
                send(TaskBegan(id=command.id))
                self._texts[command.id] = _Text(command, self._path, time.monotonic())
            case Cancel():
                if self._texts.pop(command.id, None) is not None:
                    send(TaskFailed(id=command.id, reason="cancelled"))
            case LoadEncoder():
                send(EncoderReady(dimensions=_DIMENSIONS, load_seconds=0.0, labels=()))
            case Embed():
                rows = np.stack([_vector(text) for text in command.texts])
                send(Embedded.pack(command.id, rows))

    def _speak(self, now: float) -> None:
        pieces = [text.piece(now, self._pace) for text in self._texts.values()]
        deltas = tuple(one for one in pieces if one is not None)
        if deltas:
            self._channel.send(TextFrame(deltas=deltas))
        for task_id, text in tuple(self._texts.items()):
            if text.said == len(text.words):
                del self._texts[task_id]
                self._channel.send(text.whole(now))


def _vector(text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    digest = hashlib.shake_256(text.encode()).digest(_DIMENSIONS)
    row = np.frombuffer(digest, dtype=np.uint8).astype(np.float32) - 127.5
    return np.asarray(row / np.linalg.norm(row), dtype=np.float32)


if __name__ == "__main__":
    _Speaker().run()
