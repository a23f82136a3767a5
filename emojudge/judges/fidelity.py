"""What each candidate loses against the baseline, with intervals and both noise floors.

A loss on a likeness measure is Σ_p (self_p − cross_p) / Σ_p self_p over prompts (see
:mod:`emojudge.judges.likeness`), 0 for the baseline against itself and never clipped; of emotional
preservation it is the *emotional degradation*. Of fluency it is the excess: negative
log-likelihood per token above the baseline's own, in nats. Intervals are t intervals of the
delete-one-prompt jackknife.

The *sampling floor* is what the baseline loses against itself when half of its samples play the
candidate: the 95 % quantile of absolute losses over such splits. The *numeric floor* is what it
loses when it is generated again with the same seeds at another batch width. A candidate that
loses no more than the baseline against itself is not worse.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from emojudge.domain import Judgement
from emojudge.estimates import ALPHA, Estimate, Floats, from_left_out, t_quantile
from emojudge.judges.fluency import FluencyJudge, fluency_score, losses_per_token
from emojudge.judges.likeness import CROSS, OWN, PAIR, SELF, PreservationJudge, SimilarityJudge
from emojudge.judges.own_metrics import OWN_METRIC
from emojudge.view import StudyView

_MOST_SPLITS = 128
_LEAST_SAMPLES = 4
_POWER = 0.8
_QUANTILE = 0.95


class Measure(StrEnum):
    """What a loss is of."""

    DEGRADATION = "emotional_degradation"
    SIMILARITY = "similarity_loss"
    FLUENCY = "fluency_excess"


LIKENESSES = {
    Measure.DEGRADATION: PreservationJudge.name,
    Measure.SIMILARITY: SimilarityJudge.name,
}


@dataclass(frozen=True)
class Floor:
    """How much the baseline differs from itself on one measure.

    ``itself`` is its mean loss over splits of its samples, about 0 unless something is wrong. There
    is none with fewer than four samples of the baseline.
    """

    sampling: float
    itself: Estimate
    splits: int
    numeric: Estimate | None

    @property
    def largest(self) -> float:
        """What a loss must exceed to count."""
        return max(self.sampling, abs(self.numeric.value) if self.numeric is not None else 0.0)


@dataclass(frozen=True)
class Loss:
    """A candidate's loss on one measure.

    ``smallest_seen`` is the loss that this many prompts would have shown to be above the floor in
    8 of 10 studies: floor + (t₀.₉₇₅ + t₀.₈) · standard error; None without an interval or a floor.
    """

    estimate: Estimate
    floor: float | None
    smallest_seen: float | None

    @property
    def found(self) -> bool:
        """Whether its interval lies above the floor: the candidate is worse here."""
        interval = self.estimate.interval
        return interval is not None and self.floor is not None and interval[0] > self.floor


@dataclass(frozen=True)
class CandidateFidelity:
    """One candidate's losses, by measure; what could not be measured is not there.

    ``discrepancy`` is the maximum mean discrepancy of its embeddings from the baseline's, as
    (self of the baseline + self of the candidate) / 2 − cross; ``narrower`` is self of the
    candidate − self of the baseline, above 0 for a duller one. ``fluency`` is its score, 0..1.
    ``custom`` holds a subclass's own figures less the baseline's.
    """

    candidate: str
    losses: Mapping[Measure, Loss]
    discrepancy: Estimate | None
    narrower: Estimate | None
    fluency: float | None
    custom: Mapping[str, Estimate]
    prompts: int


@dataclass(frozen=True)
class Fidelity:
    """All candidates but the baseline, by sha256, and the floors by measure."""

    candidates: Mapping[str, CandidateFidelity]
    floors: Mapping[Measure, Floor]


def _mean(values: Iterable[float]) -> float:
    own = list(values)
    return math.fsum(own) / len(own)


@dataclass(frozen=True)
class _PromptMeans:
    """One candidate's means on one measure over prompts: arrays of one length."""

    prompts: list[str]
    cross: Floats
    self_: Floats
    own: Floats


def _means(judgements: Sequence[Judgement]) -> _PromptMeans:
    by_prompt: dict[str, list[Judgement]] = defaultdict(list)
    for one in judgements:
        by_prompt[one.prompt_id].append(one)
    prompts = sorted(by_prompt)

    def means(key: str) -> Floats:
        values = []
        for prompt in prompts:
            known = [one.figures[key] for one in by_prompt[prompt] if key in one.figures]
            values.append(_mean(known) if known else math.nan)
        return np.array(values)

    return _PromptMeans(prompts, means(CROSS), means(SELF), means(OWN))


def _over_prompts(top: Floats, bottom: Floats) -> Estimate | None:
    """Σ top / Σ bottom; a prompt counts whatever the sign of its part of the denominator."""
    known = ~(np.isnan(top) | np.isnan(bottom))
    tops, bottoms = top[known], bottom[known]
    whole, total = float(tops.sum()), float(bottoms.sum())
    if total <= 0:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        left_out = np.where(total > bottoms, (whole - tops) / (total - bottoms), np.nan)
    return from_left_out(whole / total, left_out, len(tops))


