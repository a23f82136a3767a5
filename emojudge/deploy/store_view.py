"""A core store as it is looked at: what is there, what stands against a model, copies, checks."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from emojudge.deploy.backups import Backup, read_backups
from emojudge.deploy.building import Incoming
from emojudge.deploy.candidate_gates import (
    TryModel,
    size_gate,
    structure_gate,
    template_gate,
    trial_gates,
)
from emojudge.deploy.copying import hash_file
from emojudge.deploy.damage import remember_damage, require_undamaged
from emojudge.deploy.export import Scrubbed, export_generation, scrub
from emojudge.deploy.gates import Gate, GateStatus, require_integrity
from emojudge.deploy.generation import Generation
from emojudge.deploy.layout import CoreLayout
from emojudge.deploy.own_errors import OwnErrors
from emojudge.deploy.places import require_trusted, why_read_only
from emojudge.deploy.plan import Plan, plan_for
from emojudge.deploy.progress import Going, Progress, quiet
from emojudge.deploy.recovery import interrupted
from emojudge.deploy.staging import free_bytes, shards_of
from emojudge.deploy.status import Status
from emojudge.errors import AlreadyTheCore, DeployError, DeployUsageError
from emojudge.text import visible_line

_MEGABYTE = 1_000_000
_LOG = logging.getLogger(__name__)


class CoreStoreView:
    """Reads a core store, and holds models against it; the core is never changed."""

    def __init__(
        self,
        active_dir: Path,
        backup_dir: Path,
        *,
        minimum_size_mb: float,
        try_model: TryModel | None,
    ) -> None:
        """``try_model`` None leaves the gates of weights and smoke unknown."""
        self.layout = CoreLayout(active_dir)
        self.backup_dir = backup_dir
        self._minimum_size = minimum_size_mb * _MEGABYTE
        self._try_model = try_model

    @OwnErrors()
    def status(self) -> Status:
        """What is there now; what cannot be read stands in ``problems``."""
        generations, problems = self.layout.generations()
        backups, unread = read_backups(self.backup_dir)
        problems += unread
        current, audit, lost = None, [], None
        try:
            audit = self.layout.audit()
            current = self.layout.current_generation()
            lost = self.layout.lost()
        except DeployError as problem:
            problems.append(str(problem))
        before = self.layout.predecessor() if audit else None
        if lost is not None:
            problems.append(
                f"`current` is gone; it was generation {lost}. `emojudge deploy recover` puts it "
                "back, where that is whole; else `emojudge deploy restore N` takes another."
            )
        problems += self._doubts(generations, {before, current.number if current else None})
        return Status(
            current=current,
            predecessor=next((one for one in generations if one.number == before), None),
            generations=tuple(generations),
            backups=tuple(backups),
            audit=tuple(audit),
            head=self.layout.audit_log.head(),
            # A damaged generation that is current is told once.
            problems=tuple(dict.fromkeys(problems)),
            lost=lost,
            read_only=why_read_only(self.layout.root),
            interrupted=interrupted(self.layout),
        )

    def _doubts(self, generations: list[Generation], used: set[int | None]) -> list[str]:
        """What stands in the way of a change, or of the way back, as far as a look can tell."""
        doubts: list[str] = []

        def look(work: Callable[[], object]) -> None:
            try:
                work()
            except DeployError as problem:
                doubts.append(str(problem))

        look(self.layout.require_trusted)
        look(lambda: require_trusted(self.backup_dir))
        for one in generations:
            if one.number in used:
                look(one.require_whole)
            look(partial(require_undamaged, self.layout.root, one))
        if self.verify_audit():
            doubts.append("The audit is not what was written; `emojudge deploy audit` says where.")
        return doubts

    @OwnErrors()
    def list_backups(self) -> list[Backup]:
        """All backups, newest first. Raises DeployError naming one that cannot be read."""
        backups, wrong = read_backups(self.backup_dir)
        if wrong:
            raise DeployError(wrong[0])
        return backups

    def _backup(self, name: str) -> Backup:
        """The backup of an id, or of a label that only one has."""
        backups, _ = read_backups(self.backup_dir)
        found = [one for one in backups if one.backup_id == name]
        found = found or [one for one in backups if one.label == name]
        if len(found) != 1:
            known = ", ".join(f"{one.backup_id} “{one.label}”" for one in backups)
            there = f"there are {known}" if known else "there are none yet"
            what = f"{len(found)} backups are called" if found else "There is no backup"
            raise DeployUsageError(
                f"{what} {name!r} in {self.backup_dir}; {there}. `emojudge deploy list-backups` "
                "names them."
            )
        return found[0]

    def _generation_of(self, backup: Backup) -> Generation:
        """What a backup keeps. Raises DeployError where the number is another model's here."""
        generation = self.layout.generation(backup.generation)
        if generation.manifest.sha256 != backup.sha256:
            raise DeployError(
                f"The backup {backup.backup_id} is of {visible_line(backup.name)}, and generation "
                f"{backup.generation} here is {visible_line(generation.manifest.name)}: it was "
                "made in another store. Set backup_dir to a folder of this store's own; `emojudge "
                f"deploy remove-backup {backup.backup_id}` takes the backup away."
            )
        return generation

    @OwnErrors()
    def look_at(self, path: Path) -> tuple[Gate, ...]:
        """The gates that can be seen from a model's header, without reading its weights."""
        shards = shards_of(path)
        structure, specs = structure_gate(shards)
        gates = [structure, self._size_gate(shards)]
        if specs is not None:
            gates.append(self._template_gate(specs.chat_template))
        return tuple(gates)

    @OwnErrors()
    def validate(self, path: Path, progress: Progress = quiet) -> tuple[Gate, ...]:
        """All gates that a model's files answer, the trial in the sandbox included."""
        shards = shards_of(path)
        gates = self.look_at(path)
        structure, specs = structure_gate(shards)
        if specs is None or structure.status is not GateStatus.PASS:
            return gates
        progress(Going("loading in the sandbox"))
        size = sum(shard.stat().st_size for shard in shards)
        return gates + trial_gates(shards, specs, size, self._try_model)

    def _size_gate(self, shards: list[Path]) -> Gate:
        size = sum(path.stat().st_size for path in shards if path.is_file())
        return size_gate(size, self._minimum_size)

    def _template_gate(self, template: str | None) -> Gate:
        return template_gate(template, self._core())

    def _template_of(self, incoming: Incoming) -> str | None:
        """The candidate's chat template, from a kept copy or its own file. Raises DeployError."""
        kept = self._kept(incoming.expected_sha256)
        if kept is not None:
            shards = [Path(kept.folder) / file.name for file in kept.manifest.files]
        else:
            shards = shards_of(incoming.path)
        structure, specs = structure_gate(shards)
        require_integrity([structure])
        assert specs is not None
        return specs.chat_template

    @OwnErrors()
    def plan(self, size: int, sha256: tuple[str, ...] | None) -> Plan:
        """What promoting a model of ``size`` bytes would cost."""
        kept = self._kept(sha256)
        number = kept.number if kept is not None else None
        return plan_for(size, number, free_bytes(self.layout.root), self.layout.audit())

    def _core(self) -> Generation | None:
        """The core in use, if it can be read."""
        try:
            return self.layout.current_generation()
        except DeployError as problem:
            _LOG.warning("%s", problem)
            return None

    def _readable(self, number: int | None) -> Generation | None:
        """The core before, if its manifest can be read; a damaged one can still be replaced."""
        if number is None:
            return None
        try:
            return self.layout.generation(number)
        except DeployError as problem:
            _LOG.warning("%s", problem)
            return None

    def _kept(self, sha256: tuple[str, ...] | None) -> Generation | None:
        """A whole generation that already holds these files."""
        if not sha256:
            return None
        for one in self.layout.generations()[0]:
            if tuple(file.sha256 for file in one.manifest.files) == sha256:
                try:
                    one.require_whole()
                except DeployError as problem:
                    _LOG.warning("%s", problem)
                else:
                    return one
        return None

    def _recognised(self, incoming: Incoming, progress: Progress) -> Incoming:
        """With its hashes, where a kept generation is as large: then it may be the same model.

        Raises DeployError when it is the core already, before anybody is asked for a reason.
        """
        if incoming.expected_sha256 is None and incoming.path.exists():
            shards = shards_of(incoming.path)
            sizes = [one.stat().st_size for one in shards]
            if any(
                sizes == [file.size for file in one.manifest.files]
                for one in self.layout.generations()[0]
            ):
                progress(Going("comparing it with the kept generations"))
                hashes = tuple(hash_file(one, lambda count: None) for one in shards)
                if self._kept(hashes) is not None:
                    incoming = dataclasses.replace(incoming, expected_sha256=hashes)
        kept, core = self._kept(incoming.expected_sha256), self._core()
        if kept is not None:
            self._require_another(kept, core.number if core is not None else None)
        return incoming

    @staticmethod
    def _require_another(generation: Generation, current: int | None) -> None:
        if generation.number == current:
            raise AlreadyTheCore(
                f"{generation.manifest.name} is the core already, as generation {current}. There "
                "is nothing to do.",
                generation.number,
            )

    @OwnErrors()
    def export(self, backup_id: str, target: Path, progress: Progress = quiet) -> list[Path]:
        """Real copies of a backup's generation, for another disk; ``current`` is the core."""
        if backup_id == "current":
            generation = self.layout.current_generation()
            if generation is None:
                raise DeployError("There is no core yet, so there is nothing to export.")
        else:
            generation = self._generation_of(self._backup(backup_id))
        return export_generation(generation, target, progress)

    @OwnErrors()
    def scrub(self, progress: Progress = quiet) -> list[Scrubbed]:
        """Hash every generation again, and compare with what was written."""
        generations, wrong = self.layout.generations()
        unread = [Scrubbed(None, "?", 0, one) for one in wrong]
        found = scrub(generations, progress)
        if why_read_only(self.layout.root) is None and self.layout.root.is_dir():
            remember_damage(self.layout.root, found)
        return found + unread

    @OwnErrors()
    def verify_audit(self) -> list[str]:
        """What is wrong with the audit's chain, a sentence each; empty when it holds."""
        journal = self.layout.journal.read()
        if journal is None:
            return ["the journal cannot be read, so lines cut off its end would go unnoticed"]
        return [*journal.breaks, *self.layout.audit_log.verify(journal.audit_head)]
