"""What the judges of the ensemble ask models, and the figures that answers become."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emojudge.domain import Message, Quality
from emojudge.judges.rubric import (
    DIGITS,
    LETTERS,
    VOTE_SUFFIX,
    quoted,
    score_suffix,
    score_turns,
    vote_turns,
)

LEAST_MASS = 0.5
"""With less probability on all options together a judge has not chosen between them."""

SILENT, LEFT_OUT, COVERED, SINGLE = "silent", "left_out", "covered", "single_choice"
"""Figures beside the qualities: the reply said nothing; characters of it that had no room; its
covered sentences; whether the judge named one digit, and no probabilities."""

_MASS = "_mass"
_STEP = 4.0
Figures = Mapping[str, float]


@dataclass(frozen=True)
class Question:
    """One conversation, and the beginnings of answers to it that each end before an option.

    ``texts`` belong where ``messages`` hold a mark. ``asked`` says in words what each suffix asks
    for, for those who cannot begin an answer in a model's name.
    """

    messages: tuple[Message, ...]
    texts: tuple[str, ...]
    suffixes: tuple[str, ...]
    asked: tuple[str, ...]
    options: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """Probabilities of the options, a row per suffix; a row may sum to less than 1.

    ``single`` says that only a choice was to be had: a row is then 1 at one option.
    """

    probabilities: tuple[tuple[float, ...], ...]
    left_out: int = 0
    single: bool = False


@dataclass(frozen=True)
class NoAnswer:
    """Why a question has no answer; others may have theirs."""

    reason: str


def score_question(
    voice: str, situation: Sequence[Message], reply: str, qualities: Sequence[Quality]
) -> Question:
    """Scores for a reply, as it is to be read, on these qualities."""
    return Question(
        messages=score_turns(voice, situation),
        texts=(quoted(reply),),
        suffixes=tuple(score_suffix(one) for one in qualities),
        asked=tuple(
            f"Answer with the score for one quality, a single digit: {one.heading}."
            for one in qualities
        ),
        options=DIGITS,
    )


def vote_question(voice: str, situation: Sequence[Message], first: str, second: str) -> Question:
    """Which of two replies, as they are to be read, is better."""
    return Question(
        messages=vote_turns(voice, situation),
        texts=(quoted(first), quoted(second)),
        suffixes=(VOTE_SUFFIX,),
        asked=("Answer with one letter.",),
        options=LETTERS,
    )


def score_figures(answer: Answer, qualities: Sequence[Quality], covered: int) -> dict[str, float]:
    """Expected scores, 1 to 5, and the probability mass on the digits, by quality.

    The expected value of the digits, and not the likeliest, because it tells finer differences
    (G-Eval; arXiv 2503.03064).
    """
    figures: dict[str, float] = {}
    for quality, row in zip(qualities, answer.probabilities, strict=True):
        mass = math.fsum(row)
        figures[quality + _MASS] = mass
        if mass > 0:
            weighted = (digit * share for digit, share in enumerate(row, start=1))
            figures[quality] = math.fsum(weighted) / mass
    figures[LEFT_OUT] = float(answer.left_out)
    figures[COVERED] = float(covered)
    figures[SINGLE] = float(answer.single)
    return figures


def silent_figures(qualities: Sequence[Quality]) -> dict[str, float]:
    """A reply that says nothing has the lowest score on everything; nobody is asked about it."""
    figures = {key: 1.0 for quality in qualities for key in (quality.value, quality + _MASS)}
    return {**figures, SILENT: 1.0}


def mass_of(figures: Figures, quality: Quality) -> float:
    """The probability mass on the digits; 0 where it was not asked."""
    return figures.get(quality + _MASS, 0.0)


def valid(figures: Figures, quality: Quality) -> bool:
    """Whether the judge has chosen a score at all."""
    return quality in figures and mass_of(figures, quality) >= LEAST_MASS


def level(figures: Figures, weights: Mapping[Quality, float]) -> float | None:
    """The weighted mean over the qualities, from 0 to 1; None where one of them is not valid."""
    if not weights or not all(valid(figures, quality) for quality in weights):
        return None
    total = math.fsum(weights.values())
    if total <= 0:
        return None
    mean = math.fsum(weight * figures[quality] for quality, weight in weights.items()) / total
    return (mean - 1) / _STEP
