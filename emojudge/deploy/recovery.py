"""What the next start does with a change that a crash interrupted."""

from __future__ import annotations

import logging
import uuid

from emojudge import clock
from emojudge.deploy.audit import FOUND, Change
from emojudge.deploy.generation import number_in
from emojudge.deploy.journal import Journal, Step
from emojudge.deploy.layout import CoreLayout
from emojudge.deploy.switching import Switching
from emojudge.errors import DeployError

_LOG = logging.getLogger(__name__)


def recover(layout: CoreLayout, switching: Switching, who: str) -> str | None:
    """End an interrupted change, and clear what it left; returns a sentence for people, or None.

    Needs the store's lock. Doing it again after a crash in the middle of it gives the same.
    Raises OSError or EmojudgeError when the store cannot be brought to rest.
    """
    journal = layout.journal.read()
    if journal is None:
        said: str | None = _without_journal(layout, switching, who)
    elif journal.step is not Step.IDLE:
        said = _end(layout, switching, journal)
    else:
        said = _at_rest(layout, switching, journal)
    layout.clear()
    return " ".join(one for one in (said, _put_back_current(layout)) if one) or None


def _put_back_current(layout: CoreLayout) -> str | None:
    """A ``current`` that somebody removed is made again, because the audit knows what it was."""
    try:
        lost = layout.lost()
        if lost is None:
            return None
        generation = layout.generation(lost)
        generation.require_whole()
    except DeployError as problem:
        # Nothing can be put back; whoever looks is told, and restoring another is the way on.
        _LOG.warning("`current` is gone and cannot be put back: %s", problem)
        return None
    layout.switch(generation.folder_name)
    return f"`current` was gone; it points to generation {lost} again, as the audit says."


def _end(layout: CoreLayout, switching: Switching, journal: Journal) -> str:
    """A change that was begun: only its line is missing, or it goes back."""
    assert journal.change is not None
    change = journal.change
    what = f"{change.who}'s {change.action} of generation {change.after} ({change.time[:16]})"
    is_after = layout.current_number() == number_in(journal.after_folder)
    if journal.step is Step.COMMITTED and is_after:
        switching.finish(journal)
        return f"{what} was complete but for its line in the audit, which is there now."
    trouble = switching.take_back(journal, "interrupted")
    core = f"generation {change.before}" if change.before is not None else "none"
    said = f"{what} was interrupted and taken back: the core in use is {core}."
    return " ".join([said, *trouble])


def _at_rest(layout: CoreLayout, switching: Switching, journal: Journal) -> str | None:
    """Note an audit that is not the one the journal knows, and end what was left to put right."""
    said: list[str] = []
    broken = layout.audit_log.broken_since(journal.audit_head)
    breaks = journal.breaks
    if broken is not None:
        breaks += (f"found {clock.stamp()[:16]}: {broken}",)
        said.append(f"The audit was changed by other means: {broken}. It is noted for good.")
    trouble: list[str] = []
    pending = switching.put_back(journal.pending, trouble)
    if pending is None and journal.pending is not None:
        said.append("The companion's manifest was put right, which could not be done before.")
    if broken is not None or pending != journal.pending:
        layout.journal.rest(layout.audit_log.head(), breaks, pending)
    return " ".join(said) or None


def _without_journal(layout: CoreLayout, switching: Switching, who: str) -> str:
    """State is what ``current`` says; the audit and the companion's manifest follow it."""
    aside = layout.journal.keep_damaged()
    number = layout.current_number()
    last = layout.last_committed()
    trouble = switching.follow_current()
    if number is not None and number != last:
        layout.audit_log.append(
            Change(
                transaction=uuid.uuid4().hex,
                time=clock.stamp(),
                who=who,
                action=FOUND,
                before=last,
                after=number,
                sha256=None,
                reason="the journal of the change that made it current could not be read",
            )
        )
    # Last, and in one step: until then the damaged journal stands, and all this is done again.
    layout.journal.rest(
        layout.audit_log.head(), (f"found {clock.stamp()[:16]}: the journal could not be read",)
    )
    said = (
        f"The journal of the last change could not be read; a copy is {aside.name}. The core in "
        f"use is generation {number}. Look at it, then remove that file to promote again."
    )
    return " ".join([said, *trouble])


def interrupted(layout: CoreLayout) -> str | None:
    """A sentence on what waits for somebody, for those who may only look."""
    journal = layout.journal.read()
    if journal is None:
        return "The journal of the last change cannot be read; the next change looks after it."
    damaged = layout.journal.damaged()
    if damaged:
        return (
            f"The journal of a change could not be read. Check that the core in use is the one you "
            f"want, then remove {damaged[0]} to promote again."
        )
    if journal.step is Step.IDLE or journal.change is None:
        return None
    change = journal.change
    return (
        f"{change.who}'s {change.action} of generation {change.after} is under way or was "
        "interrupted; the next change or start ends it."
    )
