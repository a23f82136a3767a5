"""Which child processes do the work: their entry points by name."""

from __future__ import annotations

from dataclasses import dataclass

WORKER_MODULE = "emojudge.engine.worker"
ENCODER_MODULE = "emojudge.engine.embedding_worker"


@dataclass(frozen=True)
class EngineModules:
    """Entry points of the child processes; tests of our own logic name scripted ones."""

    worker: str = WORKER_MODULE
    encoder: str = ENCODER_MODULE
