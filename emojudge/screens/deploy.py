"""Deploy: what is the core, what could be, and the way there and back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from emojudge.actions import DEPLOY
from emojudge.deploy.gates import Gate, GateStatus, open_judgements
from emojudge.deploy.layout import Generation
from emojudge.domain import Candidate
from emojudge.errors import EmojudgeError
from emojudge.pipeline.deploying import incoming, judgement_gates
from emojudge.ranking.standing import rank_candidates
from emojudge.screens.base import StudyScreen
from emojudge.screens.bindings import bindings_of
from emojudge.screens.dialogs import Confirmation, LineDialog, TypedWordDialog
from emojudge.text import human_bytes, short_names, visible_line
from emojudge.widgets.core_page import CorePage
from emojudge.widgets.top_line import progress_bar

_PROGRESS_SECONDS = 0.2


class DeployScreen(StudyScreen):
    """One page; changes run in a thread and report their progress here."""

    SCOPE = DEPLOY
    BINDINGS = bindings_of(DEPLOY)

    def body(self) -> Iterable[Widget]:
        """One page of text."""
        self._page = Static("", classes="rows", markup=False)
        self._chosen: str | None = None
        self._marked = 0
        self._busy = ""
        self._integrity: dict[str, tuple[Gate, ...]] = {}
        self._told_at = 0.0
        scroll = VerticalScroll(self._page, classes="page")
        scroll.can_focus = False
        return [scroll]

    # Looking

    def _candidates(self) -> list[Candidate]:
        """Candidates in the order of the ranking."""
        return [score.candidate for score in rank_candidates(self.desk.study.view())]

    def _place(self) -> int:
        """The chosen candidate's place: at first the best that is not the core already."""
        candidates = self._candidates()
        for place, one in enumerate(candidates):
            if one.sha256 == self._chosen:
                return place
        core = self.desk.replacer.layout.current_generation()
        digest = core.manifest.replacement_checksum if core else ""
        return next(
            (place for place, one in enumerate(candidates) if one.files[0].sha256 != digest), 0
        )

    def _candidate(self) -> Candidate:
        return self._candidates()[self._place()]

    def _all_gates(self, candidate: Candidate) -> tuple[Gate, ...]:
        """Integrity gates are read from the file once; staging checks them again."""
        if candidate.sha256 not in self._integrity:
            self._integrity[candidate.sha256] = self._validated(candidate)
        latest = self.desk.insights.latest
        standing = latest.standing if latest is not None else None
        return self._integrity[candidate.sha256] + judgement_gates(
            self.desk.study.view(), candidate, standing
        )

    def _validated(self, candidate: Candidate) -> tuple[Gate, ...]:
        """What the file says of itself; a file that cannot be read is a gate that failed."""
        try:
            return self.desk.replacer.validate(candidate.path)
        except EmojudgeError as problem:
            reason = candidate.gone or str(problem)
            return (Gate(name="structure", status=GateStatus.FAIL, reason=reason),)

    def repaint(self) -> None:
        """The whole page."""
        study = self.desk.study
        self.top.parts = (("study", study.config.name), ("store", self.desk.store_name))
        if not study.discovered:
            self._page.update(Content.styled("looking for candidates…", "$quiet"))
            return
        candidates = self._candidates()
        chosen = candidates[self._place()]
        page = CorePage(
            status=self.desk.replacer.status(),
            candidates=tuple(candidates),
            labels=short_names([one.name for one in candidates]),
            chosen=chosen,
            gates=self._all_gates(chosen),
            marked=self._marked,
            activity=self._busy,
        )
        self._page.update(page.content())

    # Choosing

    def action_choose(self, step: int) -> None:
        """Another candidate."""
        candidates = self._candidates()
        self._chosen = candidates[(self._place() + step) % len(candidates)].sha256
        self.guarded(self.repaint)

    def action_mark(self, step: int) -> None:
        """Another generation of the history."""
        self._marked += step
        self.guarded(self.repaint)

    # Changing

    def _change(self, what: str, work: Callable[[], Generation]) -> None:
        """Run a change in a thread; the screen stays live and shows how it goes."""
        if self._busy:
            self.notify("One change at a time.", markup=False)
            return
        self._busy = f"{what}…"
        self.desk.changing_core = True
        self.repaint()
        self.run_worker(self._run_change(what, work), group="deploy")

    async def _run_change(self, what: str, work: Callable[[], Generation]) -> None:
        try:
            generation = await asyncio.to_thread(work)
        except EmojudgeError as problem:
            self.complain(problem)
        else:
            self._marked = 0
            self.notify(
                f"{what}: the core is now generation {generation.number}, "
                f"{visible_line(generation.manifest.name)}",
                markup=False,
            )
        finally:
            self._busy = ""
            self.desk.changing_core = False
            self.guarded(self.repaint)

    def _copy_progress(self, done: int, total: int) -> None:
        """Called in the copying thread."""
        now = time.monotonic()
        if done == total or now - self._told_at > _PROGRESS_SECONDS:
            self._told_at = now
            self.app.call_from_thread(self._show_progress, done, total)

    def _show_progress(self, done: int, total: int) -> None:
        self._busy = (
            f"copying and hashing {progress_bar(done, total)} "
            f"{human_bytes(done)} of {human_bytes(total)}"
        )
        self.guarded(self.repaint)

    def action_promote(self) -> None:
        """Make the chosen candidate the core."""
        self.guarded(self._ask_promote)

    def _ask_promote(self) -> None:
        candidate = self._candidate()
        self._chosen = candidate.sha256
        gates = self._all_gates(candidate)
        core = self.desk.replacer.layout.current_generation()
        expected = core.number if core else None
        unmet = open_judgements(gates)
        lines = (
            f"{visible_line(candidate.name)} becomes the core"
            + (f" in place of {visible_line(core.manifest.name)}." if core else "."),
            *(f"{gate.status.mark} {gate.name}: {gate.reason}" for gate in unmet),
        )

        def go(answer: Confirmation | None) -> None:
            if answer is None:
                return
            self._change(
                "promoted",
                lambda: self.desk.replacer.replace(
                    incoming(candidate),
                    expected=expected,
                    judgements=gates,
                    force=answer.reason,
                    progress=self._copy_progress,
                ),
            )

        self.app.push_screen(
            TypedWordDialog("promote", lines, "promote", ask_reason=bool(unmet)), go
        )

    def action_rollback(self) -> None:
        """Back to the core before."""
        self.guarded(self._ask_rollback)

    def _ask_rollback(self) -> None:
        status = self.desk.replacer.status()
        if status.predecessor is None or status.current is None:
            self.notify("There is nothing to roll back to yet.", markup=False)
            return
        target, core = status.predecessor, status.current
        self._confirm_move(
            "roll back",
            f"Back to generation {target.number}, {visible_line(target.manifest.name)}.",
            lambda: self.desk.replacer.rollback(expected=core.number),
        )

    def action_restore(self) -> None:
        """Make the marked generation current."""
        self.guarded(self._ask_restore)

    def _ask_restore(self) -> None:
        status = self.desk.replacer.status()
        if not status.generations or status.current is None:
            return
        target = status.generations[self._marked % len(status.generations)]
        core = status.current
        if target.number == core.number:
            self.notify("That is the core already.", markup=False)
            return
        self._confirm_move(
            "restore",
            f"Generation {target.number}, {visible_line(target.manifest.name)}, becomes the core.",
            lambda: self.desk.replacer.restore(target.number, expected=core.number),
        )

    def _confirm_move(self, title: str, line: str, work: Callable[[], Generation]) -> None:
        word = title.replace(" ", "")

        def go(answer: Confirmation | None) -> None:
            if answer is not None:
                self._change("rolled back" if word == "rollback" else "restored", work)

        self.app.push_screen(TypedWordDialog(title, (line,), word), go)

    def action_pin(self) -> None:
        """Keep the present core as a backup under a name."""

        def pin(label: str | None) -> None:
            if label is not None:
                if self.guarded(lambda: self.desk.replacer.backup(label or "by hand")):
                    self.notify(f"Pinned as “{visible_line(label or 'by hand')}”.", markup=False)
                self.guarded(self.repaint)

        self.app.push_screen(
            LineDialog("pin the present core", placeholder="what to call it", verb="pins it"), pin
        )
