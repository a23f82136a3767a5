"""Intervals and evidence for one difference, from its estimate, variance and degrees of freedom.

``variance`` is the jackknife variance V, ``degrees`` ν = G − 1. All functions take arrays and
broadcast. The mixture over a normal prior of standard deviation τ makes the evidence valid at any
stopping time where V is known (Howard, Ramdas, McAuliffe and Sekhon 2021). Here V is estimated, in
A too; that a difference of zero then reaches E ≥ 1/α in at most a share α of studies, from
``MIN_PROMPTS`` prompts on, is shown by simulation (docs/simulation.md).
"""

from __future__ import annotations

import numpy as np

from emojudge.estimates import ALPHA, Floats

PRIOR_SD = 0.08
"""τ: differences of final scores that matter are of this size."""
MIN_PROMPTS = 8
"""Nothing is decided on fewer prompts."""


def too_few_prompts(prompts: int, minimum_items: int) -> str | None:
    """Why a study of so many prompts reaches no verdict, or not with one rater; None if it can.

    ``minimum_items`` is ``minimum_human_samples``: nobody rates a prompt twice for a verdict.
    """
    more = "more prompts in evaluation_prompts, or a larger performance_config.max_prompts"
    if prompts < MIN_PROMPTS:
        return (
            f"nothing is decided before {MIN_PROMPTS} prompts, and this study has {prompts}: {more}"
        )
    if prompts < minimum_items:
        return (
            f"{prompts} prompts give each candidate at most {prompts} rated items by one person, "
            f"and minimum_human_samples is {minimum_items}: more raters, {more}"
        )
    return None


DECISIVE = 1 / ALPHA
"""A difference counts as shown from this evidence on."""


def _inflation(variance: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return 1 + PRIOR_SD**2 / variance


def deciding_radius(variance: Floats, degrees: float) -> Floats:
    """Half the width of the interval that holds at every look: √(V ν (q − 1) / (1 − q/A)).

    A = 1 + τ²/V and q = (A/α²)^(1/(ν+1)); infinite where q ≥ A, 0 where the variance is.
    """
    variance = np.asarray(variance, dtype=np.float64)
    radius = np.full(variance.shape, np.inf)
    if degrees < 1:
        return radius
    usable = (variance > 0) & np.isfinite(variance)
    inflation = _inflation(variance[usable])
    q = (inflation / ALPHA**2) ** (1 / (degrees + 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        square = variance[usable] * degrees * (q - 1) / (1 - q / inflation)
    radius[usable] = np.where(q < inflation, np.sqrt(np.abs(square)), np.inf)
    radius[variance == 0] = 0.0
    return radius


def log_evidence(difference: Floats, variance: Floats, degrees: float) -> Floats:
    """Natural log of the evidence against a difference of zero.

    −½ log A + (ν+1)/2 · [log(1 + t²/ν) − log(1 + t²/(ν A))] with t² = Δ²/V; 0 where the variance
    is infinite. Zero variance gives ±∞: certainty of a difference, or of none.
    """
    difference, variance = np.broadcast_arrays(
        np.asarray(difference, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    )
    evidence = np.zeros(variance.shape)
    if degrees < 1:
        return evidence
    usable = (variance > 0) & np.isfinite(variance)
    spread, inflation = variance[usable], _inflation(variance[usable])
    t_square = difference[usable] ** 2 / spread
    evidence[usable] = -0.5 * np.log(inflation) + (degrees + 1) / 2 * (
        np.log1p(t_square / degrees) - np.log1p(t_square / (degrees * inflation))
    )
    certain = variance == 0
    evidence[certain] = np.where(difference[certain] == 0, -np.inf, np.inf)
    return evidence
