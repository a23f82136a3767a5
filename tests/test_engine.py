"""The executor and its processes, on a scripted worker that speaks the real protocol."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from emojudge.domain import Message, ModelFile, Sampling
from emojudge.engine import chat_template
from emojudge.engine.gpu import gpu_present, gpu_warning
from emojudge.engine.local import LocalExecutor, WorkerOptions
from emojudge.engine.process import WorkerProcess
from emojudge.engine.protocol import Generate, LoadModel, decode_event, encode
from emojudge.engine.tasks import (
    BACKGROUND,
    LIVE,
    Failed,
    Finished,
    GenerateTask,
    ModelSpec,
    NewText,
    Started,
    TaskEvent,
)
from emojudge.engine.template_process import TemplateProcess
from emojudge.errors import EngineError, WorkerDied
from tests.studies import SCRIPTED

SAMPLING = Sampling(max_tokens=16, temperature=0.7, top_p=0.9)


def task(
    text: str, model: str = "m", priority: int = BACKGROUND, deadline: float = 20
) -> GenerateTask:
    return GenerateTask(
        priority=priority,
        model=ModelSpec(key=model, name=model, path=Path(f"/{model}.gguf"), size=1),
        messages=(Message(role="user", content=text),),
        sampling=SAMPLING,
        seed=3,
        deadline_seconds=deadline,
    )


@contextlib.asynccontextmanager
async def executor(capacity: int = 1, width: int = 1) -> AsyncIterator[LocalExecutor]:
    options = WorkerOptions(threads=1, batch_width=width, module=SCRIPTED.worker)
    engine = LocalExecutor(capacity, options)
    try:
        yield engine
    finally:
        await engine.close()


async def events_of(engine: LocalExecutor, one: GenerateTask) -> list[TaskEvent]:
    return [event async for event in engine.submit(one)]


async def test_a_task_streams_and_finishes() -> None:
    async with executor() as engine:
        events = await events_of(engine, task("hello"))
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert events[-1].result.text


async def test_a_crash_costs_one_retry(tmp_path: Path) -> None:
    async with executor() as engine:
        events = await events_of(engine, task(f"CRASH-ONCE:{tmp_path / 'seen'}"))
    assert [event.attempt for event in events if isinstance(event, Started)] == [1, 2]
    assert isinstance(events[-1], Finished)


async def test_a_second_crash_fails_the_task_with_the_workers_last_words() -> None:
    async with executor() as engine:
        crashed = await events_of(engine, task("CRASH"))
        after = await events_of(engine, task("hello"))
    last = crashed[-1]
    assert isinstance(last, Failed)
    assert "SIGABRT" in last.reason
    assert "ggml_abort: scripted" in last.reason
    assert isinstance(after[-1], Finished)


async def test_of_a_batch_only_the_text_that_kills_its_worker_is_lost(tmp_path: Path) -> None:
    """The three that were under way are tried again, each alone; what had not begun just waits."""
    async with executor(width=4) as engine:
        texts = [f"one SLOW-ONCE:{tmp_path / 'a'}", f"two SLOW-ONCE:{tmp_path / 'b'}", "CRASH"]
        texts += ["four", "five", "six"]
        results = await asyncio.gather(*(events_of(engine, task(text)) for text in texts))
    ends = [type(events[-1]).__name__ for events in results]
    assert ends == ["Finished"] * 2 + ["Failed"] + ["Finished"] * 3
    attempts = [
        max(event.attempt for event in events if isinstance(event, Started)) for events in results
    ]
    assert attempts == [2, 2, 2, 1, 1, 1]


async def test_a_model_that_kills_every_worker_is_given_up() -> None:
    async with executor(width=4) as engine:
        results = await asyncio.gather(*(events_of(engine, task("CRASH")) for _ in range(30)))
    assert all(isinstance(events[-1], Failed) for events in results)
    reasons = {str(events[-1]) for events in results}
    assert any("given up" in reason for reason in reasons)


async def test_text_that_nobody_reads_is_joined_and_costs_no_more_than_the_text() -> None:
    async with executor() as engine:
        stream = engine.submit(task("LONG"))
        assert isinstance(await anext(stream), Started)
        (ticket,) = engine._slots["m"].tickets()
        while not isinstance(ticket.events[-1] if ticket.events else None, Finished):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert len(ticket.events) <= 3
        rest = [event async for event in stream]
    words = "".join(event.text for event in rest if isinstance(event, NewText))
    assert words.count("word ") == 2000
    assert isinstance(rest[-1], Finished)


async def test_other_models_are_held_while_somebody_looks(tmp_path: Path) -> None:
    """And go on when nobody does any more."""
    async with executor(capacity=2) as engine:
        slow = f"SLOW-ONCE:{tmp_path / 'a'}"
        background = asyncio.create_task(events_of(engine, task("one " + slow, "a")))
        while not (tmp_path / "a").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        live = engine.submit(task(f"SLOW-ONCE:{tmp_path / 'b'}", "b", priority=LIVE))
        assert isinstance(await anext(live), Started)
        assert engine._slots["a"].held
        await live.aclose()
        while engine._slots["a"].held:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        background.cancel()
        await asyncio.gather(background, return_exceptions=True)


async def test_workers_share_the_threads_while_they_work(tmp_path: Path) -> None:
    options = WorkerOptions(threads=4, share_threads=True, module=SCRIPTED.worker)
    engine = LocalExecutor(2, options)
    slow = [
        asyncio.create_task(events_of(engine, task(f"SLOW-ONCE:{tmp_path / name}", name)))
        for name in ("a", "b")
    ]
    slots = engine._slots
    while [slots[name].threads for name in ("a", "b") if name in slots] != [2, 2]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    slow[0].cancel()
    await asyncio.gather(slow[0], return_exceptions=True)
    process = slots["a"].process
    assert process is not None
    await process.kill()
    while slots["b"].threads != 4:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    slow[1].cancel()
    await asyncio.gather(slow[1], return_exceptions=True)
    await engine.close()


async def test_a_file_that_changed_since_it_was_hashed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"old")
    now = path.stat()
    file = ModelFile(
        path=str(path), size=3, sha256="0" * 64, mtime_ns=now.st_mtime_ns, inode=now.st_ino
    )
    spec = ModelSpec(key="m", name="m", path=path, size=3, files=(file,))
    one = dataclasses.replace(task("hello"), model=spec)
    async with executor() as engine:
        assert isinstance((await events_of(engine, one))[-1], Finished)
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "new").replace(path)
    async with executor() as engine:
        swapped = (await events_of(engine, one))[-1]
    assert isinstance(swapped, Failed)
    assert "is not the file that was hashed" in swapped.reason
    path.unlink()
    async with executor() as engine:
        gone = (await events_of(engine, one))[-1]
    assert isinstance(gone, Failed)
    assert "No such file" in gone.reason


async def test_nonsense_is_a_failure_of_that_task_only() -> None:
    async with executor() as engine:
        nonsense = await events_of(engine, task("NONSENSE"))
        after = await events_of(engine, task("hello"))
    assert isinstance(nonsense[-1], Failed)
    assert "talked nonsense" in nonsense[-1].reason
    assert isinstance(after[-1], Finished)


async def test_a_worker_that_hangs_is_killed_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("emojudge.engine.local._GRACE_SECONDS", 0.0)
    async with executor() as engine:
        events = await events_of(engine, task("HANG", deadline=0.3))
    assert isinstance(events[-1], Failed)
    assert "did not answer" in events[-1].reason


async def test_a_refusal_is_not_retried() -> None:
    async with executor() as engine:
        events = await events_of(engine, task("REFUSE"))
    assert [type(event) for event in events] == [Started, Failed]
    assert isinstance(events[-1], Failed)
    assert "9999 tokens" in events[-1].reason


async def test_a_model_that_does_not_load_fails_its_tasks() -> None:
    async with executor() as engine:
        results = await asyncio.gather(
            *(events_of(engine, task("hello", "unloadable")) for _ in range(3))
        )
    for events in results:
        assert isinstance(events[-1], Failed)
        assert "unknown model architecture" in events[-1].reason


async def test_more_models_than_capacity_take_turns() -> None:
    async with executor(capacity=2) as engine:
        models = ["a", "b", "c", "d", "e"]
        results = await asyncio.gather(
            *(events_of(engine, task("hello", model)) for model in models for _ in range(3))
        )
        loaded = [slot for slot in engine._slots.values() if slot.process is not None]
        assert len(loaded) <= 2
    assert all(isinstance(events[-1], Finished) for events in results)


async def test_live_tasks_go_before_background_ones() -> None:
    finished: list[str] = []

    async def run(name: str, one: GenerateTask) -> None:
        await events_of(engine, one)
        finished.append(name)

    async with executor() as engine:
        first = asyncio.create_task(run("first", task("one")))
        later = [
            asyncio.create_task(run(f"background {number}", task("two"))) for number in range(3)
        ]
        live = asyncio.create_task(run("live", task("three", priority=LIVE)))
        await asyncio.gather(first, live, *later)
    assert finished.index("live") < finished.index("background 1")


async def test_a_live_task_does_not_wait_for_another_models_background_queue() -> None:
    finished: list[str] = []

    async def run(name: str, one: GenerateTask) -> None:
        await events_of(engine, one)
        finished.append(name)

    async with executor(capacity=1) as engine:
        background = [
            asyncio.create_task(run(f"a{number}", task("one", "a"))) for number in range(40)
        ]
        while not finished:  # noqa: ASYNC110 - until the first is over, whenever that is
            await asyncio.sleep(0)
        live = asyncio.create_task(run("live", task("two", "b", priority=LIVE)))
        await asyncio.gather(live, *background)
    # What was under way when it came is finished first, the rest of the queue is not.
    assert finished.index("live") <= 12
    assert len(finished) == 41


async def test_a_queued_task_can_be_made_more_urgent() -> None:
    finished: list[int] = []

    async def run(number: int, one: GenerateTask) -> None:
        await events_of(engine, one)
        finished.append(number)

    async with executor() as engine:
        tasks = [task("hello") for _ in range(5)]
        runs = [asyncio.create_task(run(number, one)) for number, one in enumerate(tasks)]
        await asyncio.sleep(0)
        engine.prioritise(tasks[4], LIVE)
        await asyncio.gather(*runs)
    assert finished.index(4) <= 1


async def test_a_process_that_cannot_be_started_fails_the_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    async with executor() as engine:
        events = await events_of(engine, task("hello"))
    assert isinstance(events[-1], Failed)
    assert "Cannot start the worker of m" in events[-1].reason


async def test_closing_the_stream_cancels_and_the_next_task_runs() -> None:
    async with executor() as engine:
        stream = engine.submit(task("hello"))
        async for event in stream:
            assert isinstance(event, Started)
            break
        await stream.aclose()
        events = await events_of(engine, task("again"))
    assert isinstance(events[-1], Finished)


async def test_no_worker_is_left_after_close() -> None:
    async with executor() as engine:
        await events_of(engine, task("hello"))
        pids = [slot.process.pid for slot in engine._slots.values() if slot.process is not None]
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_end_when_the_app_is_killed() -> None:
    code = """
