"""Vectors of texts: computed once, kept by content, and noticed when their model is exchanged."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emojudge.domain import Response
from emojudge.engine.encoder import Encoder
from emojudge.engine.modules import EngineModules
from emojudge.errors import EngineError
from emojudge.judges.judge import Likelihood, Vectors
from emojudge.pipeline.headless import HeadlessRun
from emojudge.pipeline.likelihoods import Likelihoods
from emojudge.pipeline.study import Study
from emojudge.pipeline.text_models import TextModels, files_of
from emojudge.store.tables import JUDGEMENTS
from emojudge.store.vectors import VectorCache
from tests.gguf_files import Q8_0, language_model, write_ladder
from tests.studies import SCRIPTED, judged_study, situations, write_study


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that an encoder or a classifier was asked about, but for probes."""
    texts: list[str] = []
    embed = Encoder._ask

    async def watched(self: Encoder, given: Sequence[str]) -> Vectors:
        texts.extend(given)
        return await embed(self, given)

    monkeypatch.setattr(Encoder, "_ask", watched)
    return texts


def open_study(folder: Path, **changes: Any) -> Study:
    study = Study(write_study(folder, **changes))
    study.lead()
    return study


async def test_the_same_text_is_embedded_once_across_runs(tmp_path: Path, asked: list[str]) -> None:
    study = open_study(tmp_path)
    models = TextModels(study, SCRIPTED.encoder)
    rows = await models.embed(["one", "two", "one"])
    assert rows.shape == (3, 384)
    assert np.array_equal(rows[0], rows[2])
    await models.close()
    assert asked.count("one") == asked.count("two") == 1
    asked.clear()
    again = TextModels(study, SCRIPTED.encoder)
    assert np.array_equal(await again.embed(["two", "one"]), rows[[1, 0]])
    assert "one" not in asked
    assert "two" not in asked
    await again.close()
    study.close()


async def test_what_says_nothing_is_zero_and_asks_nobody(tmp_path: Path, asked: list[str]) -> None:
    study = open_study(tmp_path)
    models = TextModels(study, SCRIPTED.encoder)
    texts = ["", " \n", "\x1b\x00\u202e", "…", "😀", "日本語のこたえ。", "word " * 10_000]
    for rows in (await models.embed(texts), await models.emotions(texts)):
        assert [bool(row.any()) for row in rows] == [False] * 4 + [True] * 3
        assert np.isfinite(rows).all()
    await models.close()
    study.close()


async def test_adding_a_candidate_computes_only_what_is_new(
    tmp_path: Path, asked: list[str]
) -> None:
    write_ladder(tmp_path / "models")
    newcomer = tmp_path / "models" / "tiny-Q5_0" / "tiny-Q5_0.gguf"
    before = await judged_study(tmp_path)
    stored = {one.id for one in before.store.all(JUDGEMENTS)}
    lines = len((tmp_path / "judgements.log").read_bytes().splitlines())
    known = {one.text for one in before.view().responses}
    asked.clear()
    language_model(Q8_0, fill=9, rows=2048).write(newcomer)
    after = await judged_study(tmp_path)
    new = {one.text for one in after.view().responses if one.text not in known}
    assert len(after.discovery.candidates) == 4
    sha = next(one.sha256 for one in after.discovery.candidates if one.name == "tiny-Q5_0")
    fresh = [one for one in after.store.all(JUDGEMENTS) if one.id not in stored]
    assert {one.candidate for one in fresh} == {sha}
    # Three prompts, three judges, one sample; nothing that was there is written again.
    assert len(fresh) == 9
    assert len((tmp_path / "judgements.log").read_bytes().splitlines()) == lines + 9
    assert new
    assert not set(asked) & known


