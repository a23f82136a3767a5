"""Deploy: what is the core, what could be, and the way there and back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.widget import Widget
from textual.widgets import Static

from emojudge.actions import DEPLOY, actions_of
from emojudge.deploy.gates import open_judgements
from emojudge.deploy.generation import Generation
from emojudge.deploy.progress import Going
from emojudge.errors import EmojudgeError
from emojudge.pipeline.core_desk import CoreDesk, Seen
from emojudge.screens.base import StudyScreen
from emojudge.screens.bindings import bindings_of
from emojudge.screens.evidence import EvidenceScreen, LogScreen
from emojudge.screens.typed_word import LABEL, REASON, WHY, Asked, Confirmation, TypedWordDialog
from emojudge.text import human_bytes, short_names, visible_line
from emojudge.widgets.core_page import CorePage, hooks_in_words
from emojudge.widgets.top_line import progress_bar

_PROGRESS_SECONDS = 0.2
_LOOK_SECONDS = 1.0
_CHANGES = frozenset({"deploy.promote", "deploy.rollback", "deploy.pin", "deploy.restore"})


class DeployScreen(StudyScreen):
    """One page; changes run in a thread and report their progress here."""

    SCOPE = DEPLOY
    BINDINGS = bindings_of(DEPLOY)

    @property
    def core(self) -> CoreDesk:
        """The store as this screen shows it."""
        return self.desk.core

    def body(self) -> Iterable[Widget]:
        """One page of text."""
        self._page = Static("", classes="rows", markup=False)
        self._marked = 0
        self._busy = ""
        self._told_at = 0.0
        self._looking = False
        scroll = VerticalScroll(self._page, classes="page")
        scroll.can_focus = False
        return [scroll]

    def on_mount(self) -> None:
        """Follow the study, and the store too: others may change the core."""
        super().on_mount()
        self.set_interval(_LOOK_SECONDS, self._follow_store)

    def on_resize(self, event: Resize) -> None:
        """What stands on a line of its own depends on the room."""
        super().on_resize(event)
        if self.is_current:
            self.guarded(self.repaint)

    def _follow_store(self) -> None:
        if self.is_current and not self._busy and self.core.changed_meanwhile():
            self.guarded(self.repaint)

    def repaint(self) -> None:
        """The whole page."""
        study = self.desk.study
        self.top.parts = (("study", study.config.name), ("store", self.desk.store_name))
        if not study.discovered:
            self._page.update(Content.styled("looking for candidates…", "$quiet"))
            self.keys.without = frozenset(one.id for one in actions_of(DEPLOY))
            return
        # While this screen changes the core, the page stays as it was decided on.
        seen = self.core.seen if self._busy and self.core.seen is not None else self.core.look()
        self._look_at_the_chosen()
        chosen = seen.chosen
        page = CorePage(
            status=seen.status,
            candidates=seen.candidates,
            labels=short_names([one.name for one in seen.candidates]),
            chosen=chosen,
            gates=self.core.gates(chosen) if chosen is not None else (),
            plan=self.core.plan(chosen) if chosen is not None else None,
            hooks=self.core.replacer.hooks,
            marked=self._marked,
            activity=self._busy,
            told=self.desk.core_recovery,
            width=self.size.width,
            height=self.size.height,
        )
        self._page.update(page.content())
        self.keys.without = self._without(seen)

    def _without(self, seen: Seen) -> frozenset[str]:
        """Keys that would do nothing now."""
        status = seen.status
        if status.read_only or self._busy:
            return _CHANGES
        without = set()
        if status.current is None:
            without |= {"deploy.pin", "deploy.restore", "deploy.rollback"}
        if all(one == status.current for one in status.generations):
            without.add("deploy.restore")
        if status.predecessor is None:
            without.add("deploy.rollback")
        if seen.chosen is None:
            without |= {"deploy.promote", "deploy.evidence"}
        if len(seen.candidates) < 2:
            without |= {"deploy.left", "deploy.right"}
        return frozenset(without)

    def _look_at_the_chosen(self) -> None:
        """Read the chosen candidate's header in a thread, because vocabularies are long."""
        candidate = self.core.to_look_at()
        if candidate is None or self._looking:
            return
        self._looking = True

        async def look() -> None:
            try:
                await asyncio.to_thread(self.core.look_at, candidate)
            finally:
                self._looking = False
            self.guarded(self.repaint)

        self.run_worker(look(), group="look")

    # Choosing

    def action_choose(self, step: int) -> None:
        """Another candidate."""
        self.core.choose(step)
        self.guarded(self.repaint)

    def action_mark(self, step: int) -> None:
        """Another generation of the history."""
        self._marked += step
        self.guarded(self.repaint)

    def action_log(self) -> None:
        """Every change of the core, in full."""
        seen = self.core.seen
        if seen is not None:
            self.app.push_screen(LogScreen(seen.status.audit))

    def action_evidence(self) -> None:
        """All gates with what they rest on."""
        chosen = self.core.seen.chosen if self.core.seen is not None else None
        if chosen is not None:
            title = visible_line(chosen.name)
            self.app.push_screen(EvidenceScreen(title, self.core.gates(chosen)))

    # Changing

    def _may_change(self) -> Seen | None:
        """The store as it is shown, if it may be changed now; else why not is said."""
        seen = self.core.seen
        if seen is None:
            return None
        if self._busy:
            self.notify("One change at a time.", markup=False)
            return None
        if seen.status.read_only:
            self.notify(f"The core cannot be changed: {seen.status.read_only}.", markup=False)
            return None
        if self.core.changed_meanwhile():
            self.notify("The core was changed meanwhile: look at it again first.", markup=False)
            self.guarded(self.repaint)
            return None
        return seen

    def _change(self, what: str, work: Callable[[], Generation]) -> None:
        """Make another core current; the screen stays live and shows how it goes."""

        def change() -> str:
            generation = work()
            name = visible_line(generation.manifest.name)
            return f"{what}: the core is now generation {generation.number}, {name}"

        self._begin(f"{what}…", change)

    def _begin(self, busy: str, work: Callable[[], str]) -> None:
        """Work on the store in a thread; what it says is shown."""
        self._busy = busy
        self.desk.changing_core = True
        self.guarded(self.repaint)
        self.run_worker(self._work(work), group="deploy")

    async def _work(self, work: Callable[[], str]) -> None:
        try:
            said = await asyncio.to_thread(work)
        except EmojudgeError as problem:
            self.complain(problem)
        else:
            self._marked = 0
            self.desk.core_recovery = ""
            self.notify(said, markup=False)
        finally:
            self._busy = ""
            self.desk.changing_core = False
            self.guarded(self.repaint)

    def _progress(self, going: Going) -> None:
        """Called in the changing thread."""
        now = time.monotonic()
        if not going.total or going.done == going.total or now > self._told_at + _PROGRESS_SECONDS:
            self._told_at = now
            self.app.call_from_thread(self._show_progress, going)

    def _show_progress(self, going: Going) -> None:
        self._busy = f"{going.words}…"
        if going.total:
            self._busy = (
                f"{going.words} {progress_bar(going.done, going.total)} "
                f"{human_bytes(going.done)} of {human_bytes(going.total)}"
            )
        self.guarded(self.repaint)

    def _ask(
        self,
        title: str,
        lines: Iterable[str],
        then: Callable[[str | None], object],
        asks: Asked | None = None,
    ) -> None:
        """One typed word, the title without its spaces."""

        def go(answer: Confirmation | None) -> None:
            if answer is not None:
                then(answer.text)

        word = title.replace(" ", "")
        self.app.push_screen(TypedWordDialog(title, tuple(lines), word, asks=asks), go)

    def action_promote(self) -> None:
        """Make the chosen candidate the core."""
        seen = self._may_change()
        if seen is None or seen.chosen is None:
            return
        candidate, core = seen.chosen, seen.status.current
        if core is not None and core.holds(candidate.files):
            self.notify(f"{visible_line(candidate.name)} is the core already.", markup=False)
            return
        gates = self.core.gates(candidate)
        unmet = open_judgements(gates)
        instead = f" in place of {visible_line(core.manifest.name)}" if core else ""
        lines = [
            f"{visible_line(candidate.name)} becomes the core{instead}.",
            *(f"{gate.status.mark} {gate.name}: {visible_line(gate.reason)}" for gate in unmet),
        ]
        hooks = hooks_in_words(self.core.replacer.hooks)
        if len(hooks) > 1:
            lines.append(visible_line(f"then: {'; '.join(hooks)}"))

        def go(reason: str | None) -> None:
            self._change(
                "promoted",
                lambda: self.core.promote(seen, candidate, gates, reason, self._progress),
            )

        self._ask("promote", lines, go, asks=REASON if unmet else None)

    def action_rollback(self) -> None:
        """Back to the core before."""
        seen = self._may_change()
        if seen is None:
            return
        target = seen.status.predecessor
        if target is None or seen.status.current is None:
            self.notify("There is nothing to roll back to yet.", markup=False)
            return
        line = f"Back to generation {target.number}, {visible_line(target.manifest.name)}."
        self._ask(
            "roll back",
            [line],
            lambda why: self._change("rolled back", lambda: self.core.roll_back(seen, why)),
            asks=WHY,
        )

    def action_restore(self) -> None:
        """Make the marked generation current."""
        seen = self._may_change()
        if seen is None or not seen.status.generations or seen.status.current is None:
            return
        target = seen.status.generations[self._marked % len(seen.status.generations)]
        if target.number == seen.expected:
            self.notify("That is the core already.", markup=False)
            return
        line = (
            f"Generation {target.number}, {visible_line(target.manifest.name)}, becomes the core."
        )
        self._ask(
            "restore",
            [line],
            lambda why: self._change(
                "restored",
                lambda: self.core.restore(seen, target.number, why),
            ),
            asks=WHY,
        )

    def action_pin(self) -> None:
        """Keep the present core as a backup under a name."""
        seen = self._may_change()
        if seen is None:
            return
        core = seen.status.current
        if core is None:
            self.notify("There is no core yet, so there is nothing to pin.", markup=False)
            return

        def pin(label: str | None) -> None:
            name = label or ""

            def work() -> str:
                self.core.replacer.backup(name, expected=seen.expected)
                return f"Pinned as “{visible_line(name)}”."

            self._begin("pinning…", work)

        line = f"Generation {core.number}, {visible_line(core.manifest.name)}, is kept until its"
        self._ask("pin", [f"{line} backup is removed."], pin, asks=LABEL)
