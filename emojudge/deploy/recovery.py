"""What the next start does with a change that a crash interrupted."""

from __future__ import annotations

from emojudge.deploy.journal import Step
from emojudge.deploy.layout import CoreLayout
from emojudge.deploy.switching import Switching


def recover(layout: CoreLayout, switching: Switching) -> str | None:
    """End an interrupted change, and clear what it left; returns a sentence for people, or None.

    Needs the store's lock. Doing it again after a crash in the middle of it gives the same.
    Raises OSError or EmojudgeError when the store cannot be brought to rest.
    """
    journal = layout.journal.read()
    said: str | None = None
    if journal is None:
        aside = layout.journal.set_aside()
        layout.journal.rest(layout.audit_log.head())
        said = (
            f"The journal of the last change could not be read; it was set aside as {aside.name}. "
            "The core in use is what current points to. Look at it, then remove that file to "
            "promote again."
        )
    elif journal.step is not Step.IDLE:
        assert journal.change is not None
        change = journal.change
        what = f"{change.who}'s {change.action} of generation {change.after} ({change.time[:16]})"
        committed = journal.step is Step.COMMITTED
        if committed and layout.current_folder() == journal.after_folder:
            switching.finish(journal)
            said = f"{what} was complete but for its line in the audit, which is there now."
        else:
            trouble = switching.take_back(journal, "interrupted")
            core = f"generation {change.before}" if change.before is not None else "none"
            said = f"{what} was interrupted and taken back: the core in use is {core}."
            said = " ".join([said, *trouble])
    layout.clear()
    return said


def interrupted(layout: CoreLayout) -> str | None:
    """A sentence on a change that waits for recovery, for those who may only look."""
    journal = layout.journal.read()
    if journal is None:
        return "The journal of the last change cannot be read; the next change sets it aside."
    if journal.step is Step.IDLE or journal.change is None:
        return None
    change = journal.change
    return (
        f"{change.who}'s {change.action} of generation {change.after} is under way or was "
        "interrupted; the next change or start ends it."
    )