async def test_another_encoder_under_the_same_name_is_noticed(
    tmp_path: Path, asked: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    encoder = tmp_path / "enc"
    encoder.mkdir()
    (encoder / "config.json").write_text("{}")
    changes: dict[str, Any] = {"judging_config": {"encoder": "enc"}}
    before = await judged_study(tmp_path, **changes)
    ids = {one.id for one in before.view().judgements}
    texts = {one.text for one in before.view().responses}
    (encoder / "config.json").write_text('{"hidden_size": 400}')
    asked.clear()
    # The same files elsewhere are the same encoder; only what it gives decides.
    with caplog.at_level(logging.WARNING, logger="emojudge"):
        same = await judged_study(tmp_path, **changes)
    assert {one.id for one in same.view().judgements} == ids
    assert not set(asked) & texts
    (encoder / "config.json").write_text('{"hidden_size": 401}')
    study = Study(write_study(tmp_path, **changes))
    study.lead()
    other = EngineModules(SCRIPTED.worker, "tests.fakes.scripted_encoder_of_another_size")
    with caplog.at_level(logging.WARNING, logger="emojudge"):
        await HeadlessRun(study, other).ai_judge()
    assert "enc is not the model that this study was measured with (400 dimensions now, 384" in (
        caplog.text
    )
    assert texts <= set(asked)
    similar = {one.id for one in study.view().judgements if "similarity" in one.judge}
    assert similar
    assert not similar & ids
    # A profile comes from the head's own encoder, which is the same as before.
    assert {one.id for one in study.view().judgements if "preservation" in one.judge} <= ids
    study.close()


async def test_a_missing_encoder_is_said_and_fluency_is_judged_all_the_same(
    tmp_path: Path,
) -> None:
    await judged_study(tmp_path)
    (tmp_path / "judgements.log").unlink()
    study = Study(write_study(tmp_path, judging_config={"encoder": "missing-encoder"}))
    study.lead()
    with pytest.raises(EngineError, match="missing-encoder cannot be loaded"):
        await HeadlessRun(study, SCRIPTED).ai_judge()
    judges = {one.judge for one in study.view().judgements}
    assert judges == {"model-judge/fluency", "model-judge/preservation"}
    study.close()


async def test_an_emotion_model_of_ones_own_gives_its_own_labels(tmp_path: Path) -> None:
    study = await judged_study(tmp_path, judging_config={"emotion_model": "my/emotions"})
    figures = [one.figures for one in study.view().judgements if "preservation" in one.judge]
    assert len(figures) == 12
    labels = {key for one in figures for key in one if key.startswith("emotion.")}
    assert labels == {"emotion.joy", "emotion.sadness", "emotion.neutral"}


async def test_an_encoder_that_the_head_was_not_fitted_on_is_refused(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    models = TextModels(study, "tests.fakes.scripted_encoder_of_another_size")
    with pytest.raises(EngineError, match="The emotion head was fitted on"):
        await models.emotions(["I am here."])
    await models.close()
    study.close()


# The cache


def test_vectors_are_kept_by_model_and_text(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "study")
    assert cache.get("m", ["a"]) == {}
    cache.put("m", {"a": np.array([1, 2], dtype=np.float32), "\ud800": np.zeros(2, np.float32)})
    again = VectorCache(tmp_path / "study")
    assert again.get("m", ["a", "b"])["a"].tolist() == [1, 2]
    assert set(again.get("m", ["\ud800"])) == {"\ud800"}
    assert again.get("other", ["a"]) == {}
    assert again.file.stat().st_mode & 0o077 == 0
    again.put("old", {"a": np.zeros(2, np.float32)})
    again.keep_only({"m"}, ["a"])
    assert again.get("old", ["a"]) == {}
    assert set(again.get("m", ["a", "\ud800"])) == {"a"}


def test_many_vectors_at_once(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path)
    rows = {f"text {number}": np.full(3, number, np.float32) for number in range(1203)}
    cache.put("m", rows)
    found = cache.get("m", list(rows))
    assert {text: row.tolist() for text, row in found.items()} == {
        text: row.tolist() for text, row in rows.items()
    }


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b""])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, content: bytes) -> None:
    cache = VectorCache(tmp_path)
    cache.file.write_bytes(content)
    assert cache.get("m", ["a"]) == {}
    cache.put("m", {"a": np.ones(1, np.float32)})
    assert cache.get("m", ["a"])["a"].tolist() == [1]


def test_files_tell_that_a_model_folder_was_changed(tmp_path: Path) -> None:
    weights = tmp_path / "one" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"1234")
    before = files_of(str(tmp_path / "one"))
    assert files_of(str(tmp_path / "one")) == before
    weights.write_bytes(b"4321")
    os.utime(weights, ns=(1, 1))
    assert files_of(str(tmp_path / "one")) != before
    assert files_of("sentence-transformers/all-MiniLM-L6-v2") is None


async def test_whoever_stops_waiting_leaves_no_answer_for_the_next(tmp_path: Path) -> None:
    encoder = Encoder("scripted", 1, SCRIPTED.encoder)
    await encoder.warm_up()
    stopped = asyncio.create_task(encoder.embed(["word " * 2_000] * 300))
    await asyncio.sleep(0.05)
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped
    rows = await encoder.embed(["one", "two"])
    again = await encoder.embed(["one", "two"])
    assert rows.shape == (2, 384)
    assert np.array_equal(rows, again)
    await encoder.close()


async def test_likelihoods_of_an_interrupted_run_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second part fails, then the third: the first part's judgements are there."""
    monkeypatch.setattr("emojudge.pipeline.judging._PROMPTS_AT_ONCE", 2)
    asked: list[int] = []
    of = Likelihoods.of

    async def failing(self: Likelihoods, responses: Sequence[Response]) -> list[Likelihood]:
        asked.append(len(responses))
        if len(asked) in (2, 3):
            raise EngineError("the worker was stopped")
        return await of(self, responses)

    monkeypatch.setattr(Likelihoods, "of", failing)
    broken = open_study(tmp_path, prompts=situations(9))
    await broken.discover()
    with pytest.raises(EngineError, match="the worker was stopped"):
        await HeadlessRun(broken, SCRIPTED).ai_judge()
    broken.close()
    assert asked[:3] == [10, 10, 10]
    # Two failures in a row end the judge; a later run does what is missing, and only that.
    assert len(asked) == 3
    asked.clear()
    asked += [0, 0, 0]
    study = await judged_study(tmp_path, prompts=situations(9))
    assert sum(asked) == 5 * 7
    fluent = [one for one in study.view().judgements if "fluency" in one.judge]
    assert len(fluent) == 4 * 9


async def test_a_disk_that_refuses_vectors_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "vectors.sqlite").mkdir()
    with caplog.at_level(logging.WARNING, logger="emojudge"):
        study = await judged_study(tmp_path)
    assert "They are computed again the next time." in caplog.text
    assert len(study.view().judgements) == 36
