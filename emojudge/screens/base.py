"""What the four screens share: the desk, a top line, a key line, repainting on change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.events import Resize
from textual.screen import Screen
from textual.widget import Widget

from emojudge.actions import APP
from emojudge.errors import EmojudgeError
from emojudge.screens.bindings import bindings_of
from emojudge.text import visible
from emojudge.widgets.key_line import KeyLine
from emojudge.widgets.too_small import TooSmall, fits
from emojudge.widgets.top_line import TopLine

if TYPE_CHECKING:
    from emojudge.pipeline.desk import Desk
    from emojudge.pipeline.state import Status

_REPAINT_SECONDS = 0.1


class StudyScreen(Screen[None]):
    """Composes a top line, a body and a key line; repaints soon after the study's state changed."""

    SCOPE = ""
    # Bound here and not on the app, so that dialogs keep tab, and q for what is typed.
    BINDINGS = bindings_of(APP, target="app.")

    def __init__(self, desk: Desk, keymap: Mapping[str, str]) -> None:
        super().__init__()
        self.desk = desk
        self.top = TopLine(self.SCOPE)
        self.keys = KeyLine(self.SCOPE, keymap)
        self._keymap = keymap
        self._unsubscribe: Callable[[], None] | None = None
        self._repaint_due = False

    def compose(self) -> ComposeResult:
        """Top line, body, key line."""
        yield TooSmall()
        yield self.top
        yield from self.body()
        yield self.keys

    def body(self) -> Iterable[Widget]:
        """The widgets between the two lines."""
        raise AssertionError("every screen has a body")

    def repaint(self) -> None:
        """Show the present state; called soon after each change while the screen is up."""

    def on_mount(self) -> None:
        """Follow the study's state."""
        self._unsubscribe = self.desk.study.state.subscribe(self._state_changed)

    def on_unmount(self) -> None:
        """Stop following."""
        if self._unsubscribe is not None:
            self._unsubscribe()

    def on_screen_resume(self) -> None:
        """Catch up with what changed while another screen was up."""
        self.guarded(self.repaint)

    def on_resize(self, event: Resize) -> None:
        """A terminal that is too small shows what it needs, and no key acts unseen."""
        self.set_class(not fits(event.size), "too-small")

    @property
    def mode(self) -> str:
        """The screen's mode, where it has several."""
        return ""

    @property
    def has_room(self) -> bool:
        """Whether the terminal is large enough for it."""
        return not self.has_class("too-small")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether an action of this screen may run now."""
        return self.has_room

    def _state_changed(self, status: Status) -> None:
        if self._repaint_due or not self.is_current:
            return
        self._repaint_due = True
        self.set_timer(_REPAINT_SECONDS, self._repaint_now)

    def _repaint_now(self) -> None:
        self._repaint_due = False
        if self.is_current:
            self.guarded(self.repaint)

    def guarded(self, work: Callable[[], object]) -> bool:
        """Run ``work``; an error of ours is shown, not raised. Returns whether it went well."""
        try:
            work()
        except EmojudgeError as problem:
            self.complain(problem)
            return False
        return True

    def complain(self, problem: EmojudgeError) -> None:
        """Show a problem until it is read."""
        self.notify(visible(str(problem)), severity="error", timeout=20, markup=False)
