"""``emojudge export`` and ``emojudge import``: ratings out of a study, and into one."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from emojudge import clock
from emojudge.domain import Item, RatedItem, Rating
from emojudge.errors import StoreError, TableFileError, UsageError
from emojudge.pipeline.rating_rows import (
    BETWEEN_NAMES,
    COLUMNS,
    CRITERIA,
    RatingReader,
    ReadItem,
    ReadRating,
    rows_of,
)
from emojudge.pipeline.stored_study import StoredStudy
from emojudge.ranking.next_item import MIN_PANES
from emojudge.store.study import Writer
from emojudge.store.tables import DRAFTS, ITEMS, PAIR_VOTES, RATED, RESPONSES
from emojudge.tabular import Cell, Table, nearest, write_csv, write_jsonl
from emojudge.text import counted

Format = Literal["csv", "jsonl"]
FORMATS: tuple[Format, ...] = get_args(Format)


def chosen_format(text: str) -> Format:
    """The format of an export. Raises UsageError."""
    for known in FORMATS:
        if text == known:
            return known
    raise UsageError(f"There is no format {text!r}.{nearest(text, FORMATS)} There are csv, jsonl.")


# Out


def rating_rows(study: StoredStudy) -> Iterator[dict[str, Cell]]:
    """All ratings and skipped items by rater and number, as rows of ``COLUMNS``."""
    names = {one.sha256: one.name for one in study.discovery.candidates} if study.discovered else {}
    # A skipped pair is no rating: without it the votes are whole.
    pairs = {item.id for item in study.store.all(ITEMS) if item.pairwise}
    stored = [one for one in study.store.all(RATED) if one.id not in pairs]
    for item in sorted(stored, key=lambda one: (one.rater, one.number, one.id)):
        yield from rows_of(item, names)


_VOTE_COLUMNS = (
    "left",
    "right",
    "winner",
    "item",
    "rater",
    "prompt_id",
    "sample",
    "left_sha256",
    "right_sha256",
    "comment",
    "left_comment",
    "right_comment",
    "left_flag",
    "right_flag",
    "left_names",
    "right_names",
    "seconds",
    "idle_seconds",
    "submitted",
)


def vote_rows(study: StoredStudy) -> Iterator[dict[str, Cell]]:
    """All quick votes by rater and number, in the form that ``emojudge rank`` reads."""
    names = {one.sha256: one.name for one in study.discovery.candidates} if study.discovered else {}
    for vote in sorted(study.store.all(PAIR_VOTES), key=lambda one: (one.rater, one.number)):
        left, right = vote.candidates
        yield {
            "left": names.get(left, left),
            "right": names.get(right, right),
            "winner": vote.preferred.value,
            "item": vote.id,
            "rater": vote.rater,
            "prompt_id": vote.prompt_id,
            "sample": vote.sample,
            "left_sha256": left,
            "right_sha256": right,
            "comment": vote.comment or None,
            "left_comment": vote.comments[0] or None,
            "right_comment": vote.comments[1] or None,
            "left_flag": vote.flags[0] or None,
            "right_flag": vote.flags[1] or None,
            "left_names": BETWEEN_NAMES.join(vote.names[0]) or None,
            "right_names": BETWEEN_NAMES.join(vote.names[1]) or None,
            "seconds": vote.seconds,
            "idle_seconds": vote.idle_seconds or None,
            "submitted": vote.submitted,
        }


def export_text(study: StoredStudy, form: Format, *, votes: bool = False) -> str:
    """All ratings, or all quick ``votes``, as one CSV or JSONL text."""
    stream = io.StringIO(newline="")
    write = write_csv if form == "csv" else write_jsonl
    if votes:
        write(stream, _VOTE_COLUMNS, vote_rows(study))
    else:
        write(stream, COLUMNS, rating_rows(study))
    return stream.getvalue()


# In


@dataclass(frozen=True)
class Imported:
    """What an import did, or (``dry_run``) would do; counts are items."""

    source: str
    new: tuple[RatedItem, ...]
    replaced: tuple[RatedItem, ...]
    already_there: int
    dry_run: bool
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The form of ``--json``."""
        written = self.new + self.replaced
        return {
            "file": self.source,
            "dry_run": self.dry_run,
            "new": len(self.new),
            "replaced": len(self.replaced),
            "already_there": self.already_there,
            "ratings": sum(len(item.ratings) for item in written),
            "skipped": sum(item.skipped is not None for item in written),
            "raters": sorted({item.rater for item in written}),
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The form for people; notes are apart."""
        value = self.as_json()
        done = "would be written" if self.dry_run else "written"
        raters = f" by {', '.join(value['raters'])}" if value["raters"] else ""
        return [
            f"{counted(len(self.new), 'new item')} and {len(self.replaced)} replaced {done}: "
            f"{counted(value['ratings'], 'rating')}{raters}, {value['skipped']} skipped",
            f"{counted(self.already_there, 'item')} already there",
        ]


@dataclass(frozen=True)
class _Step:
    """One item to be stored, the item that was shown for it, and what both replace."""

    rated: RatedItem
    shown: Item | None
    replaces: tuple[str, ...]


class _Plan:
    """Compares a file's items with a study's. Raises TableFileError for what contradicts."""

    def __init__(
        self, study: StoredStudy, table: Table, items: list[ReadItem], *, replace: bool
    ) -> None:
        self.study = study
        self.table = table
        self.replace = replace
        self.steps: list[_Step] = []
        self.already_there = 0
        self._rated = {one.id: one for one in study.store.all(RATED)}
        self._first = {
            self._asked(one): one
            for one in self._rated.values()
            if one.skipped is None and one.repeat_of is None
        }
        self._shown = {one.id: one for one in study.store.all(ITEMS)}
        self._last: Counter[str] = Counter()
        for rater, number in [
            *((one.rater, one.number) for one in self._rated.values()),
            *((one.rater, one.number) for one in self._shown.values()),
            *((one.fields.rater, one.fields.number or 0) for one in items),
        ]:
            self._last[rater] = max(self._last[rater], number)
        self._lines: dict[Any, int] = {}
        for item in items:
            self._add(item)

    @staticmethod
    def _asked(item: RatedItem) -> tuple[str, str, int]:
        return (item.rater, item.prompt_id, item.sample)

    def _add(self, read: ReadItem) -> None:
        fields = read.fields
        made = f"{fields.rater}:{fields.prompt_id}:{fields.sample}"
        first = self._first.get((fields.rater, fields.prompt_id, fields.sample))
        before = self._rated.get(fields.item or made)
        if before is None and fields.item is None and fields.repeat_of is None:
            before = first
        item = self._filled(read, before, made)
        replaces: tuple[str, ...] = ()
        once = item.repeat_of is None and item.skipped is None
        if once:
            self._refuse_twice_in_file(read, item)
        if before is not None:
            different = _difference(before, item)
            if different is None:
                self.already_there += 1
                return
            self._refuse(read, f"{item.id} is stored otherwise: {different}")
            replaces = (before.id,)
        elif once and first is not None:
            self._refuse(read, f"{item.rater} has rated this prompt already, as {first.id}")
            replaces = (first.id,)
        self.steps.append(_Step(item, self._shown_for(read, item, before), replaces))

    def _refuse(self, read: ReadItem, what: str) -> None:
        if not self.replace:
            raise TableFileError(
                f"{self.table.place(read.row)}: {what}. Pass --replace to put the file's in its "
                "place, or leave the item out; nothing was written."
            )

    def _refuse_twice_in_file(self, read: ReadItem, item: RatedItem) -> None:
        line = self._lines.setdefault(self._asked(item), read.row.line)
        if line != read.row.line:
            raise TableFileError(
                f"{self.table.source}, lines {line} and {read.row.line}: {item.rater} rates sample "
                f"{item.sample} of the prompt {item.prompt_id!r} in two items. Keep one of them."
            )

    def _filled(self, read: ReadItem, before: RatedItem | None, made: str) -> RatedItem:
        """The item with what the file leaves out: as stored before, else from the study."""
        fields = read.fields
        number = fields.number
        if number is None:
            if before is None:
                self._last[fields.rater] += 1
            number = self._last[fields.rater] if before is None else before.number
        known = {} if before is None else {one.candidate: one for one in before.ratings}
        return RatedItem(
            id=fields.item or (made if before is None else before.id),
            rater=fields.rater,
            number=number,
            prompt_id=fields.prompt_id,
            sample=fields.sample,
            ratings=tuple(
                self._rating(read, one, known.get(one.candidate)) for one in read.ratings
            ),
            skipped=fields.skipped,
            seconds=_first_of(fields.seconds, before.seconds if before else 0.0),
            idle_seconds=_first_of(fields.idle_seconds, before.idle_seconds if before else 0.0),
            comment=fields.item_comment,
            flags=before.flags if before else {},
            submitted=_first_of(fields.submitted, before.submitted if before else clock.stamp()),
            repeat_of=fields.repeat_of,
            adaptive=fields.adaptive,
        )

    def _rating(self, read: ReadItem, row: ReadRating, before: Rating | None) -> Rating:
        response_id = row.response_id
        if response_id is None:
            response_id = before.response_id if before else self._response_id(read, row)
        return Rating(
            candidate=row.candidate,
            response_id=response_id,
            scores=row.scores,
            comment=row.comment,
            flag=row.flag,
            names=row.names,
            tie_break=row.tie_break,
        )

    def _response_id(self, read: ReadItem, row: ReadRating) -> str:
        found = self.study.discovery
        candidates = [one for one in found.candidates if one.sha256 == row.candidate]
        prompts = [one for one in found.prompts if one.id == read.fields.prompt_id]
        if not candidates or not prompts:
            raise TableFileError(
                f"{self.table.place(row.row, 'response_id')}: empty, and this candidate or prompt "
                "is not in the study any more, so the response cannot be told. Fill it in."
            )
        return self.study.cell(candidates[0], prompts[0], read.fields.sample).id

    def _shown_for(self, read: ReadItem, item: RatedItem, before: RatedItem | None) -> Item | None:
        """The item as a session would have shown it, so that it counts as seen; None if stored."""
        stored = self._shown.get(item.id)
        panes = tuple(one.candidate for one in item.ratings)
        if stored is not None:
            same = stored.prompt_id == item.prompt_id and stored.sample == item.sample
            if same and (not panes or set(panes) == set(stored.panes)):
                return None
            if before is None:
                self._refuse(read, f"{item.rater} was shown something else as {item.id}")
        # A skipped item's rows do not say what was shown; without responses nothing relies on it.
        some = tuple(one.sha256 for one in self.study.discovery.candidates[:MIN_PANES])
        if not panes and len(some) < MIN_PANES:
            return None
        return Item(
            id=item.id,
            rater=item.rater,
            number=item.number,
            prompt_id=item.prompt_id,
            sample=item.sample,
            panes=panes or some,
            responses=tuple(one.response_id for one in item.ratings),
            shown=item.submitted,
            repeat_of=item.repeat_of,
            adaptive=item.adaptive,
        )

    def missing_responses(self) -> int:
        """Ratings of responses that the study does not hold."""
        used = [rating.response_id for step in self.steps for rating in step.rated.ratings]
        return sum(self.study.store.get(RESPONSES, one) is None for one in used)


def _first_of(given: Any, otherwise: Any) -> Any:
    return otherwise if given is None else given


def _difference(before: RatedItem, after: RatedItem) -> str | None:
    """The first difference that matters, as words; the order of panes does not."""
    old = {one.candidate: one for one in before.ratings}
    new = {one.candidate: one for one in after.ratings}
    if set(old) != set(new):
        return "other candidates"
    for candidate, rating in new.items():
        for criterion in CRITERIA:
            was, now = old[candidate].scores[criterion], rating.scores[criterion]
            if was != now:
                return f"{criterion} is {was} there, {now} here"
        for field in ("response_id", "comment", "flag", "names", "tie_break"):
            if getattr(old[candidate], field) != getattr(rating, field):
                return f"another {field}"
    for field, value in before.model_dump(exclude={"ratings", "id"}).items():
        now = getattr(after, field)
        if value != now:
            return f"{field} is {value!r} there, {now!r} here"
    return None


def _notes(plan: _Plan, reader: RatingReader) -> tuple[str, ...]:
    notes = []
    if reader.ignored_columns:
        notes.append(
            f"Not read, because ratings have no such column: {', '.join(reader.ignored_columns)}."
        )
    missing = plan.missing_responses()
    if missing:
        notes.append(
            f"{counted(missing, 'rating')} of responses that this study does not hold: stored, but "
            "counted only once these responses are there."
        )
    return tuple(notes)


def _write(study: StoredStudy, plan: _Plan, writers: dict[str, Writer]) -> None:
    for rater in sorted({step.rated.rater for step in plan.steps}):
        if rater not in writers:
            raise StoreError(
                f"The ratings of {rater} changed while they were compared with the file. Import "
                "it again; what is there is kept."
            )
        steps = [step for step in plan.steps if step.rated.rater == rater]
        gone = [old for step in steps for old in step.replaces if old != step.rated.id]
        writer = writers[rater]
        writer.remove(DRAFTS, [old for old in gone if study.store.get(DRAFTS, old)])
        writer.remove(ITEMS, [old for old in gone if study.store.get(ITEMS, old)])
        writer.remove(RATED, gone)
        writer.put(ITEMS, [step.shown for step in steps if step.shown is not None])
        writer.put(RATED, [step.rated for step in steps])
    study.changed()


def import_ratings(
    study: StoredStudy,
    path: Path,
    *,
    encoding: str | None = None,
    replace: bool = False,
    dry_run: bool = False,
) -> Imported:
    """Store a file's ratings, all or (where anything is wrong) none.

    Items that are stored already are left alone; different ones are refused unless ``replace``.
    Holds the lock of every rater whose ratings are written: raises LockHeld while one is rating,
    and UsageError saying file, line and column of what is wrong.
    """
    study.follow()
    reader = RatingReader(study, path, encoding)
    items = reader.items()
    plan = _Plan(study, reader.table, items, replace=replace)
    with ExitStack() as held:
        if not dry_run:
            writers: dict[str, Writer] = {}
            for rater in sorted({step.rated.rater for step in plan.steps}):
                writers[rater] = study.store.rater_writer(rater)
                held.callback(writers[rater].close)
            # Somebody may have rated between the first look and the locks.
            study.follow()
            plan = _Plan(study, reader.table, items, replace=replace)
            _write(study, plan, writers)
    return Imported(
        source=reader.table.source,
        new=tuple(step.rated for step in plan.steps if not step.replaces),
        replaced=tuple(step.rated for step in plan.steps if step.replaces),
        already_there=plan.already_there,
        dry_run=dry_run,
        notes=_notes(plan, reader),
    )
