"""The situation that the responses answer."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.reactive import reactive
from textual.widgets import Static

from emojudge.domain import SPEAKERS, Prompt
from emojudge.text import counted, visible, visible_line


class PromptBox(VerticalScroll, can_focus=False):
    """All turns of the conversation; scrolls when it is long."""

    DEFAULT_CSS = """
    PromptBox { height: auto; max-height: 30%; border: round $rule; padding: 0 1;
                border-title-color: $quiet; border-subtitle-color: $quiet;
                scrollbar-size-vertical: 1; }
    PromptBox.open { max-height: 50%; }
    PromptBox Static { width: 1fr; height: auto; }
    PromptBox .said { color: $people; display: none; }
    """

    comment: reactive[str] = reactive("")
    """What the rater says of the whole item."""

    def __init__(self, key: str) -> None:
        """``key`` is what gives it more room, as it is printed."""
        super().__init__()
        self._key = key
        self._turns = 0
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

    @property
    def is_open(self) -> bool:
        """Whether it has more room, and the keys that scroll."""
        return self.has_class("open")

    def scroll_rows(self, pages: int) -> None:
        """Scroll by what is in sight, less a line to go on from."""
        rows = max(1, self.scrollable_content_region.height - 1)
        self.scroll_relative(y=pages * rows, animate=False)
        self.call_after_refresh(self._say_hidden)

    def on_resize(self, event: Resize) -> None:
        """Another width, another number of lines."""
        self.call_after_refresh(self._settle)

    def _settle(self) -> None:
        # What is to be answered stands at the end of a conversation, and begins a single text.
        (self.scroll_end if self._turns > 1 else self.scroll_home)(animate=False)
        self.call_after_refresh(self._say_hidden)

    def _say_hidden(self) -> None:
        """How much is out of sight, and which keys bring it there."""
        above, below = round(self.scroll_y), round(self.max_scroll_y - self.scroll_y)
        parts = [f"↑ {counted(above, 'line')}"] if above else []
        parts += [f"↓ {counted(below, 'line')}"] if below else []
        if parts and not self.is_open:
            parts.append(f"{self._key} shows more")
        elif self.is_open:
            parts.append("PgUp PgDn scroll" if parts else "")
            parts.append(f"{self._key} shows less")
        self.border_subtitle = " · ".join(part for part in parts if part)

    def show(self, prompt: Prompt) -> None:
        """Show a prompt; a single turn needs no speaker."""
        self.border_title = Content(visible_line(prompt.category)).markup
        self._turns = len(prompt.messages)
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
