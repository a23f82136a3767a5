"""The verdict's arithmetic: which of the four holds, on effects alone.

Words and study objects are :mod:`emojudge.ranking.verdict`'s; the simulation asks this module after
every item of thousands of studies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from emojudge.estimates import Ints
from emojudge.ranking.effects import Effects, combined
from emojudge.ranking.evidence import DECISIVE, MIN_PROMPTS, deciding_radius, log_evidence

_LOG_DECISIVE = math.log(DECISIVE)


class Kind(StrEnum):
    """The four verdicts, in the order in which they are tried."""

    DISPUTE = "in_dispute"
    WINNER = "winner"
    AS_GOOD = "smallest_as_good"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Rules:
    """What a verdict is reached by.

    ``ladder`` holds candidates from the largest file down, without the baseline; ``margin`` is how
    far below the baseline still counts as good; every candidate that a verdict speaks of needs
    ``minimum_items`` rated items.
    """

    baseline: int
    ladder: tuple[int, ...]
    margin: float
    minimum_items: int


@dataclass(frozen=True)
class Evidence:
    """All that a decision rests on: effects in the final score, of people and of the AI.

    ``rated`` (K) counts the rated items of each candidate; None where people do not count.
    """

    final: Effects
    people: Effects | None
    ai: Effects | None
    rated: Ints | None


def evidence_of(
    ai: Effects | None, people: Effects | None, rated: Ints, ai_weight: float
) -> Evidence | None:
    """Both parts by weight, those of weight 0 left out. None while one that counts is missing.

    ``rated`` (K) counts the rated items of each candidate.
    """
    counting = [
        (weight, part) for weight, part in ((ai_weight, ai), (1 - ai_weight, people)) if weight > 0
    ]
    parts = [(weight, part) for weight, part in counting if part is not None]
    if len(parts) < len(counting):
        return None
    of_people, of_ai = people if ai_weight < 1 else None, ai if ai_weight > 0 else None
    return Evidence(combined(parts), of_people, of_ai, rated if ai_weight < 1 else None)


@dataclass(frozen=True)
class Decision:
    """One of four verdicts. ``passed`` are the rungs shown to be as good, from the largest down.

    ``recommended`` is the winner, or the last rung that passed; None otherwise. ``stopped_at`` is
    the first rung that did not pass, None when all did.
    """

    kind: Kind
    leader: int
    runner_up: int | None
    recommended: int | None
    passed: tuple[int, ...]
    stopped_at: int | None


def decide(evidence: Evidence, rules: Rules) -> Decision:
    """The first of the four verdicts that holds."""
    final = evidence.final
    order = _comparable(evidence, rules)
    leader = int(order[0])
    runner_up = int(order[1]) if len(order) > 1 else None
    enough = _enough(evidence, rules)
    passed, stopped_at = ladder_passed(final, rules, enough)
    kind = Kind.INCONCLUSIVE
    recommended: int | None = None
    if runner_up is not None and enough[[leader, runner_up]].all():
        if in_dispute(evidence, leader, runner_up):
            kind = Kind.DISPUTE
        elif enough.all() and _beats_all(final, leader):
            kind, recommended = Kind.WINNER, leader
    if kind is Kind.INCONCLUSIVE and passed:
        kind, recommended = Kind.AS_GOOD, passed[-1]
    return Decision(kind, leader, runner_up, recommended, passed, stopped_at)


def _comparable(evidence: Evidence, rules: Rules) -> Ints:
    """Candidates that were rated and met the baseline, best first; all if nobody was rated.

    Effects of different groups have no common level, and an unrated candidate's is the AI's alone.
    """
    final = evidence.final
    order = np.argsort(-final.values, kind="stable")
    rated = order if evidence.rated is None else order[evidence.rated[order] > 0]
    if not len(rated):
        return order
    anchor = rules.baseline if rules.baseline in rated else int(rated[0])
    chosen: Ints = rated[final.groups[rated] == final.groups[anchor]]
    return chosen


def _enough(evidence: Evidence, rules: Rules) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which candidates have what a verdict needs before it may speak of them."""
    if evidence.final.prompts < MIN_PROMPTS:
        return np.zeros(len(evidence.final.values), dtype=np.bool_)
    if evidence.rated is None:
        return np.ones(len(evidence.final.values), dtype=np.bool_)
    return np.asarray(evidence.rated >= rules.minimum_items)


def _beats_all(final: Effects, leader: int) -> bool:
    difference, variance = final.against(leader)
    shown = log_evidence(difference, variance, final.prompts - 1) >= _LOG_DECISIVE
    shown[leader] = True
    return bool(shown.all())


def side_shown(effects: Effects, one: int, other: int) -> int:
    """1 or −1 when the deciding interval of one minus other is all on that side of 0, else 0."""
    difference, variance = effects.against(one)
    radius = deciding_radius(variance[[other]], effects.prompts - 1)[0]
    return int(np.sign(difference[other])) if abs(difference[other]) > radius else 0


def in_dispute(evidence: Evidence, leader: int, runner_up: int) -> bool:
    """Whether AI and people each are sure of their order of the first two, and disagree."""
    if evidence.ai is None or evidence.people is None:
        return False
    if min(evidence.ai.prompts, evidence.people.prompts) < MIN_PROMPTS:
        return False
    people = side_shown(evidence.people, leader, runner_up)
    return people != 0 and people == -side_shown(evidence.ai, leader, runner_up)


def ladder_passed(
    final: Effects, rules: Rules, enough: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> tuple[tuple[int, ...], int | None]:
    """The rungs shown not to be worse than the baseline by the margin, and where that stopped.

    Tested from the largest down, stopping at the first that fails: a fixed order needs no
    correction for the number of rungs.
    """
    difference, variance = final.against(rules.baseline)
    lower = -difference - deciding_radius(variance, final.prompts - 1)
    passed: list[int] = []
    for rung in rules.ladder:
        sound = enough[rung] and enough[rules.baseline] and lower[rung] > -rules.margin
        if not sound:
            return tuple(passed), rung
        passed.append(rung)
    return tuple(passed), None
