"""Agreement of AI and people, its ceiling, and people against people, computed another way."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import kendalltau, linregress

from emojudge.domain import Criterion, RatedItem
from emojudge.estimates import Estimate, ratio
from emojudge.ranking.agreement import (
    by_candidate,
    by_criterion,
    by_judge,
    ceiling_of,
    disagreements,
    order_agreement,
    same_order_twice,
)
from emojudge.ranking.people import (
    flagged,
    pairwise_strengths,
    rater_lines,
    reliabilities,
)
from emojudge.ranking.scored import scored_study
from emojudge.ranking.simulate.planted import Design, Truth
from emojudge.ranking.simulate.planted_view import planted_view
from emojudge.view import StudyView

SIZES = [("F16", 271), ("Q8_0", 145), ("Q4_0", 88)]


def study(*, correlation: float = 0.8, items: int = 120, raters: int = 3) -> StudyView:
    strengths = (0.65, 0.6, 0.5)
    truth = Truth(strengths, strengths, correlation=correlation, text=0.2)
    return planted_view(truth, Design(40, raters), SIZES, items=items)


def changed(view: StudyView, change: dict[str, RatedItem]) -> StudyView:
    rated = tuple(change.get(item.id, item) for item in view.rated)
    return dataclasses.replace(view, rated=rated, memo={})


def test_the_share_is_that_of_concordant_pairs_and_tau_is_kendalls() -> None:
    view = study(items=30, raters=1)
    found = order_agreement(view)
    outcomes, ai_all, people_all = [], [], []
    for item in scored_study(view).items:
        for one in range(3):
            for other in range(one):
                ai = np.sign(item.ai[one] - item.ai[other])
                people = item.people[one] - item.people[other]
                people = 0.0 if abs(people) < 1e-9 else np.sign(people)
                outcomes.append((1 + ai * people) / 2)
                ai_all.append(ai)
                people_all.append(people)
    assert found.share is not None
    assert found.share.value == pytest.approx(np.mean(outcomes))
    assert found.pairs == len(outcomes) == 90
    concordance = sum(a * p for a, p in zip(ai_all, people_all, strict=True))
    untied = sum(a != 0 for a in ai_all) * sum(p != 0 for p in people_all)
    assert found.tau is not None
    assert found.tau.value == pytest.approx(concordance / untied**0.5)
    first = scored_study(view).items[0]
    alone = order_agreement(changed_to_one_item(view))
    assert alone.tau is not None
    assert alone.tau.value == pytest.approx(kendalltau(first.ai, first.people).statistic)


def changed_to_one_item(view: StudyView) -> StudyView:
    return dataclasses.replace(view, rated=view.rated[:1], memo={})


def test_the_slope_is_that_of_within_item_regression() -> None:
    view = study(items=40, raters=1)
    items = scored_study(view).items
    ai = np.concatenate([item.ai - item.ai.mean() for item in items])
    people = np.concatenate([item.people - item.people.mean() for item in items])
    found = order_agreement(view).slope
    assert found is not None
    assert found.value == pytest.approx(linregress(ai, people).slope)


def test_a_ratios_interval_is_the_jackknife_over_prompts() -> None:
    rng = np.random.default_rng(2)
    top, bottom = rng.random(30), np.ones(30)
    prompt = np.repeat(np.arange(10), 3)
    found = ratio(top, bottom, prompt, 30)
    left_out = [top[prompt != one].mean() for one in range(10)]
    spread = 0.9 * sum((one - np.mean(left_out)) ** 2 for one in left_out)
    assert found is not None
    assert found.interval is not None
    assert found.value == pytest.approx(top.mean())
    assert found.interval[1] - found.value == pytest.approx(2.2622 * spread**0.5, rel=1e-4)
    few = ratio(top[:6], bottom[:6], prompt[:6], 6)
    assert few is not None
    assert few.interval is None
    assert ratio(np.zeros(0), np.zeros(0), np.zeros(0, dtype=int), 0) is None


def test_an_ai_that_sees_quality_agrees_more_than_one_that_guesses() -> None:
    good, guessing = order_agreement(study(correlation=0.95)), order_agreement(study(correlation=0))
    assert good.share is not None
    assert guessing.share is not None
    assert good.share.value > guessing.share.value
    assert good.share.interval is not None
    assert good.share.interval[0] > 0.5


def test_people_and_ai_differ_by_what_bland_and_altman_say() -> None:
    view = study(items=40, raters=1)
    gaps = np.concatenate([item.people - item.ai for item in scored_study(view).items])
    limits = order_agreement(view).limits
    assert limits is not None
    assert limits.mean == pytest.approx(gaps.mean())
    assert limits.high - limits.mean == pytest.approx(1.96 * gaps.std(ddof=1))
    assert limits.count == len(gaps)


def repeat_of(item: RatedItem, number: int, *, reversed_order: bool = False) -> RatedItem:
    ratings = tuple(reversed(item.ratings))
    if reversed_order:
        flipped = [{name: 6 - score for name, score in rating.scores.items()} for rating in ratings]
        ratings = tuple(
            rating.model_copy(update={"scores": scores})
            for rating, scores in zip(ratings, flipped, strict=True)
        )
    return item.model_copy(
        update={"id": f"repeat:{number}", "ratings": ratings, "repeat_of": item.id}
    )


def with_repeats(view: StudyView, *, reversed_order: bool = False) -> StudyView:
    again = tuple(
        repeat_of(item, number, reversed_order=reversed_order)
        for number, item in enumerate(view.rated[:12])
    )
    return dataclasses.replace(view, rated=(*view.rated, *again), memo={})


def test_the_ceiling_comes_from_repeats_and_other_people() -> None:
    view = study(items=40, raters=1)
    assert order_agreement(view).ceiling is None
    same = with_repeats(view)
    steady = order_agreement(same).ceiling
    assert steady is not None
    assert steady.value > 0.9
    fickle = order_agreement(with_repeats(view, reversed_order=True)).ceiling
    assert fickle is not None
    assert fickle.value < steady.value
    assert len(same.counted_items) == 40
    assert len(same.repeats) == 12


def test_a_perfect_judge_is_right_more_often_than_two_people_agree() -> None:
    """p of each: they agree with probability p² + (1 − p)²."""
    for p in (0.5, 0.6, 0.75, 0.9, 1.0):
        both = Estimate(p * p + (1 - p) ** 2, None, 100)
        found = ceiling_of(both)
        assert found is not None
        assert found.value == pytest.approx(p)
    assert ceiling_of(Estimate(0.8, None, 19)) is None
    assert ceiling_of(None) is None


def test_adaptive_items_are_left_out_of_agreement() -> None:
    view = study(items=40, raters=1)
    chosen = {item.id: item.model_copy(update={"adaptive": True}) for item in view.rated[:30]}
    assert order_agreement(changed(view, chosen)).items == 10


def test_splits_by_criterion_candidate_and_judge() -> None:
    view = study()
    assert set(by_criterion(view)) == set(Criterion)
    shares = by_candidate(view)
    assert all(shares[one.sha256] is not None for one in view.candidates)
    part = dict(view.ai_scores)
    backwards = {name: -score for name, score in part.items()}
    judged = dataclasses.replace(view, part_scores={"good": part, "bad": backwards}, memo={})
    found = by_judge(judged)
    assert found["good"] is not None
    assert found["bad"] is not None
    assert found["good"].value + found["bad"].value == pytest.approx(1)


def test_disagreements_are_the_widest_gaps_first() -> None:
    view = study(correlation=0.0)
    found = disagreements(view, 10)
    assert found
    assert [one.gap for one in found] == sorted((one.gap for one in found), reverse=True)
    for one in found:
        item = scored_study(view).items[one.number]
        people, ai = one.preferred_by_people, one.preferred_by_ai
        assert item.people[people] > item.people[ai]
        assert item.ai[people] < item.ai[ai]


def test_equal_gaps_stay_in_the_order_of_the_items_whatever_rounding_leaves() -> None:
    view = study(items=30)
    scored = scored_study(view)
    wide = next(item for item in scored.items if len(item.people) >= 2)
    turned = np.linspace(0.0, 1.0, len(wide.people))
    scored.items = [
        dataclasses.replace(wide, people=turned + noise * turned, ai=1.0 - turned)
        for noise in np.linspace(0.0, 1e-13, 30)
    ]
    found = disagreements(view, 30)
    assert found[0].gap < found[-1].gap
    assert [one.number for one in found] == list(range(30))


# People against people


def test_reliability_is_computed_on_what_several_rated() -> None:
    view = study(items=120, raters=3)
    lines = {one.name: one for one in reliabilities(view)}
    assert set(lines) == {"score", *(one.value for one in Criterion)}
    score = lines["score"]
    assert score.raters == 3
    assert score.alpha is not None
    assert score.alpha.interval is not None
    assert score.alpha.interval[0] < score.alpha.value < score.alpha.interval[1]
    assert score.kappa is None
    assert lines["connection"].ac2 is not None
    two = {one.name: one for one in reliabilities(study(items=80, raters=2))}
    assert two["connection"].kappa is not None
    assert reliabilities(study(items=30, raters=1)) == ()


def constant(view: StudyView, rater: str) -> StudyView:
    return changed(
        view,
        {
            item.id: item.model_copy(
                update={
                    "ratings": tuple(
                        one.model_copy(update={"scores": dict.fromkeys(Criterion, 3)})
                        for one in item.ratings
                    )
                }
            )
            for item in view.rated
            if item.rater == rater
        },
    )


def test_a_constant_rater_is_flagged_and_not_dropped() -> None:
    view = constant(study(), "rater-2")
    lines = rater_lines(view)
    assert flagged(lines) == ("rater-2 gives every response of an item the same score",)
    assert [line.items for line in lines] == [40, 40, 40]


def test_a_rater_at_chance_is_flagged_where_the_others_agree() -> None:
    strengths = (0.8, 0.5, 0.2)
    view = planted_view(Truth(strengths, strengths, noise=0.05), Design(40, 3), SIZES, items=120)
    rng = np.random.default_rng(1)
    noisy = {}
    for item in view.rated:
        if item.rater == "rater-3":
            ratings = tuple(
                one.model_copy(update={"scores": dict.fromkeys(Criterion, int(rng.integers(1, 6)))})
                for one in item.ratings
            )
            noisy[item.id] = item.model_copy(update={"ratings": ratings})
    flags = flagged(rater_lines(changed(view, noisy)))
    assert flags == ("rater-3 agrees with the others no better than chance",)


def test_consistency_counts_pairs_of_the_same_responses_only() -> None:
    scored = scored_study(study(items=120, raters=3))
    both = same_order_twice(scored, lambda one, other: {one, other} == {"rater-1", "rater-2"})
    everyone = same_order_twice(scored)
    assert both is not None
    assert everyone is not None
    assert both.count < everyone.count
    assert same_order_twice(scored_study(study(items=40, raters=1))) is None


def test_strengths_follow_the_planted_order() -> None:
    found = pairwise_strengths(study()).strengths
    assert found is not None
    order = [name for _, name in sorted(zip(found.scores, found.names, strict=True))]
    assert order == ["Q4_0", "Q8_0", "F16"]
    nobody = pairwise_strengths(study(items=0))
    assert nobody.strengths is None
    assert nobody.why_not
