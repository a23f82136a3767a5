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


HELD_BACK = (
    "held back until there is a verdict, because what the AI says trains raters "
    "(human_judging.show_ai_scores: after_item shows them now)"
)
"""What stands in the place of what the AI says of single items while people rate."""

SCALE_WIDTH = 25
"""Characters of a scale, wherever it is drawn as text."""


class Voice(Enum):
    """Who speaks; people and AI keep their two colours everywhere."""

    PLAIN = "plain"
    PEOPLE = "people"
    AI = "ai"
    BASELINE = "baseline"
    DIM = "dim"
    STRONG = "strong"
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
class Scale:
    """The common scale of a column's marks, and a band on it that stands for no difference."""

    low: float = 0.0
    high: float = 1.0
    band: tuple[float, float] | None = None


@dataclass(frozen=True)
class Column:
    """A table's column. Numbers align on the decimal point: all cells get the same decimals.

    ``signed`` numbers carry their sign; ``scale`` is that of marks; ``right`` aligns texts, such as
    sizes with their units, at their end.
    """

    title: str
    voice: Voice = Voice.PLAIN
    decimals: int | None = None
    signed: bool = False
    scale: Scale = Scale()
    right: bool = False


@dataclass(frozen=True)
class Mark:
    """A value drawn as a point on the column's scale, with its interval."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Bar:
    """A value from 0 to 1 drawn as a bar, with its number."""

    value: float


@dataclass(frozen=True)
class Interval:
    """An interval in brackets; infinite ends are said to be open."""

    low: float
    high: float
    decimals: int = 3


Cell = str | float | int | Mark | Bar | Interval | None


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


@dataclass(frozen=True)
class ItemLine:
    """A rated item worth reading: its id, and a line that says why."""

    item: str
    text: str


@dataclass(frozen=True)
class ItemList:
    """Rated items to open; ``empty`` stands there when there is none."""

    items: tuple[ItemLine, ...]
    empty: str


@dataclass(frozen=True)
class PlotAxis:
    """An axis of a plot: what it shows, and how its numbers read."""

    title: str
    decimals: int = 2
    in_bytes: bool = False


@dataclass(frozen=True)
class ScatterPoint:
    """A named point, with an interval of its ``y`` where there is one."""

    label: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None
    marked: bool = False
    voice: Voice = Voice.PLAIN


@dataclass(frozen=True)
class Scatter:
    """Named points between two axes; ``meaning`` says what it is that some of them are marked."""

    points: tuple[ScatterPoint, ...]
    x: PlotAxis
    y: PlotAxis
    meaning: str
    voice: Voice = Voice.PLAIN


Block = Sentence | Table | Trend | ItemList | Scatter


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
