"""What is kept: the current core, its predecessor, and what backups name.

A store may be shared by studies that have backup folders of their own, so the store knows them
all (``backup_dirs.json``): a pin is honoured whichever study promotes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from pathlib import Path

from emojudge.deploy.backups import Backup, read_backups, remove_backup
from emojudge.deploy.generation import number_in
from emojudge.deploy.layout import CoreLayout
from emojudge.deploy.own_errors import in_words
from emojudge.deploy.places import DATA_MODE, mode_in
from emojudge.errors import DeployError
from emojudge.paths import write_durably

_LOG = logging.getLogger(__name__)
_DIRS_NAME = "backup_dirs.json"


def known_backup_dirs(root: Path) -> list[Path]:
    """The folders in which backups of this store were made. Raises DeployError."""
    file = root / _DIRS_NAME
    try:
        names = json.loads(file.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as problem:
        raise DeployError(
            f"{file} cannot be read ({in_words(problem)}), so it is not known what backups keep, "
            "and nothing is cleared away. Write the list of all backup folders into it."
        ) from problem
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise DeployError(f"{file} is not a list of folders. Write all backup folders into it.")
    return [Path(one) for one in names]


def remember_backup_dir(root: Path, folder: Path) -> None:
    """Have the store know a backup folder before the first backup is in it. Raises DeployError."""
    known = [str(one) for one in known_backup_dirs(root)]
    own = str(folder.resolve())
    if own not in known:
        content = json.dumps([*known, own], indent=1).encode() + b"\n"
        write_durably(root / _DIRS_NAME, content, exact_mode=mode_in(DATA_MODE, root))


def expired(backups: list[Backup], keep: int) -> list[Backup]:
    """Automatic backups beyond the newest ``keep``; those that a person made never expire."""
    return [one for one in backups if one.automatic][keep:]


def _named_by_backups(root: Path) -> set[int | None]:
    """The generations that any backup names. Raises DeployError while some cannot be read."""
    kept: set[int | None] = set()
    for folder in known_backup_dirs(root):
        backups, wrong = read_backups(folder)
        if not folder.is_dir():
            wrong = [
                f"The backup folder {folder} is not there. If it is gone for good, take it out of "
                f"{root / _DIRS_NAME}; until then nothing is cleared away."
            ]
        if wrong:
            raise DeployError(wrong[0])
        kept |= {one.generation for one in backups}
    return kept


def unused(layout: CoreLayout) -> list[Path]:
    """Generations that never were the core: what a crash or a change taken back left."""
    served = {one for entry in layout.audit() for one in (entry.before, entry.after)}
    served |= _named_by_backups(layout.root)
    current = layout.current_folder()
    return [
        folder
        for folder in layout.folders()
        if number_in(folder.name) not in served and folder.name != current
    ]


def prune(
    layout: CoreLayout, backup_dir: Path, keep_backups: int, spare: Collection[int] = ()
) -> list[int]:
    """Remove expired backups, then generations that nothing keeps; returns their numbers.

    ``spare`` are generations that are about to be used. Needs the store's lock, and a store at
    rest. Raises OSError or DeployError, and removes no generation while it is not known what
    backups keep.
    """
    for one in expired(read_backups(backup_dir)[0], keep_backups):
        remove_backup(backup_dir, one)
    current = layout.current_folder()
    kept: set[int | None] = {*_named_by_backups(layout.root), *spare, layout.predecessor()}
    # Where `current` is gone, the audit's last is what was in use.
    kept.add(number_in(current) if current else layout.last_committed())
    removed = []
    for folder in layout.folders():
        number = number_in(folder.name)
        if number is None or number in kept:
            continue
        try:
            layout.discard(folder)
        except OSError as problem:
            _LOG.warning("generation %d is kept by nothing, but stays: %s", number, problem)
        else:
            removed.append(number)
    if removed:
        _LOG.info("generations %s are kept by nothing any more: removed", removed)
    return removed