import asyncio, os, signal
from tests.test_engine import executor, events_of, task

async def main():
    async with executor() as engine:
        await events_of(engine, task("hello"))
        print(*[slot.process.pid for slot in engine._slots.values()], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    (pid,) = map(int, done.stdout.split())
    assert gone_soon(pid)


def gone_soon(pid: int) -> bool:
    """Wait for a process that is not our child; waitid cannot, a pidfd can."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    import select

    try:
        return bool(select.select([descriptor], [], [], 20)[0])
    finally:
        os.close(descriptor)


async def test_a_worker_that_is_asked_wrongly_lives_on() -> None:
    process = await WorkerProcess.start(SCRIPTED.worker, "the worker")
    try:
        assert process._process.stdin is not None
        process._process.stdin.write(b"this is not a command\n")
        await process.send(LoadModel(path="/m.gguf", threads=1))
        assert (await process.receive(20)).event == "model_ready"
        assert any("not a command" in line for line in process.last_words)
    finally:
        await process.kill()


async def test_a_module_that_does_not_start_is_explained() -> None:
    process = await WorkerProcess.start("emojudge.engine.nowhere", "the worker")
    with pytest.raises(WorkerDied, match="No module named"):
        await process.receive(20)


def test_the_protocol_round_trips() -> None:
    command = Generate(
        id="1",
        messages=(Message(role="user", content="line\nline \u2028 end"),),
        sampling=SAMPLING,
        seed=1,
        deadline_seconds=2,
    )
    assert encode(command).count(b"\n") == 1
    with pytest.raises(EngineError, match="not an event"):
        decode_event(encode(command))


SYSTEM_TURNS = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}"
    "{% endif %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<bot>"
    "{% endif %}"
)


def test_a_template_without_system_role_gets_it_in_the_first_user_turn() -> None:
    rendered = chat_template.render(NO_SYSTEM, SYSTEM_TURNS, "<s>", "</s>")
    assert rendered == "<user>be kind\n\nhi<bot>"


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('never') }}",
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__ }}",
        "{% for x in %}",
        "{{ 1 / 0 }}",
        "{{ range(999999999) | list }}",
    ],
)
def test_a_template_that_fails_or_attacks_is_an_error_of_ours(template: str) -> None:
    with pytest.raises(EngineError, match="chat template cannot render"):
        chat_template.render(template, SYSTEM_TURNS, "", "")


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
            "2 s|memory|Memory",
        ),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "2 s"),
        ("{{ 'x' * 10 ** 12 }}", "MemoryError"),
        ("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}", "without end"),
        ("{{ raise_exception('never') }}", "never"),
        ("{{ 'x' * 9000000 }}", "characters of this conversation"),
    ],
)
def test_a_template_without_measure_is_stopped_and_the_next_is_rendered(
    template: str, why: str
) -> None:
    renderer = TemplateProcess()
    with pytest.raises(EngineError, match=why) as caught:
        renderer.render(template, SYSTEM_TURNS, "", "")
    assert "generation.chat_template" in str(caught.value)
    assert renderer.render(NO_SYSTEM, SYSTEM_TURNS, "", "").startswith("<user>be kind")
    renderer.close()


async def test_an_unused_gpu_is_told_with_the_command_that_mends_it(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    assert gpu_present(tmp_path) is None
    (tmp_path / "dev" / "nvidia0").touch()
    kind = gpu_present(tmp_path)
    assert kind == "an NVIDIA GPU"
    assert "-DGGML_CUDA=on" in str(await gpu_warning(kind))
