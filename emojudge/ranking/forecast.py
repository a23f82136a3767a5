"""How many more items a verdict takes, by simulating continuations of the present study.

A continuation draws what is true from what is known, lets the remaining items come in, and looks
at growing numbers of them whether a verdict is reached. The model is the analysis' own, in its
balanced form: prompt p with n items contributes y = θ + u + ε/√n, where u is how the prompt suits
the candidates and ε what items add. Contributions of the prompts rated so far are those that
reproduce their jackknife replicates exactly. What is true is drawn from its posterior under the
evidence's own prior, in which differences of final scores have the standard deviation τ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emojudge.estimates import Floats, Ints
from emojudge.ranking.decision import Decision, Evidence, Kind, Rules
from emojudge.ranking.evidence import DECISIVE, MIN_PROMPTS, PRIOR_SD, deciding_radius, log_evidence
from emojudge.ranking.normal_equations import NormalEquations

CERTAINTY = 0.9
"""The quoted number is enough in this share of the continuations."""
CONTINUATIONS = 200
_USUAL_SPLIT = 0.1
_USUAL_WEIGHT = 40.0
_GROWTH = 1.3
_FIRST_LOOK = 2
_FAR = 4000
_MOST_NUMBERS = 4_000_000


@dataclass(frozen=True)
class Spread:
    """Variances of people's scores: ``item`` of one score, ``suits`` of prompt and candidate."""

    item: float
    suits: float


@dataclass(frozen=True)
class Forecast:
    """``items`` more are enough in 9 of 10 continuations; None: these prompts and people are not.

    ``share`` is the share of continuations that end with all ``remaining`` items rated;
    ``on_new_prompts`` is the number that would do if each came with a prompt of its own, None
    where even thousands would not.
    """

    items: int | None
    share: float
    remaining: int
    on_new_prompts: int | None


def spread_of(sums: NormalEquations, effects: Floats) -> Spread:
    """Moment estimates from residuals of items and of prompts' sums.

    The share that is put down to prompts is drawn towards a tenth, with the weight of 40 pairs of
    scores that share prompt and candidate, because few prompts are rated twice at first.
    """
    residual = sums.moment - np.einsum("pij,j->pi", sums.matrix, effects)
    trace = float(np.einsum("pii->p", sums.matrix).sum())
    explained = float(sums.moment.sum(axis=0) @ effects)
    freedom = trace - (np.count_nonzero(sums.scored) - 1)
    if freedom <= 0:
        return Spread(0.0, 0.0)
    total = max(0.0, float(sums.squares.sum()) - explained) / freedom
    pairs = float(np.einsum("pij,pji->", sums.matrix, sums.matrix)) - trace
    between = float((residual * residual).sum()) * trace / freedom
    shared = (between - total * trace) / total if total > 0 else 0.0
    share = (shared + _USUAL_WEIGHT * _USUAL_SPLIT) / (pairs + _USUAL_WEIGHT)
    share = min(max(share, 0.0), 1.0)
    return Spread((1 - share) * total, share * total)


class _Continuations:
    """Many continuations at once: sums of contributions (B × prompts × K)."""

    def __init__(
        self,
        evidence: Evidence,
        sums: NormalEquations,
        ai_weight: float,
        panes: int,
        prompts: int,
        rng: np.random.Generator,
    ) -> None:
        people = evidence.people
        assert people is not None
        count = len(people.values)
        self._rng = rng
        self._information = (min(panes, count) - 1) / (count - 1)
        spread = spread_of(sums, people.values)
        self.items = np.zeros(prompts)
        self.items[: len(sums.items)] = sums.items
        total = self.items.sum()
        known = people.informative
        own = self.items[known][:, None]
        present = people.values + (total - own) / own * (people.values - people.left_out[known])
        degrees = max(1.0, total * (min(panes, count) - 1) - (count - 1))
        inflate = np.sqrt(degrees / rng.chisquare(degrees, CONTINUATIONS))[:, None, None]
        self._item_sd = math.sqrt(spread.item / self._information) * inflate
        self._suits_sd = math.sqrt(spread.suits) * inflate
        mean_sd = np.sqrt(
            self._item_sd**2 / total + self._suits_sd**2 * float((self.items**2).sum()) / total**2
        )
        prior = (PRIOR_SD / (1 - ai_weight)) ** 2 / 2
        drawn_in = prior / (prior + mean_sd**2)
        self._true = drawn_in * people.values + np.sqrt(drawn_in) * mean_sd * self._contrasts(
            (CONTINUATIONS, 1, count)
        )
        self._suits = self._suits_sd * self._contrasts((CONTINUATIONS, prompts, count))
        self.sums = np.zeros((CONTINUATIONS, prompts, count))
        self.sums[:, known] = own * present
        shrink = self._suits_sd**2 / (self._suits_sd**2 + self._item_sd**2 / own + 1e-30)
        self._suits[:, known] = (
            shrink * (present - self._true) + np.sqrt(1 - shrink) * self._suits[:, known]
        )
        self._ai_weight = ai_weight
        self._ai = self._ai_parts(evidence, prompts, count)

    def _contrasts(self, shape: tuple[int, ...]) -> Floats:
        """Standard normal draws that sum to zero over candidates."""
        draws: Floats = self._rng.normal(size=shape)
        draws -= draws.mean(axis=-1, keepdims=True)
        return draws

    def _ai_parts(self, evidence: Evidence, prompts: int, count: int) -> tuple[Floats, Floats]:
        """The AI's effects (K), and each with a prompt left out (prompts × K); all is judged."""
        if evidence.ai is None or self._ai_weight == 0:
            return np.zeros(count), np.zeros((prompts, count))
        left_out = np.tile(evidence.ai.values, (prompts, 1))
        left_out[: len(evidence.ai.left_out)] = evidence.ai.left_out
        return evidence.ai.values, left_out

    def rate(self, prompts: Sequence[int]) -> None:
        """One more item for each of the given prompts."""
        where, counts = np.unique(np.asarray(prompts, dtype=np.int64), return_counts=True)
        noise = self._contrasts((CONTINUATIONS, len(where), self.sums.shape[2]))
        many = counts[:, None]
        self.sums[:, where] += (
            many * (self._true + self._suits[:, where]) + np.sqrt(many) * self._item_sd * noise
        )
        self.items[where] += counts

    def final(self) -> tuple[Floats, Floats]:
        """Final effects (B × K), and each with an informative prompt left out (B × G × K)."""
        people_weight = 1 - self._ai_weight
        total = self.items.sum()
        informative = np.flatnonzero((self.items > 0) | (self._ai[1] != self._ai[0]).any(axis=1))
        whole = self.sums.sum(axis=1)
        rest = np.maximum(total - self.items[informative], 1)[None, :, None]
        without = (whole[:, None] - self.sums[:, informative]) / rest
        effects = people_weight * whole / total + self._ai_weight * self._ai[0]
        left_out = people_weight * without + self._ai_weight * self._ai[1][informative]
        return effects, left_out