def _mean_of(values: Floats) -> Estimate | None:
    return _over_prompts(values, np.ones(len(values)))


def _loss(means: _PromptMeans) -> Estimate | None:
    return _over_prompts(means.self_ - means.cross, means.self_)


def _excess(candidate: Sequence[Judgement], baseline: Sequence[Judgement]) -> Estimate | None:
    own, reference = _nats(candidate), _nats(baseline)
    shared = sorted(set(own) & set(reference))
    return _mean_of(np.array([_mean(own[one]) - _mean(reference[one]) for one in shared]))


def _nats(judgements: Sequence[Judgement]) -> dict[str, list[float]]:
    losses = losses_per_token(judgements)
    return {prompt: values for (_, prompt), values in losses.items()}


# Floors


def _splits(numbers: Sequence[int], seed: int) -> list[tuple[frozenset[int], frozenset[int]]]:
    """Ways to split sample numbers into a player and a reference; of an even number, both ways."""
    half = len(numbers) // 2
    whole = frozenset(numbers)
    if math.comb(len(numbers), half) <= _MOST_SPLITS:
        halves = [frozenset(one) for one in itertools.combinations(numbers, half)]
    else:
        rng = np.random.default_rng(seed)
        some = [
            frozenset(map(int, rng.choice(numbers, size=half, replace=False)))
            for _ in range(_MOST_SPLITS // 2)
        ]
        halves = [*some, *(whole - one for one in some)]
    return [(one, whole - one) for one in halves]


def _pairs(judgements: Sequence[Judgement]) -> dict[tuple[int, int], float]:
    """The baseline's own likenesses on one prompt, by pair of sample numbers."""
    return {
        (one.sample, int(key.removeprefix(PAIR))): value
        for one in judgements
        for key, value in one.figures.items()
        if key.startswith(PAIR)
    }


def _split_losses(
    pairs: Mapping[tuple[int, int], float], numbers: Sequence[int], players: Floats
) -> tuple[Floats, Floats]:
    """What is lost in each split, and the likeness within its reference half; NaN: samples failed.

    ``players`` (splits × numbers) is 1 for the samples that play the candidate, else 0.
    """
    place = {number: index for index, number in enumerate(numbers)}
    likeness = np.zeros((len(numbers), len(numbers)))
    known = np.zeros_like(likeness)
    for (one, other), value in pairs.items():
        likeness[place[one], place[other]] = value
        known[place[one], place[other]] = 1

    def between(rows: Floats, columns: Floats) -> Floats:
        sums = ((rows @ likeness) * columns).sum(axis=1)
        counts = ((rows @ known) * columns).sum(axis=1)
        means: Floats = np.where(counts > 0, sums / np.where(counts > 0, counts, 1), np.nan)
        return means

    within = between(1 - players, 1 - players)
    return within - between(players, 1 - players), within


def _floor_of_splits(tops: Floats, bottoms: Floats) -> tuple[float, Estimate]:
    """From numerators and denominators (splits × prompts): the quantile, and the mean loss."""
    known = ~(np.isnan(tops) | np.isnan(bottoms))
    tops, bottoms = np.where(known, tops, 0.0), np.where(known, bottoms, 0.0)
    whole, base = tops.sum(axis=1), bottoms.sum(axis=1)
    losses = whole / base
    rest = (whole[:, None] - tops) / (base[:, None] - bottoms)
    left_out = rest.mean(axis=0)
    itself = from_left_out(float(losses.mean()), left_out, tops.shape[1])
    return float(np.quantile(np.abs(losses), _QUANTILE)), itself


def _likeness_floor(
    baseline: Sequence[Judgement], again: Sequence[Judgement], seed: int
) -> Floor | None:
    by_prompt: dict[str, list[Judgement]] = defaultdict(list)
    for one in baseline:
        by_prompt[one.prompt_id].append(one)
    prompts = [pairs for own in by_prompt.values() if (pairs := _pairs(own))]
    numbers = sorted({number for pairs in prompts for number, _ in pairs})
    # A half of one sample has no likeness of its own to compare with.
    if len(prompts) < 2 or len(numbers) < _LEAST_SAMPLES:
        return None
    splits = _splits(numbers, seed)
    players = np.array([[number in side for number in numbers] for side, _ in splits], dtype=float)
    each = [_split_losses(pairs, numbers, players) for pairs in prompts]
    lost = np.stack([one[0] for one in each], axis=1)
    within = np.stack([one[1] for one in each], axis=1)
    if (np.nansum(within, axis=1) <= 0).any():
        return None
    sampling, itself = _floor_of_splits(lost, within)
    return Floor(sampling, itself, len(splits), _loss(_means(again)) if again else None)


def _fluency_floor(
    baseline: Sequence[Judgement], again: Sequence[Judgement], seed: int
) -> Floor | None:
    by_prompt: dict[str, dict[int, float]] = defaultdict(dict)
    for one in baseline:
        for values in losses_per_token([one]).values():
            by_prompt[one.prompt_id][one.sample] = values[0]
    numbers = sorted({number for own in by_prompt.values() for number in own})
    if len(by_prompt) < 2 or len(numbers) < 2:
        return None

    def excess(own: Mapping[int, float], split: tuple[frozenset[int], frozenset[int]]) -> float:
        sides = [[value for number, value in own.items() if number in side] for side in split]
        return _mean(sides[0]) - _mean(sides[1]) if all(sides) else math.nan

    splits = _splits(numbers, seed)
    tops = np.array([[excess(own, split) for own in by_prompt.values()] for split in splits])
    sampling, itself = _floor_of_splits(tops, np.where(np.isnan(tops), np.nan, 1.0))
    # Each split has its mirror image with the opposite sign, so there is no spread to tell.
    itself = Estimate(itself.value, None, itself.count)
    return Floor(sampling, itself, len(splits), _excess(again, baseline) if again else None)


# Candidates


def _with_floor(estimate: Estimate | None, floor: Floor | None) -> Loss | None:
    if estimate is None:
        return None
    largest = floor.largest if floor is not None else None
    seen = None
    if estimate.interval is not None and largest is not None:
        degrees = estimate.count - 1
        radius = (estimate.interval[1] - estimate.interval[0]) / 2
        error = radius / t_quantile(degrees, 1 - ALPHA / 2)
        seen = largest + radius + t_quantile(degrees, _POWER) * error
    return Loss(estimate, largest, seen)


def _custom(candidate: Sequence[Judgement], baseline: Sequence[Judgement]) -> dict[str, Estimate]:
    """Figures of somebody's own less the baseline's, over prompts that both have."""

    def by_prompt(judgements: Sequence[Judgement], key: str) -> dict[str, float]:
        values: dict[str, list[float]] = defaultdict(list)
        for one in judgements:
            if key in one.figures:
                values[one.prompt_id].append(one.figures[key])
        return {prompt: _mean(own) for prompt, own in values.items()}

    found = {}
    for key in sorted({key for one in candidate for key in one.figures}):
        own, reference = by_prompt(candidate, key), by_prompt(baseline, key)
        shared = sorted(set(own) & set(reference))
        difference = _mean_of(np.array([own[one] - reference[one] for one in shared]))
        if difference is not None:
            found[key] = difference
    return found


class _Judgements:
    """Judgements by judge and candidate."""

    def __init__(self, judgements: Iterable[Judgement]) -> None:
        self._of: dict[tuple[str, str], list[Judgement]] = defaultdict(list)
        for one in judgements:
            self._of[one.judge, one.candidate].append(one)

    def of(self, judge: str, candidate: str) -> list[Judgement]:
        return self._of.get((judge, candidate), [])

    def own_metrics(self, candidate: str) -> list[Judgement]:
        return [
            one
            for (judge, of), own in self._of.items()
            if of == candidate and judge.startswith(OWN_METRIC)
            for one in own
        ]


def _compute(view: StudyView) -> Fidelity:
    baseline = next((one.sha256 for one in view.candidates if one.is_baseline), None)
    if baseline is None:
        return Fidelity({}, {})
    known, again = _Judgements(view.judgements), _Judgements(view.again_judgements)
    floors = {
        measure: _likeness_floor(known.of(judge, baseline), again.of(judge, baseline), view.seed)
        for measure, judge in LIKENESSES.items()
    }
    fluent = known.of(FluencyJudge.name, baseline)
    floors[Measure.FLUENCY] = _fluency_floor(
        fluent, again.of(FluencyJudge.name, baseline), view.seed
    )
    found: dict[str, CandidateFidelity] = {}
    for one in view.candidates:
        if one.is_baseline:
            continue
        means = {
            measure: _means(known.of(judge, one.sha256)) for measure, judge in LIKENESSES.items()
        }
        estimates = {measure: _loss(own) for measure, own in means.items()}
        own_text = known.of(FluencyJudge.name, one.sha256)
        estimates[Measure.FLUENCY] = _excess(own_text, fluent)
        losses = {
            measure: _with_floor(estimate, floors[measure])
            for measure, estimate in estimates.items()
        }
        alike = means[Measure.SIMILARITY]
        excess = view.fluency.excess.get(one.sha256, {})
        found[one.sha256] = CandidateFidelity(
            candidate=one.sha256,
            losses={measure: loss for measure, loss in losses.items() if loss is not None},
            discrepancy=_mean_of((alike.self_ + alike.own) / 2 - alike.cross),
            narrower=_mean_of(alike.own - alike.self_),
            fluency=fluency_score(list(excess.values())) if own_text else None,
            custom=_custom(known.own_metrics(one.sha256), known.own_metrics(baseline)),
            prompts=len(alike.prompts),
        )
    return Fidelity(
        found, {measure: floor for measure, floor in floors.items() if floor is not None}
    )


def fidelity_of(view: StudyView) -> Fidelity:
    """Computed once for the same judgements, whatever is rated meanwhile."""
    return view.of_judgements("fidelity", _compute)
