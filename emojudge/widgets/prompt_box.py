"""The situation that the responses answer."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from emojudge.domain import Prompt
from emojudge.text import visible, visible_line

_SPEAKERS = {"user": "person", "assistant": "companion", "system": "setting"}


class PromptBox(VerticalScroll, can_focus=False):
    """All turns of the conversation; scrolls when it is long."""

    DEFAULT_CSS = """
    PromptBox { height: auto; max-height: 30%; border: round $rule; padding: 0 1;
                border-title-color: $quiet; scrollbar-size-vertical: 1; }
    PromptBox.open { max-height: 70%; }
    PromptBox Static { width: 1fr; height: auto; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._text = Static("", markup=False)

    def compose(self) -> ComposeResult:
        """One text."""
        yield self._text

    def show(self, prompt: Prompt) -> None:
        """Show a prompt; a single turn needs no speaker."""
        self.border_title = Content(visible_line(prompt.category)).markup
        if len(prompt.messages) == 1:
            self._text.update(Content(visible(prompt.messages[0].content)))
            return
        turns = [
            Content.assemble((f"{_SPEAKERS[turn.role]}: ", "$quiet"), visible(turn.content))
            for turn in prompt.messages
        ]
        self._text.update(Content("\n").join(turns))
        self.call_after_refresh(self.scroll_end, animate=False)
