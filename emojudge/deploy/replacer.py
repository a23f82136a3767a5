"""CoreModelReplacer: adopt, replace, back up, restore, roll back."""

from __future__ import annotations

import contextlib
import logging
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emojudge import clock
from emojudge.candidates.discover import read_model
from emojudge.deploy.backups import Backup, list_backups, make_backup
from emojudge.deploy.companion_manifest import read_companion_manifest, update_companion_manifest
from emojudge.deploy.gates import OUTSIDE_A_STUDY, Gate, GateStatus, require_judgements
from emojudge.deploy.layout import (
    MANIFEST_NAME,
    AuditEntry,
    CoreFile,
    CoreLayout,
    Generation,
    Manifest,
)
from emojudge.deploy.own_errors import OwnErrors
from emojudge.deploy.staging import Progress, shards_of, stage
from emojudge.domain import Specs
from emojudge.errors import CandidateError, DeployError, EmojudgeError
from emojudge.paths import fsync_folder, write_durably
from emojudge.store.locks import HeldLock

_READ_ONLY_FOLDER = 0o555
_MEGABYTE = 1_000_000
_LOG = logging.getLogger(__name__)
ANY = -1
"""Promote whatever is current now, without having looked."""


def _quiet(done: int, total: int) -> None:
    """No progress wanted."""


@dataclass(frozen=True)
class Status:
    """What the store holds; ``predecessor`` is where a rollback would go."""

    current: Generation | None
    predecessor: Generation | None
    generations: tuple[Generation, ...]
    backups: tuple[Backup, ...]
    audit: tuple[AuditEntry, ...]


@dataclass(frozen=True)
class Incoming:
    """A model that is to become a generation. ``expected_sha256`` None: whatever it is."""

    path: Path
    name: str
    expected_sha256: tuple[str, ...] | None = None
    emotional_degradation: float | None = None


