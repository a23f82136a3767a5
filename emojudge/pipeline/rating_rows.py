"""Rows of ratings: the columns of ``emojudge export``, and reading them back, checked.

One row is one pane of an item; a skipped item is one row without a candidate. What rows from
elsewhere may leave out is None here, and is filled in from the study when it is stored.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emojudge.domain import Criterion, RatedItem
from emojudge.errors import TableFileError, UsageError
from emojudge.pipeline.stored_study import StoredStudy
from emojudge.ranking.next_item import MAX_PANES, MIN_PANES
from emojudge.settings import Settings, rater_name
from emojudge.store.tables import RESPONSES
from emojudge.tabular import Cell, Row, Table, nearest, read_table, shown

CRITERIA = tuple(Criterion)
_SCORE_COLUMNS = tuple(one.value for one in Criterion)
COLUMNS = (
    "item",
    "rater",
    "number",
    "prompt_id",
    "sample",
    "candidate",
    "candidate_sha256",
    "response_id",
    *_SCORE_COLUMNS,
    "comment",
    "flag",
    "names",
    "tie_break",
    "item_comment",
    "skipped",
    "seconds",
    "idle_seconds",
    "submitted",
    "repeat_of",
    "adaptive",
)
_NEEDED = ("rater", "prompt_id", "sample", *_SCORE_COLUMNS)
BETWEEN_NAMES = "; "
_LARGEST_NUMBER = 1_000_000_000
_NUMBERED = re.compile(r"[0-9]+")
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def rows_of(item: RatedItem, names: dict[str, str]) -> Iterator[dict[str, Cell]]:
    """The rows of one stored item; ``names`` maps candidates' sha256 to their names."""
    shared: dict[str, Cell] = {
        "item": item.id,
        "rater": item.rater,
        "number": item.number,
        "prompt_id": item.prompt_id,
        "sample": item.sample,
        "skipped": item.skipped,
        "item_comment": item.comment or None,
        "seconds": item.seconds,
        "idle_seconds": item.idle_seconds or None,
        "submitted": item.submitted,
        "repeat_of": item.repeat_of,
        "adaptive": "true" if item.adaptive else None,
    }
    if not item.ratings:
        yield shared
    for rating in item.ratings:
        yield {
            **shared,
            "candidate": names.get(rating.candidate),
            "candidate_sha256": rating.candidate,
            "response_id": rating.response_id,
            **{one.value: rating.scores[one] for one in CRITERIA},
            "comment": rating.comment or None,
            "flag": rating.flag or None,
            "names": BETWEEN_NAMES.join(rating.names) or None,
            "tie_break": rating.tie_break or None,
        }


@dataclass(frozen=True)
class ReadRating:
    """One pane's row; ``candidate`` is a sha256, scores are 1..5."""

    row: Row
    candidate: str
    response_id: str | None
    scores: dict[Criterion, int]
    comment: str
    flag: str
    names: tuple[str, ...]
    tie_break: int


@dataclass(frozen=True)
class ItemFields:
    """What all rows of an item share; None is what the file leaves out."""

    item: str | None
    rater: str
    number: int | None
    prompt_id: str
    sample: int
    skipped: str | None
    seconds: float | None
    idle_seconds: float | None
    item_comment: str
    submitted: str | None
    repeat_of: str | None
    adaptive: bool


@dataclass(frozen=True)
class ReadItem:
    """A complete item of a file; ``row`` is its first. Skipped ones have no ratings."""

    row: Row
    fields: ItemFields
    ratings: tuple[ReadRating, ...]


