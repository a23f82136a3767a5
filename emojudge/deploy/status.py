"""What the core store holds, for screens and commands."""

from __future__ import annotations

from dataclasses import dataclass

from emojudge.deploy.audit import START, UNDONE, AuditEntry, Head
from emojudge.deploy.backups import Backup
from emojudge.deploy.generation import Generation


@dataclass(frozen=True)
class Status:
    """``predecessor`` is where a rollback would go, ``head`` the audit's end.

    ``problems`` are generations, backups and lines that cannot be read, a sentence each, ``lost``
    is the generation that was current where ``current`` is gone, ``read_only`` says why this user
    cannot change the store, ``interrupted`` that a change is under way or was interrupted.
    """

    current: Generation | None
    predecessor: Generation | None
    generations: tuple[Generation, ...]
    backups: tuple[Backup, ...]
    audit: tuple[AuditEntry, ...]
    head: Head = START
    problems: tuple[str, ...] = ()
    lost: int | None = None
    read_only: str | None = None
    interrupted: str | None = None

    def backups_of(self, number: int) -> list[Backup]:
        """The backups that keep a generation, newest first."""
        return [one for one in self.backups if one.generation == number]

    @property
    def since(self) -> AuditEntry | None:
        """The change that made the present core current."""
        number = self.current.number if self.current is not None else None
        lines = (one for one in reversed(self.audit) if one.action != UNDONE)
        return next((one for one in lines if one.after == number), None)
