"""The panes of an item side by side; a narrow terminal pages through them, dropping none."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Resize
from textual.widgets import Static

from emojudge.widgets.response_pane import PaneLook, ResponsePane

_NARROWEST_PANE = 26


class PaneRow(Vertical):
    """Two to four panes; the page that holds the focus is shown."""

    DEFAULT_CSS = """
    PaneRow { height: 1fr; }
    PaneRow Horizontal { height: 1fr; }
    PaneRow .pages { height: 1; padding: 0 1; }
    """

    def __init__(self, keys: str) -> None:
        """``keys`` are those that go from pane to pane, as they are printed."""
        super().__init__()
        self._keys = keys
        self._row = Horizontal()
        self._pages = Static("", classes="pages", markup=False)
        self._focus = 0
        self._complete: tuple[bool, ...] = ()
        self.panes: list[ResponsePane] = []

    def compose(self) -> ComposeResult:
        """The line of pages, where there are several, above the panes."""
        yield self._pages
        yield self._row

    def begin(self, letters: str) -> None:
        """Empty panes with these letters."""
        if "".join(pane.letter for pane in self.panes) != letters:
            for pane in self.panes:
                pane.remove()
            self.panes = [ResponsePane(letter) for letter in letters]
            self._row.mount_all(self.panes)
        for pane in self.panes:
            pane.body.set_text("")
            pane.body.scroll_to_top()

    def set_texts(self, texts: Sequence[str]) -> None:
        """What each pane shows now."""
        for pane, text in zip(self.panes, texts, strict=False):
            pane.body.set_text(text)

    def show(self, looks: Sequence[PaneLook], focus: int) -> None:
        """Scores and marks of each pane, and the page that holds the pane ``focus``."""
        for pane, look in zip(self.panes, looks, strict=False):
            pane.show(look)
        self._complete = tuple(look.scores.complete for look in looks)
        self._focus = focus
        self._show_page()

    def scroll_all(self, pages: int) -> None:
        """Scroll all panes in sight by what is in sight, less a line to go on from."""
        for pane in self.panes:
            if pane.display:
                rows = max(1, pane.body.size.height - 1)
                pane.body.scroll_by(pages * rows)

    def scroll_focused(self, lines: int) -> None:
        """Scroll the pane that has the focus alone."""
        if self._focus < len(self.panes):
            self.panes[self._focus].body.scroll_by(lines)

    def on_resize(self, event: Resize) -> None:
        """Another width may need another page."""
        self._show_page()

    def _show_page(self) -> None:
        count = len(self.panes)
        if not count:
            return
        fitting = max(1, self.size.width // _NARROWEST_PANE)
        pages = -(-count // fitting)
        per_page = -(-count // pages)
        first = self._focus // per_page * per_page
        shown = range(first, min(first + per_page, count))
        for index, pane in enumerate(self.panes):
            pane.display = index in shown
        self._pages.display = pages > 1
        if pages > 1:
            marks = []
            for index, pane in enumerate(self.panes):
                done = index < len(self._complete) and self._complete[index]
                mark = f"{pane.letter}{'✓' if done else ' '}"
                here = index in shown
                marks.append((f"[{mark}]" if here else f" {mark} ", "bold" if here else "$quiet"))
            self._pages.update(
                Content.assemble(*marks, (f"  {self._keys} turns the page", "$quiet"))
            )
