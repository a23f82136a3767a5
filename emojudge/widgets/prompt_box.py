"""The situation that the responses answer."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.reactive import reactive
from textual.widgets import Static

from emojudge.domain import Prompt
from emojudge.text import counted, visible, visible_line

SPEAKERS = {"user": "person", "assistant": "companion", "system": "setting"}


class PromptBox(VerticalScroll, can_focus=False):
    """All turns of the conversation; scrolls when it is long."""

    DEFAULT_CSS = """
    PromptBox { height: auto; max-height: 30%; border: round $rule; padding: 0 1;
                border-title-color: $quiet; border-subtitle-color: $quiet;
                scrollbar-size-vertical: 1; }
    PromptBox.open { max-height: 70%; }
    PromptBox Static { width: 1fr; height: auto; }
    PromptBox .said { color: $people; display: none; }
    """

    comment: reactive[str] = reactive("")
    """What the rater says of the whole item."""

    def __init__(self) -> None:
        super().__init__()
        self._text = Static("", markup=False)
        self._said = Static("", classes="said", markup=False)

    def compose(self) -> ComposeResult:
        """One text, and the rater's comment on it."""
        yield self._text
        yield self._said

    def watch_comment(self, comment: str) -> None:
        """The comment stands under the prompt."""
        self._said.display = bool(comment)
        self._said.update(f"“{visible_line(comment)}”")

    def toggle_room(self) -> None:
        """More room, or less again; what is to be answered stays in sight."""
        self.toggle_class("open")
        self.call_after_refresh(self._settle)

    def on_resize(self, event: Resize) -> None:
        """Another width, another number of lines."""
        self.call_after_refresh(self._settle)

    def _settle(self) -> None:
        self.scroll_end(animate=False)
        hidden = self.max_scroll_y
        self.border_subtitle = f"↑ {counted(hidden, 'line')} above, o shows more" if hidden else ""

    def show(self, prompt: Prompt) -> None:
        """Show a prompt; a single turn needs no speaker."""
        self.border_title = Content(visible_line(prompt.category)).markup
        if len(prompt.messages) == 1:
            self._text.update(Content(visible(prompt.messages[0].content)))
            self.call_after_refresh(self._settle)
            return
        turns = [
            Content.assemble((f"{SPEAKERS[turn.role]}: ", "$quiet"), visible(turn.content))
            for turn in prompt.messages
        ]
        self._text.update(Content("\n").join(turns))
        self.call_after_refresh(self._settle)
