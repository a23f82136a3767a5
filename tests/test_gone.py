"""Candidates that were deleted or changed while people rate: rating goes on from what is stored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from emojudge.config_file import LoadedConfig, load_config
from emojudge.errors import NoCandidates, UsageError
from emojudge.pipeline.desk import Desk
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.reporting import write_report
from emojudge.pipeline.study import Study
from tests.gguf_files import write_ladder
from tests.studies import SCRIPTED, judged_study, write_study
from tests.test_rating import rate


def models(study: Study) -> dict[str, Path]:
    return {one.name: one.path for one in study.discovery.candidates}


async def opened(study: Study) -> Desk:
    desk = Desk(Study(study.loaded), "ana", SCRIPTED)
    await desk.begin()
    return desk


async def test_rating_goes_on_when_every_candidate_was_deleted(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    session = RaterSession(study, "ana")
    rate(session)
    session.close()
    shutil.rmtree(study.loaded.resolve(study.config.candidate_dir))
    desk = await opened(study)
    found = desk.study.discovery.candidates
    assert [one.name for one in found] == [one.name for one in study.discovery.candidates]
    assert all("its file is gone" in one.gone for one in found)
    assert [one.is_baseline for one in found] == [True, False, False]
    session = desk.open_session()
    rate(session)
    rate(session)
    assert len(desk.study.view().counted_items) == 3
    report = json.loads(write_report(desk.study).report.read_text())
    problems = [one["problems"] for one in report["candidate_discovery"]["candidates"]["found"]]
    assert all("its file is gone" in own[0] for own in problems)
    await desk.close()
    desk.study.close()


@pytest.mark.parametrize("which", [0, 2])
async def test_one_deleted_candidate_stays_in_the_study(tmp_path: Path, which: int) -> None:
    study = await judged_study(tmp_path)
    session = RaterSession(study, "ana")
    rate(session)
    session.close()
    names = list(models(study))
    models(study)[names[which]].unlink()
    desk = await opened(study)
    found = desk.study.discovery.candidates
    assert [one.name for one in found] == names
    assert [bool(one.gone) for one in found] == [index == which for index in range(3)]
    assert [one.is_baseline for one in found] == [True, False, False]
    item = desk.take_item()
    assert item is not None
    assert len(item.panes) == 3
    # Nobody waits for what nobody can say any more.
    progress = desk.study.state.status.progress
    assert all(one.complete for one in progress.values())
    await desk.close()
    desk.study.close()


async def test_a_changed_file_is_another_model_once_people_rated_the_old_one(
    tmp_path: Path,
) -> None:
    study = await judged_study(tmp_path)
    name, path = list(models(study).items())[2]
    before = {one.name: one.sha256 for one in study.discovery.candidates}
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    desk = await opened(study)
    now = {one.name: one.sha256 for one in desk.study.discovery.candidates}
    assert now[name] != before[name], "nobody had rated it: the new one takes its place"
    await desk.close()
    desk.study.close()

    path.write_bytes(content)
    desk = await opened(study)
    rate(desk.open_session())
    await desk.close()
    desk.study.close()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    desk = await opened(study)
    found = {one.name: one for one in desk.study.discovery.candidates}
    assert found[name].sha256 == before[name]
    assert "its file changed (sha256 " in found[name].gone
    assert [one.name for one in desk.study.discovery.unusable] == [name]
    assert "not the file that people have rated" in desk.study.discovery.unusable[0].reason
    assert len(desk.study.view().counted_items) == 1
    await desk.close()
    desk.study.close()


def moved(study: Study, folder: Path, *without: str) -> LoadedConfig:
    """The study's folder elsewhere, less some of its files; the old place is gone."""
    old = study.loaded.file.parent
    shutil.copytree(old, folder, ignore=shutil.ignore_patterns(*without))
    shutil.rmtree(old)
    return load_config(folder)


