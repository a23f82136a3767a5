"""Which candidates an item shows, by numbers alone: balanced, or those whose comparison decides."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence

import numpy as np

from emojudge.estimates import ALPHA, Ints
from emojudge.ranking.decision import Evidence, Rules, ladder_passed
from emojudge.ranking.evidence import deciding_radius, log_evidence


class Shown:
    """How often each candidate (K) and each pair (K × K) was shown so far."""

    def __init__(self, candidates: int) -> None:
        self.candidates: Ints = np.zeros(candidates, dtype=np.int64)
        self.pairs: Ints = np.zeros((candidates, candidates), dtype=np.int64)

    def add(self, panes: Sequence[int]) -> None:
        """Count one item."""
        where = np.asarray(panes)
        self.candidates[where] += 1
        self.pairs[where[:, None], where] += 1


def balanced(
    shown: Shown, panes: int, draw: random.Random, among: Iterable[int] | None = None
) -> list[int]:
    """The candidates shown least, and of those the pairs shown least; ``draw`` breaks ties."""
    left = list(range(len(shown.candidates)) if among is None else among)
    draw.shuffle(left)
    chosen: list[int] = []
    for _ in range(min(panes, len(left))):
        best = min(left, key=lambda one: (shown.candidates[one], shown.pairs[one, chosen].sum()))
        chosen.append(best)
        left.remove(best)
    return chosen


def adaptive(
    evidence: Evidence | None, rules: Rules, shown: Shown, panes: int, draw: random.Random
) -> tuple[list[int], bool]:
    """The candidates whose comparison decides, as far as is known; prompts are never chosen by it.

    Everything is shown in balance until each candidate has the items that a verdict asks for. Then
    an item shows what the nearer verdict still needs: the leader beside the rivals it has not yet
    been shown to beat, or the baseline beside the next rungs. It may show fewer than ``panes``.
    Says too whether it departed from balance.
    """
    count = len(shown.candidates)
    if count <= panes or evidence is None:
        return balanced(shown, panes, draw), False
    short = [one for one in range(count) if shown.candidates[one] < rules.minimum_items]
    if short:
        return balanced(shown, panes, draw), False
    winner, winner_needs = _for_a_winner(evidence, panes, draw)
    ladder, ladder_needs = _for_the_ladder(evidence, rules, panes)
    chosen = ladder if ladder_needs < winner_needs else winner
    if len(chosen) < 2:
        return balanced(shown, panes, draw), False
    return chosen, True


def _for_a_winner(evidence: Evidence, panes: int, draw: random.Random) -> tuple[list[int], float]:
    """Leader and the rivals of least evidence, and how much more of the present data they need."""
    final = evidence.final
    leader = int(np.argmax(final.values))
    difference, variance = final.against(leader)
    shown = log_evidence(difference, variance, final.prompts - 1)
    rivals = [
        one for one in range(len(shown)) if one != leader and shown[one] < math.log(1 / ALPHA)
    ]
    if not rivals:
        return [], math.inf
    radius = deciding_radius(variance, final.prompts - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        needs = (radius[rivals] / np.abs(difference[rivals])) ** 2 - 1
    draw.shuffle(rivals)
    rivals.sort(key=lambda one: shown[one])
    return [leader, *rivals[: panes - 1]], float(np.nansum(needs))


def _for_the_ladder(evidence: Evidence, rules: Rules, panes: int) -> tuple[list[int], float]:
    """Baseline and the next rungs, and how much more of the present data the first one needs."""
    final = evidence.final
    _, rung = ladder_passed(final, rules, np.ones(len(final.values), dtype=np.bool_))
    if rung is None:
        return [], math.inf
    difference, variance = final.against(rules.baseline)
    gap = rules.margin - difference[rung]
    if gap <= 0:
        return [], math.inf
    radius = deciding_radius(variance[[rung]], final.prompts - 1)[0]
    place = rules.ladder.index(rung)
    return [rules.baseline, *rules.ladder[place : place + panes - 1]], float(
        (radius / gap) ** 2 - 1
    )