def _against(effects: Floats, left_out: Floats, one: Ints) -> tuple[Floats, Floats]:
    """Differences (B × K) of one candidate per continuation to each, and their variances."""
    rows = np.arange(len(one))
    difference = effects[rows, one][:, None] - effects
    replicates = left_out[rows, :, one][:, :, None] - left_out
    spread = replicates - replicates.mean(axis=1, keepdims=True)
    count = left_out.shape[1]
    return difference, (count - 1) / count * (spread * spread).sum(axis=1)


def _reached(
    effects: Floats, left_out: Floats, rules: Rules, degrees: float, target: int | None
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which continuations have their verdict (B).

    Without ``target``: a winner, or a first rung that is as good. With it: that rung is shown to
    be as good, or shown not to be.
    """
    baseline = np.full(len(effects), rules.baseline)
    difference, variance = _against(effects, left_out, baseline)
    radius = deciding_radius(variance, degrees)
    rung = target if target is not None else (rules.ladder[0] if rules.ladder else None)
    reached = np.zeros(len(effects), dtype=np.bool_)
    if rung is not None:
        reached |= -difference[:, rung] - radius[:, rung] > -rules.margin
    if target is not None:
        return reached | (-difference[:, target] + radius[:, target] < -rules.margin)
    leaders = effects.argmax(axis=1)
    difference, variance = _against(effects, left_out, leaders)
    shown = log_evidence(difference, variance, degrees) >= math.log(DECISIVE)
    shown[np.arange(len(effects)), leaders] = True
    return reached | shown.all(axis=1)


def _looks(remaining: int) -> list[int]:
    """Numbers of further items at which a continuation is looked at."""
    looks, at = [], float(_FIRST_LOOK)
    while at < remaining:
        looks.append(int(at))
        at = max(at * _GROWTH, at + 2)
    return [*looks, remaining] if remaining else []


def _items_until(
    continuations: _Continuations,
    visits: Sequence[int],
    rules: Rules,
    panes: int,
    target: int | None,
) -> tuple[int | None, float]:
    """Items until 9 of 10 continuations are through (None: not with these), and the share."""
    done = np.zeros(CONTINUATIONS, dtype=np.bool_)
    before, share_before, at = 0, 0.0, 0
    count = continuations.sums.shape[2]
    for look in _looks(len(visits)):
        continuations.rate(visits[at:look])
        at = look
        degrees = np.count_nonzero(continuations.items) - 1
        each = continuations.items.sum() * min(panes, count) / count
        if degrees + 1 >= MIN_PROMPTS and each >= rules.minimum_items:
            effects, left_out = continuations.final()
            done |= _reached(effects, left_out, rules, float(degrees), target)
        share = float(done.mean())
        if share >= CERTAINTY:
            part = (CERTAINTY - share_before) / (share - share_before)
            return math.ceil(before + part * (look - before)), share
        before, share_before = look, share
    return None, float(done.mean())


def forecast(
    evidence: Evidence,
    decision: Decision,
    sums: NormalEquations,
    rules: Rules,
    visits: Sequence[int],
    *,
    ai_weight: float,
    panes: int,
    seed: int,
) -> Forecast | None:
    """Items until a verdict; after *smallest as good*, until the next rung is settled.

    ``visits`` are the prompts (indices) of the items that the raters have still before them, in
    order. None when there is nothing to wait for, or nothing to learn from (no two rated items).
    """
    target = None
    if decision.kind is Kind.AS_GOOD:
        target = decision.stopped_at
    if decision.kind in (Kind.WINNER, Kind.DISPUTE) or (
        decision.kind is Kind.AS_GOOD and target is None
    ):
        return None
    people = evidence.people
    if people is None or people.prompts < 2 or len(set(people.groups.tolist())) > 1:
        return None

    def ahead(visits: Sequence[int], prompts: int) -> tuple[int | None, float]:
        rng = np.random.default_rng(seed)
        start = _Continuations(evidence, sums, ai_weight, panes, prompts, rng)
        return _items_until(start, visits, rules, panes, target)

    items, share = ahead(visits, len(sums.items))
    on_new_prompts = None
    if items is None:
        known = len(sums.items)
        far = min(_FAR, _MOST_NUMBERS // (CONTINUATIONS * len(people.values)))
        on_new_prompts, _ = ahead(range(known, known + far), known + far)
    return Forecast(items, share, len(visits), on_new_prompts)
