"""Judges against people: bias, slope, correlation and suggested weights, computed another way."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import linregress, pearsonr

from emojudge.estimates import correlation
from emojudge.ranking.agreement_sections import calibration_section
from emojudge.ranking.calibration import calibrations
from emojudge.ranking.scored import scored_study
from tests.test_agreement import study


def test_bias_slope_and_correlation_by_hand() -> None:
    view = study(items=90, raters=2)
    judge = {name: 0.5 * score + 0.2 for name, score in view.ai_scores.items()}
    found = calibrations(view, {"half": judge})["half"]
    ai, people = [], []
    by_response: dict[str, list[float]] = {}
    for item in scored_study(view).items:
        own = np.array([judge[one] for one in item.responses])
        ai.append(own - own.mean())
        people.append(item.people - item.people.mean())
        for response, rating in zip(item.responses, item.people, strict=True):
            by_response.setdefault(response, []).append(float(rating))
    x, y = np.concatenate(ai), np.concatenate(people)
    assert found.slope is not None
    assert found.slope.value == pytest.approx(linregress(x, y).slope)
    assert found.correlation is not None
    assert found.correlation.value == pytest.approx(pearsonr(x, y).statistic)
    assert found.correlation.interval is not None
    assert found.correlation.interval[0] < found.correlation.value < found.correlation.interval[1]
    bias = np.mean([judge[one] - np.mean(own) for one, own in by_response.items()])
    assert found.bias is not None
    assert found.bias.value == pytest.approx(bias)
    assert found.bias.count == len(by_response)
    assert found.suggested == pytest.approx(1.0)


def test_suggested_weights_follow_correlation_and_spread() -> None:
    view = study(items=120, raters=3)
    good = dict(view.ai_scores)
    rng = np.random.default_rng(3)
    noisy = {name: score + rng.normal(0, 0.3) for name, score in good.items()}
    narrow = {name: 0.5 + 0.1 * score for name, score in good.items()}
    backwards = {name: -score for name, score in good.items()}
    found = calibrations(
        view,
        {"good": good, "noisy": noisy, "narrow": narrow, "backwards": backwards, "silent": {}},
    )
    weights = {name: one.suggested for name, one in found.items()}
    assert weights["silent"] is None
    assert weights["backwards"] == 0
    known = [one for one in weights.values() if one is not None]
    assert np.mean(known) == pytest.approx(1)
    assert weights["good"] is not None
    assert weights["narrow"] is not None
    assert weights["noisy"] is not None
    assert weights["good"] > weights["noisy"] > 0
    # The ensemble averages scores as they are, so a tenth of the spread takes ten times the weight.
    assert weights["narrow"] == pytest.approx(10 * weights["good"])


def test_too_few_prompts_suggest_nothing() -> None:
    view = study(items=7, raters=1)
    found = calibrations(view, {"good": dict(view.ai_scores)})["good"]
    assert found.bias is not None
    assert found.suggested is None


def test_the_section_changes_no_weight() -> None:
    view = study(items=90, raters=2)
    assert calibration_section(view) is None
    judged = dataclasses.replace(view, judge_scores={"good": dict(view.ai_scores)}, memo={})
    section = calibration_section(judged)
    assert section is not None
    assert section.data["good"]["suggested_weight"] == pytest.approx(1)
    assert section.data["good"]["configured_weight"] is None
    assert judged.config.judging_config.judges == ()


def test_a_correlation_needs_both_to_vary() -> None:
    prompt = np.array([0, 0, 1, 1, 2, 2])
    one = np.array([1.0, -1, 2, -2, 1, -1])
    found = correlation(one * one, one * one, one * one, prompt)
    assert found is not None
    assert found.value == pytest.approx(1)
    assert correlation(one * 0, one * one, one * 0, prompt) is None
    nothing = np.zeros(0)
    assert correlation(nothing, nothing, nothing, np.zeros(0, dtype=np.int64)) is None
