"""What the deploy commands print: the store, its backups, its audit, as JSON and as lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emojudge.columns import aligned
from emojudge.deploy.audit import AuditEntry, AuditLog
from emojudge.deploy.backups import Backup
from emojudge.deploy.export import Scrubbed
from emojudge.deploy.generation import Generation
from emojudge.deploy.status import Status
from emojudge.deploy.words import change_in_words
from emojudge.errors import DeployError
from emojudge.text import counted, human_bytes, visible_line

Described = tuple[Any, list[str]]


def describe_backups(backups: Sequence[Backup]) -> Described:
    """All backups, in columns."""
    value = [one.model_dump(mode="json") for one in backups]
    if not backups:
        return value, ["no backups yet: `emojudge deploy backup` pins the core"]
    rows = [["", "generation", "model", "", "when", "by", "label"]]
    rows += [
        [
            one.backup_id,
            str(one.generation),
            one.name,
            "automatic" if one.automatic else "pinned",
            one.created[:16].replace("T", " "),
            one.by,
            one.label,
        ]
        for one in backups
    ]
    return value, aligned(rows, right=(1,))


def describe_change(entry: AuditEntry) -> str:
    """One change of the core in a line, with the gates that were overridden."""
    overridden = f" (overriding {', '.join(entry.overridden)})" if entry.overridden else ""
    return f"{change_in_words(entry)}{overridden}"


def describe_audit(log: AuditLog, wrong: Sequence[str]) -> Described:
    """All changes with the numbers of their lines, what is wrong with their chain, its end."""
    try:
        entries = log.entries()
    except DeployError:
        # What cannot be read is among what is wrong.
        entries = []
    head = log.head()
    value = {
        "holds": not wrong,
        "wrong": list(wrong),
        "lines": head.lines,
        "last_sha256": head.sha256,
        "changes": [entry.model_dump(mode="json") for entry in entries],
    }
    lines = [f"{place:4} {describe_change(entry)}" for place, entry in enumerate(entries, start=1)]
    lines += [f"✗ {one}" for one in wrong]
    if not entries and not wrong:
        lines.append("no changes yet: `emojudge deploy adopt PATH` makes the first")
    elif wrong:
        lines.append("Compare with a copy, such as a backup of the disk, to see what was changed.")
    else:
        changes = counted(len(entries), "change")
        lines.append(f"✓ {changes}: the chain of their hashes holds; the last is {head.sha256}")
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
    return value, lines or ["no generations yet: `emojudge deploy adopt PATH` makes the first"]


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
        kept = [_describe_generation(status, one) for one in status.generations]
        advice = "no core yet: `emojudge deploy adopt PATH` takes over the one in use"
        return value, [*([] if status.lost is not None else [advice]), *kept, *notes]
    since = status.since.time if status.since else current.manifest.last_updated
    lines = [
        f"core: generation {current.number}, {visible_line(current.manifest.name)}, "
        f"{human_bytes(current.size)}, since {since[:16].replace('T', ' ')}",
        f"file: {current.manifest.model_path}",
        f"roll back to: {predecessor.number if predecessor else 'nothing yet'}",
        *(_describe_generation(status, one) for one in status.generations),
    ]
    return value, lines + notes


def _describe_generation(status: Status, one: Generation) -> str:
    marks = ["now"] if one == status.current else []
    marks += ["rollback goes here"] if one == status.predecessor else []
    marks += [
        f"{'automatic backup' if each.automatic else 'pinned'} “{visible_line(each.label)}”"
        for each in status.backups_of(one.number)
    ]
    built = one.manifest.last_updated[:16].replace("T", " ")
    listed = f" · {' · '.join(marks)}" if marks else ""
    return (
        f"generation {one.number}: {visible_line(one.manifest.name)}, {human_bytes(one.size)}, "
        f"built {built}{listed}"
    )
