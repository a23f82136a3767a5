"""The switch from one core to another: steps 5 to 8 of a change, and the way back.

The journal is written before each step whose undoing needs to know of it. A change is committed
by the journal's ``COMMITTED``; until then every failure and every crash goes back to the core
before, and after it only the audit's line is missing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from emojudge import clock
from emojudge.deploy.audit import UNDONE, Change
from emojudge.deploy.backups import remove_backups_of
from emojudge.deploy.companion_manifest import CompanionManifest
from emojudge.deploy.generation import Generation, read_generation
from emojudge.deploy.hooks import Hooks, environment, require_health, run_command
from emojudge.deploy.journal import CompanionBefore, Journal, Step
from emojudge.deploy.layout import CoreLayout
from emojudge.deploy.progress import Going, Progress
from emojudge.errors import DeployError, EmojudgeError
from emojudge.text import sentence

_LOG = logging.getLogger(__name__)
Tell = Callable[[Path], None]


def _nothing() -> None:
    """No backup is wanted."""


class Switching:
    """Changes which generation is current. Everything here needs the store's lock."""

    def __init__(
        self,
        layout: CoreLayout,
        *,
        hooks: Hooks,
        companion: CompanionManifest | None,
        tell: Tell | None,
        backup_dir: Path,
        who: str,
    ) -> None:
        """``tell`` gives custom targets the model of the core that is now current."""
        self._layout = layout
        self._hooks = hooks
        self._companion = companion
        self._tell = tell
        self._backup_dir = backup_dir
        self._who = who

    # Forward

    def run(
        self,
        change: Change,
        after: Generation,
        progress: Progress,
        back_up: Callable[[], object] = _nothing,
    ) -> None:
        """Make ``after`` current; ``back_up`` names the core before as a backup of the change.

        Raises DeployError; the core before is then in use again.
        """
        journal = self._journal_for(change, after)
        told = environment(self._layout.root, after)
        if self._hooks.pre_command:
            progress(Going("running the command before the switch"))
            try:
                command, seconds = self._hooks.pre_command, self._hooks.command_seconds
                run_command("pre_command", command, told, seconds)
            except DeployError as problem:
                raise DeployError(f"Nothing was changed: {problem}") from problem
        progress(Going("switching"))
        try:
            self._layout.journal.write(journal)
            back_up()
            journal = self._forward(journal, after, progress)
            self._verify(after)
            self._layout.journal.write(journal.model_copy(update={"step": Step.COMMITTED}))
        except BaseException as problem:
            self._back_from(journal, problem)
            raise
        try:
            self.finish(journal)
        except (OSError, EmojudgeError) as problem:
            raise DeployError(
                f"Generation {after.number} is the core now, but its line in the audit could not "
                f"be written: {problem}. The next change, or the next start of emojudge, writes it."
            ) from problem

    def _journal_for(self, change: Change, after: Generation) -> Journal:
        known = self._layout.journal.read() or Journal()
        head = self._layout.audit_log.head()
        try:
            before = self._layout.current_folder()
        except DeployError as problem:
            _LOG.warning("the core before is not one of the store: %s", problem)
            before = None
        companion = self._companion.remember() if self._companion is not None else None
        pending = known.pending
        if pending is not None and companion is not None and pending.file == companion.file:
            # What was to be put back is still what it should say if this change is taken back.
            companion, pending = pending, None
        return Journal(
            step=Step.SWITCHING,
            change=change,
            before_folder=before,
            after_folder=after.folder_name,
            companion=companion,
            told=self._tell is not None,
            lines=head.lines,
            head=head.sha256,
            breaks=known.breaks,
            pending=pending,
        )

    def _forward(self, journal: Journal, after: Generation, progress: Progress) -> Journal:
        self._layout.switch(after.folder_name)
        if self._companion is not None:
            self._companion.update(after.manifest)
        if self._tell is not None:
            progress(Going("telling the targets"))
            self._tell(after.model)
        told = environment(self._layout.root, after)
        if self._hooks.restart_command:
            journal = journal.model_copy(update={"restarting": True})
            self._layout.journal.write(journal)
            progress(Going("restarting the companion"))
            command = self._hooks.restart_command
            run_command("restart_command", command, told, self._hooks.command_seconds)
        if self._hooks.health_check:
            progress(Going("asking whether the companion is well"))
            require_health(self._hooks.health_check, told, self._hooks.health_seconds)
        return journal

    def _verify(self, after: Generation) -> None:
        """What a companion finds now is the whole new core. Raises DeployError."""
        now = self._layout.current_generation()
        if now != after:
            raise DeployError(
                f"{self._layout.current} is not generation {after.number}: somebody changed it by "
                "hand meanwhile. Look who, then try again."
            )
        now.require_whole()

    def finish(self, journal: Journal) -> None:
        """A committed change gets its line in the audit, once. Raises OSError, DeployError."""
        assert journal.change is not None
        self._close(journal, journal.change, journal.pending)

    def _close(self, journal: Journal, change: Change, pending: CompanionBefore | None) -> None:
        audit = self._layout.audit_log
        head = audit.head()
        # A crash between the line and the journal must not write the line twice.
        if head.lines <= journal.lines:
            head = audit.append(change)
        self._layout.journal.rest(head, journal.breaks, pending)

    # Back

    def _back_from(self, journal: Journal, problem: BaseException) -> None:
        """Take a failed change back. Raises DeployError when even that fails."""
        latest = self._layout.journal.read() or journal
        if latest.change != journal.change:
            # Not even the journal was written, so nothing else was touched either.
            return
        try:
            trouble = self.take_back(latest, str(problem) or type(problem).__name__)
        except (OSError, EmojudgeError) as worse:
            raise DeployError(
                f"The change failed ({problem}), and taking it back failed too ({worse}). The "
                "next change, or the next start of emojudge, brings it to an end."
            ) from problem
        if isinstance(problem, (OSError, EmojudgeError)):
            said = " ".join(sentence(one) for one in (str(problem), *trouble))
            raise DeployError(
                f"The change was taken back, the core in use is the one before: {said}"
            ) from problem

    def take_back(self, journal: Journal, why: str) -> list[str]:
        """Go back to the core before; returns what could not be told of it, a sentence each.

        Raises OSError or EmojudgeError while the store itself cannot go back: then the journal
        stands, and it is done again.
        """
        if journal.step is Step.COMMITTED:
            journal = journal.model_copy(update={"step": Step.SWITCHING})
            self._layout.journal.write(journal)
        change = journal.change
        assert change is not None
        if self._points_elsewhere(journal.before_folder):
            self._layout.switch(journal.before_folder)
        trouble: list[str] = []
        before = self._read_before(journal.before_folder, trouble)
        # Before a restart, because the companion may read it then.
        pending = self.put_back(journal.companion, trouble) or journal.pending
        self._tell_back(journal, before, trouble)
        remove_backups_of(self._backup_dir, change.transaction)
        undone = Change(
            transaction=change.transaction,
            time=clock.stamp(),
            who=self._who,
            action=UNDONE,
            before=change.before,
            after=change.before,
            sha256=before.manifest.sha256 if before else None,
            reason=" ".join(
                sentence(one)
                for one in (f"{change.action} of generation {change.after}: {why}", *trouble)
            ),
            origin=change.origin,
            attempted=change.after,
        )
        self._close(journal, undone, pending)
        return trouble

    def _points_elsewhere(self, folder: str | None) -> bool:
        try:
            return self._layout.current_folder() != folder
        except DeployError:
            return True

    def _read_before(self, folder: str | None, trouble: list[str]) -> Generation | None:
        if folder is None:
            return None
        try:
            return read_generation(self._layout.generations_dir / folder)
        except DeployError as problem:
            trouble.append(f"But: {problem}")
            return None

    def _tell_back(self, journal: Journal, before: Generation | None, trouble: list[str]) -> None:
        """Tell targets and companion; they may be gone, and the store goes back all the same."""

        def attempt(work: Callable[[], None]) -> None:
            try:
                work()
            except (OSError, EmojudgeError) as problem:
                _LOG.error("going back to the core before: %s", problem)
                trouble.append(f"But going back: {problem}")

        if journal.told and before is not None:
            if self._tell is None:
                trouble.append(
                    "But deploy targets had been given the core that was taken back, and none is "
                    "set here: give them the one before."
                )
            else:
                tell, model = self._tell, before.model
                attempt(lambda: tell(model))
        if journal.restarting and not self._hooks.restart_command:
            trouble.append(
                "But the companion was restarted for the core that was taken back, and no "
                "restart_command is set here: restart it."
            )
        elif journal.restarting and self._hooks.restart_command:
            command, seconds = self._hooks.restart_command, self._hooks.command_seconds
            told = environment(self._layout.root, before)
            try:
                run_command("restart_command", command, told, seconds)
            except (OSError, EmojudgeError) as problem:
                _LOG.error("restarting the core before: %s", problem)
                trouble.append(
                    "But restarting it failed too, so your companion may not be running: start "
                    "it by hand."
                )

    def put_back(
        self, before: CompanionBefore | None, trouble: list[str]
    ) -> CompanionBefore | None:
        """Let the companion's manifest say what it said; what is left to do, and why, if it fails.

        Only the file that the config names is touched: a journal's word is not enough.
        """
        if before is None:
            return None
        own = self._companion
        if own is None or str(own.file.absolute()) != before.file:
            trouble.append(
                f"But the companion's manifest {before.file} is not the one that the config here "
                "names: emojudge with that config puts it right."
            )
            return before
        try:
            own.put_back(before)
        except (OSError, EmojudgeError) as problem:
            _LOG.error("the companion's manifest is out of step: %s", problem)
            trouble.append(f"But its manifest could not be put right yet: {problem}")
            return before
        return None

    def follow_current(self) -> list[str]:
        """After a lost journal: let the companion's manifest say what is current now."""
        trouble: list[str] = []
        try:
            current = self._layout.current_generation()
            if self._companion is not None and current is not None:
                self._companion.update(current.manifest)
        except (OSError, EmojudgeError) as problem:
            trouble.append(f"But: {problem}")
        return trouble
