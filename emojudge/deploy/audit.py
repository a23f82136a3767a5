"""The audit: one line per change of the core, each carrying the hash of the line before.

``previous`` is the sha256 of the previous line's bytes without its newline, and 64 zeros in the
first line: whoever changes, removes or reorders lines breaks the chain. Lines cut off at the end
are found by the journal, which names the last line's hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from emojudge.deploy.places import DATA_MODE, give_mode
from emojudge.errors import DeployError
from emojudge.frozen import Frozen
from emojudge.paths import fsync_folder

GENESIS = "0" * 64
UNDONE = "undone"
"""The action of a change that was begun and taken back."""
FOUND = "found"
"""The action of a core that was current though no line says how it came to be."""


class Origin(Frozen):
    """The study that a change comes from, as hashes. All None outside a study.

    ``report_sha256`` is of the newest report's file, ``ratings_sha256`` of the ratings as in the
    report's provenance.
    """

    study: str | None = None
    report_sha256: str | None = None
    ratings_sha256: str | None = None


class Change(Frozen):
    """One change of the core. ``before`` and ``after`` are generations; None: no core.

    ``sha256`` is of the core's (first) file after the change, ``overridden`` are the gates that
    ``reason`` overrode. ``staged_bytes`` in ``staged_seconds`` were copied and hashed for it.
    ``attempted`` is the generation that a change was to make current before it was taken back.
    """

    transaction: str
    time: str
    who: str
    action: str
    before: int | None
    after: int | None
    sha256: str | None
    reason: str | None = None
    overridden: tuple[str, ...] = ()
    origin: Origin = Origin()
    staged_bytes: int = 0
    staged_seconds: float = 0.0
    attempted: int | None = None


class AuditEntry(Change):
    """One line of ``audit.jsonl``."""

    previous: str


@dataclass(frozen=True)
class Head:
    """Where the chain ends: how many lines, and the hash of the last."""

    lines: int
    sha256: str


START = Head(0, GENESIS)


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _lines(content: bytes) -> list[bytes]:
    """Complete lines; what stands behind the last newline was never acknowledged."""
    return content.split(b"\n")[:-1]


class AuditLog:
    """``audit.jsonl``. Appending needs the store's lock; reading does not."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def _content(self) -> bytes:
        try:
            return self.file.read_bytes()
        except FileNotFoundError:
            return b""

    def entries(self) -> list[AuditEntry]:
        """All lines, oldest first. Raises DeployError naming the line that cannot be read."""
        entries = []
        for number, line in enumerate(_lines(self._content()), start=1):
            try:
                entries.append(AuditEntry.model_validate_json(line))
            except ValidationError as problem:
                raise DeployError(
                    f"{self.file}, line {number}, cannot be read: {problem.errors()[0]['msg']}. "
                    "The core in use is not affected; look at the file before you change the core."
                ) from problem
        return entries

    def head(self) -> Head:
        """The chain's end."""
        lines = _lines(self._content())
        return Head(len(lines), _hash(lines[-1])) if lines else START

    def broken_since(self, known: Head) -> str | None:
        """Why the file is not the one that ended at ``known``; None when it is."""
        lines = _lines(self._content())
        if len(lines) < known.lines:
            return f"{known.lines - len(lines)} of {known.lines} lines are gone from its end"
        if known.lines and _hash(lines[known.lines - 1]) != known.sha256:
            return f"line {known.lines} is not the one that the journal knows"
        return None

    def append(self, change: Change) -> Head:
        """Add one line, durably; a torn line at the end gives way. Raises OSError, DeployError."""
        fd = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise DeployError(f"{self.file} is not a regular file. Move it away.")
            give_mode(fd, DATA_MODE, self.file.parent)
            with os.fdopen(os.dup(fd), "rb") as stream:
                content = stream.read()
            lines = _lines(content)
            whole = sum(len(line) + 1 for line in lines)
            if whole != len(content):
                os.ftruncate(fd, whole)
            previous = _hash(lines[-1]) if lines else GENESIS
            entry = {**change.model_dump(mode="json"), "previous": previous}
            line = json.dumps(entry, ensure_ascii=False).encode()
            rest = memoryview(line + b"\n")
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        if not lines:
            fsync_folder(self.file.parent)
        return Head(len(lines) + 1, _hash(line))

    def verify(self, known: Head) -> list[str]:
        """What is wrong with the chain, a sentence each; empty when it holds.

        ``known`` is the end that the journal last saw.
        """
        content = self._content()
        lines = _lines(content)
        wrong = []
        previous = GENESIS
        for number, line in enumerate(lines, start=1):
            try:
                entry = AuditEntry.model_validate_json(line)
            except ValidationError:
                wrong.append(f"line {number} cannot be read")
            else:
                if entry.previous != previous:
                    wrong.append(
                        f"line {number} does not follow line {number - 1}: one of them was "
                        "changed, or lines between them were removed"
                    )
            previous = _hash(line)
        end = self.broken_since(known)
        if end is not None:
            wrong.append(end)
        if content and not content.endswith(b"\n"):
            wrong.append("its last line is torn")
        return wrong
