"""The line under a response: what lies below, and what the response says of its maker."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from emojudge.text import shortened


class PaneRule(Widget):
    """A rule with words in it. A row of its own: a border's words have the whole pane painted."""

    DEFAULT_CSS = "PaneRule { height: 1; text-wrap: nowrap; }"

    words: reactive[str] = reactive("")
    """What stands in it, harmless already."""

    def render(self) -> Content:
        """The words, then the rule to the end of the row."""
        width = self.content_size.width
        if not self.words:
            return Content.styled("─" * width, "$rule")
        words = shortened(self.words, max(1, width - 2))
        rest = "─" * max(0, width - len(words) - 1)
        return Content.assemble(words, " ", (rest, "$rule"))
