"""Where things that belong to a person and not to a study live."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import platformdirs

from emojudge.errors import StoreError

_APP = "emojudge"
_SETGID = 0o2000
CONFIG_NAME = "phase2_config.json"


def _private(folder: str) -> Path:
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.chmod(0o700)
    except OSError as problem:
        raise StoreError(
            f"Cannot make the folder {path}: {problem.strerror}. Make it writable, or set "
            "XDG_CONFIG_HOME and XDG_CACHE_HOME to folders of yours."
        ) from problem
    return path


def cache_dir() -> Path:
    """The folder of things that can be made again, such as demo ladders (created, 0700)."""
    return _private(platformdirs.user_cache_dir(_APP))


def settings_file() -> Path:
    """The path of ``settings.toml``; nothing is created."""
    return Path(platformdirs.user_config_dir(_APP)) / "settings.toml"


def is_shared(folder: Path) -> bool:
    """Whether a folder is a team's: set-gid, so that what is made in it stays the group's."""
    return bool(folder.stat().st_mode & _SETGID)


def make_private_folder(folder: Path) -> None:
    """Make ``folder`` 0700, or 2770 inside a team's folder. Raises OSError.

    Several processes may make the same one at once: whoever makes it sets its mode.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        if is_shared(folder.parent):
            folder.chmod(0o2770)


def file_mode(folder: Path) -> int:
    """The mode of files in ``folder``: 0660 in a team's, else 0600."""
    return 0o660 if is_shared(folder) else 0o600


def share_with_team(file: Path) -> None:
    """Give a file the mode of its folder's files; only its owner can."""
    if file.stat().st_uid == os.geteuid():
        file.chmod(file_mode(file.parent))


def read_small_file(path: Path, most: int) -> bytes:
    """The content of a file that somebody else may have laid here, ``most`` bytes at most.

    Raises OSError, also for what is no regular file, which could keep a reader waiting for ever.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"is larger than {most:,} bytes", str(path))
    return content


def fsync_folder(folder: Path) -> None:
    """Make renames and new names in ``folder`` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_durably(
    path: Path,
    content: bytes,
    mode: int = 0o644,
    exact_mode: int | None = None,
    owner: tuple[int, int] | None = None,
) -> None:
    """Replace ``path`` by ``content`` so that a crash leaves the old or the new whole file.

    The umask limits ``mode``, but not ``exact_mode``, which the file has before it is in place;
    ``owner`` is the user and the group that it keeps. Raises StoreError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        # Exclusive, so that nobody's link in its place is written through.
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(fd, "wb") as stream:
            if owner is not None and owner != (os.fstat(fd).st_uid, os.fstat(fd).st_gid):
                # Only root can give files away.
                os.fchown(fd, owner[0] if os.geteuid() == 0 else -1, owner[1])
            if exact_mode is not None:
                os.fchmod(stream.fileno(), exact_mode)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as problem:
        temporary.unlink(missing_ok=True)
        raise StoreError(
            f"Cannot write {path}: {problem.strerror}. It takes a folder that exists, that you may "
            "write to and that has room; nothing was changed."
        ) from problem
    fsync_folder(path.parent)
