"""sha256 of model files, in one pass and with progress."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from emojudge.candidates.gguf import open_model_file
from emojudge.domain import ModelFile

CHUNK = 8 << 20
Progress = Callable[[int], None]


def describe_file(path: Path, known: dict[str, ModelFile], progress: Progress) -> ModelFile:
    """Hash ``path``, unless ``known`` has it with the same size, mtime and inode.

    ``progress`` is called with the number of bytes just done.
    """
    fd = open_model_file(path)
    try:
        state = os.fstat(fd)
        before = known.get(str(path))
        identity = (state.st_size, state.st_mtime_ns, state.st_ino)
        if before is not None and (before.size, before.mtime_ns, before.inode) == identity:
            progress(before.size)
            return before
        digest = hashlib.sha256()
        while chunk := os.read(fd, CHUNK):
            digest.update(chunk)
            progress(len(chunk))
        return ModelFile(
            path=str(path),
            size=state.st_size,
            sha256=digest.hexdigest(),
            mtime_ns=state.st_mtime_ns,
            inode=state.st_ino,
        )
    finally:
        os.close(fd)
