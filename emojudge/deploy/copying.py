"""Putting a file's bytes into the store: shared with the source where the filesystem can."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from emojudge.candidates.hashing import CHUNK
from emojudge.deploy.generation import CoreFile
from emojudge.deploy.places import MODEL_MODE, give_mode

# linux/fs.h: _IOW(0x94, 9, int)
_FICLONE = 0x40049409
_NO_REFLINK = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM}
Advance = Callable[[int], None]


def reflink(source: int, target: int) -> bool:
    """Let ``target`` share the source's blocks; False where the filesystem cannot."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as problem:
        if problem.errno in _NO_REFLINK:
            return False
        raise
    return True


def _hash(fd: int, advance: Advance) -> tuple[str, int]:
    """The sha256 and the number of bytes from the start of a file."""
    digest, size = hashlib.sha256(), 0
    while chunk := os.pread(fd, CHUNK, size):
        digest.update(chunk)
        size += len(chunk)
        advance(len(chunk))
    return digest.hexdigest(), size


def _hash_while_copying(source: int, target: int, advance: Advance) -> tuple[str, int]:
    # A source that grows as fast as it is read would never end.
    most = os.fstat(source).st_size
    digest, size = hashlib.sha256(), 0
    while chunk := os.pread(source, min(CHUNK, most - size), size):
        digest.update(chunk)
        size += len(chunk)
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(target, rest) :]
        advance(len(chunk))
    return digest.hexdigest(), size


def copy_file(source: int, target: Path, advance: Advance) -> CoreFile:
    """Copy an open file to a new one in one pass that also hashes it, read-only and durable.

    ``advance`` gets the bytes of each step. The hash is of what now stands in the store: after a
    reflink the copy itself is read. Raises OSError; a failed fsync is never tried again.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    copy = os.open(target, flags, 0o600)
    try:
        if reflink(source, copy):
            sha256, size = _hash(copy, advance)
        else:
            sha256, size = _hash_while_copying(source, copy, advance)
        give_mode(copy, MODEL_MODE, target.parent)
        os.fsync(copy)
    finally:
        os.close(copy)
    return CoreFile(name=target.name, size=size, sha256=sha256)


def hash_file(file: Path, advance: Advance) -> str:
    """The sha256 of a file that may not be a symbolic link. Raises OSError."""
    fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return _hash(fd, advance)[0]
    finally:
        os.close(fd)
