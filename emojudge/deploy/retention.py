"""What is kept: the current core, its predecessor, and what backups name."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from emojudge.deploy.backups import Backup, list_backups, remove_backup
from emojudge.deploy.generation import number_in
from emojudge.deploy.layout import CoreLayout

_LOG = logging.getLogger(__name__)


def expired(backups: list[Backup], keep: int) -> list[Backup]:
    """Automatic backups beyond the newest ``keep``; those that a person made never expire."""
    return [one for one in backups if one.automatic][keep:]


def prune(
    layout: CoreLayout, backup_dir: Path, keep_backups: int, spare: Collection[int] = ()
) -> list[int]:
    """Remove expired backups, then generations that nothing keeps; returns their numbers.

    ``spare`` are generations that are about to be used. Needs the store's lock, and a store at
    rest. Raises OSError or DeployError.
    """
    backups = list_backups(backup_dir)
    old = expired(backups, keep_backups)
    for one in old:
        remove_backup(backup_dir, one)
    current = layout.current_folder()
    kept: set[int | None] = {one.generation for one in backups if one not in old}
    kept |= {*spare, layout.predecessor(), number_in(current) if current else None}
    removed = []
    for folder in layout.folders():
        number = number_in(folder.name)
        if number is not None and number not in kept:
            layout.discard(folder)
            removed.append(number)
    if removed:
        _LOG.info("generations %s are kept by nothing any more: removed", removed)
    return removed
