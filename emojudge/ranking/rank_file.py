"""``emojudge rank``: a file of pairwise votes to strengths with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emojudge.columns import aligned
from emojudge.errors import TableFileError
from emojudge.ranking.bradley_terry import Strengths, listed, strengths
from emojudge.tabular import Row, Table, read_table, shown
from emojudge.text import counted

_OUTCOMES = {"left": 1.0, "right": 0.0, "tie": 0.5}


@dataclass(frozen=True)
class RankedName:
    """One name's strength (0..1, all sum to 1), its rank from 1 and its 95% interval."""

    name: str
    score: float
    rank: int
    ci: tuple[float, float] | None


@dataclass(frozen=True)
class RankedFile:
    """The names of a file of votes, best first."""

    items: tuple[RankedName, ...]
    votes: int
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The form of ``--json``."""
        return {
            "items": [
                {"name": one.name, "score": one.score, "rank": one.rank, "ci": _pair(one.ci)}
                for one in self.items
            ],
            "votes": self.votes,
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The form for people; notes are apart."""
        table = [["rank", "name", "score", "95% interval"]]
        for one in self.items:
            ci = "–" if one.ci is None else f"{one.ci[0]:.4f} to {one.ci[1]:.4f}"
            table.append([str(one.rank), one.name, f"{one.score:.4f}", ci])
        title = f"{counted(self.votes, 'vote')} over {counted(len(self.items), 'name')}"
        return [title, "", *aligned(table, right=(0, 2))]


def _pair(ci: tuple[float, float] | None) -> list[float] | None:
    return None if ci is None else list(ci)


def _outcome(table: Table, row: Row, left: str, right: str) -> float:
    said = table.needed(row, "winner")
    outcome = _OUTCOMES.get(said.lower())
    if outcome is None:
        side = "left" if said == left else "right" if said == right else None
        hint = "" if side is None else f" It is the name on the {side}: write {side!r}."
        raise TableFileError(
            f"{table.place(row, 'winner')}: {shown(said)} is not a winner; it takes left, right "
            f"or tie.{hint}"
        )
    return outcome


def _weight(table: Table, row: Row) -> float:
    if "weight" not in table.columns:
        return 1.0
    weight = table.number(row, "weight")
    if weight is None:
        raise TableFileError(
            f"{table.place(row, 'weight')} is empty. Write 1 for an ordinary vote, 0 to leave it "
            "out, or drop the column."
        )
    if weight < 0:
        raise TableFileError(
            f"{table.place(row, 'weight')}: {weight:g} is negative. A weight is 0 or more; to "
            "turn a vote round, change its winner."
        )
    return weight


def _notes(found: Strengths, ignored: int, *, weighted: bool) -> list[str]:
    notes = []
    if found.prior:
        sides = [
            *(f"{listed(group)} never lost to the others" for group in found.undefeated),
            *(f"{listed(group)} never won against the others" for group in found.winless),
        ]
        notes.append(
            f"{'; '.join(sides)}: their distance has no upper bound in these votes, so half a "
            "virtual tie was added to each compared pair."
        )
    if found.intervals is None:
        notes.append(
            "There are no intervals: the strengths meet every vote exactly, so nothing tells how "
            "far votes scatter."
        )
    if weighted:
        notes.append(
            "A row counts as one observation whatever its weight; for intervals of repeated "
            "votes, write one row for each."
        )
    if ignored:
        notes.append(f"{counted(ignored, 'vote')} of weight 0 left out.")
    return notes


def rank_file(path: Path, encoding: str | None = None) -> RankedFile:
    """Rank the names of a file with columns ``left``, ``right``, ``winner``, perhaps ``weight``.

    ``winner`` is left, right or tie, in any case. Raises UsageError saying file, line and column
    of what is wrong, or which groups of names never meet.
    """
    table = read_table(path, encoding)
    table.require("left", "right", "winner")
    lefts, rights, outcomes, weights = [], [], [], []
    for row in table.rows:
        if row.blank:
            continue
        left, right = table.needed(row, "left"), table.needed(row, "right")
        if left == right:
            raise TableFileError(
                f"{table.place(row)}: {shown(left)} is compared with itself. Correct or remove "
                "the row."
            )
        lefts.append(left)
        rights.append(right)
        outcomes.append(_outcome(table, row, left, right))
        weights.append(_weight(table, row))
    if not lefts:
        raise TableFileError(f"{table.source} holds no votes. Add rows below its header.")
    if not any(weights):
        raise TableFileError(
            f"{table.source}: every vote has weight 0. Give those that count a weight above 0."
        )
    found = strengths(lefts, rights, outcomes, weights)
    used = [weight for weight in weights if weight]
    intervals = None if found.intervals is None else found.intervals.tolist()
    named = [
        RankedName(
            name=name,
            score=float(found.scores[place]),
            rank=rank,
            ci=None if intervals is None else (intervals[place][0], intervals[place][1]),
        )
        for place, (name, rank) in enumerate(zip(found.names, found.ranks(), strict=True))
    ]
    notes = _notes(found, len(weights) - len(used), weighted=len(set(used)) > 1)
    return RankedFile(
        tuple(sorted(named, key=lambda one: (one.rank, one.name))), found.votes, tuple(notes)
    )
