"""What a judge reads of a reply: nothing that talks of scores, and no digits.

A language model that is asked for a digit repeats digits it has just read, and follows whatever
sounds like a rule; quotation marks and warnings do not keep small models from that. So a sentence
of a reply that talks of scores, wears a control token or plays another speaker is covered by as
many characters of an off-topic sentence, and costs what those cost; digits are covered everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import groupby

from emojudge.domain import Quality
from emojudge.judges.off_topic import stand_in

_TITLES = "|".join(re.escape(quality.heading) for quality in Quality)
_TALKS_OF_SCORES = re.compile(
    r"\b(?:rate[sd]? (?:this|that|it|me|my|the|our|every|all)\b|ratings?\b|rubrics?\b)"
    r"|\b(?:scor(?:e[sd]?|ing)|criteri(?:on|a))\b"
    r"|\b(?:full|top|highest) marks?\b"
    r"|\b(?:one|two|three|four|five|ten|\d+)(?: stars?| marks?| points?|/\d+| out of )"
    r"|\b(?:give|gets?|deserves?|earns?)\b.{0,24}\ban? (?:one|two|three|four|five|ten|\d+)\b"
    rf"|^\W*(?:{_TITLES})\W*(?:[:=–—-]|is\b)"
    r"|<\s?\|[^>]*\|\s?>|\[/?INST\]|</?s>|<</?SYS>>|<(?:start|end)_of_turn>"
    r"|\b(?:ignore|disregard|forget)\b.{0,40}\b(?:instructions?|above|previous|prompt)\b"
    r"|^\W*(?:assistant|system|user|person|companion)\W*$"
    r"|\bthat was the reply\b|\bwhat was said:",
    re.IGNORECASE | re.DOTALL,
)
_PIECES = re.compile(r"(\s*\n\s*|(?<=[.!?…])\s+)")
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
        if _talks_of_scores(sentence):
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
    return AsRead(_without_digits("".join(kept)), covered)


def _without_digits(text: str) -> str:
    """Each number one mark, whatever it is written in: 5, ５, ⑤, ⁵, Ⅴ."""
    runs = groupby(text, lambda character: unicodedata.category(character)[0] == "N")
    return "".join(_DIGIT_MARK if number else "".join(run) for number, run in runs)


def _talks_of_scores(sentence: str) -> bool:
    """Full-width and other look-alikes are read as the letters that they stand for."""
    plain = unicodedata.normalize("NFKC", sentence).replace("▁", "_")
    return _TALKS_OF_SCORES.search(plain) is not None


def _cover(before: list[str], length: int) -> str:
    """A stand-in on the line of what is before it."""
    if before and before[-1].strip() == "":
        before[-1] = " "
    return stand_in(length, len(before)) + " "
