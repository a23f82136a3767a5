"""Whether a folder can be trusted with a core, and the modes of what stands in it.

The store's root decides who may come in: 0700 for one person, 0755 or 2750 for a service that
only reads, 2770 or 2775 (set-gid and group-writable) for a team. What stands inside is readable
to whoever comes in, and writable to the team where there is one.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from emojudge.errors import DeployError
from emojudge.paths import fsync_folder

ROOT_MODE = 0o700
_TEAM = stat.S_ISGID | stat.S_IWGRP


@dataclass(frozen=True)
class Mode:
    """Mode bits in a person's store and in a team's."""

    own: int
    team: int


FOLDER_MODE = Mode(0o755, 0o2775)
# A teammate must be able to clear away what another one built.
SEALED_FOLDER_MODE = Mode(0o555, 0o2775)
MODEL_MODE = Mode(0o444, 0o444)
DATA_MODE = Mode(0o644, 0o664)


def is_team(folder: Path) -> bool:
    """Whether a folder is a team's: set-gid and writable for its group."""
    return folder.stat().st_mode & _TEAM == _TEAM


def mode_in(mode: Mode, folder: Path) -> int:
    """The mode bits of something in ``folder``."""
    return mode.team if is_team(folder) else mode.own


def give_mode(fd: int, mode: Mode, folder: Path) -> None:
    """Set the mode whatever the umask; what belongs to a teammate has it already."""
    if os.fstat(fd).st_uid == os.geteuid():
        os.fchmod(fd, mode_in(mode, folder))


def make_folder(folder: Path) -> None:
    """A folder in the store, or nothing if it is there. Raises OSError, DeployError."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if folder.is_symlink() or not folder.is_dir():
            raise DeployError(
                f"{folder} is not a folder but something else, perhaps a symbolic link. Move it "
                "away; the core in use is untouched."
            ) from None
    else:
        folder.chmod(mode_in(FOLDER_MODE, folder.parent))


def make_root(root: Path) -> None:
    """A folder of one's own with all that is missing above it, durably, or nothing if it is there.

    Raises OSError.
    """
    if root.is_dir():
        return
    make_root(root.parent)
    root.mkdir(mode=ROOT_MODE)
    fsync_folder(root.parent)


def require_trusted(root: Path) -> None:
    """Refuse a store that others than its owner and team could exchange.

    Raises DeployError for a symbolic link in its place, and for the store or a folder above it
    that everybody may write to (a sticky one such as /tmp is fine above it).
    """
    if root.is_symlink():
        raise DeployError(
            f"The core store {root} is a symbolic link, which can be pointed elsewhere while the "
            "core is replaced. Set replacement_config.active_dir to the folder itself."
        )
    for folder in (root.resolve(), *root.resolve().parents):
        try:
            mode = folder.stat().st_mode
        except FileNotFoundError:
            continue
        sticky_above = bool(mode & stat.S_ISVTX) and folder != root.resolve()
        if mode & stat.S_IWOTH and not sticky_above:
            raise DeployError(
                f"Everybody may write to {folder}, so anybody could exchange the core. Run "
                f"`chmod o-w {folder}`, or set replacement_config.active_dir to a safer place."
            )


def why_read_only(root: Path) -> str | None:
    """Why this user cannot change the store; None when nothing stands in the way.

    A store that is not there yet is looked at in its nearest existing parent.
    """
    there = root
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir() or os.access(there, os.W_OK | os.X_OK):
        return None
    return f"you may read {there}, not write to it"
