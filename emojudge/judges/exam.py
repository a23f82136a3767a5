"""The exam: what a judge must tell apart before it counts, without anybody's ratings.

Per damage, on each prompt the mean score of the genuine replies is held against the mean of the
same replies damaged, on the qualities that the damage examines; ties lose. A damage is passed when
the lower end of the exact Clopper-Pearson interval of that share (97.5 % one-sided) is above .6,
which takes 44 of 60 prompts.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from emojudge.domain import DamageCount, Exam, Quality
from emojudge.judges.damage import QUALITIES, Damage, ExamPrompt
from emojudge.judges.ensemble_member import Reading
from emojudge.judges.questions import Figures, NoAnswer, level, valid
from emojudge.judges.rubric import COUNTED

PASS_ABOVE = 0.6
ONE_SIDED = 0.025
_TIE = 1e-9
Levels = Callable[[ExamPrompt, str, Damage], float | None]
"""The score, on a damage's qualities, of a text in place of a reply to a prompt."""


class Grade(Enum):
    """What the exam says of a judge."""

    PASSED = "passed"
    PARTIAL = "partial"
    FAILED = "failed"
    NOT_EXAMINED = "not examined"


@dataclass(frozen=True)
class DamageResult:
    """One damage: on ``share`` of the prompts genuine was above damaged; ``lower`` bounds it."""

    damage: Damage
    wins: int
    prompts: int
    share: float
    lower: float

    @property
    def passed(self) -> bool:
        """Whether the judge surely tells this damage more often than not."""
        return self.lower > PASS_ABOVE


def lower_bound(wins: int, prompts: int) -> float:
    """The lower 97.5 % bound of a share (Clopper and Pearson 1934)."""
    # Imported where it is needed, because it would hold up the first paint.
    from scipy.special import betaincinv

    return 0.0 if wins == 0 else float(betaincinv(wins, prompts - wins + 1, ONE_SIDED))


def results_of(counts: Sequence[DamageCount]) -> tuple[DamageResult, ...]:
    """Shares and bounds of an exam's counts, in the order of the damages."""
    known = {one.damage: one for one in counts}
    return tuple(
        DamageResult(
            damage,
            one.wins,
            one.prompts,
            one.wins / one.prompts,
            lower_bound(one.wins, one.prompts),
        )
        for damage in Damage
        if (one := known.get(damage.value)) is not None and one.prompts
    )


def qualities_passed(exam: Exam | None) -> tuple[Quality, ...]:
    """The qualities that count: none without the exam, or if *exchanged* was failed."""
    if exam is None:
        return ()
    passed = {one.damage for one in results_of(exam.counts) if one.passed}
    if Damage.EXCHANGED not in passed:
        return ()
    return tuple(
        quality
        for quality in COUNTED
        if all(damage in passed for damage, own in QUALITIES.items() if quality in own)
    )


def grade_of(exam: Exam | None) -> Grade:
    """The exam's outcome in a word."""
    if exam is None:
        return Grade.NOT_EXAMINED
    passed = qualities_passed(exam)
    if not passed:
        return Grade.FAILED
    return Grade.PASSED if len(passed) == len(COUNTED) else Grade.PARTIAL


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _wins(prompt: ExamPrompt, damage: Damage, levels: Levels) -> bool:
    """Whether genuine is above damaged; a text without a score, or none at all, loses."""
    pairs = [
        (levels(prompt, genuine, damage), levels(prompt, damaged, damage))
        for genuine, damaged in zip(prompt.genuine, prompt.damaged[damage], strict=True)
        if damaged is not None
    ]
    genuine = [one for one, _ in pairs]
    damaged = [other for _, other in pairs]
    if not pairs or None in genuine or None in damaged:
        return False
    return (
        _mean([one for one in genuine if one is not None])
        - _mean([one for one in damaged if one is not None])
        > _TIE
    )


def counts_of(prompts: Sequence[ExamPrompt], levels: Levels) -> tuple[DamageCount, ...]:
    """The exam of whoever gives these levels."""
    return tuple(
        DamageCount(
            damage=damage.value,
            wins=sum(_wins(prompt, damage, levels) for prompt in prompts),
            prompts=len(prompts),
        )
        for damage in Damage
    )


@dataclass(frozen=True)
class Sat:
    """An exam as it was sat: counts, the share of valid answers, texts without an answer, why."""

    counts: tuple[DamageCount, ...]
    valid: float
    unanswered: int
    reason: str


Reads = Callable[[Sequence[Reading], tuple[Quality, ...]], Awaitable[list[Figures | NoAnswer]]]
Told = Callable[[int, int], None]


async def sit(
    read: Reads,
    prompts: Sequence[ExamPrompt],
    told: Told = lambda done, total: None,
    at_once: int = 4,
) -> Sat:
    """Let a judge read the exam's texts, ``at_once`` prompts together. Raises EngineError.

    Each text is read once, on all qualities that any damage examines it on; the qualities of a
    damage count equally.
    """
    figures: dict[tuple[str, str], Figures | NoAnswer] = {}
    for start in range(0, len(prompts), at_once):
        part = prompts[start : start + at_once]
        for qualities, readings in _readings(part).items():
            texts = list(readings)
            found = await read([readings[one] for one in texts], qualities)
            figures |= dict(zip(texts, found, strict=True))
        told(min(start + at_once, len(prompts)), len(prompts))

    def levels(prompt: ExamPrompt, text: str, damage: Damage) -> float | None:
        found = figures[prompt.prompt_id, text]
        if isinstance(found, NoAnswer):
            return None
        return level(found, dict.fromkeys(QUALITIES[damage], 1.0))

    missing = [one.reason for one in figures.values() if isinstance(one, NoAnswer)]
    answered = [one for one in figures.values() if not isinstance(one, NoAnswer)]
    chosen = [valid(one, quality) for one in answered for quality in COUNTED if quality in one]
    return Sat(
        counts=counts_of(prompts, levels),
        valid=sum(chosen) / len(chosen) if chosen else 0.0,
        unanswered=len(missing),
        reason=missing[0] if missing else "",
    )


def _readings(
    prompts: Sequence[ExamPrompt],
) -> dict[tuple[Quality, ...], dict[tuple[str, str], Reading]]:
    """The different texts of these prompts, by the qualities that they are read on."""
    wanted: dict[tuple[str, str], set[Quality]] = {}
    situations = {one.prompt_id: one.situation for one in prompts}
    for prompt in prompts:
        for damage, damaged in prompt.damaged.items():
            for text in (*prompt.genuine, *(one for one in damaged if one is not None)):
                wanted.setdefault((prompt.prompt_id, text), set()).update(QUALITIES[damage])
    grouped: dict[tuple[Quality, ...], dict[tuple[str, str], Reading]] = {}
    for place, qualities in wanted.items():
        in_order = tuple(one for one in COUNTED if one in qualities)
        prompt_id, text = place
        grouped.setdefault(in_order, {})[place] = Reading(situations[prompt_id], text)
    return grouped