class CoreModelReplacer:
    """Replaces the core of one companion on this machine.

    Whoever opens ``current/`` finds one whole core with its manifest at every instant: a new
    generation is built beside the old one, and a renamed symbolic link makes it current.
    """

    def __init__(
        self,
        active_dir: Path,
        backup_dir: Path,
        *,
        who: str,
        manifest: Path | None = None,
        minimum_size_mb: float = 1.0,
        auto_backup: bool = True,
    ) -> None:
        self.layout = CoreLayout(active_dir)
        self.backup_dir = backup_dir
        self._who = who
        self._manifest = manifest
        self._minimum_size = minimum_size_mb * _MEGABYTE
        self._auto_backup = auto_backup

    # Looking

    @OwnErrors()
    def status(self) -> Status:
        """What is there now. Raises DeployError when the store was tampered with."""
        generations = self.layout.generations()
        before = self.layout.predecessor()
        return Status(
            current=self.layout.current_generation(),
            predecessor=next((one for one in generations if one.number == before), None),
            generations=tuple(generations),
            backups=tuple(self.list_backups()),
            audit=tuple(self.layout.audit()),
        )

    @OwnErrors()
    def list_backups(self) -> list[Backup]:
        """All backups, newest first."""
        return list_backups(self.backup_dir)

    def _structure(self, shards: list[Path]) -> tuple[Gate, Specs | None]:
        try:
            specs, _ = read_model(shards[0].stem, shards)
        except CandidateError as problem:
            return Gate(
                name="structure", status=GateStatus.FAIL, reason=str(problem), integrity=True
            ), None
        return Gate(
            name="structure",
            status=GateStatus.PASS,
            reason=f"{specs.architecture}, {specs.quantization}",
            integrity=True,
        ), specs

    def _size(self, shards: list[Path]) -> Gate:
        size = sum(path.stat().st_size for path in shards if path.is_file())
        enough = size >= self._minimum_size
        return Gate(
            name="size",
            status=GateStatus.PASS if enough else GateStatus.FAIL,
            reason=f"{size / _MEGABYTE:.0f} MB, at least {self._minimum_size / _MEGABYTE:g} wanted",
            integrity=True,
        )

    @OwnErrors()
    def validate(self, path: Path) -> tuple[Gate, ...]:
        """The integrity gates that can be seen without copying the model."""
        shards = self._shards(path)
        return self._structure(shards)[0], self._size(shards)

    def _shards(self, path: Path) -> list[Path]:
        if not path.exists() and not path.is_symlink():
            raise DeployError(f"There is no model at {path}. Name a GGUF file or its folder.")
        return shards_of(path)

    # Changing

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.layout.make()
        lock = HeldLock(self.layout.lock_file, f"The core store {self.layout.root}")
        try:
            yield
        finally:
            lock.release()

    def _check_expected(self, expected: int | None) -> Generation | None:
        """Compare-and-swap: what was current on the screen must still be current."""
        current = self.layout.current_generation()
        number = current.number if current else None
        if expected != ANY and number != expected:
            raise DeployError(
                f"The core changed meanwhile: generation {number} is current now, you were looking "
                f"at {expected}. Look again, then decide."
            )
        return current

    def _build(self, incoming: Incoming, progress: Progress) -> Generation:
        """Stage, check the staged files, and rename them into a generation."""
        transaction = self.layout.incoming_dir / uuid.uuid4().hex
        transaction.mkdir(mode=0o700)
        try:
            files = stage(self._shards(incoming.path), transaction, progress)
            self._check_hashes(files, incoming)
            staged = [transaction / file.name for file in files]
            structure, specs = self._structure(staged)
            for gate in (structure, self._size(staged)):
                if gate.status is not GateStatus.PASS:
                    raise DeployError(
                        f"Not replaced: {gate.name}: {gate.reason}. The core in use is untouched."
                    )
            assert specs is not None
            return self._seal(transaction, incoming, files, specs)
        finally:
            shutil.rmtree(transaction, ignore_errors=True)

    def _check_hashes(self, files: tuple[CoreFile, ...], incoming: Incoming) -> None:
        hashes = tuple(file.sha256 for file in files)
        if incoming.expected_sha256 is not None and hashes != incoming.expected_sha256:
            raise DeployError(
                f"{incoming.path} is not the file that was judged: its sha256 is now "
                f"{hashes[0][:12]}…, it was {incoming.expected_sha256[0][:12]}…. Run discover "
                "again; the core in use is untouched."
            )

    def _seal(
        self, transaction: Path, incoming: Incoming, files: tuple[CoreFile, ...], specs: Specs
    ) -> Generation:
        number = max((one.number for one in self.layout.generations()), default=0) + 1
        folder = self.layout.new_folder(number, files[0].sha256)
        manifest = Manifest(
            generation=number,
            name=incoming.name,
            model_path=str(folder.absolute() / files[0].name),
            quantization_method=specs.quantization,
            size_mb=round(sum(file.size for file in files) / _MEGABYTE, 3),
            emotional_degradation=incoming.emotional_degradation,
            last_updated=clock.stamp(),
            replacement_checksum=files[0].sha256,
            files=files,
            by=self._who,
        )
        content = manifest.model_dump_json(indent=2).encode() + b"\n"
        write_durably(transaction / MANIFEST_NAME, content, mode=0o444)
        fsync_folder(transaction)
        transaction.rename(folder)
        folder.chmod(_READ_ONLY_FOLDER)
        fsync_folder(self.layout.generations_dir)
        return self.layout.read_generation(folder)

    def _commit(
        self, action: str, before: Generation | None, after: Generation, reason: str | None
    ) -> Generation:
        """Switch, update the companion's manifest, write the audit line."""
        if self._manifest is not None:
            read_companion_manifest(self._manifest)
        entry = AuditEntry(
            time=clock.stamp(),
            who=self._who,
            action=action,
            before=before.number if before else None,
            after=after.number,
            sha256=after.manifest.replacement_checksum,
            reason=reason,
        )
        try:
            self.layout.switch(after)
            self._tell_companion(after)
            self.layout.append_audit(entry)
        except (OSError, EmojudgeError) as problem:
            self._go_back(before)
            raise DeployError(
                f"The switch failed and was taken back, the core in use is the one before: "
                f"{problem}"
            ) from problem
        return after

    def _tell_companion(self, generation: Generation) -> None:
        if self._manifest is not None:
            update_companion_manifest(self._manifest, generation.manifest)

    def _go_back(self, before: Generation | None) -> None:
        """Undo a switch that could not be completed."""
        if before is None:
            self.layout.remove_current()
            return
        self.layout.switch(before)
        try:
            self._tell_companion(before)
        except EmojudgeError as problem:
            _LOG.error("the companion's manifest is out of step: %s", problem)

    def _kept(self, sha256: tuple[str, ...] | None) -> Generation | None:
        """A whole generation that already holds these files."""
        return next(
            (
                one
                for one in self.layout.generations()
                if sha256
                and tuple(file.sha256 for file in one.manifest.files) == sha256
                and not one.missing_files()
            ),
            None,
        )

    @OwnErrors()
    def adopt(self, path: Path, name: str, progress: Progress = _quiet) -> Generation:
        """Take over a core that is already in use as the first generation."""
        with self._locked():
            if self.layout.current_generation() is not None:
                raise DeployError(
                    f"{self.layout.root} has a core already; replace it with "
                    "`emojudge deploy replace`."
                )
            generation = self._build(Incoming(path=path, name=name), progress)
            return self._commit("adopt", None, generation, None)

    @OwnErrors()
    def replace(
        self,
        incoming: Incoming,
        *,
        expected: int | None = ANY,
        judgements: tuple[Gate, ...] = OUTSIDE_A_STUDY,
        force: str | None = None,
        progress: Progress = _quiet,
    ) -> Generation:
        """Promote a model; ``expected`` is the generation that was seen to be current.

        Raises GateRefused, DeployError or LockHeld; the core in use is then untouched.
        """
        if self._kept(incoming.expected_sha256) is None:
            self._shards(incoming.path)
        require_judgements(judgements, force)
        with self._locked():
            before = self._check_expected(expected)
            generation = self._kept(incoming.expected_sha256) or self._build(incoming, progress)
            if before is not None and generation.number == before.number:
                raise DeployError(f"{incoming.name} is the core already.")
            if before is not None and self._auto_backup:
                make_backup(
                    self.backup_dir,
                    before,
                    by=self._who,
                    label=f"before {incoming.name}",
                    automatic=True,
                )
            return self._commit("promote", before, generation, force)

    @OwnErrors()
    def backup(self, label: str) -> Backup:
        """Pin the current core under a name of the person's."""
        with self._locked():
            current = self.layout.current_generation()
            if current is None:
                raise DeployError("There is no core yet, so there is nothing to back up.")
            return make_backup(self.backup_dir, current, by=self._who, label=label, automatic=False)

    def _go_to(self, action: str, number: int, expected: int | None) -> Generation:
        before = self._check_expected(expected)
        target = next((one for one in self.layout.generations() if one.number == number), None)
        if target is None:
            raise DeployError(f"Generation {number} is not in {self.layout.root} any more.")
        if before is not None and before.number == number:
            raise DeployError(f"Generation {number} is the core already.")
        missing = target.missing_files()
        if missing:
            raise DeployError(
                f"Generation {number} is not whole: {missing[0]} is missing or cut short. The "
                "core in use is untouched."
            )
        return self._commit(action, before, target, None)

    @OwnErrors()
    def restore(self, number: int, *, expected: int | None = ANY) -> Generation:
        """Make an earlier generation current again: a pointer move."""
        with self._locked():
            return self._go_to("restore", number, expected)

    @OwnErrors()
    def restore_backup(self, backup_id: str, *, expected: int | None = ANY) -> Generation:
        """Restore the generation that a backup names."""
        backup = next((one for one in self.list_backups() if one.backup_id == backup_id), None)
        if backup is None:
            known = ", ".join(one.backup_id for one in self.list_backups()) or "none"
            raise DeployError(f"There is no backup {backup_id!r} in {self.backup_dir}; {known}.")
        return self.restore(backup.generation, expected=expected)

    @OwnErrors()
    def rollback(self, *, expected: int | None = ANY) -> Generation:
        """Go back to the generation that was current before the last change."""
        with self._locked():
            number = self.layout.predecessor()
            if number is None:
                raise DeployError("There is nothing to roll back to: no core was replaced yet.")
            return self._go_to("rollback", number, expected)
