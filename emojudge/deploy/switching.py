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
from emojudge.deploy.companion_manifest import CompanionManifest, put_back
from emojudge.deploy.generation import Generation, read_generation
from emojudge.deploy.hooks import Hooks, environment, require_health, run_command
from emojudge.deploy.journal import Journal, Step
from emojudge.deploy.layout import CoreLayout
from emojudge.deploy.progress import Going, Progress
from emojudge.errors import DeployError, EmojudgeError

_LOG = logging.getLogger(__name__)
Tell = Callable[[Path], None]


class Switching:
    """Changes which generation is current. Everything here needs the store's lock."""

    def __init__(
        self,
        layout: CoreLayout,
        *,
        hooks: Hooks,
        companion: CompanionManifest | None,
        tell: Tell | None,
        who: str,
    ) -> None:
        """``tell`` gives custom targets the model of the core that is now current."""
        self._layout = layout
        self._hooks = hooks
        self._companion = companion
        self._tell = tell
        self._who = who

    # Forward

    def run(self, change: Change, after: Generation, progress: Progress) -> None:
        """Make ``after`` current. Raises DeployError; the core before is then in use again."""
        head = self._layout.audit_log.head()
        companion = self._companion.remember() if self._companion is not None else None
        told = environment(self._layout.root, after)
        if self._hooks.pre_command:
            progress(Going("running the command before the switch"))
            try:
                command, seconds = self._hooks.pre_command, self._hooks.command_seconds
                run_command("pre_command", command, told, seconds)
            except DeployError as problem:
                raise DeployError(f"Nothing was changed: {problem}") from problem
        journal = Journal(
            step=Step.SWITCHING,
            change=change,
            before_folder=self._layout.current_folder(),
            after_folder=after.folder_name,
            companion=companion,
            told=self._tell is not None,
            lines=head.lines,
            head=head.sha256,
        )
        try:
            self._layout.journal.write(journal)
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
            raise DeployError(f"{self._layout.current} is not generation {after.number}.")
        now.require_whole()

    def finish(self, journal: Journal) -> None:
        """A committed change gets its line in the audit, once. Raises OSError, DeployError."""
        assert journal.change is not None
        self._close(journal, journal.change)

    def _close(self, journal: Journal, change: Change) -> None:
        audit = self._layout.audit_log
        head = audit.head()
        # A crash between the line and the journal must not write the line twice.
        if head.lines <= journal.lines:
            head = audit.append(change)
        self._layout.journal.rest(head)

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
                "next change, or the next start of emojudge, takes it back."
            ) from problem
        if isinstance(problem, (OSError, EmojudgeError)):
            also = f" {' '.join(trouble)}" if trouble else ""
            raise DeployError(
                f"The change was taken back, the core in use is the one before: {problem}{also}"
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
        if self._layout.current_folder() != journal.before_folder:
            self._layout.switch(journal.before_folder)
        if journal.companion is not None:
            put_back(journal.companion)
        folder = journal.before_folder
        before = read_generation(self._layout.generations_dir / folder) if folder else None
        trouble = self._tell_back(journal, before)
        undone = Change(
            transaction=change.transaction,
            time=clock.stamp(),
            who=self._who,
            action=UNDONE,
            before=change.before,
            after=change.before,
            sha256=before.manifest.replacement_checksum if before else None,
            reason=f"{change.action} of generation {change.after}: {why}",
            origin=change.origin,
        )
        self._close(journal, undone)
        return trouble

    def _tell_back(self, journal: Journal, before: Generation | None) -> list[str]:
        """Tell targets and companion; they may be gone, and the store goes back all the same."""
        trouble: list[str] = []

        def attempt(work: Callable[[], None]) -> None:
            try:
                work()
            except EmojudgeError as problem:
                _LOG.error("going back to the core before: %s", problem)
                trouble.append(f"But going back: {problem}")

        if journal.told and self._tell is not None and before is not None:
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
            attempt(lambda: run_command("restart_command", command, told, seconds))
        return trouble
