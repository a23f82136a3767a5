"""Judges of known ability: what a scripted model answers when it is asked to score or to vote.

A mind is named by its model's file: ``longest``, ``shortest``, ``random-SEED``, ``constant``,
``right-85-SEED`` (right about 85 % of prompts and damages), ``mumbles`` (hardly any probability on
the digits), ``five`` (always the same digit), ``first`` (votes for what it reads first).
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from functools import lru_cache

from emojudge.domain import Message
from emojudge.judges.off_topic import OFF_TOPIC

TOPIC = "Topic"
_WORDS = ("I", "am", "here", "with", "you", "and", "that", "sounds", "hard", "tell", "me", "more")
_MASS = 0.9


def situation_of(number: int) -> str:
    """A situation whose first words are like no other's, in letters only."""
    code = "".join(chr(ord("a") + int(digit)) for digit in f"{number:04d}")
    return f"{TOPIC}{code} is on my mind and I do not know what to do."


def reply_to(situation: str, seed: str) -> str:
    """What the scripted worker says of a situation, too."""
    draw = random.Random(seed)
    words = [draw.choice(_WORDS) for _ in range(draw.randint(8, 20))]
    return " ".join(words) + ". " + " ".join(situation.split()[:12])


def answer(
    mind: str,
    messages: Sequence[Message],
    texts: Sequence[str],
    suffixes: Sequence[str],
    options: Sequence[str],
) -> list[list[float]]:
    """Probabilities, a row per suffix and a column per option."""
    plain = [one.replace("> ", "") for one in texts]
    if len(plain) == 2:
        return [[0.8, 0.1] if mind == "first" else [0.45, 0.45] for _ in suffixes]
    situation = _situation(messages[-1].content)
    return [_digits(mind, situation, plain[0], len(options)) for _ in suffixes]


@lru_cache(maxsize=512)
def _situation(content: str) -> str:
    """The last turn, as far as a scripted reply repeats it; judges read no digits."""
    said = content.split("\n\nThe companion's reply:")[0].rsplit("Person:\n", 1)[1]
    words = said.replace("> ", "").split()[:12]
    return re.sub(r"\d+", "#", " ".join(words))


def _digits(mind: str, situation: str, text: str, count: int) -> list[float]:
    mass = 0.2 if mind == "mumbles" else _MASS
    value = _value(mind, situation, text)
    low = min(count - 1, int(value))
    row = [0.0] * count
    # Between two digits, so that the expected value is exactly this one.
    row[low - 1] = mass * (low + 1 - value)
    row[low] = mass * (value - low)
    return row


def _value(mind: str, situation: str, text: str) -> float:
    if mind == "longest":
        return 1 + 4 * min(1.0, len(text) / 1000)
    if mind == "shortest":
        return 5 - 4 * min(1.0, len(text) / 1000)
    if mind.startswith("random"):
        return 1 + 4 * _share(mind, text)
    if mind.startswith("right"):
        damage = _damage(situation, text)
        right = _share(mind, situation, damage) < int(mind.split("-")[1]) / 100
        return 3.0 if damage == "none" else 2.0 if right else 4.0
    return 5.0 if mind == "five" else 3.0


def _damage(situation: str, text: str) -> str:
    if " ".join(text.split()).endswith(situation):
        return "none"
    if any(one in text for one in OFF_TOPIC):
        return "padded"
    if len(text.split()) <= 5:
        return "cut"
    first = text.split(". ")[0].split()
    return "exchanged" if set(first) <= set(_WORDS) else "shuffled"


def _share(*key: str) -> float:
    digest = hashlib.sha256("\0".join(key).encode()).hexdigest()
    return int(digest[:12], 16) / 16.0**12