async def test_a_study_that_moved_without_a_model_names_it_and_keeps_it(tmp_path: Path) -> None:
    study = await judged_study(tmp_path / "here")
    names = list(models(study))
    for place, without in (("there", (models(study)[names[1]].name,)), ("elsewhere", ())):
        study = Study(moved(study, tmp_path / place, *without))
        desk = Desk(study, "ana", SCRIPTED)
        await desk.begin()
        found = desk.study.discovery.candidates
        assert [one.name for one in found] == names
        assert [bool(one.gone) for one in found] == [False, True, False]
        assert all(one.path.is_relative_to(tmp_path / place) for one in found)
        rate(desk.open_session())
        await desk.close()
        study.close()


async def test_a_study_is_rated_elsewhere_without_any_model(tmp_path: Path) -> None:
    judge = {"name": "warm", "model": "judge/tiny.gguf", "persona": "empathic"}
    write_ladder(tmp_path / "here" / "judge")
    next((tmp_path / "here" / "judge").rglob("*.gguf")).rename(tmp_path / "here/judge/tiny.gguf")
    study = await judged_study(tmp_path / "here", judging_config={"judges": [judge]})
    loaded = moved(study, tmp_path / "there", "models", "judge")
    desk = Desk(Study(loaded), "ana", SCRIPTED)
    await desk.begin()
    assert all(one.gone for one in desk.study.discovery.candidates)
    assert desk.study.ensemble.judging == ()
    rate(desk.open_session())
    assert len(desk.study.view().counted_items) == 1
    await desk.close()
    desk.study.close()


async def test_a_judge_whose_file_is_gone_stops_a_run_that_would_ask_it(tmp_path: Path) -> None:
    judge = {"name": "warm", "model": "judge.gguf", "persona": "empathic"}
    write_ladder(tmp_path / "more")
    next((tmp_path / "more").rglob("*.gguf")).rename(tmp_path / "judge.gguf")
    study = await judged_study(tmp_path, judging_config={"judges": [judge]})
    (tmp_path / "judge.gguf").unlink()
    again = Study(study.loaded)
    again.lead()
    with pytest.raises(UsageError, match="judge warm"):
        await again.discover()
    again.close()


async def test_a_baseline_outside_the_folder_moves_along(tmp_path: Path) -> None:
    write_study(tmp_path / "here")
    first = next((tmp_path / "here" / "models").rglob("*F16*.gguf"))
    first.rename(tmp_path / "here" / first.name)
    study = await judged_study(tmp_path / "here", baseline_model=first.name)
    desk = Desk(Study(moved(study, tmp_path / "there")), "ana", SCRIPTED)
    await desk.begin()
    found = desk.study.discovery.candidates
    assert [one.gone for one in found] == ["", "", ""]
    assert found[0].path == tmp_path / "there" / first.name
    await desk.close()
    desk.study.close()


async def test_what_the_config_leaves_out_is_not_kept(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    names = list(models(study))
    models(study)[names[2]].unlink()
    desk = Desk(Study(write_study(tmp_path, models_to_compare=names[:2])), "ana", SCRIPTED)
    await desk.begin()
    assert [one.name for one in desk.study.discovery.candidates] == names[:2]
    await desk.close()
    desk.study.close()


async def test_without_anything_stored_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    loaded = write_study(tmp_path)
    shutil.rmtree(loaded.resolve(loaded.config.candidate_dir))
    study = Study(loaded)
    study.lead()
    with pytest.raises(NoCandidates):
        await study.discover()
    study.close()


async def test_a_renamed_file_is_the_same_candidate(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    path = list(models(study).values())[1]
    path.rename(path.with_name("renamed.gguf"))
    desk = await opened(study)
    found = desk.study.discovery.candidates
    assert [one.gone for one in found] == ["", "", ""]
    assert len({one.sha256 for one in found}) == 3
    await desk.close()
    desk.study.close()
