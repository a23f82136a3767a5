"""What a terminal that is too small shows instead of the screen."""

from __future__ import annotations

from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

SMALLEST = Size(40, 18)


def fits(size: Size) -> bool:
    """Whether the screens can be shown at this size."""
    return size.width >= SMALLEST.width and size.height >= SMALLEST.height


class TooSmall(Widget):
    """Says what is needed; nothing is lost meanwhile."""

    DEFAULT_CSS = "TooSmall { width: 1fr; height: 1fr; padding: 0 1; display: none; }"

    def render(self) -> Content:
        """A few short lines."""
        here = self.screen.size
        return Content.assemble(
            ("emojudge needs more room\n", "bold"),
            f"{SMALLEST.width}×{SMALLEST.height} at least; this is {here.width}×{here.height}.\n",
            ("Enlarge the terminal: everything\nstays as it is. Or leave with q, and\n", "$quiet"),
            ("rate line by line with\n", "$quiet"),
            "emojudge rate --plain",
        )
