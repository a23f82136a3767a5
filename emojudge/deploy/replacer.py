"""CoreModelReplacer: adopt, replace, back up, restore, roll back."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

from emojudge import clock
from emojudge.deploy.audit import Change, Head, Origin
from emojudge.deploy.backups import Backup, make_backup, remove_backup
from emojudge.deploy.building import Builder, Built, Incoming
from emojudge.deploy.candidate_gates import (
    TryModel,
    structure_gate,
    try_in_sandbox,
)
from emojudge.deploy.companion_manifest import CompanionManifest
from emojudge.deploy.damage import require_undamaged
from emojudge.deploy.gates import (
    OUTSIDE_A_STUDY,
    Gate,
    require_integrity,
    require_judgements,
)
from emojudge.deploy.generation import Generation
from emojudge.deploy.hooks import Hooks
from emojudge.deploy.own_errors import OwnErrors
from emojudge.deploy.places import require_trusted, why_read_only
from emojudge.deploy.progress import Going, Progress, quiet
from emojudge.deploy.recovery import interrupted, recover
from emojudge.deploy.retention import prune, remember_backup_dir, unused
from emojudge.deploy.staging import shards_of
from emojudge.deploy.store_view import CoreStoreView
from emojudge.deploy.switching import Switching
from emojudge.deploy.targets import make_target, tell
from emojudge.errors import DeployError, EmojudgeError, LockHeld
from emojudge.store.locks import HeldLock

_LOG = logging.getLogger(__name__)
ANY = -1
"""Change whatever is current now, without having looked."""


class CoreModelReplacer(CoreStoreView):
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
        super().__init__(
            active_dir, backup_dir, minimum_size_mb=minimum_size_mb, try_model=try_model
        )
        self._who = who
        self._companion = CompanionManifest(manifest) if manifest is not None else None
        self._builder = Builder(
            self.layout, who=who, minimum_size=self._minimum_size, try_model=try_model
        )
        self._auto_backup = auto_backup
        self._keep_backups = keep_backups
        self.hooks = hooks or Hooks()
        self._targets = targets

    def _switching(self) -> Switching:
        return Switching(
            self.layout,
            hooks=self.hooks,
            companion=self._companion,
            tell=self._tell if self._has_targets else None,
            backup_dir=self.backup_dir,
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
            said = recover(self.layout, self._switching(), self._who)
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
        waiting = interrupted(self.layout)
        if why_read_only(self.layout.root) is not None:
            return waiting
        if waiting is None and not self._left_behind() and not self._current_is_gone():
            return None
        self.layout.require_trusted()
        try:
            lock = HeldLock(self.layout.lock_file, f"The core store {self.layout.root}")
        except LockHeld:
            return None
        try:
            said = recover(self.layout, self._switching(), self._who)
            for folder in self._unused():
                self.layout.discard(folder)
            return said or interrupted(self.layout)
        finally:
            lock.release()

    def _current_is_gone(self) -> bool:
        try:
            return self.layout.lost() is not None
        except DeployError as problem:
            _LOG.warning("%s", problem)
            return False

    def _left_behind(self) -> bool:
        incoming = self.layout.incoming_dir
        staged = incoming.is_dir() and not incoming.is_symlink() and any(incoming.iterdir())
        return staged or bool(self._unused())

    def _unused(self) -> list[Path]:
        """What never was the core; nothing while that cannot be told."""
        try:
            return unused(self.layout)
        except DeployError as problem:
            _LOG.warning("%s", problem)
            return []

    def _check_expected(self, expected: int | None, seen: Head | None) -> int | None:
        """Compare-and-swap: what was current on the screen must still be current.

        ``seen`` is the audit's end that was shown: a core may have come back meanwhile.
        """
        number = self.layout.current_number()
        if expected != ANY and number != expected:
            raise DeployError(
                f"The core changed meanwhile: generation {number} is current now, you were looking "
                f"at {expected}. Look again, then decide."
            )
        if seen is not None and self.layout.audit_log.head() != seen:
            raise DeployError(
                "The core changed meanwhile, and is the one you were looking at again; what a "
                "rollback would go to may be another one. Look again, then decide."
            )
        return number

    def _change(
        self,
        action: str,
        before: int | None,
        built: Built,
        *,
        reason: str | None = None,
        overridden: tuple[str, ...] = (),
        origin: Origin | None = None,
    ) -> Change:
        return Change(
            transaction=uuid.uuid4().hex,
            time=clock.stamp(),
            who=self._who,
            action=action,
            before=before,
            after=built.generation.number,
            sha256=built.generation.manifest.sha256,
            reason=reason,
            overridden=overridden,
            origin=origin or Origin(),
            staged_bytes=built.staged_bytes,
            staged_seconds=round(built.staged_seconds, 3),
        )

    def _switch(
        self, change: Change, after: Generation, progress: Progress, *, backed_up: str = ""
    ) -> Generation:
        """``backed_up`` is the label of the core before as an automatic backup; "": none."""
        after.require_whole()
        before = self._readable(change.before) if backed_up else None

        def back_up() -> None:
            if before is not None:
                self._make_backup(before, backed_up, change.transaction)

        self._switching().run(change, after, progress, back_up)
        return after

    def _tidy(self, spare: tuple[int, ...] = ()) -> list[int]:
        """Prune; that something cannot be removed does not undo a change that is complete."""
        try:
            return prune(self.layout, self.backup_dir, self._keep_backups, spare)
        except (OSError, EmojudgeError) as problem:
            _LOG.warning("older generations could not be removed: %s", problem)
            return []

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
            change = self._change("adopt", None, built, overridden=built.untested)
            return self._switch(change, built.generation, progress)

    @OwnErrors()
    def replace(
        self,
        incoming: Incoming,
        *,
        expected: int | None = ANY,
        seen: Head | None = None,
        judgements: tuple[Gate, ...] = OUTSIDE_A_STUDY,
        force: str | None = None,
        progress: Progress = quiet,
    ) -> Generation:
        """Promote a model; ``expected`` is the generation that was seen to be current, ``seen``
        the audit's end as it was seen.

        Raises GateRefused, DeployError or LockHeld; the core in use is then untouched.
        """
        incoming = self._recognised(incoming, progress)
        template = self._template_of(incoming)
        require_judgements([*judgements, self._template_gate(template)], force)
        with self._locked():
            self.layout.journal.require_undamaged()
            before = self._check_expected(expected, seen)
            require_trusted(self.backup_dir)
            # Somebody may have changed the core while this one waited for the lock.
            gates = [*judgements, self._template_gate(template)]
            overridden = require_judgements(gates, force)
            kept = self._kept(incoming.expected_sha256)
            if kept is not None:
                self._require_another(kept, before)
            self._tidy(spare=(kept.number,) if kept is not None else ())
            built = self._builder.again(kept, progress) if kept is not None else None
            if built is None:
                built = self._builder.build(incoming, template, progress, self._kept)
            self._require_another(built.generation, before)
            change = self._change(
                "promote",
                before,
                built,
                reason=force if overridden else None,
                overridden=overridden + built.untested,
                origin=incoming.origin,
            )
            label = f"before {incoming.name}" if self._auto_backup else ""
            try:
                self._switch(change, built.generation, progress, backed_up=label)
            finally:
                # Not after a rollback, which has no time for files of any size.
                removed = self._tidy()
                if removed:
                    listed = ", ".join(map(str, removed))
                    progress(Going(f"removed what nothing keeps any more: generation {listed}"))
            return built.generation

    def _make_backup(
        self, generation: Generation, label: str, transaction: str | None = None
    ) -> Backup:
        remember_backup_dir(self.layout.root, self.backup_dir)
        return make_backup(
            self.backup_dir, generation, by=self._who, label=label, transaction=transaction
        )

    @OwnErrors()
    def backup(self, label: str, *, expected: int | None = ANY) -> Backup:
        """Pin the current core under a name of the person's."""
        if not label.strip():
            raise DeployError("A backup needs a name, so that it can be told from others.")
        self._require_a_store()
        with self._locked():
            self._check_expected(expected, None)
            current = self.layout.current_generation()
            if current is None:
                raise DeployError("There is no core yet, so there is nothing to back up.")
            return self._make_backup(current, label)

    def _go_to(
        self,
        action: str,
        number: int,
        expected: int | None,
        seen: Head | None,
        origin: Origin | None,
        reason: str | None,
    ) -> Generation:
        before = self._check_expected(expected, seen)
        target = self.layout.generation(number)
        self._require_another(target, before)
        require_undamaged(self.layout.root, target)
        change = self._change(action, before, Built(target), reason=reason, origin=origin)
        # What is left may be what was liked: it is kept like the core before a promotion.
        label = f"before the {action} to {number}" if self._auto_backup else ""
        return self._switch(change, target, quiet, backed_up=label)

    @OwnErrors()
    def restore(
        self,
        number: int,
        *,
        expected: int | None = ANY,
        seen: Head | None = None,
        origin: Origin | None = None,
        reason: str | None = None,
    ) -> Generation:
        """Make an earlier generation current again: a pointer move."""
        self._require_a_store()
        with self._locked():
            return self._go_to("restore", number, expected, seen, origin, reason)

    @OwnErrors()
    def restore_named(
        self, name: str, *, expected: int | None = ANY, reason: str | None = None
    ) -> Generation:
        """Restore what ``name`` means: a generation's number, a backup's id, or its label."""
        number = int(name) if name.isdecimal() else self._generation_of(self._backup(name)).number
        return self.restore(number, expected=expected, reason=reason)

    @OwnErrors()
    def remove_backup(self, name: str) -> Backup:
        """Take a backup away; its generation goes with the next promotion if nothing keeps it."""
        self._require_a_store()
        with self._locked():
            backup = self._backup(name)
            remove_backup(self.backup_dir, backup)
            return backup

    def _require_a_store(self) -> None:
        """Raise DeployError before anything is made where no core ever was."""
        if not self.layout.root.is_dir():
            raise DeployError(
                f"There is no core store at {self.layout.root} yet. `emojudge deploy adopt PATH` "
                "takes over the core in use."
            )

    @OwnErrors()
    def rollback(
        self,
        *,
        expected: int | None = ANY,
        seen: Head | None = None,
        origin: Origin | None = None,
        reason: str | None = None,
    ) -> Generation:
        """Go back to the generation that was current before the last change."""
        self._require_a_store()
        with self._locked():
            number = self.layout.predecessor()
            if number is None:
                raise DeployError("There is nothing to roll back to: no core was replaced yet.")
            return self._go_to("rollback", number, expected, seen, origin, reason)
