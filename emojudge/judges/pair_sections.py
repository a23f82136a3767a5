"""Every candidate against every other, prompt by prompt."""

from __future__ import annotations

from collections.abc import Sequence

from emojudge.judges.pairs import PairCount, near_pairs, pair_counts
from emojudge.sections import Column, ReportKey, Row, Section, Sentence, Table, Voice
from emojudge.view import StudyView

_MOST_CANDIDATES = 8


def pairs_section(view: StudyView) -> Section | None:
    """Prompts that each candidate of a pair wins; None before two of them are judged."""
    counts = pair_counts(view)
    if not counts:
        return None
    shown = _shown(view, counts)
    rows = tuple(
        Row((view.labels[one.left], view.labels[one.right], one.wins, one.ties, one.losses))
        for one in shown
    )
    columns = (
        Column("left"),
        Column("right"),
        Column("left wins", Voice.AI),
        Column("ties", Voice.DIM),
        Column("right wins", Voice.AI),
    )
    margin = view.config.judging_config.equivalence_margin
    text = f"prompts, by the AI score; within {margin:g} of each other is a tie"
    if len(shown) < len(counts):
        text += (
            f". {len(shown)} of {len(counts)} pairs: those with the baseline, and neighbours in "
            "size; the JSON report has all"
        )
    data = [
        {
            "left": view.by_sha[one.left].name,
            "right": view.by_sha[one.right].name,
            "wins": one.wins,
            "ties": one.ties,
            "losses": one.losses,
        }
        for one in counts
    ]
    blocks = (Table(columns, rows), Sentence(text, Voice.DIM))
    return Section("pairs", "pair by pair", ReportKey.AI, blocks, data)


def _shown(view: StudyView, counts: Sequence[PairCount]) -> Sequence[PairCount]:
    """All pairs of a few candidates; of many, those with the baseline and next in size."""
    if len(view.candidates) <= _MOST_CANDIDATES:
        return counts
    near = near_pairs(view.candidates)
    return [one for one in counts if frozenset((one.left, one.right)) in near]
