"""Figures with intervals over prompts, for judges and ranking alike.

Prompts are what a study samples from a population, so they are what the jackknife leaves out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ALPHA = 0.05
MIN_CLUSTERS = 3
"""Fewer prompts give no interval."""

_NO_SPREAD = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval (t, jackknife over prompts), from ``count`` units.

    ``interval`` is None where too few prompts, or no variation, leave it open.
    """

    value: float
    interval: tuple[float, float] | None
    count: int


def t_quantile(degrees: float, probability: float) -> float:
    """The quantile of Student's t distribution."""
    # Imported where it is needed, because it would hold up the first paint.
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def fixed_radius(variance: Floats, degrees: float) -> Floats:
    """Half the width of the t interval that holds when one looks once; infinite without ν."""
    if degrees < 1:
        return np.full(np.shape(variance), np.inf)
    radius: Floats = t_quantile(degrees, 1 - ALPHA / 2) * np.sqrt(variance)
    return radius


def from_left_out(value: float, left_out: Floats, count: int) -> Estimate:
    """A figure from what it becomes without each prompt, shape (prompts,).

    Source: Efron and Stein 1981, variance (n − 1) / n · Σ (θ₍₋ₚ₎ − mean)².
    """
    clusters = len(left_out)
    if clusters < MIN_CLUSTERS or not np.isfinite(left_out).all():
        return Estimate(value, None, count)
    variance = (clusters - 1) / clusters * float(((left_out - left_out.mean()) ** 2).sum())
    radius = float(fixed_radius(np.array(variance), clusters - 1))
    return Estimate(value, (value - radius, value + radius), count)


def ratio(top: Floats, bottom: Floats, prompt: Ints, count: int) -> Estimate | None:
    """Σ top / Σ bottom with a delete-one-prompt jackknife interval; None without a denominator."""
    total = float(bottom.sum())
    if total <= 0:
        return None
    value = float(top.sum()) / total
    tops, bottoms = np.bincount(prompt, top), np.bincount(prompt, bottom)
    used = bottoms > 0
    rest = total - bottoms[used]
    if (rest <= 0).any():
        return Estimate(value, None, count)
    return from_left_out(value, (float(top.sum()) - tops[used]) / rest, count)


def correlation(both: Floats, first: Floats, second: Floats, prompt: Ints) -> Estimate | None:
    """Σ xy / √(Σ x² Σ y²) of centred values, from products by unit, prompts left out in turn.

    None where one of them does not vary.
    """
    if not len(prompt):
        return None
    sums = [np.bincount(prompt, one) for one in (both, first, second)]
    xy, xx, yy = (float(one.sum()) for one in sums)
    if xx <= _NO_SPREAD or yy <= _NO_SPREAD:
        return None
    value = xy / math.sqrt(xx * yy)
    used = np.bincount(prompt) > 0
    rest = [whole - one[used] for whole, one in zip((xy, xx, yy), sums, strict=True)]
    if (rest[1] <= _NO_SPREAD).any() or (rest[2] <= _NO_SPREAD).any():
        return Estimate(value, None, len(prompt))
    found = from_left_out(value, rest[0] / np.sqrt(rest[1] * rest[2]), len(prompt))
    if found.interval is None:
        return found
    low, high = found.interval
    return Estimate(value, (max(-1.0, low), min(1.0, high)), found.count)
