"""Dialogs for which keys wait: a slow line brings what opens one and what is typed in one piece."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from textual.events import DescendantFocus
from textual.screen import ModalScreen


@runtime_checkable
class HoldsKeys(Protocol):
    """An app that keeps keys until they find whom they were meant for."""

    def replay_keys(self) -> None:
        """Give what was kept to whoever has the focus now."""


class PatientDialog(ModalScreen[str | None]):
    """Takes no key before its input is there, and none behind its enter.

    What comes behind an enter belongs to the dialog only when that refused it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.takes_keys = False
        self._opened = False

    def wait_for_keys(self) -> None:
        """Keys may come now, those that were kept first."""
        self.takes_keys = True
        if isinstance(self.app, HoldsKeys):
            self.app.replay_keys()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """The input is there; a later focus says nothing of an enter that is not answered yet."""
        if not self._opened:
            self._opened = True
            self.wait_for_keys()

    def on_unmount(self) -> None:
        """Keys that were kept are another screen's now."""
        self.wait_for_keys()
