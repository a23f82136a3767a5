"""The store of generations on disk, and the small durable steps on it.

::

    <active_dir>/generations/<N>-<sha256 prefix>/{core.gguf, manifest.json}
    <active_dir>/incoming/<tx>/
    <active_dir>/current -> generations/…
    <active_dir>/audit.jsonl  deploy.lock
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from emojudge.domain import ModelFile
from emojudge.errors import DeployError
from emojudge.frozen import Frozen
from emojudge.paths import fsync_folder

MANIFEST_NAME = "manifest.json"
_GENERATION_NAME = re.compile(r"(?P<number>\d+)-(?P<prefix>[0-9a-f]{12})")
_SHA_PREFIX = 12


class CoreFile(Frozen):
    """One file of a core; split sets have several."""

    name: str
    size: int
    sha256: str


class Manifest(Frozen):
    """``manifest.json`` of a generation. ``model_path`` is what the companion opens."""

    generation: int
    name: str
    model_path: str
    quantization_method: str
    size_mb: float
    emotional_degradation: float | None
    last_updated: str
    replacement_checksum: str
    files: tuple[CoreFile, ...]
    by: str


class Generation(Frozen):
    """A core on disk with its manifest."""

    number: int
    folder: str
    manifest: Manifest

    @property
    def size(self) -> int:
        """Bytes of its model."""
        return sum(file.size for file in self.manifest.files)

    def missing_files(self) -> list[str]:
        """Its files that are not there in their full size."""
        folder = Path(self.folder)
        return [
            file.name
            for file in self.manifest.files
            if not (folder / file.name).is_file()
            or (folder / file.name).stat().st_size != file.size
        ]

    def holds(self, files: Iterable[CoreFile | ModelFile]) -> bool:
        """Whether this generation's model is exactly these files."""
        return [one.sha256 for one in self.manifest.files] == [one.sha256 for one in files]


class AuditEntry(Frozen):
    """One line of ``audit.jsonl``: a committed change of the core."""

    time: str
    who: str
    action: str
    before: int | None
    after: int
    sha256: str
    reason: str | None = None


class CoreLayout:
    """Paths and reads; nothing here changes which core is current except :meth:`switch`."""

    def __init__(self, active_dir: Path) -> None:
        self.root = active_dir
        self.generations_dir = active_dir / "generations"
        self.incoming_dir = active_dir / "incoming"
        self.current = active_dir / "current"
        self.audit_file = active_dir / "audit.jsonl"
        self.lock_file = active_dir / "deploy.lock"

    def make(self) -> None:
        """Create the folders. Raises DeployError."""
        try:
            for folder in (self.root, self.generations_dir, self.incoming_dir):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as problem:
            raise DeployError(
                f"Cannot make the core store {self.root}: {problem.strerror}. Make it writable, or "
                "set replacement_config.active_dir to a folder that is."
            ) from problem

    def read_generation(self, folder: Path) -> Generation:
        """Parse one generation. Raises DeployError."""
        match = _GENERATION_NAME.fullmatch(folder.name)
        try:
            manifest = Manifest.model_validate_json((folder / MANIFEST_NAME).read_bytes())
        except (OSError, ValidationError) as problem:
            raise DeployError(
                f"The generation {folder} has no readable manifest ({problem}). The core in use "
                "is not affected unless it is this one; restore another generation."
            ) from problem
        if match is None or int(match["number"]) != manifest.generation:
            raise DeployError(f"The generation folder {folder} does not match its manifest.")
        return Generation(number=manifest.generation, folder=str(folder), manifest=manifest)

    def generations(self) -> list[Generation]:
        """All generations, newest first."""
        if not self.generations_dir.is_dir():
            return []
        folders = [
            path for path in self.generations_dir.iterdir() if _GENERATION_NAME.fullmatch(path.name)
        ]
        read = [self.read_generation(path) for path in folders]
        return sorted(read, key=lambda one: -one.number)

    def current_generation(self) -> Generation | None:
        """What ``current`` points to, or None before the first core. Raises DeployError."""
        if not self.current.is_symlink():
            if self.current.exists():
                raise DeployError(
                    f"{self.current} is not the symbolic link that emojudge makes. Move it away, "
                    "then adopt the core with `emojudge deploy adopt`."
                )
            return None
        target = (self.root / self.current.readlink()).resolve()
        if target.parent != self.generations_dir.resolve():
            raise DeployError(
                f"{self.current} points outside the store, to {target}. Someone changed it by "
                "hand; point it back or restore a generation."
            )
        return self.read_generation(target)

    def new_folder(self, number: int, sha256: str) -> Path:
        """The folder name of a generation."""
        return self.generations_dir / f"{number}-{sha256[:_SHA_PREFIX]}"

    def switch(self, generation: Generation) -> None:
        """The commit point: make ``generation`` current by renaming a symbolic link."""
        temporary = self.root / f".current.{os.getpid()}"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(Path(generation.folder).relative_to(self.root))
        temporary.replace(self.current)
        fsync_folder(self.root)

    def remove_current(self) -> None:
        """There is no core again: the first one could not be completed."""
        self.current.unlink(missing_ok=True)
        fsync_folder(self.root)

    def audit(self) -> list[AuditEntry]:
        """All committed changes, oldest first."""
        try:
            lines = self.audit_file.read_text().splitlines()
        except FileNotFoundError:
            return []
        try:
            return [AuditEntry.model_validate_json(line) for line in lines]
        except ValidationError as problem:
            raise DeployError(
                f"{self.audit_file} cannot be read: {problem.errors()[0]['msg']}. The core in use "
                "is not affected; look at the file before you change the core."
            ) from problem

    def append_audit(self, entry: AuditEntry) -> None:
        """Add one line, durably."""
        line = json.dumps(entry.model_dump(mode="json"), ensure_ascii=False) + "\n"
        fd = os.open(self.audit_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(fd, line.encode())
            os.fsync(fd)
        finally:
            os.close(fd)

    def predecessor(self) -> int | None:
        """The generation that was current before the last committed change, or None."""
        entries = self.audit()
        return entries[-1].before if entries else None
