"""Results: every section that the rooms contribute."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from emojudge.actions import RESULTS
from emojudge.errors import EmojudgeError
from emojudge.pipeline.opened_item import open_item
from emojudge.pipeline.reporting import write_report
from emojudge.screens.base import StudyScreen
from emojudge.screens.bindings import bindings_of
from emojudge.screens.item_dialog import ItemDialog
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
            ("judged responses", str(len(view.ai_scores))),
        )
        insights = self.desk.insights
        insights.want_sections(True)
        sections = insights.latest.sections if insights.latest is not None else None
        if sections is None:
            self._empty.update("working out the results…")
            return
        self._empty.display = False
        for section in sections:
            if section.name in self._views:
                self._views[section.name].show(section)
        names = [section.name for section in sections]
        if list(self._views) != names:
            for widget in self._views.values():
                widget.remove()
            self._views = {section.name: SectionView(section) for section in sections}
            self._page.mount_all(self._views.values())

    def on_screen_suspend(self) -> None:
        """Nobody looks any more: the sections need not follow every rating."""
        self.desk.insights.want_sections(False)

    def _list(self) -> SectionView | None:
        """The section that lists items."""
        return next((one for one in self._views.values() if one.items), None)

    def action_choose(self, step: int) -> None:
        """Mark another disagreement; the first press only shows them."""
        shown = self._list()
        if shown is None:
            self.notify("There is no disagreement to read yet.", markup=False)
            return
        visible_now = self._page.scrollable_content_region.overlaps(shown.region)
        if visible_now:
            shown.mark(step)
        self._page.scroll_to_widget(shown, animate=False)

    def action_open_item(self) -> None:
        """Read the marked item."""
        shown = self._list()
        if shown is None:
            self.notify("There is no disagreement to read yet.", markup=False)
            return
        item = open_item(self.desk.study.view(), shown.items[shown.marked].item)
        if item is None:
            self.notify("This item's responses are not in the study any more.", markup=False)
        else:
            self.app.push_screen(ItemDialog(item))

    def action_scroll_lines(self, lines: int) -> None:
        """Scroll."""
        self._page.scroll_relative(y=lines, animate=False)

    def action_scroll_pages(self, pages: int) -> None:
        """Scroll by what is in sight, less a line to go on from."""
        rows = self._page.scrollable_content_region.height - 1
        self._page.scroll_relative(y=pages * max(1, rows), animate=False)

    def action_section(self, step: int) -> None:
        """Bring the next section's title to the top, or the one before."""
        at = round(self._page.scroll_y)
        tops = [view.virtual_region.y for view in self._views.values()]
        after = [top for top in tops if top > at]
        before = [top for top in tops if top < at]
        if step > 0 and after:
            self._page.scroll_to(y=after[0], animate=False)
        elif step < 0 and before:
            self._page.scroll_to(y=before[-1], animate=False)

    def action_write(self) -> None:
        """Write the report files."""

        async def write() -> None:
            study = self.desk.study
            try:
                written = await asyncio.to_thread(write_report, study)
            except EmojudgeError as problem:
                self.complain(problem)
                return
            others = sum(file is not None for file in (written.comparisons, written.html))
            shown = self.desk.study.loaded.shown(written.report.parent)
            self.notify(f"Wrote a report and {others} more files to {shown}/", markup=False)

        self.notify("Writing the report…", markup=False)
        self.run_worker(write(), group="report")
