"""Damaged replies for the exam, made from the baseline's genuine ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from emojudge.domain import Message, Quality, stable_hash
from emojudge.judges.off_topic import off_topic

EXAM_PROMPTS = 60
EXAM_SAMPLES = 4
LENGTH_TOLERANCE = 0.1
_KEPT_WORDS = 5
_PADDING = 3
_FORBIDDEN = 1e6


class Damage(StrEnum):
    """What is done to a reply."""

    EXCHANGED = "exchanged"
    SHUFFLED = "shuffled"
    CUT = "cut"
    PADDED = "padded"


QUALITIES: Mapping[Damage, tuple[Quality, ...]] = {
    Damage.EXCHANGED: (Quality.APPROPRIATENESS, Quality.CONNECTION),
    Damage.SHUFFLED: (Quality.BELIEVABILITY,),
    Damage.CUT: (Quality.EXPRESSIVE_STRENGTH,),
    Damage.PADDED: (Quality.EXPRESSIVE_STRENGTH,),
}
"""The qualities that each damage examines, and on which it is judged."""


@dataclass(frozen=True)
class Genuine:
    """One prompt of an exam: its situation, and the baseline's replies to it."""

    prompt_id: str
    situation: tuple[Message, ...]
    replies: tuple[str, ...]


@dataclass(frozen=True)
class ExamPrompt:
    """Genuine replies, and by damage the damaged ones in the same order.

    An exchanged reply is None where no other prompt has one of about its length.
    """

    prompt_id: str
    situation: tuple[Message, ...]
    genuine: tuple[str, ...]
    damaged: Mapping[Damage, tuple[str | None, ...]]


def exam_prompts(genuine: Sequence[Genuine], seed: int) -> list[ExamPrompt]:
    """The exam's texts, always the same for the same replies and seed."""
    exchanged = _exchanged(genuine)
    return [
        ExamPrompt(
            one.prompt_id,
            one.situation,
            one.replies,
            {
                Damage.EXCHANGED: exchanged[one.prompt_id],
                Damage.SHUFFLED: _each(one, seed, _shuffled),
                Damage.CUT: _each(one, seed, lambda text, draw: _cut(text)),
                Damage.PADDED: _each(one, seed, _padded),
            },
        )
        for one in genuine
    ]


def _each(
    prompt: Genuine, seed: int, damage: Callable[[str, random.Random], str]
) -> tuple[str, ...]:
    return tuple(
        damage(text, random.Random(stable_hash([seed, prompt.prompt_id, place, text])))
        for place, text in enumerate(prompt.replies)
    )


def _shuffled(text: str, draw: random.Random) -> str:
    words = text.split()
    draw.shuffle(words)
    return " ".join(words)


def _cut(text: str) -> str:
    return " ".join(text.split()[:_KEPT_WORDS])


def _padded(text: str, draw: random.Random) -> str:
    return f"{text.rstrip()} {off_topic(_PADDING, draw.randrange(1 << 16))}"


def _exchanged(genuine: Sequence[Genuine]) -> dict[str, tuple[str | None, ...]]:
    """Every reply's place taken by one of another prompt, all used once, lengths as near as can be.

    The set of texts stays the same, so no judge that looks at a reply alone can tell them apart.
    """
    # Imported where it is needed, because it would hold up the first paint.
    from scipy.optimize import linear_sum_assignment

    places = [(number, reply) for number, one in enumerate(genuine) for reply in one.replies]
    if not places:
        return {}
    prompt = np.array([number for number, _ in places])
    length = np.array([max(1, len(reply)) for _, reply in places], dtype=np.float64)
    cost = np.abs(length[:, None] - length[None, :]) / length[:, None]
    # One that is too far off helps nobody, however far: first as many as possible that do.
    cost = np.where(cost <= LENGTH_TOLERANCE, cost, 1.0)
    cost[prompt[:, None] == prompt[None, :]] = _FORBIDDEN
    rows, columns = linear_sum_assignment(cost)
    taken: dict[str, list[str | None]] = {one.prompt_id: [] for one in genuine}
    for row, column in zip(rows, columns, strict=True):
        near = cost[row, column] <= LENGTH_TOLERANCE
        taken[genuine[prompt[row]].prompt_id].append(places[column][1] if near else None)
    return {prompt_id: tuple(replies) for prompt_id, replies in taken.items()}
