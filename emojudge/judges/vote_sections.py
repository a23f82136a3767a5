"""Which of two candidates judges vote for, prompt by prompt, both orders of reading averaged."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from emojudge.domain import Vote
from emojudge.judges.questions import LEAST_MASS
from emojudge.sections import Column, ReportKey, Row, Section, Sentence, Table, Voice
from emojudge.view import StudyView


@dataclass(frozen=True)
class VoteCount:
    """A judge's votes between two candidates: prompts won by each, and ties."""

    wins: int
    ties: int
    losses: int


def outcome(vote: Vote) -> float:
    """1 where ``left`` is better in both orders, 0 where ``right`` is, else one half."""
    sides = [share - 0.5 for share in (vote.left_first, vote.right_first)]
    if sides[0] * sides[1] <= 0:
        return 0.5
    return float(sides[0] > 0)


def vote_counts(view: StudyView) -> dict[tuple[str, str], dict[str, VoteCount]]:
    """By pair of candidates (sha256) and judge's title; a judge that chose neither is left out."""
    outcomes: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for vote in view.votes:
        if vote.mass >= LEAST_MASS:
            outcomes[vote.left, vote.right][vote.judge].append(outcome(vote))
    return {
        pair: {
            judge: VoteCount(own.count(1.0), own.count(0.5), own.count(0.0))
            for judge, own in by_judge.items()
        }
        for pair, by_judge in outcomes.items()
    }


def votes_section(view: StudyView) -> Section | None:
    """Wins, ties and losses of each pair that judges voted on; None before there are any."""
    counts = vote_counts(view)
    if not counts:
        return None
    titles = [one.title for one in view.judges if any(one.title in own for own in counts.values())]

    def cell(own: VoteCount | None) -> str | None:
        return None if own is None else f"{own.wins} · {own.ties} · {own.losses}"

    rows = tuple(
        Row((view.labels[left], view.labels[right], *(cell(own.get(title)) for title in titles)))
        for (left, right), own in counts.items()
    )
    columns = (
        Column("left"),
        Column("right"),
        *(Column(title, Voice.AI) for title in titles),
    )
    note = Sentence(
        "prompts that left wins · ties · right wins: each pair is read in both orders, and where "
        "the order decides it is a tie; a vote with less than half of its probability on A and B "
        "is left out; votes count for no score",
        Voice.DIM,
    )
    data = [
        {
            "left": view.by_sha[left].name,
            "right": view.by_sha[right].name,
            "judge": title,
            "wins": count.wins,
            "ties": count.ties,
            "losses": count.losses,
        }
        for (left, right), own in counts.items()
        for title, count in own.items()
    ]
    return Section("votes", "votes", ReportKey.AI, (Table(columns, rows), note), data)
