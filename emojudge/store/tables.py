"""The query side: TinyDB tables in memory, kept current from the logs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from tinydb import TinyDB
from tinydb.queries import QueryLike
from tinydb.storages import MemoryStorage
from tinydb.table import Document, Table

from emojudge.domain import (
    BaselineCheck,
    Candidate,
    CellFailure,
    Draft,
    Exam,
    Item,
    Judgement,
    JudgeRoster,
    PairVote,
    Prompt,
    RatedItem,
    Response,
    TechnicalMetrics,
    TextModel,
    Unanswered,
    Unusable,
    Vote,
)
from emojudge.errors import StoreError
from emojudge.frozen import Frozen
from emojudge.store.log import Record

T = TypeVar("T", bound=Frozen)


class StudyRecord(Frozen):
    """What is fixed when a study is made; ``seed`` decides every draw.

    ``batch_width`` is how many texts decode together, None before the first were generated.
    """

    id: str = "study"
    schema_version: int
    seed: int
    name: str
    created: str
    batch_width: int | None = None


class Discovery(Frozen):
    """The last completed discover phase, replaced as a whole.

    ``judge_models`` are the files of local judges, named as the config names them; ``config_dir``
    is where the config stood, from which its relative paths began.
    """

    id: str = "discovery"
    candidates: tuple[Candidate, ...]
    unusable: tuple[Unusable, ...]
    prompts: tuple[Prompt, ...]
    judge_models: tuple[Candidate, ...] = ()
    config_dir: str = ""


@dataclass(frozen=True)
class TableOf(Generic[T]):
    """A table's name and the frozen type of its documents, which have a string ``id``."""

    name: str
    model: type[T]

    def record(self, value: T) -> Record:
        """The log line of ``value``."""
        document = value.model_dump(mode="json")
        return Record(self.name, document["id"], document)

    def gone(self, document_id: str) -> Record:
        """The log line that removes a document."""
        return Record(self.name, document_id, None)


STUDY = TableOf("study", StudyRecord)
DISCOVERY = TableOf("discovery", Discovery)
RESPONSES = TableOf("responses", Response)
FAILURES = TableOf("failures", CellFailure)
JUDGEMENTS = TableOf("judgements", Judgement)
VOTES = TableOf("votes", Vote)
UNANSWERED = TableOf("unanswered", Unanswered)
EXAMS = TableOf("exams", Exam)
ROSTER = TableOf("roster", JudgeRoster)
TECHNICAL = TableOf("technical", TechnicalMetrics)
BASELINE_CHECKS = TableOf("baseline_checks", BaselineCheck)
TEXT_MODELS = TableOf("text_models", TextModel)
ITEMS = TableOf("items", Item)
DRAFTS = TableOf("drafts", Draft)
RATED = TableOf("rated", RatedItem)
PAIR_VOTES = TableOf("pair_votes", PairVote)

ALL_TABLES: dict[str, TableOf[Any]] = {
    table.name: table
    for table in (
        STUDY,
        DISCOVERY,
        RESPONSES,
        FAILURES,
        JUDGEMENTS,
        VOTES,
        UNANSWERED,
        EXAMS,
        ROSTER,
        TECHNICAL,
        BASELINE_CHECKS,
        TEXT_MODELS,
        ITEMS,
        DRAFTS,
        RATED,
        PAIR_VOTES,
    )
}


class _FollowedTable(Table):
    document_id_class = str  # type: ignore[assignment]  # tinydb's annotation fixes int

    def put(self, records: Iterable[Record]) -> None:
        """Apply log records in order, with one pass over the table."""

        def apply(documents: dict[Any, Any]) -> None:
            for record in records:
                if record.document is None:
                    documents.pop(record.id, None)
                else:
                    documents[record.id] = record.document

        self._update_table(apply)


class _FollowedDB(TinyDB):
    table_class = _FollowedTable


class Tables:
    """Typed access to the TinyDB tables; each document is parsed once per change."""

    def __init__(self) -> None:
        self._db = _FollowedDB(storage=MemoryStorage)
        self._parsed: dict[tuple[str, str], Frozen] = {}

    def _table(self, name: str) -> _FollowedTable:
        table = self._db.table(name)
        assert isinstance(table, _FollowedTable)
        return table

    def put(self, records: Iterable[Record]) -> set[str]:
        """Apply records of any tables; returns the names of the tables that changed."""
        by_table: dict[str, list[Record]] = {}
        for record in records:
            by_table.setdefault(record.table, []).append(record)
            self._parsed.pop((record.table, record.id), None)
        for name, own in by_table.items():
            self._table(name).put(own)
        return set(by_table)

    def _parse(self, table: TableOf[T], document: Document) -> T:
        key = (table.name, str(document.doc_id))
        value = self._parsed.get(key)
        if not isinstance(value, table.model):
            try:
                value = table.model.model_validate(dict(document))
            except ValidationError as problem:
                raise StoreError(
                    f"The record {key[1]!r} in the study's table {key[0]!r} has a form that this "
                    f"emojudge does not know ({problem.errors()[0]['msg']}). Open the study with "
                    "the version that wrote it."
                ) from problem
            self._parsed[key] = value
        return value

    def all(self, table: TableOf[T], where: QueryLike | None = None) -> list[T]:
        """The documents of a table, or those that match a TinyDB query, in log order."""
        rows = self._table(table.name)
        found = rows.all() if where is None else rows.search(where)
        return [self._parse(table, document) for document in found]

    def has(self, table: TableOf[Any], document_id: str) -> bool:
        """Whether there is a document with this id."""
        rows = self._table(table.name)
        return rows.contains(doc_id=document_id)  # type: ignore[arg-type]

    def get(self, table: TableOf[T], document_id: str) -> T | None:
        """The document with this id, or None."""
        parsed = self._parsed.get((table.name, document_id))
        if isinstance(parsed, table.model):
            return parsed
        document = self._table(table.name).get(doc_id=document_id)  # type: ignore[call-overload]
        return None if document is None else self._parse(table, document)
