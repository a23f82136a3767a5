"""How the machine is used: widths, models at once, memory, pace, what is kept."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from emojudge.domain import Response
from emojudge.engine.memory import Memory, free_ram, free_vram
from emojudge.pipeline.cache import cache_contents, prune
from emojudge.pipeline.engine_plan import (
    expected_context,
    models_that_fit,
    plan_engine,
    study_width,
    widest,
    worker_bytes,
)
from emojudge.pipeline.headless import HeadlessRun
from emojudge.pipeline.pace import Pace
from emojudge.pipeline.study import Study
from emojudge.pipeline.technical import Technical
from emojudge.pipeline.workspace import Workspace
from emojudge.store.tables import DISCOVERY, RESPONSES, STUDY
from tests.studies import PROMPTS, SCRIPTED, judged_study, write_study

GB = 1 << 30


def ram(gigabytes: float) -> Memory:
    return Memory("RAM", int(gigabytes * GB), 64 * GB)


async def open_study(folder: Path, size: int, kv: int, **changes: Any) -> Study:
    """A study whose candidates say they are of this size."""
    study = Study(write_study(folder, **changes))
    study.lead()
    await study.discover()
    discovery = study.discovery
    candidates = tuple(
        one.model_copy(
            update={
                "files": tuple(file.model_copy(update={"size": size}) for file in one.files),
                "specs": one.specs.model_copy(update={"kv_bytes_per_token": kv}),
            }
        )
        for one in discovery.candidates
    )
    changed = discovery.model_copy(update={"candidates": candidates})
    study.lead().put(DISCOVERY, [changed])
    return study


async def test_width_and_models_follow_memory(tmp_path: Path) -> None:
    """An 8 GB model with 128 kB a token, as 8B models have."""
    many = [{"id": f"p{number}", "prompt": "word " * 200, "category": "x"} for number in range(30)]
    study = await open_study(tmp_path, 8 * GB, 128 << 10, prompts=many)
    context = expected_context(study)
    assert context % 256 == 0
    assert 300 < context < 1000
    widths = [widest(study, ram(free), context) for free in (2, 11.5, 13, 24, 64)]
    assert widths == sorted(widths)
    assert (widths[0], widths[-1]) == (1, 32)
    largest = study.discovery.candidates[0]
    for free, width in zip((13, 24), widths[2:4], strict=True):
        assert worker_bytes(largest, width, context) <= free * GB * 0.75
        assert width == 32 or worker_bytes(largest, 2 * width, context) > free * GB * 0.75
    fitting = [models_that_fit(study, ram(free), 8, context) for free in (2, 16, 30, 200)]
    assert fitting == [1, 1, 2, 3]
    study.close()


async def test_few_texts_need_no_wide_batch(tmp_path: Path) -> None:
    study = await open_study(tmp_path, GB, 1024, prompts=PROMPTS[:1])
    assert widest(study, ram(64), 256) == 2
    study.close()


async def test_the_width_is_chosen_once_and_kept(tmp_path: Path) -> None:
    study = await open_study(tmp_path, GB, 128 << 10)
    first = study_width(study, ram(64), 512)
    record = study.store.get(STUDY, "study")
    assert record is not None
    assert record.batch_width == first
    assert study_width(study, ram(1), 512) == first
    study.close()
    configured = Study(write_study(tmp_path, performance_config={"batch_size": 5}))
    configured.lead()
    assert study_width(configured, ram(1), 512) == 5
    configured.close()


async def test_models_take_the_cores_that_may_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emojudge.pipeline.engine_plan.usable_cores", lambda: 3)
    study = await judged_study(tmp_path)
    assert (await plan_engine(study)).threads == 3
    study.close()


async def test_responses_record_the_width_they_were_made_at(tmp_path: Path) -> None:
    study = await judged_study(tmp_path, performance_config={"batch_size": 3})
    plan = await plan_engine(study)
    assert plan.width == 3
    assert "3 texts together" in str(plan)
    study.close()


def test_free_memory_is_asked_of_the_system() -> None:
    assert 0 < free_ram().free <= free_ram().total


class _Nvml(SimpleNamespace):
    """NVML as its binding has it: functions, and one error class."""

    NVMLError = OSError

    def __init__(self, *, driver: bool = True, counted: bool = True) -> None:
        super().__init__()
        self.driver, self.counted, self.open = driver, counted, 0

    def nvmlInit(self) -> None:
        if not self.driver:
            raise OSError("NVML Shared Library Not Found")
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index > 0:
            raise OSError("Invalid Argument")
        return index

    def nvmlDeviceGetMemoryInfo(self, device: int) -> SimpleNamespace:
        return SimpleNamespace(free=3 * GB, total=24 * GB, used=21 * GB)

    def nvmlDeviceGetComputeRunningProcesses(self, device: int) -> list[SimpleNamespace]:
        held = 18 * GB if self.counted else None
        return [SimpleNamespace(pid=1, usedGpuMemory=held)]


def test_a_gpu_tells_what_is_free_and_who_holds_the_rest() -> None:
    """Unmeasured on a real GPU: none was at hand."""
    nvml = _Nvml()
    memory = free_vram(0, nvml)
    assert memory is not None
    assert (memory.free, memory.kind) == (3 * GB, "VRAM")
    assert "held by" in str(memory)
    assert "(1, 19.3 GB)" in str(memory)
    assert free_vram(1, nvml) is None
    assert nvml.open == 0
    assert free_vram(0, _Nvml(driver=False)) is None
    uncounted = free_vram(0, _Nvml(counted=False))
    assert uncounted is not None
    assert "(1)" in str(uncounted)


def test_the_pace_counts_texts_that_run_together_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pace = Pace()
    assert pace.tokens_per_second is None
    assert pace.seconds_left(5, 100) is None
    pace.begin()
    pace.begin()
    pace.more(40)
    now += 2
    assert pace.tokens_per_second == 20
    assert pace.seconds_left(2, 100) is None, "none has finished, so their length is not known"
    pace.more(20)
    pace.finished()
    pace.end()
    assert pace.seconds_left(1, 100) == 60 / 30, "one of 60 tokens' worth, as the other is longer"
    assert pace.seconds_left(1, 50) == 50 / 30
    pace.finished()
    pace.end()
    now += 50
    assert pace.tokens_per_second == 30, "idle time does not count"
    assert pace.seconds_left(3, 100) == 3 * 30 / 30
    assert pace.seconds_left(0, 100) is None
    for _ in range(20):
        pace.begin()
    assert pace.seconds_left(3, 100) is None, "2 of 22 have finished"


# The cache


async def test_pruning_removes_what_nothing_refers_to_and_nothing_else(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    study.lead()
    judged = study.store.all(RESPONSES)
    orphan = judged[0].model_copy(update={"id": "orphan", "text": "nobody saw this"})
    study.lead().put(RESPONSES, [orphan])
    contents = cache_contents(study)
    assert contents.unreferred == ("orphan",)
    assert contents.responses == len(judged) + 1
    assert any("--prune" in line for line in contents.lines())
    other = Study(study.loaded)
    after = prune(study)
    assert after.unreferred == ()
    assert study.store.all(RESPONSES) == judged
    assert b"nobody saw this" not in (study.store.folder / "responses.log").read_bytes()
    study.lead().put(RESPONSES, [orphan])
    other.follow()
    assert {one.id for one in other.store.all(RESPONSES)} >= {one.id for one in judged}
    assert not other.store.damage
    study.close()
    fresh = Study(study.loaded)
    assert len(fresh.store.all(RESPONSES)) == len(judged) + 1
    assert not fresh.store.damage


async def test_responses_of_earlier_settings_stay_because_they_were_judged(
    tmp_path: Path,
) -> None:
    before = await judged_study(tmp_path)
    stored: list[Response] = before.store.all(RESPONSES)
    changed = Study(write_study(tmp_path, generation={"temperature": 0.2}))
    contents = prune(changed)
    assert contents.kept == len(stored)
    assert changed.store.all(RESPONSES) == stored
    changed.close()


async def test_predictions_on_other_replies_are_pruned(tmp_path: Path) -> None:
    await judged_study(tmp_path)
    changed = await judged_study(tmp_path, generation={"temperature": 0.2})
    assert len(list((tmp_path / "reference").iterdir())) == 2
    contents = cache_contents(changed)
    assert (len(contents.old_references), contents.prunable) == (1, True)
    assert contents.computed > (tmp_path / "vectors.sqlite").stat().st_size > 0
    left = prune(changed)
    assert left.old_references == ()
    assert len(list((tmp_path / "reference").iterdir())) == 1
    assert {one.id for one in changed.view().judgements}
    changed.close()


async def test_nothing_is_kept_without_a_cache(tmp_path: Path) -> None:
    study = await judged_study(tmp_path, performance_config={"cache": False})
    assert not (tmp_path / "vectors.sqlite").exists()
    assert list((tmp_path / "reference").iterdir()) == []
    assert len(study.view().technical) == 3
    study.close()


async def test_a_pause_lets_texts_finish_and_starts_no_more(tmp_path: Path) -> None:
    more = [{"id": f"more{number}", "prompt": "and?", "category": "x"} for number in range(40)]
    study = Study(write_study(tmp_path, prompts=more))
    run = HeadlessRun(study, SCRIPTED)
    study.lead()
    await run.discover()
    plan = dataclasses.replace(await plan_engine(study, 1), width=1)
    workspace = Workspace(study, plan, SCRIPTED)
    workspace.conductor.run_all()
    while not study.store.all(RESPONSES):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    workspace.conductor.pause()
    assert not study.state.status.running
    count = -1
    while count != len(study.store.all(RESPONSES)):
        count = len(study.store.all(RESPONSES))
        await asyncio.sleep(0.3)
    assert 0 < count < 160
    # Paused and resumed at once: jobs that are being dropped are not joined again.
    workspace.conductor.run_all()
    workspace.conductor.pause()
    workspace.conductor.run_all()
    while study.state.status.activity != "ai-judge is complete":  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert len(study.view().responses) == 160
    # What follows when all is generated: both floors, the baseline's health, the models.
    view = study.view()
    assert len(view.judgements) == 160 * 3
    assert (len(view.again), len(view.again_judgements)) == (24, 24 * 3)
    assert len(view.technical) == 3
    assert view.baseline_check is not None
    assert study.state.status.problem is None
    await workspace.close()
    study.close()


async def test_a_pause_stops_measuring_and_a_start_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(write_study(tmp_path))
    study.lead()
    await HeadlessRun(study, SCRIPTED).discover()
    workspace = Workspace(study, await plan_engine(study, 1), SCRIPTED)
    began, stopped = asyncio.Event(), asyncio.Event()
    run = Technical.run

    async def waits(self: Technical) -> int:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return 0

    monkeypatch.setattr(Technical, "run", waits)
    workspace.conductor.run_all()
    await asyncio.wait_for(began.wait(), 30)
    workspace.conductor.pause()
    await asyncio.wait_for(stopped.wait(), 30)
    await asyncio.sleep(0.2)
    status = study.state.status
    assert (status.activity, status.running) == ("paused; texts under way are finished", False)
    monkeypatch.setattr(Technical, "run", run)
    workspace.conductor.run_all()
    while study.state.status.activity != "ai-judge is complete":  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert len(study.view().technical) == 3
    await workspace.close()
    study.close()
