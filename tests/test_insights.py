"""What is computed beside the screens, the gates made of it, and reading items."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.pilot import Pilot

from emojudge.app import EmojudgeApp
from emojudge.config import Config, HumanJudging, JudgingConfig
from emojudge.deploy.gates import GateStatus
from emojudge.pipeline.deploying import judgement_gates
from emojudge.pipeline.headless import HeadlessRun
from emojudge.pipeline.opened_item import open_item
from emojudge.pipeline.planted_study import store_planted_study
from emojudge.pipeline.study import Study
from emojudge.ranking.agreement_sections import disagreement_section
from emojudge.ranking.simulate.planted import Design, Truth
from emojudge.ranking.simulate.planted_view import planted_view
from emojudge.ranking.standing import rank_candidates, standing_of
from emojudge.screens.item_dialog import ItemDialog
from emojudge.sections import ItemList
from emojudge.settings import Settings
from emojudge.view import StudyView
from tests.studies import SCRIPTED, judged_study, well_rated_study
from tests.test_screens import screen_text, until

SIZES = [("F16", 271), ("Q8_0", 145), ("Q4_0", 88)]


def planted(
    people: Sequence[float], ai: Sequence[float] | None = None, items: int = 160
) -> StudyView:
    truth = Truth(tuple(people), tuple(ai or people))
    return planted_view(truth, Design(40, 4), SIZES[: len(people)], items=items)


def gates_of(view: StudyView, number: int) -> dict[str, tuple[GateStatus, str]]:
    gates = judgement_gates(view, view.candidates[number], standing_of(view))
    return {gate.name: (gate.status, gate.reason) for gate in gates}


def test_gates_speak_for_the_rungs_that_are_as_good() -> None:
    view = planted((0.6, 0.6, 0.45))
    assert gates_of(view, 1)["verdict"] == (GateStatus.PASS, "as good as F16")
    assert gates_of(view, 2)["verdict"][0] is GateStatus.UNKNOWN
    assert gates_of(view, 0)["verdict"][0] is GateStatus.PASS
    assert gates_of(view, 1)["ratings"][0] is GateStatus.PASS


def test_gates_speak_for_the_winner_and_against_who_lost() -> None:
    view = planted((0.5, 0.75, 0.3))
    assert gates_of(view, 1)["verdict"] == (GateStatus.PASS, "better than every rival")
    lost = gates_of(view, 2)["verdict"]
    assert lost == (GateStatus.FAIL, "Q8_0 is better than every rival")


def test_a_dispute_fails_the_gate_and_shows_in_the_confidence() -> None:
    view = planted((0.65, 0.5), (0.5, 0.65))
    gates = gates_of(view, 0)
    assert gates["verdict"] == (GateStatus.FAIL, "AI and people are in dispute")
    assert gates["confidence"][0] is GateStatus.FAIL
    sure = gates_of(planted((0.65, 0.5)), 0)
    assert sure["confidence"][0] is GateStatus.PASS


def test_gates_are_unknown_while_nothing_is_computed_or_rated() -> None:
    view = planted((0.6, 0.5))
    waiting = judgement_gates(view, view.candidates[1], None)
    assert all(gate.status is GateStatus.UNKNOWN for gate in waiting)
    nobody = gates_of(planted((0.6, 0.5), items=0), 0)
    assert nobody["verdict"] == (GateStatus.UNKNOWN, "there is none yet")
    assert nobody["ratings"][0] is GateStatus.FAIL


async def test_headless_deploys_what_the_verdict_recommends(tmp_path: Path) -> None:
    """The leader by scores is F16; a rung that is as good would be chosen before it."""
    study = await well_rated_study(tmp_path)
    run = HeadlessRun(study, SCRIPTED)
    generation = run.deploy("no other gate is measured yet")
    standing = standing_of(study.view())
    assert standing.decision is not None
    assert standing.decision.recommended is not None
    chosen = standing.score_of(standing.decision.recommended).candidate
    assert generation.manifest.name == chosen.name
    run.rank()
    lines = run.outcome().lines()
    assert any(line.startswith("verdict: F16 is the best") for line in lines)


# Reading items


def items_of(view: StudyView) -> ItemList:
    section = disagreement_section(view)
    assert section is not None
    (found,) = [block for block in section.blocks if isinstance(block, ItemList)]
    return found


def test_disagreements_are_held_back_until_there_is_a_verdict() -> None:
    unsure = planted((0.6, 0.57), items=20)
    held = items_of(unsure)
    assert held.items == ()
    assert "held back until there is a verdict" in held.empty
    shown = dataclasses.replace(
        unsure,
        config=Config(human_judging=HumanJudging(show_ai_scores="after_item")),
        memo={},
    )
    assert items_of(shown).items
    assert items_of(planted((0.7, 0.5))).items


def test_an_opened_item_lifts_its_letters() -> None:
    view = planted((0.7, 0.5, 0.6))
    item = view.rated[3]
    opened = open_item(view, item.id)
    assert opened is not None
    assert [pane.letter for pane in opened.panes] == ["A", "B", "C"]
    names = [view.labels[one.candidate] for one in item.ratings]
    assert [pane.label for pane in opened.panes] == names
    assert all(pane.ai is not None for pane in opened.panes)
    assert open_item(view, "nobody:0") is None
    gone = dataclasses.replace(view, responses=(), memo={})
    assert open_item(gone, item.id) is None


def app_on(study: Study, screen: str) -> EmojudgeApp:
    return EmojudgeApp(
        study,
        Settings(reveal_words_per_second=1000),
        rater="ana",
        first_screen=screen,
        modules=SCRIPTED,
    )


async def computed(pilot: Pilot[None], app: EmojudgeApp) -> None:
    await until(pilot, lambda: app.study_is_up and app.desk.insights.current)


async def test_results_show_the_verdict_and_enter_opens_a_disagreement(tmp_path: Path) -> None:
    app = app_on(await well_rated_study(tmp_path), "results")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "F16 is the best" in screen_text(app))
        await pilot.press("right", "right", "enter")
        await until(pilot, lambda: isinstance(app.screen, ItemDialog))
        await pilot.pause(0.1)
        shown = screen_text(app)
        assert "A · " in shown
        assert "too cheerful for the moment" in shown
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, ItemDialog))
    app.desk.study.close()


async def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    app = app_on(Study((await judged_study(tmp_path)).loaded), "results")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "Nobody has rated yet" in screen_text(app))
        await pilot.press("enter")
        told = "There is no disagreement to read yet."
        await until(pilot, lambda: told in {one.message for one in app._notifications})
    app.desk.study.close()


async def test_the_rating_screen_says_how_far_the_verdict_is(tmp_path: Path) -> None:
    app = app_on(await well_rated_study(tmp_path), "rate")
    async with app.run_test(size=(140, 40)) as pilot:
        await until(pilot, lambda: "verdict reached" in screen_text(app))
        await until(pilot, lambda: "same order" in screen_text(app))
        assert " of at most " in screen_text(app)
    app.desk.study.close()


async def test_sections_are_built_only_while_somebody_looks(tmp_path: Path) -> None:
    app = app_on(await well_rated_study(tmp_path), "rate")
    async with app.run_test(size=(120, 40)) as pilot:
        await computed(pilot, app)
        assert app.desk.insights.latest is not None
        assert app.desk.insights.latest.sections is None
        await pilot.press("f4")
        await computed(pilot, app)
        assert app.desk.insights.latest.sections is not None
        seen = app.desk.insights.latest.sections_version
        await pilot.press("f3")
        app.desk.study.changed()
        await computed(pilot, app)
        assert app.desk.insights.latest.version > seen
        assert app.desk.insights.latest.sections_version == seen
    app.desk.study.close()


@pytest.mark.parametrize("wanted", ["after_study", "after_item"])
async def test_what_the_ai_said_is_told_only_where_the_config_wants_it(
    tmp_path: Path, wanted: str
) -> None:
    study = await judged_study(tmp_path, human_judging={"show_ai_scores": wanted})
    warned = any("learn to say the same" in one for one in study.loaded.warnings)
    assert warned is (wanted == "after_item")
    app = app_on(Study(study.loaded), "rate")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "believability" in screen_text(app))
        await pilot.press("space", *"123412341234", "enter")
        await until(pilot, lambda: len(app.desk.study.view().rated) == 1)
        await pilot.pause(0.1)
        assert ("the AI's order was" in screen_text(app)) is (wanted == "after_item")
    app.desk.study.close()


def test_a_stored_planted_study_gives_the_planted_scores(tmp_path: Path) -> None:
    view = planted((0.7, 0.5, 0.6), items=30)
    study = Study(store_planted_study(tmp_path, view))
    stored = {score.label: score for score in rank_candidates(study.view())}
    for score in rank_candidates(view):
        assert stored[score.label].human == pytest.approx(score.human)
        if not score.candidate.is_baseline:
            assert stored[score.label].ai == pytest.approx(score.ai)
    study.close()


def test_the_minimum_of_confidence_is_the_configs() -> None:
    view = planted((0.65, 0.5), (0.6, 0.59))
    strict = dataclasses.replace(
        view, config=Config(judging_config=JudgingConfig(minimum_confidence=1.0)), memo={}
    )
    assert gates_of(view, 0)["confidence"][0] is GateStatus.PASS
    assert gates_of(strict, 0)["confidence"][0] is GateStatus.FAIL


def test_a_candidate_found_after_the_verdict_waits_for_the_next_one() -> None:
    view = planted((0.6, 0.6, 0.45))
    standing = standing_of(view)
    file = view.candidates[1].files[0].model_copy(update={"sha256": "0" * 64})
    newer = view.candidates[1].model_copy(update={"files": (file,)})
    gates = judgement_gates(view, newer, standing)
    assert {gate.reason for gate in gates if gate.name == "verdict"} == {"being computed"}


async def test_a_failed_computation_is_told_once_and_rating_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def broken(view: StudyView, *, sections: bool = True) -> None:
        calls.append(sections)
        raise ArithmeticError("made to fail")

    monkeypatch.setattr("emojudge.pipeline.insights.whole_insight", broken)
    app = app_on(Study((await judged_study(tmp_path)).loaded), "rate")
    async with app.run_test(size=(120, 40)) as pilot:
        await computed(pilot, app)
        problem = app.desk.study.state.status.problem
        assert problem is not None
        assert "made to fail" in problem
        app.desk.study.state.say("something else changed")
        await pilot.pause(0.2)
        assert len(calls) <= app.desk.study.state.status.data_version + 1
        await until(pilot, lambda: "believability" in screen_text(app))
    app.desk.study.close()


async def test_a_long_page_is_read_by_pages_and_by_sections(tmp_path: Path) -> None:
    app = app_on(await judged_study(tmp_path), "results")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "fidelity to F16" in screen_text(app))

        def first_line() -> str:
            return screen_text(app).splitlines()[2].strip()

        await pilot.press("n")
        await until(pilot, lambda: first_line() == "ranking")
        await pilot.press("n", "n")
        await until(pilot, lambda: first_line() == "emotions")
        await pilot.press("p")
        await until(pilot, lambda: first_line() == "fidelity to F16")
        await pilot.press("pagedown", "space")
        await until(pilot, lambda: "fidelity to F16" not in screen_text(app))
        await pilot.press("pageup", "pageup", "pageup", "pageup")
        await until(pilot, lambda: first_line() == "verdict")
        await pilot.press("p")
        await pilot.pause()
        assert first_line() == "verdict"
    app.desk.study.close()
