"""The store of generations on disk: its paths, what stands there, and the commit point.

::

    <active_dir>/generations/<N>-<sha256 prefix>/{core.gguf, manifest.json}
    <active_dir>/incoming/<tx>/
    <active_dir>/current -> generations/…
    <active_dir>/journal.json  audit.jsonl  deploy.lock
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
import uuid
from pathlib import Path

from emojudge.deploy.audit import UNDONE, AuditEntry, AuditLog
from emojudge.deploy.generation import Generation, folder_name, number_in, read_generation
from emojudge.deploy.journal import JOURNAL_NAME, JournalFile
from emojudge.deploy.places import (
    SEALED_FOLDER_MODE,
    make_folder,
    make_root,
    mode_in,
    require_trusted,
)
from emojudge.errors import DeployError, DeployUsageError
from emojudge.paths import fsync_folder

_OPEN_FOLDER = 0o755
_LOG = logging.getLogger(__name__)


class CoreLayout:
    """Paths and reads; :meth:`switch` is the only thing that changes which core is current."""

    def __init__(self, active_dir: Path) -> None:
        self.root = active_dir
        self.generations_dir = active_dir / "generations"
        self.incoming_dir = active_dir / "incoming"
        self.current = active_dir / "current"
        self.audit_log = AuditLog(active_dir / "audit.jsonl")
        self.journal = JournalFile(active_dir)
        self.lock_file = active_dir / "deploy.lock"

    def require_trusted(self) -> None:
        """Refuse a store that others could exchange. Raises DeployError."""
        files = (self.audit_log.file, self.journal.file, self.lock_file)
        require_trusted(self.root, (self.generations_dir, self.incoming_dir, *files))

    def make(self) -> None:
        """Create the folders, and refuse a place that cannot be trusted. Raises DeployError."""
        try:
            self.require_trusted()
            make_root(self.root)
            for folder in (self.generations_dir, self.incoming_dir):
                new = not folder.exists()
                make_folder(folder)
                if new:
                    fsync_folder(self.root)
        except OSError as problem:
            raise DeployError(
                f"Cannot make the core store {self.root}: {problem.strerror}. Make it writable, or "
                "set replacement_config.active_dir to a folder that is."
            ) from problem

    # Looking

    def folders(self) -> list[Path]:
        """The folders of all generations, newest first; other names are not ours."""
        if not self.generations_dir.is_dir():
            return []
        found = [
            path
            for path in self.generations_dir.iterdir()
            if number_in(path.name) and not path.is_symlink()
        ]
        return sorted(found, key=lambda path: -(number_in(path.name) or 0))

    def generations(self) -> tuple[list[Generation], list[str]]:
        """All generations, newest first, and what is wrong with those that cannot be read."""
        read, wrong = [], []
        for folder in self.folders():
            try:
                read.append(read_generation(folder))
            except DeployError as problem:
                wrong.append(str(problem))
        return read, wrong

    def generation(self, number: int) -> Generation:
        """One generation. Raises DeployError when it is not there or cannot be read."""
        folder = next((one for one in self.folders() if number_in(one.name) == number), None)
        if folder is None:
            numbers = sorted(number_in(one.name) or 0 for one in self.folders())
            there = ", ".join(map(str, numbers)) or "none yet"
            raise DeployUsageError(
                f"There is no generation {number} in {self.root} (any more); there are: {there}."
            )
        return read_generation(folder)

    def current_folder(self) -> str | None:
        """The folder name that ``current`` points to; None before the first core.

        Raises DeployError when it is not the link that emojudge makes.
        """
        if not self.current.is_symlink():
            if self.current.exists():
                raise DeployError(
                    f"{self.current} is not the symbolic link that emojudge makes. Move it away, "
                    "then adopt the core with `emojudge deploy adopt`."
                )
            return None
        target = self.root / self.current.readlink()
        if target.parent.resolve() != self.generations_dir.resolve():
            raise DeployError(
                f"{self.current} points outside the store, to {target}. Someone changed it by "
                "hand; point it back or restore a generation."
            )
        if target.is_symlink():
            raise DeployError(
                f"{target}, to which {self.current} points, is a symbolic link itself. Someone "
                "changed it by hand; restore a generation."
            )
        return target.name

    def current_number(self) -> int | None:
        """The number of the current generation; None also for a link changed by hand.

        For whoever goes on in that case: restoring is the way out of it.
        """
        try:
            folder = self.current_folder()
        except DeployError as problem:
            _LOG.warning("%s", problem)
            return None
        return number_in(folder) if folder is not None else None

    def current_generation(self) -> Generation | None:
        """What ``current`` points to, or None before the first core. Raises DeployError."""
        name = self.current_folder()
        return read_generation(self.generations_dir / name) if name is not None else None

    def audit(self) -> list[AuditEntry]:
        """All changes, oldest first."""
        return self.audit_log.entries()

    def predecessor(self) -> int | None:
        """The generation that was current before the last committed change, or None."""
        committed = [entry for entry in self.audit() if entry.action != UNDONE]
        return committed[-1].before if committed else None

    def last_committed(self) -> int | None:
        """The generation that the audit says is current, or None."""
        committed = [entry for entry in self.audit() if entry.action != UNDONE]
        return committed[-1].after if committed else None

    def lost(self) -> int | None:
        """The generation that the audit says is current, where there is no ``current`` at all.

        None where it is there, or there never was a core. Raises DeployError for an audit that
        cannot be read.
        """
        if self.current.is_symlink() or self.current.exists():
            return None
        return self.last_committed()

    # Building and switching, under the store's lock

    def next_number(self) -> int:
        """A number that no generation has or had."""
        used = [number_in(path.name) or 0 for path in self.folders()]
        for entry in self.audit():
            used += [entry.before or 0, entry.after or 0, entry.attempted or 0]
        return max(used, default=0) + 1

    def begin_staging(self) -> Path:
        """A new folder in ``incoming``."""
        folder = self.incoming_dir / uuid.uuid4().hex
        make_folder(folder)
        return folder

    def new_folder(self, number: int, sha256: str) -> Path:
        """Where a generation will stand."""
        return self.generations_dir / folder_name(number, sha256)

    def seal(self, staged: Path, folder: Path) -> Generation:
        """Rename a staged folder into a generation, durably, and make it read-only."""
        fsync_folder(staged)
        staged.rename(folder)
        folder.chmod(mode_in(SEALED_FOLDER_MODE, self.generations_dir))
        fsync_folder(self.generations_dir)
        fsync_folder(self.incoming_dir)
        return read_generation(folder)

    def switch(self, name: str | None) -> None:
        """The commit point: point ``current`` to a generation's folder by renaming a link.

        None takes ``current`` away: there was no core before.
        """
        if name is None:
            self.current.unlink(missing_ok=True)
        else:
            temporary = self.root / f".current.{os.getpid()}"
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(Path(self.generations_dir.name) / name)
            temporary.replace(self.current)
        fsync_folder(self.root)

    def discard(self, folder: Path) -> None:
        """Remove a generation: out of sight in one step, so that no half of it is ever found."""
        gone = self.incoming_dir / f"{folder.name}.{uuid.uuid4().hex}"
        if not os.access(folder, os.W_OK) or folder.stat().st_mode & stat.S_IWUSR == 0:
            folder.chmod(_OPEN_FOLDER)
        folder.rename(gone)
        fsync_folder(self.generations_dir)
        shutil.rmtree(gone)

    def clear(self) -> None:
        """Remove what a crash left: staged files and names that were never put in place.

        What cannot be removed is logged: it takes room, and stands in nobody's way.
        """
        self.require_trusted()
        left = [*self.root.glob(".current.*"), *self.root.glob(f".{JOURNAL_NAME}.*.tmp")]
        left += self.incoming_dir.iterdir() if self.incoming_dir.is_dir() else ()
        for one in left:
            try:
                shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
            except OSError as problem:
                _LOG.warning("%s was left by a crash and cannot be removed: %s", one, problem)
