"""``emojudge agree``: a file of ratings to coefficients of agreement with intervals."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from emojudge.columns import aligned
from emojudge.errors import TableFileError, UsageError
from emojudge.estimates import Floats
from emojudge.ranking import coefficients as of
from emojudge.ranking.coefficients import Interval, Level
from emojudge.tabular import Row, Table, as_number, nearest, read_table
from emojudge.text import counted

LEVELS: tuple[Level, ...] = get_args(Level)
FIGURES = {
    "krippendorff_alpha": "Krippendorff's α",
    "weighted_kappa": "weighted κ",
    "gwet_ac2": "Gwet's AC2",
    "pearson": "Pearson's r",
    "spearman": "Spearman's ρ",
    "kendall": "Kendall's τ-b",
    "pairwise_agreement": "agreeing pairs",
}
_FEW_ITEMS = 20
_MOST_CELLS = 20_000_000
_LARGEST = 1e100


@dataclass(frozen=True)
class LongForm:
    """The columns of a file with one row per rating."""

    item: str
    rater: str
    value: str


@dataclass(frozen=True)
class _Ratings:
    """``values`` has shape (raters, items), NaN where missing; labels are numbered."""

    values: Floats
    raters: tuple[str, ...]


@dataclass(frozen=True)
class Agreement:
    """What raters agree on. Figures and intervals that do not apply are None.

    ``items`` counts the items of the file, ``paired`` those with at least two ratings.
    """

    level: Level
    items: int
    raters: int
    paired: int
    figures: dict[str, float | None]
    intervals: dict[str, Interval | None]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The form of ``--json``."""
        ci = {name: None if pair is None else list(pair) for name, pair in self.intervals.items()}
        return {
            "items": self.items,
            "raters": self.raters,
            **self.figures,
            "ci": ci,
            "level": self.level,
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The form for people; notes are apart."""
        table = [["", "value", "95% interval", "items"]]
        for name, label in FIGURES.items():
            value, ci = self.figures[name], self.intervals[name]
            if value is None:
                table.append([label, "–", "–", "–"])
            else:
                between = "–" if ci is None else f"{_shown(ci[0])} to {_shown(ci[1])}"
                table.append([label, _shown(value), between, str(self.paired)])
        title = f"{counted(self.items, 'item')}, {counted(self.raters, 'rater')}, {self.level}"
        return [title, "", *aligned(table, right=(1, 3))]


# Reading


def _shown(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def _numbers(table: Table, cells: Sequence[tuple[Row, str]], level: Level) -> list[float]:
    """The ratings in ``cells`` as numbers; missing ones are NaN, labels are numbered.

    Raises TableFileError with file, line and column.
    """
    if level == "nominal":
        texts = [table.text(row, column) for row, column in cells]
        comma = table.delimiter == ";"
        known = {text: as_number(text, decimal_comma=comma) for text in texts if text is not None}
        if None in known.values():
            known = {text: float(place) for place, text in enumerate(sorted(known))}
        return [float("nan") if text is None else known[text] or 0.0 for text in texts]
    numbers = []
    for row, column in cells:
        try:
            number = table.number(row, column)
        except TableFileError as problem:
            raise TableFileError(
                f"{problem} Labels that are not numbers can be compared with --level nominal."
            ) from problem
        if number is not None and abs(number) > _LARGEST:
            raise TableFileError(
                f"{table.place(row, column)}: {number:g} is too large to be squared. Rescale the "
                "values."
            )
        numbers.append(float("nan") if number is None else number)
    return numbers


def _wide(table: Table, columns: Sequence[str], level: Level) -> _Ratings:
    table.require(*columns)
    cells = [(row, column) for column in columns for row in table.rows]
    values = np.array(_numbers(table, cells, level), dtype=np.float64)
    return _Ratings(values.reshape(len(columns), len(table.rows)), tuple(columns))


def _long(table: Table, form: LongForm, level: Level) -> _Ratings:
    table.require(form.item, form.rater, form.value)
    rows = [row for row in table.rows if not row.blank]
    items: dict[str, int] = {}
    raters: dict[str, int] = {}
    first: dict[tuple[int, int], Row] = {}
    for row in rows:
        item, rater = table.needed(row, form.item), table.needed(row, form.rater)
        place = (raters.setdefault(rater, len(raters)), items.setdefault(item, len(items)))
        if place in first:
            raise TableFileError(
                f"{table.source}, lines {first[place].line} and {row.line}: two ratings of item "
                f"{item!r} by rater {rater!r}. Remove one of them."
            )
        first[place] = row
    if len(raters) * len(items) > _MOST_CELLS:
        raise TableFileError(
            f"{table.source}: {len(raters)} raters of {len(items)} items are more than can be "
            f"compared at once. Check that --rater {form.rater!r} holds raters."
        )
    values = np.full((len(raters), len(items)), np.nan)
    if rows:
        numbers = _numbers(table, [(row, form.value) for row in rows], level)
        rater_places, item_places = np.array(list(first)).T
        values[rater_places, item_places] = numbers
    return _Ratings(values, tuple(raters))


def named_columns(text: str) -> list[str]:
    """The columns of ``--columns a,b``; one with a comma in its name stands in quotes."""
    columns = [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]
    if len(columns) < 2 or not all(columns):
        raise UsageError("--columns takes two or more column names, as in --columns ana,ben.")
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"--columns names {twice!r} twice. Each rater's column stands there once.")
    return columns


def chosen_form(
    columns: str | None, item: str | None, rater: str | None, value: str | None
) -> list[str] | LongForm:
    """What the options say of the file's form. Raises UsageError."""
    long = (item, rater, value)
    if columns is not None and not any(long):
        return named_columns(columns)
    if columns is None and item and rater and value:
        return LongForm(item, rater, value)
    raise UsageError(
        "Say which columns hold the ratings: --columns a,b where each rater has a column, or "
        "--item COL --rater COL --value COL (all three, without --columns) where each rating has "
        "a row."
    )


def chosen_level(text: str) -> Level:
    """The level of measurement. Raises UsageError."""
    for level in LEVELS:
        if text == level:
            return level
    raise UsageError(
        f"There is no level {text!r}.{nearest(text, LEVELS)} There are {', '.join(LEVELS)}."
    )


# Figures


def _counts_categories(values: Floats, level: Level) -> bool:
    """Whether κ and AC2 apply: few distinct values, and whole ones unless they are labels."""
    known = np.unique(values[~np.isnan(values)])
    whole = bool(np.all(known == np.rint(known)))
    return known.size <= of.MOST_CATEGORIES and (whole or level == "nominal")


class _Figures:
    """Collects figures; an interval stands only beside a figure."""

    def __init__(self, items: int) -> None:
        self.items = items
        self.values: dict[str, float | None] = dict.fromkeys(FIGURES)
        self.intervals: dict[str, Interval | None] = dict.fromkeys(FIGURES)

    def add(self, name: str, value: float | None, resampled: of.Resampled) -> None:
        self.values[name] = value
        if value is not None:
            self.intervals[name] = of.bootstrap_interval(resampled, self.items)


def _figures(values: Floats, level: Level) -> _Figures:
    found = _Figures(values.shape[1])
    found.add(
        "krippendorff_alpha",
        of.krippendorff_alpha(values, level),
        of.resampled_alpha(values, level),
    )
    found.add("pairwise_agreement", of.pairwise_agreement(values), of.resampled_agreement(values))
    categories = _counts_categories(values, level)
    if categories:
        likeness = of.identity_or_quadratic(level)
        found.add("gwet_ac2", of.gwet_ac2(values, likeness), of.resampled_ac2(values, likeness))
    if len(values) != 2:
        return found
    a, b = values
    if categories:
        weights: of.KappaWeights = None if level == "nominal" else "quadratic"
        found.add(
            "weighted_kappa", of.weighted_kappa(a, b, weights), of.resampled_kappa(a, b, weights)
        )
    if level != "nominal":
        found.values["pearson"], found.intervals["pearson"] = of.pearson(a, b)
        found.add("spearman", of.spearman(a, b), of.resampled_spearman(a, b))
        found.add("kendall", of.kendall(a, b), of.resampled_kendall(a, b))
    return found


def _notes(ratings: _Ratings, level: Level, items: int) -> list[str]:
    values = ratings.values
    notes = []
    sizes = (~np.isnan(values)).sum(axis=0)
    paired = values[:, sizes >= 2]
    if paired.shape[1] == 0:
        return ["No item has two ratings, so there is nothing to compare."]
    if paired.shape[1] < items:
        notes.append(
            f"{items - paired.shape[1]} of {counted(items, 'item')} have fewer than two ratings "
            "and cannot show agreement."
        )
    known = np.unique(paired[~np.isnan(paired)])
    if known.size < 2:
        notes.append(
            "All ratings are the same: what chance alone would give cannot be told, so α, κ, AC2 "
            "and correlations are undefined."
        )
    elif len(values) == 2:
        flat = [
            name
            for name, own in zip(ratings.raters, paired, strict=True)
            if np.unique(own).size == 1
        ]
        notes.extend(
            f"{name} gave the same value throughout, so κ and correlations are undefined."
            for name in flat
        )
    if len(values) > 2:
        others = "κ is" if level == "nominal" else "κ and the correlations are"
        notes.append(f"{others} of two raters, and left out for {len(values)}.")
    if level == "nominal":
        notes.append(
            "At the nominal level every disagreement counts the same: κ is Cohen's without "
            "weights, AC2 is AC1, and correlations do not apply."
        )
    elif not _counts_categories(values, level):
        notes.append(
            "κ and AC2 count categories, and these values are continuous (more than "
            f"{of.MOST_CATEGORIES} distinct ones, or interval values that are not whole)."
        )
    if paired.shape[1] < _FEW_ITEMS:
        notes.append(
            f"Intervals from {counted(paired.shape[1], 'item')} are rough, and rather too narrow."
        )
    return notes


def agree_file(
    path: Path, form: list[str] | LongForm, level: Level = "ordinal", encoding: str | None = None
) -> Agreement:
    """Coefficients of agreement of the ratings in a file.

    Each row is an item and each named column a rater, or (:class:`LongForm`) each row a rating;
    empty cells are missing. At the nominal level values may be labels, which are numbers if all
    are. Intervals are 95% percentile bootstraps over items, Pearson's scipy's own.

    Raises UsageError saying file, line and column of what is wrong.
    """
    table = read_table(path, encoding)
    ratings = _long(table, form, level) if isinstance(form, LongForm) else _wide(table, form, level)
    if not np.any(~np.isnan(ratings.values)):
        columns = form.value if isinstance(form, LongForm) else ", ".join(form)
        raise TableFileError(
            f"{table.source} holds no ratings in {columns}. Add rows below its header, or name "
            "the columns that hold them."
        )
    if len(ratings.raters) < 2:
        raise TableFileError(
            f"{table.source} holds one rater, {ratings.raters[0]}. Agreement needs two or more."
        )
    items = ratings.values.shape[1]
    there = ~np.isnan(ratings.values)
    found = _figures(ratings.values[:, there.any(axis=0)], level)
    return Agreement(
        level=level,
        items=items,
        raters=len(ratings.raters),
        paired=int(np.sum(there.sum(axis=0) >= 2)),
        figures=found.values,
        intervals=found.intervals,
        notes=tuple(_notes(ratings, level, items)),
    )
