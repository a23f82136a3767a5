"""CoreModelReplacer: adopt, replace, back up, restore, roll back, export, scrub."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

from emojudge import clock
from emojudge.deploy.audit import Change, Origin
from emojudge.deploy.backups import Backup, list_backups, make_backup, remove_backup
from emojudge.deploy.building import Builder, Built, Incoming
from emojudge.deploy.candidate_gates import (
    TryModel,
    size_gate,
    structure_gate,
    template_gate,
    trial_gates,
    try_in_sandbox,
)
from emojudge.deploy.companion_manifest import CompanionManifest
from emojudge.deploy.export import Scrubbed, export_generation, scrub
from emojudge.deploy.gates import (
    OUTSIDE_A_STUDY,
    Gate,
    GateStatus,
    require_integrity,
    require_judgements,
)
from emojudge.deploy.generation import Generation
from emojudge.deploy.hooks import Hooks
from emojudge.deploy.layout import CoreLayout
from emojudge.deploy.own_errors import OwnErrors
from emojudge.deploy.places import require_trusted, why_read_only
from emojudge.deploy.plan import Plan, plan_for
from emojudge.deploy.progress import Going, Progress, quiet
from emojudge.deploy.recovery import interrupted, recover
from emojudge.deploy.retention import prune
from emojudge.deploy.staging import free_bytes, shards_of
from emojudge.deploy.status import Status
from emojudge.deploy.switching import Switching
from emojudge.deploy.targets import make_target, tell
from emojudge.errors import DeployError, EmojudgeError, LockHeld
from emojudge.store.locks import HeldLock

_MEGABYTE = 1_000_000
_LOG = logging.getLogger(__name__)
ANY = -1
"""Change whatever is current now, without having looked."""


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
        keep_backups: int = 5,
        hooks: Hooks | None = None,
        targets: tuple[str, ...] = (),
        try_model: TryModel | None = try_in_sandbox,
    ) -> None:
        """``try_model`` None leaves the gates of weights and smoke unknown."""
        self.layout = CoreLayout(active_dir)
        self.backup_dir = backup_dir
        self._who = who
        self._companion = CompanionManifest(manifest) if manifest is not None else None
        self._minimum_size = minimum_size_mb * _MEGABYTE
        self._builder = Builder(
            self.layout, who=who, minimum_size=self._minimum_size, try_model=try_model
        )
        self._auto_backup = auto_backup
        self._keep_backups = keep_backups
        self.hooks = hooks or Hooks()
        self._targets = targets
        self._try_model = try_model

    # Looking

    @OwnErrors()
    def status(self) -> Status:
        """What is there now. Raises DeployError when the store was tampered with."""
        generations = self.layout.generations()
        audit = self.layout.audit()
        before = self.layout.predecessor()
        return Status(
            current=self.layout.current_generation(),
            predecessor=next((one for one in generations if one.number == before), None),
            generations=tuple(generations),
            backups=tuple(self.list_backups()),
            audit=tuple(audit),
            read_only=why_read_only(self.layout.root),
            interrupted=interrupted(self.layout),
        )

    @OwnErrors()
    def list_backups(self) -> list[Backup]:
        """All backups, newest first."""
        return list_backups(self.backup_dir)

    @OwnErrors()
    def look_at(self, path: Path) -> tuple[Gate, ...]:
        """The gates that can be seen from a model's header, without reading its weights."""
        shards = shards_of(path)
        structure, specs = structure_gate(shards)
        gates = [structure, self._size_gate(shards)]
        if specs is not None:
            gates.append(template_gate(specs.chat_template, self.layout.current_generation()))
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

    @OwnErrors()
    def plan(self, size: int, sha256: tuple[str, ...] | None) -> Plan:
        """What promoting a model of ``size`` bytes would cost."""
        kept = self._kept(sha256)
        number = kept.number if kept is not None else None
        return plan_for(size, number, free_bytes(self.layout.root), self.layout.audit())

    # Changing

    def _switching(self) -> Switching:
        return Switching(
            self.layout,
            hooks=self.hooks,
            companion=self._companion,
            tell=self._tell if self._has_targets else None,
            who=self._who,
        )

    @property
    def _has_targets(self) -> bool:
        overridden = type(self).deploy_to_custom_target
        return bool(self._targets) or (overridden is not CoreModelReplacer.deploy_to_custom_target)

    def _tell(self, model: Path) -> None:
        tell(self.deploy_to_custom_target, model)

    def deploy_to_custom_target(self, path: Path) -> None:
        """Give the core's model to the targets that the config names; subclasses may do more.

        Called within a change, after the switch, and again with the model before when the change
        is taken back. Whatever is raised takes the change back.
        """
        for name in self._targets:
            make_target(name).deploy(path)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """The store's lock; what a crash left is ended before anything else is begun."""
        read_only = why_read_only(self.layout.root)
        if read_only is not None:
            raise DeployError(f"The core cannot be changed: {read_only}.")
        self.layout.make()
        lock = HeldLock(self.layout.lock_file, f"The core store {self.layout.root}")
        try:
            said = recover(self.layout, self._switching())
            if said is not None:
                _LOG.warning("%s", said)
            yield
        finally:
            lock.release()

    @OwnErrors()
    def recover(self) -> str | None:
        """End what a crash interrupted; a sentence for people, None when there was nothing.

        Whoever may only look, or comes while somebody changes the core, gets told and waits.
        """
        if not self.layout.root.is_dir():
            return None
        if why_read_only(self.layout.root) is not None:
            return interrupted(self.layout)
        waiting = interrupted(self.layout) is not None
        left = self.layout.incoming_dir.is_dir() and any(self.layout.incoming_dir.iterdir())
        if not waiting and not left:
            return None
        try:
            lock = HeldLock(self.layout.lock_file, f"The core store {self.layout.root}")
        except LockHeld:
            return None
        try:
            return recover(self.layout, self._switching())
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

    def _kept(self, sha256: tuple[str, ...] | None) -> Generation | None:
        """A whole generation that already holds these files."""
        if not sha256:
            return None
        for one in self.layout.generations():
            if tuple(file.sha256 for file in one.manifest.files) == sha256:
                try:
                    one.require_whole()
                except DeployError as problem:
                    _LOG.warning("%s", problem)
                else:
                    return one
        return None

    def _change(
        self,
        action: str,
        before: Generation | None,
        built: Built,
        reason: str | None = None,
        overridden: tuple[str, ...] = (),
        origin: Origin | None = None,
    ) -> Change:
        return Change(
            transaction=uuid.uuid4().hex,
            time=clock.stamp(),
            who=self._who,
            action=action,
            before=before.number if before else None,
            after=built.generation.number,
            sha256=built.generation.manifest.replacement_checksum,
            reason=reason,
            overridden=overridden,
            origin=origin or Origin(),
            staged_bytes=built.staged_bytes,
            staged_seconds=round(built.staged_seconds, 3),
        )

    def _switch(self, change: Change, after: Generation, progress: Progress) -> Generation:
        progress(Going("switching"))
        after.require_whole()
        self._switching().run(change, after, progress)
        return after

    def _tidy(self, spare: tuple[int, ...] = ()) -> None:
        """Prune; that something cannot be removed does not undo a change that is complete."""
        try:
            prune(self.layout, self.backup_dir, self._keep_backups, spare)
        except (OSError, EmojudgeError) as problem:
            _LOG.warning("older generations could not be removed: %s", problem)

    @OwnErrors()
    def adopt(self, path: Path, name: str, progress: Progress = quiet) -> Generation:
        """Take over a core that is already in use as the first generation."""
        structure, specs = structure_gate(shards_of(path))
        require_integrity([structure])
        assert specs is not None
        with self._locked():
            self.layout.journal.require_undamaged()
            if self.layout.current_generation() is not None:
                raise DeployError(
                    f"{self.layout.root} has a core already; replace it with "
                    "`emojudge deploy replace`."
                )
            built = self._builder.build(
                Incoming(path=path, name=name), specs.chat_template, progress
            )
            change = self._change("adopt", None, built)
            return self._switch(change, built.generation, progress)

    @OwnErrors()
    def replace(
        self,
        incoming: Incoming,
        *,
        expected: int | None = ANY,
        judgements: tuple[Gate, ...] = OUTSIDE_A_STUDY,
        force: str | None = None,
        progress: Progress = quiet,
    ) -> Generation:
        """Promote a model; ``expected`` is the generation that was seen to be current.

        Raises GateRefused, DeployError or LockHeld; the core in use is then untouched.
        """
        template = self._template_of(incoming)
        require_judgements([*judgements, self._template_gate(incoming, template)], force)
        with self._locked():
            self.layout.journal.require_undamaged()
            before = self._check_expected(expected)
            # Somebody may have changed the core while this one waited for the lock.
            gates = [*judgements, self._template_gate(incoming, template)]
            overridden = require_judgements(gates, force)
            kept = self._kept(incoming.expected_sha256)
            self._tidy(spare=(kept.number,) if kept is not None else ())
            built = Built(kept) if kept else self._builder.build(incoming, template, progress)
            if before is not None and built.generation.number == before.number:
                raise DeployError(f"{incoming.name} is the core already.")
            change = self._change(
                "promote", before, built, force if overridden else None, overridden, incoming.origin
            )
            with self._backed_up(before, incoming.name):
                self._switch(change, built.generation, progress)
            # Not after a rollback, which has no time for files of any size.
            self._tidy()
            return built.generation

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

    def _template_gate(self, incoming: Incoming, template: str | None) -> Gate:
        return template_gate(template, self.layout.current_generation())

    @contextlib.contextmanager
    def _backed_up(self, before: Generation | None, name: str) -> Iterator[None]:
        """An automatic backup of the core before, which goes again if the change does."""
        if before is None or not self._auto_backup:
            yield
            return
        backup = self._make_backup(before, f"before {name}", automatic=True)
        try:
            yield
        except BaseException:
            if self.layout.current_folder() == before.folder_name:
                remove_backup(self.backup_dir, backup)
            raise

    def _make_backup(self, generation: Generation, label: str, *, automatic: bool) -> Backup:
        require_trusted(self.backup_dir)
        return make_backup(
            self.backup_dir, generation, by=self._who, label=label, automatic=automatic
        )

    @OwnErrors()
    def backup(self, label: str) -> Backup:
        """Pin the current core under a name of the person's."""
        with self._locked():
            current = self.layout.current_generation()
            if current is None:
                raise DeployError("There is no core yet, so there is nothing to back up.")
            return self._make_backup(current, label, automatic=False)

    def _go_to(self, action: str, number: int, expected: int | None) -> Generation:
        before = self._check_expected(expected)
        target = self.layout.generation(number)
        if before is not None and before.number == number:
            raise DeployError(f"Generation {number} is the core already.")
        return self._switch(self._change(action, before, Built(target)), target, quiet)

    @OwnErrors()
    def restore(self, number: int, *, expected: int | None = ANY) -> Generation:
        """Make an earlier generation current again: a pointer move."""
        with self._locked():
            return self._go_to("restore", number, expected)

    @OwnErrors()
    def restore_backup(self, backup_id: str, *, expected: int | None = ANY) -> Generation:
        """Restore the generation that a backup names."""
        return self.restore(self._backup(backup_id).generation, expected=expected)

    def _backup(self, backup_id: str) -> Backup:
        backups = self.list_backups()
        backup = next((one for one in backups if one.backup_id == backup_id), None)
        if backup is None:
            known = ", ".join(one.backup_id for one in backups) or "none"
            raise DeployError(
                f"There is no backup {backup_id!r} in {self.backup_dir}; there: {known}."
            )
        return backup

    @OwnErrors()
    def rollback(self, *, expected: int | None = ANY) -> Generation:
        """Go back to the generation that was current before the last change."""
        with self._locked():
            number = self.layout.predecessor()
            if number is None:
                raise DeployError("There is nothing to roll back to: no core was replaced yet.")
            return self._go_to("rollback", number, expected)

    # Copies and checks

    @OwnErrors()
    def export(self, backup_id: str, target: Path, progress: Progress = quiet) -> list[Path]:
        """Real copies of a backup's generation, for another disk; ``current`` is the core."""
        if backup_id == "current":
            generation = self.layout.current_generation()
            if generation is None:
                raise DeployError("There is no core yet, so there is nothing to export.")
        else:
            generation = self.layout.generation(self._backup(backup_id).generation)
        return export_generation(generation, target, progress)

    @OwnErrors()
    def scrub(self, progress: Progress = quiet) -> list[Scrubbed]:
        """Hash every generation again, and compare with what was written."""
        return scrub(self.layout.generations(), progress)

    @OwnErrors()
    def verify_audit(self) -> list[str]:
        """What is wrong with the audit's chain, a sentence each; empty when it holds."""
        journal = self.layout.journal.read()
        if journal is None:
            return ["the journal cannot be read, so lines cut off its end would go unnoticed"]
        return self.layout.audit_log.verify(journal.audit_head)
