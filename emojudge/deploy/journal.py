"""The journal: how far a change of the core has come, so that the next start can end it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import ValidationError, field_validator

from emojudge import clock
from emojudge.deploy.audit import GENESIS, Change, Head
from emojudge.deploy.generation import number_in
from emojudge.deploy.places import DATA_MODE, mode_in
from emojudge.errors import DeployError
from emojudge.frozen import Frozen
from emojudge.paths import write_durably

JOURNAL_NAME = "journal.json"
_DAMAGED = f"{JOURNAL_NAME}.damaged-"


class Step(StrEnum):
    """``SWITCHING``: goes back after a crash. ``COMMITTED``: only the audit may be missing."""

    IDLE = "idle"
    SWITCHING = "switching"
    COMMITTED = "committed"


class CompanionBefore(Frozen):
    """What the companion's own manifest said before: its fields that we write, as they were.

    ``existed`` is False where there was no such file, ``had_info`` where it had no model_info.
    """

    file: str
    existed: bool
    had_info: bool
    fields: dict[str, Any]


class Journal(Frozen):
    """``journal.json``. Folders are names in ``generations``; None: there was no core.

    ``restarting`` says that the companion may have been restarted, and ``told`` that targets may
    have been told, so that a way back does both again. ``lines`` and ``head`` are the audit's end.
    ``breaks`` are what was found wrong with it, kept for good; ``pending`` is a companion's
    manifest that could not be put back yet.
    """

    step: Step = Step.IDLE
    change: Change | None = None
    before_folder: str | None = None
    after_folder: str = ""
    companion: CompanionBefore | None = None
    told: bool = False
    restarting: bool = False
    lines: int = 0
    head: str = GENESIS
    breaks: tuple[str, ...] = ()
    pending: CompanionBefore | None = None

    @field_validator("before_folder", "after_folder")
    @classmethod
    def _is_a_generation(cls, name: str | None) -> str | None:
        """Names of folders only, because what they name is pointed to."""
        if name and number_in(name) is None:
            raise ValueError("not the name of a generation")
        return name

    @property
    def audit_head(self) -> Head:
        """The audit's end when the store was last at rest."""
        return Head(self.lines, self.head)


class JournalFile:
    """Reading and replacing the journal. Writing needs the store's lock."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.file = root / JOURNAL_NAME

    def read(self) -> Journal | None:
        """The journal; an idle one where there is none yet, None where it cannot be read."""
        try:
            if self.file.is_symlink():
                return None
            journal = Journal.model_validate_json(self.file.read_bytes())
        except FileNotFoundError:
            return Journal()
        except ValidationError:
            return None
        whole = journal.step is Step.IDLE or (journal.change and journal.after_folder)
        return journal if whole else None

    def write(self, journal: Journal) -> None:
        """Replace the journal, durably. Raises StoreError or OSError."""
        content = journal.model_dump_json(indent=1).encode() + b"\n"
        write_durably(self.file, content, exact_mode=mode_in(DATA_MODE, self._root))

    def rest(
        self, head: Head, breaks: tuple[str, ...] = (), pending: CompanionBefore | None = None
    ) -> None:
        """No change is under way; the audit ends at ``head``."""
        self.write(Journal(lines=head.lines, head=head.sha256, breaks=breaks, pending=pending))

    def keep_damaged(self) -> Path:
        """Keep a copy of an unreadable journal, so that somebody can look at it."""
        aside = self._root / f"{_DAMAGED}{clock.file_stamp()}"
        content = b"" if self.file.is_symlink() else self.file.read_bytes()
        write_durably(aside, content, exact_mode=mode_in(DATA_MODE, self._root))
        return aside

    def damaged(self) -> list[Path]:
        """Journals that were set aside and that nobody has looked at yet."""
        return sorted(self._root.glob(f"{_DAMAGED}*"))

    def require_undamaged(self) -> None:
        """Raise DeployError while a damaged journal waits for somebody to look at it."""
        damaged = self.damaged()
        if damaged:
            raise DeployError(
                f"The journal of the last change could not be read and was set aside as "
                f"{damaged[0]}. Check that the core in use is the one you want (`emojudge deploy "
                "status`), then remove that file to promote again; rolling back works meanwhile."
            )
