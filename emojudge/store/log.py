"""One append-only log: a JSON document a line, each with an id and a checksum.

An append is one write and one fsync, so what was acknowledged is on disk. A torn last line (a
crash in the middle of a write) is dropped by the next writer; any other unreadable line is
reported, set aside in a file of its own, and never treated as empty.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emojudge.domain import stable_hash
from emojudge.errors import StoreError
from emojudge.paths import file_mode, share_with_team, write_durably

_CHECKSUM_LENGTH = 16
_MANY = 2000
_WASTE = 4


@dataclass(frozen=True)
class Record:
    """One line of a log; ``document`` is None for a tombstone."""

    table: str
    id: str
    document: dict[str, Any] | None

    def encode(self) -> bytes:
        """The line, newline included."""
        body = {"table": self.table, "id": self.id, "doc": self.document}
        line = json.dumps(
            body | {"sum": stable_hash(body, _CHECKSUM_LENGTH)},
            ensure_ascii=False,
            separators=(",", ":"),
        )
        # A lone surrogate cannot be encoded; a model's bytes never hold one, a pasted comment may.
        return line.encode("utf-8", "replace") + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Record:
        """Parse a line. Raises ValueError saying what is wrong with it."""
        try:
            body = json.loads(line)
            given = body.pop("sum")
            record = cls(body["table"], body["id"], body["doc"])
        except (ValueError, KeyError, AttributeError, TypeError) as problem:
            raise ValueError("it is not a record") from problem
        if stable_hash(body, _CHECKSUM_LENGTH) != given:
            raise ValueError("its checksum does not match")
        return record


@dataclass(frozen=True)
class Damage:
    """A line that could not be read: where, and what is wrong."""

    file: Path
    offset: int
    reason: str
    line: bytes

    def __str__(self) -> str:
        return f"{self.file} at byte {self.offset}: {self.reason}"


class LogFollower:
    """Reads what a log has gained since the last look; any number of processes may follow."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.offset = 0
        self.damage: list[Damage] = []
        self._identity: tuple[int, int] | None = None
        self._live: set[tuple[str, str]] = set()
        self._read = 0

    @property
    def wasteful(self) -> bool:
        """Whether most of the log was replaced or removed, and it is long enough to be noticed."""
        return self._read - len(self._live) > max(_MANY, _WASTE * len(self._live))

    def read_new(self) -> list[Record]:
        """Return the records of whole lines not read before."""
        try:
            with self.file.open("rb") as stream:
                now = os.fstat(stream.fileno())
                gone = set()
                if (now.st_dev, now.st_ino) != self._identity or now.st_size < self.offset:
                    # The first look, or the log was compacted: what it holds is read again, and
                    # what it held before is gone unless it comes again.
                    self._identity, self.offset = (now.st_dev, now.st_ino), 0
                    self.damage.clear()
                    gone, self._live = self._live, set()
                    self._read = 0
                stream.seek(self.offset)
                grown = stream.read()
        except FileNotFoundError:
            return []
        except OSError as problem:
            raise StoreError(
                f"Cannot read {self.file}: {problem.strerror}. Check its permissions."
            ) from problem
        whole = grown.rfind(b"\n") + 1
        records = [Record(table, document_id, None) for table, document_id in sorted(gone)]
        position = self.offset
        for line in grown[:whole].splitlines(keepends=True):
            try:
                record = Record.decode(line)
                records.append(record)
                self._note(record)
            except ValueError as problem:
                self.damage.append(Damage(self.file, position, str(problem), line))
            position += len(line)
        self.offset += whole
        return records

    def _note(self, record: Record) -> None:
        self._read += 1
        key = (record.table, record.id)
        if record.document is None:
            self._live.discard(key)
        else:
            self._live.add(key)


def compact(file: Path) -> None:
    """Rewrite a log without what later records replaced or removed; its writer must be closed.

    A log with damaged lines is left as it is, because they would be lost. Raises StoreError.
    """
    follower = LogFollower(file)
    latest: dict[tuple[str, str], Record] = {}
    for record in follower.read_new():
        latest.pop((record.table, record.id), None)
        latest[record.table, record.id] = record
    if follower.damage or not file.exists():
        return
    kept = [record.encode() for record in latest.values() if record.document is not None]
    write_durably(file, b"".join(kept), exact_mode=file_mode(file.parent))


class LogWriter:
    """The one writer of a log; whoever holds it holds the log's lock."""

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self._fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            share_with_team(file)
            self._mend()
        except OSError as problem:
            raise StoreError(
                f"Cannot write {file}: {problem.strerror}. Make the study folder writable, or "
                "name another with study_dir in the config."
            ) from problem

    def _mend(self) -> None:
        """Drop a torn last line, and keep a copy of damaged ones beside the log."""
        content = self.file.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(self._fd, whole)
            os.fsync(self._fd)
        follower = LogFollower(self.file)
        follower.read_new()
        for damage in follower.damage:
            aside = self.file.with_name(f"{self.file.name}.damaged-{damage.offset}")
            if not aside.exists():
                aside.write_bytes(damage.line)

    def append(self, *records: Record) -> None:
        """Write the records durably; on any failure none of them counts as written."""
        payload = b"".join(record.encode() for record in records)
        start = os.fstat(self._fd).st_size
        try:
            written = os.write(self._fd, payload)
            if written != len(payload):
                raise OSError(28, "no space left on device")
            os.fsync(self._fd)
        except OSError as problem:
            os.ftruncate(self._fd, start)
            raise StoreError(
                f"Could not save to {self.file}: {problem.strerror}. Nothing of this step was "
                "stored; free some space or mend the disk, then repeat it."
            ) from problem

    def close(self) -> None:
        """Give up the file."""
        os.close(self._fd)
