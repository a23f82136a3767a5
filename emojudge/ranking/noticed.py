"""What raters noticed beside their scores: flags, names of models, and quick votes on pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from emojudge.domain import Preference
from emojudge.sections import Block, Column, ReportKey, Row, Section, Sentence, Table, Voice
from emojudge.text import counted, visible_line
from emojudge.view import StudyView

_SHOWN_REASONS = 6


def _flags(view: StudyView) -> Iterator[tuple[str, str]]:
    """Candidate and reason of each flag."""
    known = {one.sha256 for one in view.candidates}
    for item in view.rated:
        for rating in item.ratings if item.repeat_of is None else ():
            if rating.flag:
                yield rating.candidate, rating.flag
        yield from ((sha, reason) for sha, reason in item.flags.items() if sha in known)
    for vote in view.pair_votes:
        for candidate, flag in zip(vote.candidates, vote.flags, strict=True):
            if flag:
                yield candidate, flag


def _named(view: StudyView) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Candidate and the names in each rated response that names a model or vendor."""
    for item in view.counted_items:
        for rating in item.ratings:
            if rating.names:
                yield rating.candidate, rating.names
    for vote in view.pair_votes:
        for candidate, names in zip(vote.candidates, vote.names, strict=True):
            if names:
                yield candidate, names


def noticed_section(view: StudyView) -> Section | None:
    """Flags, named models and quick votes by candidate; nothing while there are none."""
    flags, named = list(_flags(view)), list(_named(view))
    if not (flags or named or view.pair_votes):
        return None
    flagged = Counter(candidate for candidate, _ in flags)
    names = Counter(candidate for candidate, _ in named)
    won: Counter[str] = Counter()
    voted: Counter[str] = Counter()
    tied: Counter[str] = Counter()
    for vote in view.pair_votes:
        voted.update(vote.candidates)
        if vote.preferred is Preference.TIE:
            tied.update(vote.candidates)
        else:
            won[vote.candidates[0 if vote.preferred is Preference.LEFT else 1]] += 1
    rows = tuple(
        Row(
            (
                view.labels[one.sha256],
                flagged[one.sha256],
                names[one.sha256],
                won[one.sha256],
                tied[one.sha256],
                voted[one.sha256] - won[one.sha256] - tied[one.sha256],
            ),
            Voice.BASELINE if one.is_baseline else Voice.PLAIN,
        )
        for one in view.candidates
    )
    columns = (
        Column("candidate"),
        Column("flagged"),
        Column("names a model"),
        Column("votes won"),
        Column("tied"),
        Column("lost"),
    )
    blocks: list[Block] = [Table(columns, rows)]
    reasons = Counter(reason for _, reason in flags).most_common(_SHOWN_REASONS)
    if reasons:
        said = ", ".join(f"{visible_line(reason)} ({count})" for reason, count in reasons)
        blocks.append(Sentence(f"flagged as: {said}", Voice.PEOPLE))
    if named:
        words = sorted({name for _, own in named for name in own})
        blocks.append(
            Sentence(
                f"{counted(len(named), 'rated response')} named a model or vendor "
                f"({visible_line(', '.join(words))}): raters may have guessed who spoke; the "
                "scores count all the same",
                Voice.DIM,
            )
        )
    if view.pair_votes:
        blocks.append(
            Sentence(
                f"{counted(len(view.pair_votes), 'quick vote')}: they feed the Bradley-Terry "
                "strengths, not the verdict",
                Voice.DIM,
            )
        )
    return Section(
        "noticed", "what people noticed", ReportKey.HUMAN, tuple(blocks), _data(view, flags, named)
    )


def _data(
    view: StudyView, flags: list[tuple[str, str]], named: list[tuple[str, tuple[str, ...]]]
) -> dict[str, Any]:
    names = {one.sha256: one.name for one in view.candidates}
    return {
        "flags": [{"candidate": names[sha], "reason": reason} for sha, reason in flags],
        "named_models": [{"candidate": names[sha], "names": list(own)} for sha, own in named],
        "pair_votes": [
            {
                "left": names[vote.candidates[0]],
                "right": names[vote.candidates[1]],
                "preferred": vote.preferred.value,
                "rater": vote.rater,
                "prompt_id": vote.prompt_id,
            }
            for vote in view.pair_votes
        ],
    }
