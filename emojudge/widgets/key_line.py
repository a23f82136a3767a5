"""The bottom row: what can be pressed now, from the action table."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from emojudge.actions import SCREENS, footer_entries, shown_key

_GAP = "  "


def _entries(pairs: list[tuple[str, str]]) -> Content:
    parts = [Content.assemble((key, "bold"), " ", (label, "$quiet")) for key, label in pairs]
    return Content(_GAP).join(parts)


class KeyLine(Widget):
    """Keys of one screen on the left, the way to the others on the right."""

    DEFAULT_CSS = "KeyLine { height: 1; dock: bottom; padding: 0 1; text-wrap: nowrap; }"

    mode: reactive[str] = reactive("")
    """The screen's mode, where it has several."""

    without: reactive[frozenset[str]] = reactive(frozenset())
    """Ids of actions that would do nothing now."""

    def __init__(self, scope: str, keymap: Mapping[str, str]) -> None:
        super().__init__()
        self._scope = scope
        self._keymap = keymap
        self._wide = [(shown_key(f"app.{name}", keymap), name) for name in SCREENS]
        self._narrow = [(f"{self._wide[0][0]}–{self._wide[-1][0]}", "screens")]

    def render(self) -> Content:
        """As many of the screen's keys as fit; the way out and to the help always does."""
        width = self.content_size.width
        own = footer_entries(self._scope, self._keymap, mode=self.mode, without=self.without)
        tail = [entry for entry in own if entry[1] in ("help", "quit")]
        head = [entry for entry in own if entry not in tail]
        ways = [[*self._wide, *tail], [*self._narrow, *tail], [*self._narrow, *tail[:1]], tail]
        for way in ways:
            right = _entries(way)
            left = _entries(head)
            if left.cell_length + right.cell_length + len(_GAP) <= width:
                break
        while head and _entries(head).cell_length + right.cell_length + len(_GAP) > width:
            head.pop()
        left = _entries(head)
        gap = max(1, width - left.cell_length - right.cell_length)
        return Content.assemble(left, " " * gap, right)
