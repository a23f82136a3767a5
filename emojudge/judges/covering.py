"""What a judge reads of a reply: nothing that talks of scores, and no digits.

A language model that is asked for a digit repeats digits it has just read, and follows whatever
sounds like a rule; quotation marks and warnings do not keep small models from that. So a sentence
of a reply that talks of scores, wears a control token or plays another speaker is covered by as
many characters of an off-topic sentence, and costs what those cost; digits are covered everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from emojudge.domain import Quality
from emojudge.judges.off_topic import stand_in

_TITLES = "|".join(re.escape(quality.heading) for quality in Quality)
_TALKS_OF_SCORES = re.compile(
    r"\b(?:rat(?:e[sd]?|ings?)|scor(?:e[sd]?|ing)|rubrics?|criteri(?:on|a))\b"
    r"|\b(?:full|top|highest) marks?\b"
    r"|\b(?:one|two|three|four|five|ten|\d+)(?: stars?| marks?| points?|/\d+| out of )"
    rf"|^\W*(?:{_TITLES})\W*(?:[:=]|is\b)"
    r"|<\|[^>]*\|>|\[/?INST\]|</?s>|<</?SYS>>|<(?:start|end)_of_turn>"
    r"|\b(?:ignore|disregard|forget)\b.{0,40}\b(?:instructions?|rules?|above|previous|prompt)\b"
    r"|^\W*(?:assistant|system|user|person|companion)\W*$"
    r"|\bthat was the reply\b|\bwhat was said:",
    re.IGNORECASE | re.DOTALL,
)
_PIECES = re.compile(r"(\s*\n\s*|(?<=[.!?…])\s+)")
_DIGITS = re.compile(r"\d+")
_DIGIT_MARK = "#"


@dataclass(frozen=True)
class AsRead:
    """``text`` as a judge reads it; ``covered`` sentences of it are not the companion's words."""

    text: str
    covered: int


def as_read(reply: str) -> AsRead:
    """A reply as a judge reads it, without thinking blocks."""
    pieces = _PIECES.split(reply)
    kept: list[str] = []
    covered = length = 0
    for sentence, gap in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
        if _TALKS_OF_SCORES.search(sentence):
            # What follows each other is covered as one, so that its lines do not stand out either.
            length += len(sentence) + len(gap)
            covered += 1
            continue
        if length:
            kept.append(_cover(kept, length))
            length = 0
        kept += [sentence, gap]
    if length:
        kept.append(_cover(kept, length).rstrip())
    return AsRead(_DIGITS.sub(_DIGIT_MARK, "".join(kept)), covered)


def _cover(before: list[str], length: int) -> str:
    """A stand-in on the line of what is before it."""
    if before and before[-1].strip() == "":
        before[-1] = " "
    return stand_in(length, len(before)) + " "
