"""What the deploy commands print: the store, its backups, its audit, as JSON and as lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emojudge.deploy.audit import AuditEntry, AuditLog
from emojudge.deploy.backups import Backup
from emojudge.deploy.export import Scrubbed
from emojudge.deploy.status import Status
from emojudge.deploy.words import change_in_words
from emojudge.errors import DeployError
from emojudge.text import counted, human_bytes, visible_line

Described = tuple[Any, list[str]]


def describe_backup(backup: Backup) -> str:
    """One backup in a line."""
    kind = "automatic" if backup.automatic else "pinned"
    label = visible_line(backup.label)
    return (
        f"{backup.backup_id}  generation {backup.generation}, {visible_line(backup.name)}, {kind} "
        f"by {visible_line(backup.by)}: {label}"
    )


def describe_change(entry: AuditEntry) -> str:
    """One change of the core in a line, with the gates that were overridden."""
    overridden = f" (overriding {', '.join(entry.overridden)})" if entry.overridden else ""
    return f"{change_in_words(entry)}{overridden}"


def describe_audit(log: AuditLog, wrong: Sequence[str]) -> Described:
    """All changes, and what is wrong with their chain."""
    try:
        entries = log.entries()
    except DeployError:
        # What cannot be read is among what is wrong.
        entries = []
    value = {
        "holds": not wrong,
        "wrong": list(wrong),
        "changes": [entry.model_dump(mode="json") for entry in entries],
    }
    lines = [describe_change(entry) for entry in entries]
    if wrong:
        lines += [f"✗ {one}" for one in wrong]
    else:
        lines.append(f"✓ {counted(len(entries), 'change')}: the chain of their hashes holds")
    return value, lines


def describe_scrubbed(found: Sequence[Scrubbed]) -> Described:
    """What scrubbing found."""
    value = [
        {
            "generation": one.number,
            "name": one.name,
            "size_bytes": one.size,
            "whole": not one.wrong,
            "wrong": one.wrong or None,
        }
        for one in found
    ]
    lines = [
        f"✗ {one.wrong}"
        if one.number is None
        else f"{'✗' if one.wrong else '✓'} generation {one.number}, {visible_line(one.name)}, "
        f"{human_bytes(one.size)}{f': {one.wrong}' if one.wrong else ''}"
        for one in found
    ]
    return value, lines or ["no generations yet"]


def describe_status(status: Status) -> Described:
    """A core store."""
    current, predecessor = status.current, status.predecessor
    value = {
        "current": current.model_dump(mode="json") if current else None,
        "rollback_to": predecessor.number if predecessor else None,
        "generations": [one.number for one in status.generations],
        "backups": [one.backup_id for one in status.backups],
        "read_only": status.read_only,
        "interrupted": status.interrupted,
        "problems": list(status.problems),
    }
    wrong = (status.interrupted, *status.problems, status.read_only)
    notes = [f"! {one}" for one in wrong if one]
    if current is None:
        advice = "no core yet: `emojudge deploy adopt PATH` takes over the one in use"
        return value, [advice, *notes]
    since = status.since.time if status.since else current.manifest.last_updated
    lines = [
        f"core: generation {current.number}, {visible_line(current.manifest.name)}, "
        f"{human_bytes(current.size)}, since {since}",
        f"roll back to: {predecessor.number if predecessor else 'nothing yet'}",
        *(
            f"generation {one.number}: {visible_line(one.manifest.name)}"
            for one in status.generations
        ),
        f"backups: {len(status.backups)}",
    ]
    return value, lines + notes