class RatingReader:
    """Reads one file against what a study knows. Everything raises TableFileError with a place."""

    def __init__(self, study: StoredStudy, path: Path, encoding: str | None = None) -> None:
        self.table: Table = read_table(path, encoding, neutralised=True)
        responses = study.store.all(RESPONSES)
        self._responses = {one.id: one for one in responses}
        self._names = {one.name: one.sha256 for one in study.discovery.candidates}
        # What was compared or asked earlier has stored responses, and may have ratings.
        self._candidates = set(self._names.values()) | {one.candidate for one in responses}
        self._prompts = {one.id for one in study.discovery.prompts}
        self._prompts |= {one.prompt_id for one in responses}

    @property
    def ignored_columns(self) -> list[str]:
        """Columns that ratings do not have."""
        return [name for name in self.table.columns if name not in COLUMNS]

    def items(self) -> list[ReadItem]:
        """All items of the file, in the order of their first rows."""
        self.table.require(*_NEEDED)
        if not {"candidate", "candidate_sha256"} & set(self.table.columns):
            self.table.require("candidate")
        groups: dict[tuple[Any, ...], list[tuple[Row, ItemFields]]] = {}
        for row in self.table.rows:
            if row.blank:
                continue
            fields = self._fields(row)
            known_by = fields.item or (fields.prompt_id, fields.sample)
            groups.setdefault((fields.rater, known_by), []).append((row, fields))
        if not groups:
            raise TableFileError(f"{self.table.source} holds no ratings.")
        return [self._item(rows) for rows in groups.values()]

    def _wrong(self, row: Row, column: str, what: str) -> TableFileError:
        return TableFileError(f"{self.table.place(row, column)}: {what}")

    def _whole(self, row: Row, column: str, low: int, high: int) -> int | None:
        number = self.table.number(row, column)
        if number is None:
            return None
        if number != int(number) or not low <= number <= high:
            raise self._wrong(
                row, column, f"{number:g} is not a whole number from {low} to {high}."
            )
        return int(number)

    def _needed_whole(self, row: Row, column: str, low: int, high: int) -> int:
        number = self._whole(row, column, low, high)
        if number is None:
            raise self._wrong(row, column, f"empty. It takes a whole number from {low} to {high}.")
        return number

    # What the rows of an item share

    def _fields(self, row: Row) -> ItemFields:
        rater = self._rater(row)
        item = self.table.text(row, "item")
        number = self._whole(row, "number", 1, _LARGEST_NUMBER)
        return ItemFields(
            item=item,
            rater=rater,
            number=number if item is None else self._checked_number(row, item, rater, number),
            prompt_id=self._prompt(row),
            sample=self._needed_whole(row, "sample", 0, _LARGEST_NUMBER),
            skipped=row.cells.get("skipped"),
            seconds=self._seconds(row, "seconds"),
            idle_seconds=self._seconds(row, "idle_seconds"),
            item_comment=row.cells.get("item_comment") or "",
            submitted=self._submitted(row),
            repeat_of=self.table.text(row, "repeat_of"),
            adaptive=self._adaptive(row),
        )

    def _rater(self, row: Row) -> str:
        name = self.table.needed(row, "rater")
        try:
            return rater_name(name, Settings())
        except UsageError as problem:
            raise self._wrong(
                row,
                "rater",
                f"{shown(name)} cannot name a rater: it names a file, so it takes letters, digits, "
                "and _ . @ - only, at most 64 of them, a letter or digit first.",
            ) from problem

    def _checked_number(self, row: Row, item: str, rater: str, number: int | None) -> int | None:
        """The item's number; ids are the rater's own, so that nobody's items are overwritten."""
        owner, _, rest = item.partition(":")
        if owner != rater or not rest:
            raise self._wrong(
                row,
                "item",
                f"{shown(item)} is not an item of {rater}: those begin with {rater}: . Leave the "
                "cell empty to have one made.",
            )
        if not _NUMBERED.fullmatch(rest):
            return number
        if number is not None and number != int(rest):
            raise self._wrong(row, "number", f"{number} does not go with the item {item}.")
        return int(rest)

    def _prompt(self, row: Row) -> str:
        prompt = self.table.needed(row, "prompt_id")
        if prompt not in self._prompts:
            raise self._wrong(
                row,
                "prompt_id",
                f"this study has no prompt {shown(prompt)}.{nearest(prompt, self._prompts)} Import "
                "into the study that asked it.",
            )
        return prompt

    def _seconds(self, row: Row, column: str) -> float | None:
        seconds = self.table.number(row, column)
        if seconds is not None and seconds < 0:
            raise self._wrong(row, column, f"{seconds:g} is negative.")
        return seconds

    def _submitted(self, row: Row) -> str | None:
        submitted = self.table.text(row, "submitted")
        if submitted is not None:
            try:
                datetime.datetime.fromisoformat(submitted)
            except ValueError as problem:
                raise self._wrong(
                    row,
                    "submitted",
                    f"{shown(submitted)} is not a time such as 2026-11-03T12:00:00+01:00.",
                ) from problem
        return submitted

    def _adaptive(self, row: Row) -> bool:
        said = self.table.text(row, "adaptive")
        if said is None:
            return False
        if said.lower() not in _TRUTHS:
            raise self._wrong(row, "adaptive", f"{shown(said)} is neither true nor false.")
        return _TRUTHS[said.lower()]

    # Items and their panes

    def _item(self, rows: list[tuple[Row, ItemFields]]) -> ReadItem:
        first, fields = rows[0]
        for row, other in rows[1:]:
            for column, value in vars(fields).items():
                if vars(other)[column] != value:
                    earlier = "leaves it empty" if value is None else f"says {shown(str(value))}"
                    raise self._wrong(
                        row,
                        column,
                        f"the rows of one item share it, and line {first.line} {earlier}.",
                    )
        if fields.skipped is not None:
            return self._skipped(rows)
        ratings: dict[str, ReadRating] = {}
        for row, _ in rows:
            rating = self._rating(row, fields)
            if rating.candidate in ratings:
                raise TableFileError(
                    f"{self.table.source}, lines {ratings[rating.candidate].row.line} and "
                    f"{row.line}: two rows rate the same candidate in the same item. Remove one."
                )
            ratings[rating.candidate] = rating
        if not MIN_PANES <= len(ratings) <= MAX_PANES:
            raise TableFileError(
                f"{self.table.place(first)}: the item of {fields.rater} has {len(ratings)} rated "
                f"candidates; a complete one has {MIN_PANES} to {MAX_PANES}. Add the missing rows, "
                "or leave the item out."
            )
        return ReadItem(first, fields, tuple(ratings.values()))

    def _skipped(self, rows: list[tuple[Row, ItemFields]]) -> ReadItem:
        first, fields = rows[0]
        if len(rows) > 1:
            raise TableFileError(
                f"{self.table.source}, lines {first.line} and {rows[1][0].line}: a skipped item "
                "is one row. Remove the other."
            )
        if not (fields.skipped or "").strip():
            raise self._wrong(first, "skipped", "a skipped item needs a reason.")
        for column in ("candidate", "candidate_sha256", *_SCORE_COLUMNS):
            if self.table.text(first, column) is not None:
                raise self._wrong(
                    first,
                    column,
                    "a skipped item has no ratings. Empty this cell, or the one under 'skipped'.",
                )
        return ReadItem(first, fields, ())

    def _rating(self, row: Row, fields: ItemFields) -> ReadRating:
        candidate = self._candidate(row)
        scores = {one: self._needed_whole(row, one.value, 1, 5) for one in CRITERIA}
        response_id = self.table.text(row, "response_id")
        response = self._responses.get(response_id or "")
        if response is not None and (response.candidate, response.prompt_id) != (
            candidate,
            fields.prompt_id,
        ):
            raise self._wrong(
                row, "response_id", "this response is of another candidate or prompt."
            )
        names = (row.cells.get("names") or "").split(BETWEEN_NAMES)
        return ReadRating(
            row,
            candidate,
            response_id,
            scores,
            comment=row.cells.get("comment") or "",
            flag=row.cells.get("flag") or "",
            names=tuple(name for name in names if name),
            tie_break=self._whole(row, "tie_break", 0, MAX_PANES) or 0,
        )

    def _candidate(self, row: Row) -> str:
        name, digest = self.table.text(row, "candidate"), self.table.text(row, "candidate_sha256")
        if digest is None:
            if name is None:
                raise self._wrong(row, "candidate", "empty. Name the candidate that was rated.")
            if name not in self._names:
                raise self._wrong(
                    row,
                    "candidate",
                    f"this study has no candidate {shown(name)}.{nearest(name, self._names)} It "
                    f"compares {', '.join(self._names)}.",
                )
            return self._names[name]
        if digest not in self._candidates:
            near = nearest(name or "", self._names)
            raise self._wrong(
                row,
                "candidate_sha256",
                f"this study has no candidate {shown(name or digest)} with this sha256.{near} "
                "Import into the study that compared it.",
            )
        if name is not None and self._names.get(name, digest) != digest:
            raise self._wrong(
                row, "candidate", f"{shown(name)} is another model than candidate_sha256 says."
            )
        return digest
