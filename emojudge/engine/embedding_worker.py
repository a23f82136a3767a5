"""Entry point of the encoder worker: ``python -m emojudge.engine.embedding_worker``."""

from __future__ import annotations

import os
import time

# Set before the library reads it: tokenizers' own threads would fight with torch's.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import sentence_transformers
import torch

from emojudge.engine.child import Channel
from emojudge.engine.protocol import Embed, Embedded, EncoderReady, LoadEncoder, TaskFailed
from emojudge.errors import EngineError


def _load(command: LoadEncoder) -> sentence_transformers.SentenceTransformer:
    torch.set_num_threads(command.threads)
    try:
        return sentence_transformers.SentenceTransformer(command.name, device="cpu")
    except (OSError, ValueError) as problem:
        raise EngineError(
            f"The encoder {command.name!r} cannot be loaded: {problem}. Set "
            "judging_config.encoder to a folder that holds a sentence-transformers model."
        ) from problem


def main() -> None:
    """Serve until the parent closes stdin."""
    channel = Channel()
    encoder: sentence_transformers.SentenceTransformer | None = None
    while True:
        command = channel.next_command()
        task_id = command.id if isinstance(command, Embed) else None
        try:
            if isinstance(command, LoadEncoder):
                started = time.monotonic()
                encoder = _load(command)
                channel.send(
                    EncoderReady(
                        dimensions=encoder.get_embedding_dimension() or 0,
                        load_seconds=time.monotonic() - started,
                    )
                )
            elif isinstance(command, Embed) and encoder is not None:
                rows = encoder.encode(
                    list(command.texts), normalize_embeddings=True, show_progress_bar=False
                )
                channel.send(Embedded.pack(command.id, rows))
            else:
                raise EngineError(f"the encoder worker cannot do {command.kind!r} now")
        except (EngineError, RuntimeError, ValueError) as problem:
            channel.send(TaskFailed(id=task_id, reason=str(problem)))


if __name__ == "__main__":
    main()
