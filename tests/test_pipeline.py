"""The phases, on scripted workers: resume, failures, reports."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from emojudge.domain import Criterion
from emojudge.errors import DeployError, EngineError, NeedsPerson, StoreError
from emojudge.pipeline.estimate import estimate_generation
from emojudge.pipeline.headless import HeadlessRun
from emojudge.pipeline.log_file import start_log
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.reporting import phases_completed
from emojudge.pipeline.results import SECTION_SOURCES, build_sections
from emojudge.pipeline.study import Study
from emojudge.report.html import render_html
from emojudge.sections import ReportKey, Section, Sentence
from emojudge.store.tables import FAILURES, JUDGEMENTS, RESPONSES
from tests.fakes.scripted_worker import HOSTILE
from tests.studies import PROMPTS, SCRIPTED, judged_study, write_study
from tests.test_rating import rate

TOP_KEYS = {
    "pass2_execution",
    "candidate_discovery",
    "ai_judging_results",
    "human_judging_results",
    "final_rankings",
    "model_replacement",
}


async def test_every_cell_is_generated_and_judged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = await judged_study(tmp_path)
    # Two samples of the baseline, one of each of the two others, for three prompts; and one more
    # of the baseline at another batch width.
    assert len(study.store.all(RESPONSES)) == 3 * (2 + 1 + 1 + 1)
    view = study.view()
    assert len(view.responses) == 12
    assert len(view.judgements) == 12 * 3
    assert (len(view.again), len(view.again_judgements)) == (3, 9)
    assert {one.candidate for one in view.again} == {study.baseline.sha256}
    assert set(view.technical) == {one.sha256 for one in view.candidates}
    size = (tmp_path / "responses.log").stat().st_size
    with caplog.at_level(logging.INFO, logger="emojudge"):
        await judged_study(tmp_path)
    assert (tmp_path / "responses.log").stat().st_size == size
    assert "tiny-F16: all 6 responses reused" in caplog.text
    assert "made 0 judgements, 45 were there before" in caplog.text


async def test_the_estimate_counts_what_the_run_then_generates(tmp_path: Path) -> None:
    study = Study(write_study(tmp_path))
    run = HeadlessRun(study, SCRIPTED)
    study.lead()
    await run.discover()
    before = estimate_generation(study)
    await run.ai_judge()
    generated = len(list(study.store.all(RESPONSES)))
    assert (before.cells, before.again) == (generated - before.again, len(PROMPTS))
    assert f"and {before.again} of the baseline once more" in str(before)
    assert study.state.status.judged == study.judged_prompts() == len(PROMPTS)
    after = estimate_generation(study)
    assert (after.cells, after.again) == (0, 0)
    assert "nothing to generate" in str(after)
    study.close()


async def test_a_prompt_is_judged_when_every_judge_has_said_all(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    assert study.judged_prompts() == len(PROMPTS)
    again = Study(study.loaded)
    again.lead()
    mine = next(iter(again.store.all(JUDGEMENTS)))
    again.lead().remove(JUDGEMENTS, [mine.id])
    again.changed(mine.prompt_id)
    assert again.judged_prompts() == len(PROMPTS) - 1
    again.close()


async def test_candidates_get_the_same_seed_and_samples_differ(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    by_prompt: dict[tuple[str, int], set[int]] = {}
    for response in study.store.all(RESPONSES):
        by_prompt.setdefault((response.prompt_id, response.sample), set()).add(response.seed)
    assert all(len(seeds) == 1 for seeds in by_prompt.values())
    assert len({next(iter(seeds)) for seeds in by_prompt.values()}) == len(by_prompt)


async def test_changed_settings_make_new_responses_and_keep_the_old(tmp_path: Path) -> None:
    before = {one.id for one in (await judged_study(tmp_path)).store.all(RESPONSES)}
    study = await judged_study(tmp_path, generation={"temperature": 0.1})
    after = {one.id for one in study.store.all(RESPONSES)}
    assert before < after
    view = study.view()
    assert {one.id for one in (*view.responses, *view.again)} == after - before


async def test_a_failed_cell_is_recorded_and_the_run_goes_on(tmp_path: Path) -> None:
    prompts = [*PROMPTS, {"id": "bad", "prompt": "CRASH please", "category": "x"}]
    study = await judged_study(tmp_path, prompts=prompts)
    failures = study.store.all(FAILURES)
    assert {one.prompt_id for one in failures} == {"bad"}
    assert all("SIGABRT" in one.reason for one in failures)
    assert len(study.view().responses) == 12
    assert "ai-judge" not in phases_completed(study)


async def test_a_failure_is_tried_again_by_the_next_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    bad = f"CRASH-ONCE:{marker} CRASH-ONCE:{marker}2 CRASH-ONCE:{marker}3"
    prompts = [{"id": "bad", "prompt": bad, "category": "x"}]
    study = await judged_study(tmp_path, prompts=prompts)
    assert len(study.store.all(FAILURES)) == 1
    again = await judged_study(tmp_path, prompts=prompts)
    assert again.store.all(FAILURES) == []
    assert len(again.view().responses) == 4


async def test_nothing_but_failures_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="No candidate answered any prompt"):
        await judged_study(tmp_path, prompts=[{"prompt": "REFUSE this", "category": "x"}])


async def test_full_stops_before_people_and_marks_the_report_incomplete(tmp_path: Path) -> None:
    study = Study(write_study(tmp_path))
    with pytest.raises(NeedsPerson, match="emojudge rate") as caught:
        await HeadlessRun(study, SCRIPTED).run("full")
    assert caught.value.exit_code == 3
    (file,) = (tmp_path / "results").glob("pass2_complete_report_*.json")
    report = json.loads(file.read_text())
    assert set(report) == TOP_KEYS
    assert report["pass2_execution"]["complete"] is False
    assert report["pass2_execution"]["phases_completed"] == ["discover", "ai-judge", "rank"]
    assert report["pass2_execution"]["total_candidates"] == 3
    ranking = report["final_rankings"]["ranking"]
    assert ranking["ranked_by"] == "ai_score"
    assert len({row["ai_score"] for row in ranking["ranking"]}) == 3
    assert all(row["final_score"] is None for row in ranking["ranking"])
    (comparisons,) = (tmp_path / "results").glob("model_comparisons_*.json")
    assert len(json.loads(comparisons.read_text())["prompts"]) == 3
    study.close()


def rate_differently(session: RaterSession, value: int) -> None:
    """The first pane gets ``value``, the others 3."""
    item = session.next_item()
    assert item is not None
    for pane in range(len(item.panes)):
        for _ in Criterion:
            session.score(value if pane == 0 else 3)
    session.submit()


async def test_with_people_full_goes_through_to_the_gates(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    for rater in ("ana", "ben"):
        session = RaterSession(study, rater)
        for value in (2, 4, 5):
            rate_differently(session, value)
        session.close()
    run = HeadlessRun(Study(study.loaded), SCRIPTED)
    with pytest.raises(NeedsPerson, match="Nothing is recommended: No verdict yet") as caught:
        await run.run("full")
    assert caught.value.exit_code == 3
    assert "human-judge" in phases_completed(run.study)
    await run.run("deploy", force="trying it on my own machine")
    assert (tmp_path / "core" / "current" / "core.gguf").is_file()
    report = json.loads(max((tmp_path / "results").glob("pass2_c*.json")).read_text())
    assert report["model_replacement"]["core"]["changes"][0]["action"] == "promote"
    assert report["pass2_execution"]["phases_completed"][-1] == "deploy"
    await run.run("deploy", force="again")
    assert len((tmp_path / "core" / "audit.jsonl").read_text().splitlines()) == 1
    run.study.close()


async def test_deploying_without_ratings_needs_a_person(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    with pytest.raises(NeedsPerson, match="Nobody has rated yet"):
        HeadlessRun(study, SCRIPTED).deploy(None)


async def test_a_changed_candidate_file_is_not_deployed(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    for one in study.discovery.candidates:
        content = bytearray(one.path.read_bytes())
        content[-1] ^= 1
        one.path.write_bytes(content)
    with pytest.raises(DeployError, match="not the file that was judged"):
        HeadlessRun(study, SCRIPTED).deploy("all the same")
    assert not (tmp_path / "core" / "current").exists()


async def test_a_new_section_needs_no_change_elsewhere(tmp_path: Path) -> None:
    view = (await judged_study(tmp_path)).view()

    def extra(seen: object) -> Section:
        return Section("weather", "the weather", ReportKey.AI, (Sentence("rain <b>"),), {"mm": 3})

    sections = build_sections(view, (*SECTION_SOURCES, extra))
    page = render_html(view, sections, ["discover"], "today")
    assert "the weather" in page
    assert "rain &lt;b&gt;" in page


async def test_the_html_report_loads_nothing_and_escapes_everything(tmp_path: Path) -> None:
    study = await judged_study(tmp_path, name="<script>alert(1)</script>")
    page = render_html(study.view(), build_sections(study.view()), [], "today")
    assert "<script>" not in page
    assert "http" not in page
    assert "src=" not in page


async def test_hostile_text_is_stored_as_it_came(tmp_path: Path) -> None:
    study = await judged_study(tmp_path, prompts=[{"prompt": "ESCAPES", "category": "x"}])
    assert {one.text for one in study.view().responses} == {HOSTILE}


def test_a_study_without_discovery_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="--phase discover"):
        HeadlessRun(Study(write_study(tmp_path)), SCRIPTED).rank()


def test_the_log_is_appended_to(tmp_path: Path) -> None:
    for line in ("first", "second"):
        start_log(tmp_path, logging.INFO, None)
        logging.getLogger("emojudge.trial").info(line)
    text = (tmp_path / "pass2_execution.log").read_text()
    assert [line.split()[-1] for line in text.splitlines()] == ["first", "second"]
    for handler in tuple(logging.getLogger("emojudge").handlers):
        logging.getLogger("emojudge").removeHandler(handler)
        handler.close()
    logging.getLogger("emojudge").propagate = True


async def test_ratings_of_other_settings_are_left_out_and_told(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    session = RaterSession(study, "ana")
    for value in (2, 4, 5):
        rate(session, value)
    session.close()
    assert len(study.view().counted_items) == 3
    changed = await judged_study(tmp_path, generation={"temperature": 0.2})
    assert len(changed.view().counted_items) == 0
    assert changed.view().left_out_items == 3
    assert "human-judge" not in phases_completed(changed)
    texts = str(build_sections(changed.view()))
    assert "3 rated items left out" in texts


async def test_a_lowered_sample_count_does_not_lock_a_rater_out(tmp_path: Path) -> None:
    study = await judged_study(tmp_path, generation={"samples_per_prompt": 3})
    for rater in ("ana", "ben", "cem", "dee"):
        session = RaterSession(study, rater)
        session.next_item()
        session.close()
    fewer = await judged_study(tmp_path, generation={"samples_per_prompt": 1})
    for rater in ("ana", "ben", "cem", "dee"):
        session = RaterSession(Study(fewer.loaded), rater)
        assert session.next_item() is not None
        session.close()


async def test_a_followers_own_writes_hide_no_change_of_the_leader(tmp_path: Path) -> None:
    loaded = write_study(tmp_path)
    leader = Study(loaded)
    leader.lead()
    await leader.discover()
    follower = Study(loaded)
    follower.follow()
    assert follower.view().judgements == ()
    session = RaterSession(follower, "ben")
    await HeadlessRun(leader, SCRIPTED).ai_judge()
    follower.store.refresh()
    assert session.next_item() is not None
    session.score(3)
    follower.follow()
    assert len(follower.view().judgements) == 36
    session.close()
    leader.close()
