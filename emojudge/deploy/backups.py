"""Backups: names of kept generations, at no extra bytes."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from emojudge import clock
from emojudge.deploy.layout import Generation
from emojudge.errors import DeployError
from emojudge.frozen import Frozen
from emojudge.paths import write_durably

METADATA_NAME = "backup_metadata.json"


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


def list_backups(folder: Path) -> list[Backup]:
    """All backups, newest first. Raises DeployError naming one that cannot be read."""
    backups = []
    for file in sorted(folder.glob(f"backup_*/{METADATA_NAME}"), reverse=True):
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
    stamp = base = f"backup_{clock.file_stamp()}"
    counter = 1
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while (folder / stamp).exists():
            counter += 1
            stamp = f"{base}_{counter}"
        (folder / stamp).mkdir(mode=0o700)
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
    write_durably(folder / stamp / METADATA_NAME, backup.model_dump_json(indent=2).encode() + b"\n")
    return backup
