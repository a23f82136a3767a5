"""What the Results screen and the report are made of.

A section is one subject of a study's results, as data: sentences and tables for people, a JSON
value for machines. A room contributes a section by giving :mod:`emojudge.pipeline.results` a
function from the study's view to a section; the screen, the HTML report and the JSON report each
render all sections the same way, so a new section needs no change in any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emojudge.view import StudyView


class Voice(Enum):
    """Who speaks; people and AI keep their two colours everywhere."""

    PLAIN = "plain"
    PEOPLE = "people"
    AI = "ai"
    BASELINE = "baseline"
    DIM = "dim"
    STRONG = "strong"
    GOOD = "good"
    BAD = "bad"


class ReportKey(Enum):
    """The report's top key that a section's data goes under."""

    DISCOVERY = "candidate_discovery"
    AI = "ai_judging_results"
    HUMAN = "human_judging_results"
    RANKINGS = "final_rankings"
    REPLACEMENT = "model_replacement"


@dataclass(frozen=True)
class Sentence:
    """One line of prose."""

    text: str
    voice: Voice = Voice.PLAIN


@dataclass(frozen=True)
class Column:
    """A table's column. Numbers align on the decimal point: all cells get the same decimals."""

    title: str
    voice: Voice = Voice.PLAIN
    decimals: int | None = None


@dataclass(frozen=True)
class Mark:
    """A value from 0 to 1 drawn as a point on the table's common scale, with its interval."""

    value: float
    low: float | None = None
    high: float | None = None


Cell = str | float | int | Mark | None


@dataclass(frozen=True)
class Row:
    """One row; its voice, where not plain, colours the row's first cell."""

    cells: tuple[Cell, ...]
    voice: Voice = Voice.PLAIN


@dataclass(frozen=True)
class Table:
    """Rows under columns; a None cell means: not there (yet), shown as a dash."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Trend:
    """A share over time from 0 to 1, drawn as a small line of bars."""

    label: str
    values: tuple[float, ...]
    voice: Voice = Voice.PLAIN


Block = Sentence | Table | Trend


@dataclass(frozen=True)
class Section:
    """One subject: ``name`` is its JSON key below ``report_key``, ``data`` its JSON value."""

    name: str
    title: str
    report_key: ReportKey
    blocks: tuple[Block, ...]
    data: Any


SectionSource = Callable[["StudyView"], "Section | None"]
"""Builds a section from the study, or None when there is nothing to say."""
