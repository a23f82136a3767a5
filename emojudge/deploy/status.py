"""What the core store holds, for screens and commands."""

from __future__ import annotations

from dataclasses import dataclass

from emojudge.deploy.audit import AuditEntry
from emojudge.deploy.backups import Backup
from emojudge.deploy.generation import Generation


@dataclass(frozen=True)
class Status:
    """``predecessor`` is where a rollback would go.

    ``read_only`` says why this user cannot change the store, ``interrupted`` that a change is
    under way or was interrupted.
    """

    current: Generation | None
    predecessor: Generation | None
    generations: tuple[Generation, ...]
    backups: tuple[Backup, ...]
    audit: tuple[AuditEntry, ...]
    read_only: str | None = None
    interrupted: str | None = None
