"""Candidates: what was found, and how far generating and judging has come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from emojudge.actions import CANDIDATES, shown_key
from emojudge.domain import Candidate
from emojudge.errors import EmojudgeError
from emojudge.pipeline.desk import Desk
from emojudge.pipeline.phases import Mark, phase_lines
from emojudge.pipeline.state import CandidateProgress
from emojudge.screens.base import StudyScreen
from emojudge.screens.bindings import bindings_of
from emojudge.text import counted, human_bytes, human_seconds, short_names, visible_line
from emojudge.widgets.top_line import progress_bar

_NOTHING = CandidateProgress(0, 0, 0)
_MARK_STYLES = {Mark.DONE: "$passed", Mark.GOING: "bold", Mark.AHEAD: "$quiet"}


class CandidatesScreen(StudyScreen):
    """One row per candidate; what could not be used is named below, with what would help."""

    SCOPE = CANDIDATES
    BINDINGS = bindings_of(CANDIDATES)

    def __init__(self, desk: Desk, keymap: Mapping[str, str]) -> None:
        super().__init__(desk, keymap)
        self._shown: dict[Static, Content] = {}
        self._core = ""

    def body(self) -> Iterable[Widget]:
        """A table and the problems under it."""
        self._phases = Static("", classes="rows", markup=False)
        self._table = Static("", classes="rows", markup=False)
        self._below = Static("", markup=False)
        with_scroll = VerticalScroll(self._phases, self._table, self._below, classes="page")
        with_scroll.can_focus = False
        return [with_scroll]

    def on_screen_resume(self) -> None:
        """The core changes on another screen only, so it is read when this one comes up."""
        self._core = self.desk.core_in_words
        super().on_screen_resume()

    def repaint(self) -> None:
        """Table and problems from the present state."""
        study, status = self.desk.study, self.desk.study.state.status
        self.top.parts = (
            ("study", study.config.name),
            ("", status.activity or "starting"),
        )
        self._show(self._phases, self._phase_rows())
        if not study.discovered:
            self._show(self._table, Content(""))
            self._show(self._below, Content(""))
        else:
            self._show(self._table, self._rows())
            self._show(self._below, self._remarks())
        self.keys.without = self._without()

    def _show(self, place: Static, content: Content) -> None:
        # An update lays the screen out again, and most of it stays the same for minutes.
        if content != self._shown.get(place):
            self._shown[place] = content
            place.update(content)

    def _without(self) -> frozenset[str]:
        """Keys that would do nothing now."""
        status = self.desk.study.state.status
        if not status.leading:
            return frozenset({"candidates.start", "candidates.pause", "candidates.stop"})
        idle = {"candidates.pause", "candidates.stop"}
        return frozenset({"candidates.start"} if status.phase_running else idle)

    def _phase_rows(self) -> Content:
        study, desk = self.desk.study, self.desk
        found = study.discovery if study.discovered else None
        lines = phase_lines(study.state.status, found, desk.insights.latest, self._core)
        rows = [
            Content.assemble(
                (f"{line.mark.value} ", _MARK_STYLES[line.mark]),
                (f"{line.phase.value:11}  ", "bold" if line.mark is Mark.GOING else "$quiet"),
                visible_line(line.words),
            )
            for line in lines
        ]
        return Content("\n").join([*rows, Content("")])

    def _rows(self) -> Content:
        discovery, status = self.desk.study.discovery, self.desk.study.state.status
        labels = short_names([one.name for one in discovery.candidates])
        width = max([9, *(len(label) for label in labels.values())])
        wide = self.size.width >= 100
        head = f"{'candidate':{width}}  {'size':>7}  {'bits':>5}  {'smaller':>7}"
        head += f"  {'context':>7}  {'template':8}" if wide else ""
        lines = [Content.styled(f"{head}  responses", "$quiet")]
        for one in discovery.candidates:
            progress = status.progress.get(one.sha256, _NOTHING)
            lines.append(self._row(one, labels[one.name], progress, width, wide))
        return Content("\n").join(lines)

    def _row(
        self, one: Candidate, label: str, progress: CandidateProgress, width: int, wide: bool
    ) -> Content:
        template = "differs" if one.template_differs else "same"
        if one.specs.chat_template is None:
            template = "none"
        figures = f"  {human_bytes(one.size):>7}  {one.specs.bits_per_weight:5.2f}"
        figures += f"  {one.compression_ratio:6.2f}×"
        if wide:
            context = str(one.specs.context_length or "–")
            figures += f"  {context:>7}  {template:8}"
        bar = progress_bar(progress.done, progress.total)
        counts = f" {progress.done}/{progress.total}" if progress.total else "–"
        extra = ""
        if progress.failed:
            extra += f" · {progress.failed} failed"
        if progress.tokens_per_second is not None and wide:
            extra += f" · {progress.tokens_per_second:.0f} tokens/s"
        if progress.seconds_left:
            extra += f" · {human_seconds(progress.seconds_left)} left"
        return Content.assemble(
            (f"{label:{width}}", "$quiet" if one.is_baseline else "bold"),
            figures,
            "  ",
            (bar, "$ai"),
            counts,
            (extra, "$quiet"),
        )

    def _remarks(self) -> Content:
        study, status = self.desk.study, self.desk.study.state.status
        discovery = study.discovery
        baseline = study.baseline
        lines = [
            Content(""),
            Content.assemble(
                ("baseline ", "$quiet"),
                visible_line(baseline.name),
                (", against which likeness is measured", "$quiet"),
            ),
        ]
        for one in discovery.candidates:
            for problem in (*one.problems, *([one.gone] if one.gone else [])):
                lines.append(
                    Content.assemble((f"! {one.name}: {visible_line(problem)}", "$failed"))
                )
        for unusable in discovery.unusable:
            lines.append(
                Content.assemble(
                    (f"✗ {unusable.name}: {unusable.reason}", "$failed"),
                    (f" → {unusable.remedy}", "$quiet"),
                )
            )
        measured = any(one.tokens_per_second for one in status.progress.values())
        generated = all(one.complete for one in status.progress.values())
        if status.running and self.desk.estimate and not measured and not generated:
            lines += [Content(""), Content.styled(self.desk.estimate, "$quiet")]
        if status.problem:
            lines.append(Content.assemble((f"✗ {visible_line(status.problem)}", "$failed")))
        if not status.leading:
            lines.append(Content.styled(visible_line(study.not_leading_because), "$quiet"))
            lines.append(Content.styled("you can rate what it has stored", "$quiet"))
        elif not status.running and status.to_judge and status.judged == status.to_judge:
            lines.append(
                Content.assemble(
                    ("everything is generated and judged · ", "$quiet"),
                    (shown_key("app.rate", self._keymap), "bold"),
                    (" rates · ", "$quiet"),
                    (shown_key("app.results", self._keymap), "bold"),
                    (" shows the results", "$quiet"),
                )
            )
        elif not status.running:
            lines.append(
                Content.assemble(
                    (shown_key("candidates.start", self._keymap), "bold"),
                    (" generates and judges everything · ", "$quiet"),
                    (shown_key("app.rate", self._keymap), "bold"),
                    (" rates now, responses are made as you go", "$quiet"),
                )
            )
            prompts = counted(len(discovery.prompts), "prompt")
            fewer = f"{prompts}; performance_config.max_prompts takes fewer"
            lines.append(Content.styled(fewer, "$quiet"))
        return Content("\n").join(lines)

    def action_start(self) -> None:
        """Run the ai-judge phase in the background."""
        self.guarded(self.desk.start_ai_judge)
        self.guarded(self.repaint)

    def action_pause(self) -> None:
        """Only prepare what raters need."""
        if self.desk.workspace is not None:
            self.desk.workspace.conductor.pause()

    def action_stop(self) -> None:
        """Drop what is under way."""
        if self.desk.workspace is not None:
            self.desk.workspace.conductor.stop()

    def action_discover(self) -> None:
        """Look for candidates again."""
        self.app.run_worker(self._rediscover(), exclusive=True, group="discover")

    async def _rediscover(self) -> None:
        try:
            await self.desk.rediscover()
        except EmojudgeError as problem:
            self.complain(problem)
