"""The deciding interval and its evidence, against definitions they were not computed from."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from emojudge.estimates import ALPHA, fixed_radius
from emojudge.ranking.evidence import PRIOR_SD, deciding_radius, log_evidence


@pytest.mark.parametrize("degrees", [7, 19, 99])
@pytest.mark.parametrize("se", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("t", [0.0, 1.0, 2.5, 4.0])
def test_evidence_is_the_mixture_of_noncentral_t_over_the_prior(
    degrees: int, se: float, t: float
) -> None:
    def at(effect: float) -> float:
        return float(
            stats.nct.pdf(t, degrees, effect / se) * stats.norm.pdf(effect, scale=PRIOR_SD)
        )

    mixture, _ = integrate.quad(at, -8 * PRIOR_SD, 8 * PRIOR_SD, points=[t * se], limit=200)
    expected = math.log(mixture / stats.t.pdf(t, degrees))
    got = log_evidence(np.array(t * se), np.array(se**2), degrees)
    assert float(got) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("degrees", [7, 30, 200])
def test_the_deciding_interval_ends_where_the_evidence_reaches_its_bound(degrees: int) -> None:
    variance = np.array([1e-5, 1e-4, 4e-4])
    radius = deciding_radius(variance, degrees)
    assert np.isfinite(radius).all()
    assert log_evidence(radius, variance, degrees) == pytest.approx(math.log(1 / ALPHA))
    assert (radius > fixed_radius(variance, degrees)).all()


def test_too_little_data_has_no_bound() -> None:
    assert np.isinf(deciding_radius(np.array([0.04]), 7)).all()
    assert np.isinf(deciding_radius(np.array([1e-4]), 0)).all()
    assert np.isinf(fixed_radius(np.array([1e-4]), 0)).all()
    assert log_evidence(np.array([0.5]), np.array([np.inf]), 20) == pytest.approx(0.0)


def test_no_variance_is_certainty_either_way() -> None:
    evidence = log_evidence(np.array([0.1, 0.0]), np.zeros(2), 20)
    assert evidence.tolist() == [math.inf, -math.inf]
    assert deciding_radius(np.zeros(1), 20).tolist() == [0.0]


def test_the_widths_that_users_are_told() -> None:
    """At 100 ratings: about .10 for two candidates, when the AI adds no noise."""
    variance = 0.6**2 * 2 * 0.25**2 / 50
    assert deciding_radius(np.array([variance]), 49)[0] == pytest.approx(0.10, abs=0.01)
