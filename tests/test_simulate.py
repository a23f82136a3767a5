"""The verdict's promises on planted truth: a short run of what is published."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from emojudge.cli import app
from emojudge.commands.simulate import numbers, run_simulation
from emojudge.errors import StoreError, UsageError
from emojudge.ranking.decision import Kind, decide
from emojudge.ranking.effects import effects_of
from emojudge.ranking.forecast import forecast, spread_of
from emojudge.ranking.simulate.acceptance import (
    PUBLISHED_STUDIES,
    Acceptance,
    Figure,
    Measurement,
    all_measurements,
    forecast_kept,
    measure,
    power,
    short_measurements,
    widened,
)
from emojudge.ranking.simulate.planted import Design, PlantedScores, Truth
from emojudge.ranking.simulate.planted_view import planted_view
from emojudge.ranking.simulate.study import SimulatedStudy
from emojudge.ranking.simulate.summary import Question, share_of, summarise
from emojudge.ranking.simulate.walk import Seen, Task, Until, equal, one_leader, walk

STUDIES = 200


def test_false_winners_are_rare_and_wrong_analyses_are_found_out() -> None:
    """K = 2 and 5 at 20×6, both choosers, bounds widened by the binomial 99 % limit."""
    figures = measure(short_measurements(), STUDIES)
    assert len(figures) == 8
    assert {figure.group for figure in figures} == {"false winner ever", "mutants found out"}
    assert all(figure.studies == STUDIES for figure in figures)
    missed = [figure for figure in figures if not figure.reached]
    assert not missed


def test_bounds_are_widened_in_short_runs_only() -> None:
    assert widened(0.05, PUBLISHED_STUDIES, high=True) == 0.05
    assert 0.05 < widened(0.05, 200, high=True) < 0.10
    assert 0.80 < widened(0.9, 200, high=False) < 0.9


def test_a_missed_figure_is_said() -> None:
    good = Figure("g", "n", 0.04, None, 0.05, 10)
    bad = Figure("g", "m", 0.06, None, 0.05, 10, "why")
    found = Acceptance(10, (good, bad))
    assert not found.reached
    assert Acceptance(10, (good,)).reached
    assert found.as_json()["figures"][1]["reached"] is False
    assert [line[0] for line in found.lines()[1:3]] == ["✓", "✗"]
    assert found.lines()[-1] == "1 figures are missed"


def test_the_published_run_measures_everything_it_promises() -> None:
    tiny = [one for one in all_measurements() if not one.slow]
    figures = measure(tiny[-5:], 2, processes=1)
    groups = {figure.group for figure in figures}
    assert groups == {"coverage", "in dispute"}
    assert len(all_measurements()) == 18 + 4 + 2 + 2 + 1 + 3 + 3 + 2


def test_a_forecast_is_measured_against_what_came() -> None:
    (figure,) = measure([forecast_kept()], 8, processes=1)
    assert figure.group == "forecast kept"
    assert 0 < figure.value <= 1
    assert "median quoted" in figure.note


# Planted truth


def test_scores_have_the_planted_spread() -> None:
    truth = Truth((0.6, 0.5), (0.6, 0.5), prompt=0.0, rater=0.0)
    planted = PlantedScores(truth, Design(400, 1), np.random.default_rng(3))
    scores = np.array([planted.rate(0, prompt, 0, np.array([0, 1])) for prompt in range(400)])
    assert scores.std(axis=0) == pytest.approx(truth.rating_sd, rel=0.1)
    assert truth.rating_sd == pytest.approx(0.25, abs=0.001)
    assert scores.mean(axis=0) == pytest.approx([0.6, 0.5], abs=0.04)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_ai_correlates_with_quality_as_planted(correlation: float) -> None:
    truth = Truth((0.5,), (0.5,), prompt=0.0, correlation=correlation)
    planted = PlantedScores(truth, Design(800, 1), np.random.default_rng(4))
    found = np.corrcoef(planted.ai.ravel(), planted._quality.ravel())[0, 1]
    assert found == pytest.approx(correlation, abs=0.08)


def test_the_same_seed_walks_the_same_way() -> None:
    def seen(seed: int) -> Seen:
        return walk(Task(one_leader(5, 0.15), Design(40, 4), seed, until=Until.WINNER))

    assert seen(11) == seen(11)
    assert len({seen(seed).winner_at for seed in range(11, 16)}) > 1


def test_a_far_leader_is_found_soon_and_everybody_is_rated_first() -> None:
    seen = walk(Task(one_leader(5, 0.4), Design(60, 2), 1, until=Until.WINNER))
    assert seen.winner == 0
    assert seen.winner_at is not None
    assert seen.winner_at >= 5 * 10


def test_adaptive_asks_fewer_than_balanced_when_there_are_many() -> None:
    totals = {"balanced": 0, "adaptive": 0}
    for seed in range(6):
        totals["balanced"] += walk(
            Task(one_leader(8, 0.15), Design(100, 6), seed, "balanced", Until.WINNER)
        ).ratings
        totals["adaptive"] += walk(
            Task(one_leader(8, 0.15), Design(100, 6), seed, "adaptive", Until.WINNER)
        ).ratings
    assert totals["adaptive"] < totals["balanced"]


# Forecast


def test_variances_are_told_apart_where_prompts_are_rated_twice() -> None:
    truth = Truth((0.6, 0.5, 0.4), (0.6, 0.5, 0.4), noise=0.2, text=0.0, interaction=0.2)
    study = SimulatedStudy(truth, Design(100, 6), 2)
    for _ in study:
        pass
    spread = spread_of(study.people, effects_of(study.people).values)
    assert spread.item == pytest.approx(0.04, rel=0.2)
    assert spread.suits == pytest.approx(0.04, rel=0.35)


def at_items(truth: Truth, items: int, prompts: int = 100, raters: int = 4) -> SimulatedStudy:
    study = SimulatedStudy(truth, Design(prompts, raters), 3)
    for _ in zip(range(items), study, strict=False):
        pass
    return study


def ahead(study: SimulatedStudy, visits: list[int]) -> int | None:
    evidence = study.evidence()
    decision = decide(evidence, study.rules)
    assert decision.kind is Kind.INCONCLUSIVE
    found = forecast(
        evidence, decision, study.people, study.rules, visits, ai_weight=0.4, panes=4, seed=1
    )
    assert found is not None
    assert found.remaining == len(visits)
    return found.items


def test_a_small_difference_takes_longer_and_nothing_comes_without_prompts() -> None:
    large, small = at_items(one_leader(2, 0.12), 12), at_items(one_leader(2, 0.04), 12)
    many = list(range(100)) * 4
    for_large, for_small = ahead(large, many), ahead(small, many)
    assert for_large is not None
    assert for_small is None or for_large < for_small
    assert ahead(large, many[:4]) is None


def test_what_is_left_on_few_prompts_may_not_do_what_new_prompts_would() -> None:
    study = at_items(equal(3), 24, prompts=12, raters=4)
    evidence = study.evidence()
    decision = decide(evidence, study.rules)
    found = forecast(
        evidence, decision, study.people, study.rules, [0, 1], ai_weight=0.4, panes=4, seed=1
    )
    assert found is not None
    assert found.items is None
    assert found.share < 0.9
    assert found.on_new_prompts is not None
    assert found.on_new_prompts > 2


# The command's answer


def test_a_summary_counts_what_the_studies_saw(tmp_path: Path) -> None:
    truth = one_leader(3, 0.3)
    question = Question(truth, Design(30, 2), studies=6, seed=5)
    summary = run_simulation(question, tmp_path / "plot.svg")
    assert [one.chooser for one in summary.outcomes] == ["balanced", "adaptive"]
    balanced = summary.outcomes[0]
    assert balanced.right_winner.value > 0.5
    assert balanced.false_winner.value == 0
    assert balanced.ratings_for(0.5) == balanced.ratings_until[2]
    json.dumps(summary.as_json(), allow_nan=False)
    assert any("right winner declared" in line for line in summary.lines())
    root = ElementTree.parse(tmp_path / "plot.svg").getroot()
    assert sum(one.tag.endswith("polyline") for one in root.iter()) == 2


def test_equal_candidates_have_no_right_winner() -> None:
    summary = summarise(Question(equal(2), Design(20, 1), studies=3), processes=1)
    assert all(one.right_winner.value == 0 for one in summary.outcomes)


def test_shares_have_exact_intervals() -> None:
    found = share_of(0, 20)
    assert found.interval[0] == 0
    assert found.interval[1] == pytest.approx(1 - 0.025 ** (1 / 20))


def test_questions_that_no_study_can_have_are_refused() -> None:
    assert numbers("--strengths", "0.6, .5") == (0.6, 0.5)
    for text in ("", "0.6,x", "nan,0.5", "inf,0.1"):
        with pytest.raises(UsageError, match="--strengths"):
            numbers("--strengths", text)
    for people, ai in (((0.5,), (0.5,)), ((0.5, 0.6), (0.5,))):
        with pytest.raises(UsageError, match="2 to 64 numbers"):
            summarise(Question(Truth(people, ai), Design(10, 1), studies=1), processes=1)


def test_a_planted_view_holds_whole_scores_and_is_the_same_for_the_same_seed() -> None:
    sizes = [("F16", 271), ("Q4_0", 88)]
    view = planted_view(one_leader(2, 0.2), Design(20, 2), sizes, items=30)
    again = planted_view(one_leader(2, 0.2), Design(20, 2), sizes, items=30)
    assert view.rated == again.rated
    scores = {score for item in view.rated for one in item.ratings for score in one.scores.values()}
    assert scores <= {1, 2, 3, 4, 5}
    assert len({item.rater for item in view.rated}) == 2


# The command


def test_acceptance_prints_every_figure_and_fails_when_one_is_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def only(bound: float) -> list[Measurement]:
        return [power(2, {0.5: bound})]

    for bound, status in ((400, 0), (21, 1)):
        monkeypatch.setattr("emojudge.commands.simulate.all_measurements", lambda b=bound: only(b))
        done = CliRunner().invoke(app, ["simulate", "--acceptance", "--studies", "4", "--json"])
        assert done.exit_code == status
        found = json.loads(done.stdout)
        assert found["studies"] == 4
        assert found["reached"] is (status == 0)
        assert found["figures"][0]["high"] == bound


def test_the_command_answers_and_draws(tmp_path: Path) -> None:
    plot = tmp_path / "plot.svg"
    arguments = ["simulate", "--strengths", "0.6,0.4", "--prompts", "12", "--raters", "1"]
    done = CliRunner().invoke(app, [*arguments, "--studies", "3", "--plot", str(plot)])
    assert done.exit_code == 0
    assert "2 candidates of true final score 0.600, 0.400" in done.stdout
    assert plot.exists()
    nowhere = CliRunner().invoke(
        app, [*arguments, "--studies", "1", "--plot", str(tmp_path / "no" / "plot.svg")]
    )
    assert isinstance(nowhere.exception, StoreError)
    wrong = CliRunner().invoke(app, ["simulate", "--strengths", "0.6,warm"])
    assert isinstance(wrong.exception, UsageError)
