"""A study on disk: which log holds which table, who may write it, and following the others."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tinydb.queries import QueryLike

from emojudge.errors import StoreError, StudyTooNew
from emojudge.frozen import Frozen
from emojudge.paths import make_private_folder
from emojudge.store.locks import HeldLock
from emojudge.store.log import Damage, LogFollower, LogWriter, Record, compact
from emojudge.store.tables import ALL_TABLES, STUDY, TableOf, Tables

SCHEMA_VERSION = 1
_PIPELINE_LOGS = {
    "study": "study.log",
    "discovery": "study.log",
    "responses": "responses.log",
    "failures": "responses.log",
    "judgements": "judgements.log",
    "votes": "judgements.log",
    "unanswered": "judgements.log",
    "exams": "judgements.log",
    "roster": "study.log",
    "technical": "metrics.log",
    "baseline_checks": "metrics.log",
    "text_models": "metrics.log",
}
_RATER_TABLES = ("items", "drafts", "rated", "pair_votes")
T = TypeVar("T", bound=Frozen)


class Writer:
    """Write access to the tables that one lock covers."""

    def __init__(self, store: StudyStore, lock: HeldLock, logs: dict[str, Path]) -> None:
        self._store = store
        self._lock = lock
        self._logs = logs
        self._open: dict[Path, LogWriter] = {}

    def _log(self, table: str) -> LogWriter:
        file = self._logs.get(table)
        if file is None:
            raise StoreError(f"This writer does not own the table {table!r}.")
        if file not in self._open:
            self._open[file] = LogWriter(file)
        return self._open[file]

    def put(self, table: TableOf[T], values: Iterable[T]) -> None:
        """Append values; they are on disk and in the tables when this returns."""
        self.write([table.record(value) for value in values])

    def remove(self, table: TableOf[T], ids: Iterable[str]) -> None:
        """Append tombstones."""
        self.write([table.gone(document_id) for document_id in ids])

    def write(self, records: Sequence[Record]) -> None:
        """Append records of tables that share a log: all of them are stored, or none."""
        if records:
            (log,) = {self._log(record.table) for record in records}
            log.append(*records)
            self._store.refresh(own=log.file)

    def tidy(self, table: TableOf[Any]) -> None:
        """Compact the log of a table when most of it says nothing any more."""
        file = self._log(table.name).file
        if self._store.wasteful(file):
            self.compact(table)

    def compact(self, table: TableOf[Any]) -> None:
        """Rewrite the log of a table without what was replaced or removed."""
        file = self._log(table.name).file
        self._open.pop(file).close()
        compact(file)
        self._store.refresh(own=file)

    def close(self) -> None:
        """Close the logs and give up the lock."""
        for log in self._open.values():
            log.close()
        self._open.clear()
        self._lock.release()


class StoredIds(Container[str]):
    """The ids of a table's documents, as a container that is never copied."""

    def __init__(self, store: StudyStore, table: TableOf[Any]) -> None:
        self._store = store
        self._table = table

    def __contains__(self, document_id: object) -> bool:
        return self._store.tables.has(self._table, str(document_id))


class StudyStore:
    """Read access to a study folder, current to the last :meth:`refresh`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tables = Tables()
        self._followers: dict[Path, LogFollower] = {}
        self._foreign: set[str] = set()
        self.refresh()
        study = self.tables.get(STUDY, "study")
        if study is not None and study.schema_version > SCHEMA_VERSION:
            raise StudyTooNew(
                f"The study in {folder} has schema version {study.schema_version}; this emojudge "
                f"knows versions up to {SCHEMA_VERSION}. Install a newer emojudge to open it; "
                "nothing was changed."
            )

    def log_files(self) -> list[Path]:
        """All logs of the study, those of raters last; not all of them need exist."""
        raters = sorted((self.folder / "ratings").glob("*.log"))
        return [self.folder / name for name in dict.fromkeys(_PIPELINE_LOGS.values())] + raters

    def refresh(self, own: Path | None = None) -> set[str]:
        """Take in what any process has appended; returns the names of changed tables.

        ``own`` is the log that this process has just written: what other logs gained is kept for
        :meth:`take_foreign_changes`, so that no change of another process goes unnoticed.
        """
        changed: set[str] = set()
        for file in self.log_files():
            follower = self._followers.setdefault(file, LogFollower(file))
            known = [record for record in follower.read_new() if record.table in ALL_TABLES]
            tables = self.tables.put(known)
            changed |= tables
            if file != own:
                self._foreign |= tables
        return changed

    def take_foreign_changes(self) -> set[str]:
        """Tables that changed by others' logs since the last call."""
        foreign, self._foreign = self._foreign, set()
        return foreign

    def wasteful(self, file: Path) -> bool:
        """Whether most of a log says nothing any more."""
        return file in self._followers and self._followers[file].wasteful

    @property
    def damage(self) -> list[Damage]:
        """Lines that could not be read, in all logs."""
        return [damage for follower in self._followers.values() for damage in follower.damage]

    def all(self, table: TableOf[T], where: QueryLike | None = None) -> list[T]:
        """The documents of a table, or those that match a TinyDB query."""
        return self.tables.all(table, where)

    def get(self, table: TableOf[T], document_id: str) -> T | None:
        """The document with this id, or None."""
        return self.tables.get(table, document_id)

    def _make_folder(self, folder: Path) -> None:
        try:
            make_private_folder(folder)
        except OSError as problem:
            raise StoreError(
                f"Cannot make the study folder {folder}: {problem.strerror}. Choose a writable "
                "place with study_dir in the config."
            ) from problem

    def pipeline_writer(self) -> Writer:
        """Become the one process that generates and judges. Raises LockHeld."""
        self._make_folder(self.folder)
        lock = HeldLock(self.folder / "pipeline.lock", f"The study in {self.folder}")
        return Writer(
            self, lock, {table: self.folder / name for table, name in _PIPELINE_LOGS.items()}
        )

    def rater_writer(self, rater: str) -> Writer:
        """Become the one session of this rater. Raises LockHeld."""
        folder = self.folder / "ratings"
        self._make_folder(folder)
        lock = HeldLock(folder / f"{rater}.lock", f"The rating session of {rater}")
        return Writer(self, lock, dict.fromkeys(_RATER_TABLES, folder / f"{rater}.log"))
