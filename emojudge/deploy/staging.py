"""Copying a model into the store: hashed while it is copied, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from emojudge.candidates.discover import SPLIT_NAME
from emojudge.candidates.gguf import open_model_file
from emojudge.candidates.hashing import CHUNK
from emojudge.deploy.layout import CoreFile
from emojudge.errors import DeployError
from emojudge.text import human_bytes

_SPACE_MARGIN = 64 << 20
_READ_ONLY_FILE = 0o444
Progress = Callable[[int, int], None]


def shards_of(path: Path) -> list[Path]:
    """All files of the model at ``path``: itself, or its whole split set in order.

    Raises DeployError when the path is a folder with no or several models.
    """
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
    return sorted(path.parent.glob(f"{match['stem']}-?????-of-{match['count']}.gguf"))


def core_name(shard: Path) -> str:
    """The file's name in a generation; llama.cpp insists on the numbering of split sets."""
    match = SPLIT_NAME.fullmatch(shard.name)
    return f"core-{match['number']}-of-{match['count']}.gguf" if match else "core.gguf"


def _copy(source_fd: int, target: Path, advance: Callable[[int], None]) -> CoreFile:
    digest = hashlib.sha256()
    size = 0
    out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        while chunk := os.read(source_fd, CHUNK):
            digest.update(chunk)
            size += len(chunk)
            view = memoryview(chunk)
            while view:
                view = view[os.write(out, view) :]
            advance(len(chunk))
        os.fchmod(out, _READ_ONLY_FILE)
        os.fsync(out)
    finally:
        os.close(out)
    return CoreFile(name=target.name, size=size, sha256=digest.hexdigest())


def stage(shards: list[Path], folder: Path, progress: Progress) -> tuple[CoreFile, ...]:
    """Copy all shards into ``folder``. ``progress`` gets (bytes done, bytes in all).

    Raises DeployError on too little space and on a source that changes meanwhile.
    """
    descriptors = [open_model_file(path) for path in shards]
    try:
        before = [os.fstat(fd) for fd in descriptors]
        total = sum(state.st_size for state in before)
        free = shutil.disk_usage(folder).free
        if free < total + _SPACE_MARGIN:
            raise DeployError(
                f"Staging needs {human_bytes(total + _SPACE_MARGIN)} in {folder.parent.parent}, "
                f"{human_bytes(free)} are free. Free some space; the core in use is untouched."
            )
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress(done, total)

        files = tuple(
            _copy(fd, folder / core_name(path), advance)
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
