"""Backups: names of kept generations, at no extra bytes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from pydantic import ValidationError

from emojudge import clock
from emojudge.deploy.generation import Generation
from emojudge.deploy.places import DATA_MODE, make_folder, make_root, mode_in
from emojudge.errors import DeployError
from emojudge.frozen import Frozen
from emojudge.paths import fsync_folder, write_durably

METADATA_NAME = "backup_metadata.json"
_NAME = re.compile(r"(?P<base>backup_\d{8}_\d{6})(?:_(?P<number>\d+))?")


class Backup(Frozen):
    """``backup_metadata.json``; automatic ones expire, those a person made do not."""

    backup_id: str
    generation: int
    name: str
    sha256: str
    created: str
    by: str
    label: str
    automatic: bool


def _place(name: str) -> tuple[str, int]:
    """What backups are sorted by: the second, and the number within it.

    >>> _place("backup_20261128_120000_10") > _place("backup_20261128_120000_9")
    True
    """
    match = _NAME.fullmatch(name)
    return (match["base"], int(match["number"] or 1)) if match else (name, 1)


def list_backups(folder: Path) -> list[Backup]:
    """All backups, newest first. Raises DeployError naming one that cannot be read."""
    backups = []
    files = folder.glob(f"backup_*/{METADATA_NAME}")
    for file in sorted(files, key=lambda file: _place(file.parent.name), reverse=True):
        try:
            backups.append(Backup.model_validate_json(file.read_bytes()))
        except (OSError, ValidationError) as problem:
            raise DeployError(
                f"The backup {file.parent} cannot be read ({problem}). Move its folder away."
            ) from problem
    return backups


def make_backup(
    folder: Path, generation: Generation, *, by: str, label: str, automatic: bool
) -> Backup:
    """Name ``generation`` as a backup. Raises DeployError."""
    base = f"backup_{clock.file_stamp()}"
    try:
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
        automatic=automatic,
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
