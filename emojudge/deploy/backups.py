"""Backups: names of kept generations, at no extra bytes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from pydantic import ValidationError

from emojudge import clock
from emojudge.deploy.generation import Generation
from emojudge.deploy.own_errors import in_words
from emojudge.deploy.places import DATA_MODE, make_folder, make_root, mode_in, require_trusted
from emojudge.errors import DeployError
from emojudge.frozen import Frozen
from emojudge.paths import fsync_folder, write_durably

METADATA_NAME = "backup_metadata.json"
_NAME = re.compile(r"(?P<base>backup_\d{8}_\d{6})(?:_(?P<number>\d+))?")


class Backup(Frozen):
    """``backup_metadata.json``; automatic ones expire, those a person made do not.

    ``transaction`` is the change before which an automatic one was made.
    """

    backup_id: str
    generation: int
    name: str
    sha256: str
    created: str
    by: str
    label: str
    automatic: bool
    transaction: str | None = None


def _place(name: str) -> tuple[str, int]:
    """What backups are sorted by: the second, and the number within it.

    >>> _place("backup_20261128_120000_10") > _place("backup_20261128_120000_9")
    True
    """
    match = _NAME.fullmatch(name)
    return (match["base"], int(match["number"] or 1)) if match else (name, 1)


def _read(folder: Path) -> Backup:
    """The backup in ``folder``. Raises DeployError."""
    try:
        if folder.is_symlink():
            raise DeployError(f"The backup {folder} is a symbolic link. Move it away.")
        backup = Backup.model_validate_json((folder / METADATA_NAME).read_bytes())
    except (OSError, ValidationError) as problem:
        raise DeployError(
            f"The backup {folder} cannot be read ({in_words(problem)}). Move its folder away."
        ) from problem
    if backup.backup_id != folder.name:
        raise DeployError(
            f"The backup {folder} says that it is {backup.backup_id!r}: it was renamed, copied or "
            "changed. Move its folder away."
        )
    return backup


def read_backups(folder: Path) -> tuple[list[Backup], list[str]]:
    """All backups, newest first, and what is wrong with those that cannot be read."""
    found, wrong = [], []
    names = [one for one in folder.glob("backup_*") if _NAME.fullmatch(one.name)]
    for one in sorted(names, key=lambda one: _place(one.name), reverse=True):
        if not (one / METADATA_NAME).exists() and one.is_dir() and not one.is_symlink():
            # A crash came before its metadata: it keeps nothing.
            continue
        try:
            found.append(_read(one))
        except DeployError as problem:
            wrong.append(str(problem))
    return found, wrong


def make_backup(
    folder: Path,
    generation: Generation,
    *,
    by: str,
    label: str,
    transaction: str | None = None,
) -> Backup:
    """Name ``generation`` as a backup: a person's, or the one of a change. Raises DeployError."""
    base = f"backup_{clock.file_stamp()}"
    try:
        require_trusted(folder)
        make_root(folder)
        # Behind every other one of this second, also where earlier ones were removed again.
        places = [_place(one.name) for one in folder.glob(f"{base}*")]
        last = max((number for stamp, number in places if stamp == base), default=0)
        stamp = f"{base}_{last + 1}" if last else base
        make_folder(folder / stamp)
    except OSError as problem:
        raise DeployError(
            f"Cannot make a backup in {folder}: {problem.strerror}. Set "
            "replacement_config.backup_dir to a writable folder."
        ) from problem
    backup = Backup(
        backup_id=stamp,
        generation=generation.number,
        name=generation.manifest.name,
        sha256=generation.manifest.replacement_checksum,
        created=clock.stamp(),
        by=by,
        label=label,
        automatic=transaction is not None,
        transaction=transaction,
    )
    content = backup.model_dump_json(indent=2).encode() + b"\n"
    mode = mode_in(DATA_MODE, folder)
    write_durably(folder / stamp / METADATA_NAME, content, exact_mode=mode)
    fsync_folder(folder)
    return backup


def remove_backup(folder: Path, backup: Backup) -> None:
    """Take a backup away; its generation stays while something else keeps it. Raises OSError."""
    shutil.rmtree(folder / backup.backup_id)
    fsync_folder(folder)


def remove_backups_of(folder: Path, transaction: str) -> None:
    """Take away the automatic backups of a change that was taken back. Raises OSError."""
    for backup in read_backups(folder)[0]:
        if backup.automatic and backup.transaction == transaction:
            remove_backup(folder, backup)
