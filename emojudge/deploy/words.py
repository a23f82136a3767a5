"""A change of the core in a sentence, the same on screens, in reports and for commands."""

from __future__ import annotations

from typing import Protocol

from emojudge.deploy.audit import UNDONE
from emojudge.text import visible_line

_DONE = {
    "adopt": "adopted",
    "promote": "promoted",
    "restore": "restored",
    "rollback": "rolled back to",
    "found": "found",
}


class AnyChange(Protocol):
    """What the sentence is made of, as in :class:`~emojudge.deploy.audit.Change`."""

    @property
    def time(self) -> str:
        """ISO 8601."""
        ...

    @property
    def who(self) -> str:
        """A person."""
        ...

    @property
    def action(self) -> str:
        """A word of the audit's."""
        ...

    @property
    def before(self) -> int | None:
        """A generation."""
        ...

    @property
    def after(self) -> int | None:
        """A generation."""
        ...

    @property
    def reason(self) -> str | None:
        """A person's, or why a change was taken back."""
        ...


def change_in_words(change: AnyChange) -> str:
    """``2026-11-28 19:31 ana promoted generation 2, from 1: “because I like it”``, harmless."""
    when = change.time[:16].replace("T", " ")
    if change.action == UNDONE:
        return visible_line(f"{when} taken back: {change.reason}")
    what = f"{_DONE.get(change.action, change.action)} generation {change.after}"
    origin = f", from {change.before}" if change.before is not None else ""
    reason = f": “{change.reason}”" if change.reason else ""
    return visible_line(f"{when} {change.who} {what}{origin}{reason}")
