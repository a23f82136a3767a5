"""Results: every section that the rooms contribute."""

from __future__ import annotations

from collections.abc import Iterable

from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from emojudge.actions import RESULTS
from emojudge.pipeline.reporting import write_report
from emojudge.screens.base import StudyScreen
from emojudge.screens.bindings import bindings_of
from emojudge.widgets.section_view import SectionView


class ResultsScreen(StudyScreen):
    """Sections, one under the other."""

    SCOPE = RESULTS
    BINDINGS = bindings_of(RESULTS)

    def body(self) -> Iterable[Widget]:
        """A scrolling page."""
        self._empty = Static(
            "nothing is found yet; the Candidates screen shows how far it is", classes="quiet"
        )
        self._page = VerticalScroll(self._empty, classes="page")
        self._page.can_focus = False
        self._views: dict[str, SectionView] = {}
        return [self._page]

    def repaint(self) -> None:
        """Update sections in place; new ones are added at their place."""
        study = self.desk.study
        self.top.parts = (("study", study.config.name),)
        if not study.discovered:
            return
        view = study.view()
        self.top.parts = (
            ("study", study.config.name),
            ("rated items", str(len(view.counted_items))),
            ("judged responses", str(len(view.judgements))),
        )
        self._empty.display = False
        sections = self.desk.sections()
        for section in sections:
            if section.name in self._views:
                self._views[section.name].show(section)
        names = [section.name for section in sections]
        if list(self._views) != names:
            for widget in self._views.values():
                widget.remove()
            self._views = {section.name: SectionView(section) for section in sections}
            self._page.mount_all(self._views.values())

    def action_scroll_lines(self, lines: int) -> None:
        """Scroll."""
        self._page.scroll_relative(y=lines, animate=False)

    def action_write(self) -> None:
        """Write the report files."""

        def write() -> None:
            written = write_report(self.desk.study)
            others = sum(file is not None for file in (written.comparisons, written.html))
            shown = self.desk.study.loaded.shown(written.report.parent)
            self.notify(f"Wrote a report and {others} more files to {shown}.", markup=False)

        self.guarded(write)
