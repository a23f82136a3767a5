"""Whether a folder can be trusted with a core, and the modes of what stands in it.

The store's root decides who may come in: 0700 for one person, 0755 or 2750 for a service that
only reads, 2770 or 2775 (set-gid and group-writable) for a team. What stands inside is readable
to whoever comes in, and writable to the team where there is one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
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
    """A folder in the store; one of ours that a crash left with another mode gets its own.

    Raises OSError, DeployError.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if folder.is_symlink() or not folder.is_dir():
            raise DeployError(
                f"{folder} is not a folder but something else, perhaps a symbolic link. Move it "
                "away; the core in use is untouched."
            ) from None
    mode, state = mode_in(FOLDER_MODE, folder.parent), folder.stat()
    if state.st_uid == os.geteuid() and stat.S_IMODE(state.st_mode) != mode:
        folder.chmod(mode)


def make_root(root: Path) -> None:
    """A folder of one's own with all that is missing above it, durably, or nothing if it is there.

    Raises OSError.
    """
    if root.is_dir():
        return
    make_root(root.parent)
    root.mkdir(mode=ROOT_MODE)
    fsync_folder(root.parent)


def _world_writable(folder: Path, *, sticky_is_fine: bool) -> bool:
    try:
        mode = folder.stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_IWOTH) and not (sticky_is_fine and mode & stat.S_ISVTX)


def require_trusted(root: Path, inside: Iterable[Path] = ()) -> None:
    """Refuse a place that others than its owner and team could exchange.

    Raises DeployError for a symbolic link in its place or in that of what is ``inside`` it, and
    for what everybody may write to: the place, what is inside, and all folders above it, as named
    and as resolved (a sticky one such as /tmp is fine above it).
    """
    for folder in (root, *inside):
        if folder.is_symlink():
            raise DeployError(
                f"{folder} is a symbolic link, which can be pointed elsewhere while the core is "
                "replaced. Move the link away, or name the folder itself in replacement_config."
            )
    resolved = root.resolve()
    above = {*root.absolute().parents, *resolved.parents}
    wrong = [one for one in (resolved, *inside) if _world_writable(one, sticky_is_fine=False)]
    wrong += [one for one in sorted(above) if _world_writable(one, sticky_is_fine=True)]
    if wrong:
        raise DeployError(
            f"Everybody may write to {wrong[0]}, so anybody could exchange the core. Run "
            f"`chmod o-w {wrong[0]}`, or name a safer place in replacement_config."
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
