"""Copying a model into the store: hashed while it is copied, whole or not at all."""

from __future__ import annotations

import glob
import os
import shutil
from pathlib import Path

from emojudge.candidates.discover import SPLIT_NAME
from emojudge.candidates.gguf import open_model_file
from emojudge.deploy.copying import copy_file
from emojudge.deploy.generation import CoreFile
from emojudge.deploy.progress import Going, Progress
from emojudge.errors import DeployError
from emojudge.text import human_bytes

SPACE_MARGIN = 64 << 20


def shards_of(path: Path) -> list[Path]:
    """All files of the model at ``path``: itself, or its whole split set in order.

    Raises DeployError when there is nothing, or when it is a folder with no or several models.
    """
    if not path.exists() and not path.is_symlink():
        raise DeployError(f"There is no model at {path}. Name a GGUF file or its folder.")
    if path.is_dir():
        files = sorted(path.glob("*.gguf"))
        stems = {
            match["stem"] if (match := SPLIT_NAME.fullmatch(file.name)) else file.stem
            for file in files
        }
        if len(stems) != 1:
            raise DeployError(
                f"{path} holds {len(stems) or 'no'} GGUF models; name the one file you mean."
            )
        path = files[0]
    match = SPLIT_NAME.fullmatch(path.name)
    if match is None:
        return [path]
    shards = path.parent.glob(f"{glob.escape(match['stem'])}-?????-of-{match['count']}.gguf")
    return sorted(shards) or [path]


def core_name(shard: Path) -> str:
    """The file's name in a generation; llama.cpp insists on the numbering of split sets."""
    match = SPLIT_NAME.fullmatch(shard.name)
    return f"core-{match['number']}-of-{match['count']}.gguf" if match else "core.gguf"


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written where ``folder`` is or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_space(folder: Path, size: int) -> None:
    """Raise DeployError unless ``size`` bytes and a margin fit."""
    free = free_bytes(folder)
    if free < size + SPACE_MARGIN:
        raise DeployError(
            f"Staging needs {human_bytes(size + SPACE_MARGIN)} in {folder}, "
            f"{human_bytes(free)} are free. Free some space; the core in use is untouched."
        )


def stage(shards: list[Path], folder: Path, progress: Progress) -> tuple[CoreFile, ...]:
    """Copy all shards into ``folder``.

    Raises DeployError on too little space and on a source that changes meanwhile, and
    CandidateError on one that is no regular file.
    """
    descriptors = [open_model_file(path) for path in shards]
    try:
        before = [os.fstat(fd) for fd in descriptors]
        total = sum(state.st_size for state in before)
        require_space(folder.parent.parent, total)
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress(Going("copying and hashing", done, total))

        files = tuple(
            copy_file(fd, folder / core_name(path), advance)
            for fd, path in zip(descriptors, shards, strict=True)
        )
        for fd, path, old, file in zip(descriptors, shards, before, files, strict=True):
            new = os.fstat(fd)
            if (new.st_size, new.st_mtime_ns) != (old.st_size, old.st_mtime_ns) or (
                file.size != old.st_size
            ):
                raise DeployError(
                    f"{path} changed while it was copied. Wait until it is complete, then try "
                    "again; the core in use is untouched."
                )
        return files
    except OSError as problem:
        raise DeployError(
            f"Copying to {folder} failed: {problem.strerror}. The core in use is untouched."
        ) from problem
    finally:
        for fd in descriptors:
            os.close(fd)
