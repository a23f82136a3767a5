"""Real GGUF models, a real encoder, the real quantizer, in their real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from emojudge.candidates.discover import discover
from emojudge.candidates.gguf import read_header
from emojudge.config_file import load_config
from emojudge.domain import Message, ModelFile, Sampling
from emojudge.engine.encoder import Encoder
from emojudge.engine.local import LocalExecutor, WorkerOptions
from emojudge.engine.process import WorkerProcess
from emojudge.engine.protocol import (
    Compared,
    CompareReference,
    DescribeWorker,
    Generate,
    GivenText,
    LoadModel,
    LogLikelihood,
    LogLikelihoods,
    Measured,
    Measurement,
    Perplexity,
    PerplexityMeasured,
    Recorded,
    RecordReference,
    Score,
    Scored,
    WorkerDescribed,
)
from emojudge.engine.quantizer import quantize_one
from emojudge.engine.sandbox import SandboxLimits
from emojudge.engine.tasks import (
    Failed,
    Figures,
    Finished,
    GenerateTask,
    MeasureTask,
    ModelSpec,
    NewText,
    Started,
    TaskEvent,
)
from emojudge.engine.trial import try_model
from emojudge.errors import EngineError, UsageError
from emojudge.pipeline.encoders import bundled_encoder
from emojudge.pipeline.setup import find_demo_model
from emojudge.pipeline.study import Study
from tests.gguf_files import F32, Gguf, string_pair
from tests.test_cli import PROGRAM, emojudge
from tests.test_engine import gone_soon

pytestmark = pytest.mark.models
GRIEF = (Message(role="user", content="My dog died this morning. The house is so quiet."),)


def spec(ladder: Path, kind: str) -> ModelSpec:
    file = next(ladder.glob(f"*-{kind}/*.gguf"))
    return ModelSpec(key=kind, name=kind, path=file, size=file.stat().st_size)


def task(
    model: ModelSpec, messages: tuple[Message, ...] = GRIEF, **sampling: float
) -> GenerateTask:
    settings = {"max_tokens": 24, "temperature": 0.7, "top_p": 0.9, **sampling}
    return GenerateTask(
        priority=0,
        model=model,
        messages=messages,
        sampling=Sampling.model_validate(settings),
        seed=11,
        deadline_seconds=60,
    )


async def test_a_real_model_streams_what_it_then_reports(ladder: Path) -> None:
    engine = LocalExecutor(1, WorkerOptions(threads=2))
    try:
        runs = []
        for _ in range(2):
            events = [event async for event in engine.submit(task(spec(ladder, "Q8_0")))]
            last = events[-1]
            assert isinstance(last, Finished)
            streamed = "".join(event.text for event in events if isinstance(event, NewText))
            assert streamed == last.result.text
            assert last.result.tokens > 3
            assert 0 < last.result.first_token_seconds <= last.result.seconds
            runs.append(streamed)
        assert runs[0] == runs[1], "the same seed gives the same text"
    finally:
        await engine.close()


async def test_a_prompt_that_does_not_fit_says_the_numbers(ladder: Path) -> None:
    engine = LocalExecutor(1, WorkerOptions(threads=2, context_length=256))
    long = (Message(role="user", content="and then it rained " * 200),)
    try:
        events = [event async for event in engine.submit(task(spec(ladder, "Q4_0"), long))]
        after = [event async for event in engine.submit(task(spec(ladder, "Q4_0")))]
    finally:
        await engine.close()
    assert isinstance(events[-1], Failed)
    assert "but the context holds 256" in events[-1].reason
    assert isinstance(after[-1], Finished)


async def test_streamed_text_is_never_half_a_character(ladder: Path) -> None:
    engine = LocalExecutor(1, WorkerOptions(threads=2))
    emoji = (Message(role="user", content="Answer only with emoji: 🎉🎉🎉🌧️🌧️"),)
    try:
        events = [
            event
            async for event in engine.submit(
                task(spec(ladder, "F16"), emoji, temperature=1.5, top_p=1.0, max_tokens=60)
            )
        ]
    finally:
        await engine.close()
    last = events[-1]
    assert isinstance(last, Finished)
    assert "".join(one.text for one in events if isinstance(one, NewText)) == last.result.text


@pytest.mark.parametrize(
    "wrong", ["truncated", "text", "missing", "empty", "magic", "counts", "architecture", "folder"]
)
async def test_a_file_llama_cpp_cannot_load_fails_the_task_only(
    ladder: Path, tmp_path: Path, wrong: str
) -> None:
    path = tmp_path / "model.gguf"
    if wrong == "truncated":
        path.write_bytes(spec(ladder, "Q4_0").path.read_bytes()[: 1 << 20])
    elif wrong == "text":
        path.write_text("not a model")
    elif wrong == "empty":
        path.touch()
    elif wrong == "folder":
        path.mkdir()
    elif wrong == "magic":
        path.write_bytes(b"GGUX" + spec(ladder, "Q4_0").path.read_bytes()[4 : 1 << 20])
    elif wrong == "counts":
        path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 2**63 - 1, 2**64 - 1) + bytes(64))
    elif wrong == "architecture":
        path.write_bytes(Gguf(pairs=[string_pair("general.architecture", "nosuch")]).build())
    engine = LocalExecutor(1, WorkerOptions(threads=1))
    try:
        model = ModelSpec(key="bad", name="bad", path=path, size=1)
        events = [event async for event in engine.submit(task(model))]
    finally:
        await engine.close()
    assert isinstance(events[-1], Failed)
    assert "bad could not be loaded" in events[-1].reason


async def test_a_file_deleted_while_it_is_loaded_harms_nobody(ladder: Path, tmp_path: Path) -> None:
    """It is read into memory: a loaded model goes on; the next load says what is missing."""
    path = tmp_path / "model.gguf"
    path.write_bytes(spec(ladder, "Q4_0").path.read_bytes())
    now = path.stat()
    file = ModelFile(
        path=str(path), size=now.st_size, sha256="0", mtime_ns=now.st_mtime_ns, inode=now.st_ino
    )
    model = ModelSpec(key="m", name="m", path=path, size=1, files=(file,))
    engine = LocalExecutor(1, WorkerOptions(threads=2))
    try:
        stream = engine.submit(task(model))
        while not isinstance(await anext(stream), NewText):
            pass
        os.truncate(path, 1000)
        path.unlink()
        rest = [event async for event in stream]
    finally:
        await engine.close()
    assert isinstance(rest[-1], Finished)
    engine = LocalExecutor(1, WorkerOptions(threads=2))
    events = [event async for event in engine.submit(task(model))]
    await engine.close()
    assert isinstance(events[-1], Failed)
    assert "run `emojudge run --phase discover` again" in events[-1].reason


async def test_the_same_run_twice_is_identical(ladder: Path) -> None:
    """Through real workers, more texts than fit a batch, sampled: the same batches each time."""

    async def texts() -> list[str]:
        engine = LocalExecutor(1, WorkerOptions(threads=2, batch_width=4))
        words = ("My dog died.", "I got the job!", "She left.", "Rain again.", "Hello?")
        tasks = [
            task(spec(ladder, "Q4_0"), (Message(role="user", content=f"{word} {number}"),))
            for number in range(3)
            for word in words
        ]

        async def text(one: GenerateTask) -> str:
            (*_, last) = [event async for event in engine.submit(one)]
            assert isinstance(last, Finished)
            assert last.result.batch_width == 4
            return last.result.text

        try:
            return list(await asyncio.gather(*map(text, tasks)))
        finally:
            await engine.close()

    assert await texts() == await texts()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
async def test_a_batch_whose_worker_dies_is_generated_all_the_same(
    ladder: Path, number: signal.Signals
) -> None:
    """SIGKILL is what the kernel sends when memory runs out."""
    engine = LocalExecutor(1, WorkerOptions(threads=2, batch_width=4))
    model = spec(ladder, "Q8_0")
    killed = False

    async def run(one: GenerateTask) -> list[TaskEvent]:
        nonlocal killed
        events = []
        async for event in engine.submit(one):
            events.append(event)
            process = engine._slots["Q8_0"].process
            if isinstance(event, NewText) and not killed and process is not None:
                killed = True
                os.kill(process.pid, number)
        return events

    try:
        results = await asyncio.gather(*(run(task(model, max_tokens=12)) for _ in range(6)))
    finally:
        await engine.close()
    assert killed
    assert all(isinstance(events[-1], Finished) for events in results)
    texts = set()
    for events in results:
        last = events[-1]
        assert isinstance(last, Finished)
        texts.add(last.result.text)
        fresh = max(at for at, event in enumerate(events) if isinstance(event, Started))
        said = "".join(event.text for event in events[fresh:] if isinstance(event, NewText))
        assert said == last.result.text


def test_nothing_outlives_an_app_that_is_killed_while_it_generates(ladder: Path) -> None:
    """Neither the worker in the middle of a batch nor its template renderer."""
    code = f"""
import asyncio, os, signal, psutil
from pathlib import Path
from emojudge.engine.local import LocalExecutor, WorkerOptions
from emojudge.engine.tasks import NewText
from tests.test_real_models import spec, task

async def main():
    engine = LocalExecutor(1, WorkerOptions(threads=2, batch_width=2))
    async for event in engine.submit(task(spec(Path({str(ladder)!r}), "Q8_0"), max_tokens=2000)):
        if isinstance(event, NewText):
            print(*[one.pid for one in psutil.Process().children(recursive=True)], flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pids = [int(one) for one in done.stdout.split()]
    assert len(pids) == 2
    assert all(gone_soon(pid) for pid in pids)


async def test_judging_by_suffixes_and_measuring_go_through_the_executor(
    ladder: Path, tmp_path: Path
) -> None:
    engine = LocalExecutor(1, WorkerOptions(threads=2, batch_width=2, context_length=512))

    async def measure(measurement: Measurement, kind: str = "Q8_0") -> Measured | str:
        one = MeasureTask(
            priority=10, model=spec(ladder, kind), deadline_seconds=60, measurement=measurement
        )
        (*_, last) = [event async for event in engine.submit(one)]
        if isinstance(last, Failed):
            return last.reason
        assert isinstance(last, Figures)
        return last.result

    score = Score(
        id="", messages=GRIEF, suffixes=("\nWarmth: ", "\nFit: "),
        options=("1", "2", "3"),
    )  # fmt: skip
    given = (GivenText(messages=GRIEF, text="I am so sorry. Tell me about him."),)
    try:
        first, second = await measure(score), await measure(score)
        assert isinstance(first, Scored)
        assert isinstance(second, Scored)
        assert len(first.log_probs) == 2
        assert all(value < 0 for row in first.log_probs for value in row)
        assert (first.reused_tokens, second.reused_tokens) == (0, first.prefix_tokens - 1)
        wordy = await measure(score.model_copy(update={"options": ("one two three",)}))
        assert "an option must be one" in str(wordy)
        likely = await measure(LogLikelihood(id="", texts=given))
        assert isinstance(likely, LogLikelihoods)
        assert likely.texts[0].tokens > 5
        assert likely.texts[0].total < 0
        odd = ("", "😭💔", "静かです。", "\x00\x1b[2J\u202e", "word " * 10_000)
        texts = tuple(GivenText(messages=GRIEF, text=one) for one in odd)
        found = await measure(LogLikelihood(id="", texts=texts))
        assert isinstance(found, LogLikelihoods)
        assert found.texts[0].tokens == 0
        assert all(one.tokens > 0 and one.total < 0 for one in found.texts[1:])
        # What the context does not hold is left out, and the others are measured all the same.
        assert 100 < found.texts[-1].tokens < 512
        described = await measure(DescribeWorker(id=""))
        assert isinstance(described, WorkerDescribed)
        assert described.peak_bytes > 100e6
        assert described.load_seconds > 0
        text = Perplexity(id="", text="It rained all day. " * 60, chunk_tokens=64)
        assert isinstance(await measure(text), PerplexityMeasured)
        folder = str(tmp_path / "reference")
        recorded = await measure(RecordReference(id="", texts=given, folder=folder, seed=1))
        assert isinstance(recorded, Recorded)
        compared = await measure(CompareReference(id="", texts=given, folder=folder), "Q4_0")
        assert isinstance(compared, Compared)
        assert compared.mean_kl > 0
    finally:
        await engine.close()


async def test_a_file_nobody_vouches_for_is_tried_in_a_sandbox(
    ladder: Path, tmp_path: Path
) -> None:
    path = spec(ladder, "Q4_0").path
    trial = await try_model(path)
    assert trial.tokens > 0
    assert trial.text
    plain = await try_model(path, has_template=False, tokens=3)
    assert plain.tokens <= 3
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(path.read_bytes()[: 1 << 20])
    with pytest.raises(EngineError, match=r"bad\.gguf failed its trial"):
        await try_model(bad)
    with pytest.raises(EngineError, match="Cannot read"):
        await try_model(tmp_path / "missing.gguf")
    tight = SandboxLimits(memory=300 << 20)
    with pytest.raises(EngineError):
        await try_model(path, limits=tight)


SANDBOX_PROBE = """
import json, socket, sys
from pathlib import Path
from emojudge.engine.sandbox import SandboxLimits, enter
cut = enter(SandboxLimits(memory=1 << 30))
found = {"cut": cut, "interfaces": [name for _, name in socket.if_nameindex()]}
try:
    Path(sys.argv[1]).write_text("something")
    found["written"] = Path(sys.argv[1]).stat().st_size
except OSError as problem:
    found["written"] = problem.strerror
try:
    bytearray(2 << 30)
    found["memory"] = "had"
except MemoryError:
    found["memory"] = "refused"
socket.socket().close()
print(json.dumps(found))
"""


def test_the_sandbox_has_no_network_no_files_and_little_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SANDBOX_PROBE, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    found = json.loads(done.stdout)
    if found["cut"]:
        assert found["interfaces"] in ([], ["lo"])
    else:
        assert "network not isolated" in done.stderr
    assert found["written"] in ("File too large", 0)
    assert found["memory"] == "refused"


def test_the_sandbox_ends_what_computes_without_end() -> None:
    code = (
        "from emojudge.engine.sandbox import SandboxLimits, enter\n"
        "enter(SandboxLimits(memory=1 << 30, cpu_seconds=1))\n"
        "while True: pass"
    )
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    assert done.returncode in (-signal.SIGXCPU, -signal.SIGKILL)


async def test_cancelling_stops_a_real_generation(ladder: Path) -> None:
    engine = LocalExecutor(1, WorkerOptions(threads=2))
    try:
        stream = engine.submit(task(spec(ladder, "Q8_0"), max_tokens=2000))
        async for event in stream:
            if isinstance(event, NewText):
                break
        await stream.aclose()
        events = [event async for event in engine.submit(task(spec(ladder, "Q8_0")))]
    finally:
        await engine.close()
    assert isinstance(events[-1], Finished)
    assert events[-1].result.tokens <= 24


async def test_a_worker_in_the_middle_of_a_text_ends_with_its_parent(ladder: Path) -> None:
    process = await WorkerProcess.start("emojudge.engine.worker", "the worker")
    await process.send(LoadModel(path=str(spec(ladder, "Q8_0").path), threads=1))
    assert (await process.receive(60)).event == "model_ready"
    sampling = Sampling(max_tokens=3000, temperature=1, top_p=1)
    await process.send(
        Generate(id="1", messages=GRIEF, sampling=sampling, seed=1, deadline_seconds=600)
    )
    await process.receive(60)
    await process.close()
    assert process._process.returncode == 0


async def test_the_encoder_gives_unit_vectors_that_know_meaning() -> None:
    encoder = Encoder(str(bundled_encoder()), threads=2)
    try:
        rows = await encoder.embed(
            ["I am so sorry for your loss.", "My condolences, this must hurt.", "Boil the pasta."]
        )
        assert rows.shape == (3, 384)
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2
        assert (await encoder.embed([])).shape[0] == 0
    finally:
        await encoder.close()


async def test_an_encoder_that_is_not_there_says_what_to_set(tmp_path: Path) -> None:
    encoder = Encoder(str(tmp_path), threads=1)
    with pytest.raises(EngineError, match=r"judging_config\.encoder"):
        await encoder.embed(["x"])
    await encoder.close()


def test_the_ladder_is_five_honest_candidates_in_the_pass_1_layout(ladder: Path) -> None:
    found = discover(ladder)
    kinds = [one.specs.quantization for one in found.candidates]
    assert kinds == ["F16", "Q8_0", "Q5_0", "Q4_0", "Q2_K-mostly-Q4_0"]
    assert found.baseline.specs.quantization == "F16"
    for one in found.candidates:
        assert one.pass1 is not None
        assert one.pass1.quantization_method == one.specs.quantization
        assert one.specs.quantization in one.name
        metadata = json.loads((one.path.parent / "quantization_metadata.json").read_text())
        assert metadata["tensor_types"] == one.specs.tensor_types
    assert [one.name for one in found.unusable] == []


async def test_quantizing_leaves_nothing_half_made(ladder: Path, tmp_path: Path) -> None:
    source = spec(ladder, "Q8_0").path
    with pytest.raises(EngineError, match="no quantization type 'Q9_9'"):
        await quantize_one(source, "Q9_9", tmp_path, threads=2)
    assert list(tmp_path.iterdir()) == []
    folder = await quantize_one(source, "Q4_0", tmp_path, threads=2)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    with pytest.raises(UsageError, match="exists already"):
        await quantize_one(source, "Q4_0", tmp_path, threads=2)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_quantize_from_the_command_line(ladder: Path, tmp_path: Path) -> None:
    source = spec(ladder, "F16").path
    done = emojudge("quantize", source, "--types", "Q8_0", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert read_header(next(folder.glob("*.gguf"))).architecture == "llama"


def test_the_demo_model_is_found_without_starting_its_package() -> None:
    assert find_demo_model().name.endswith(".gguf")


def stored_after_signal(
    arguments: list[str], out: Path, number: signal.Signals, least: int
) -> set[str]:
    """Start a run, interrupt it once ``least`` responses are stored; the ids of those it stored."""
    child = subprocess.Popen([PROGRAM, *arguments], stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    log = out / "responses.log"
    while not log.exists() or log.read_bytes().count(b"\n") < least:
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(number)
    errors = child.stderr.read()
    assert child.wait() == 1
    child.stderr.close()
    assert f"Stopped by {number.name}" in errors
    assert "Traceback" not in errors
    study = Study(load_config(out))
    stored = {one.id for one in study.view().responses}
    study.close()
    return stored


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_in_the_middle_leaves_a_study_that_goes_on(
    ladder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "demo"
    arguments = ["demo", "--headless", "--prompts", "2", "--out", str(out)]
    first = stored_after_signal(arguments, out, number, least=1)
    assert 0 < len(first) < 20
    second = stored_after_signal(arguments, out, number, least=20)
    assert first < second
    assert len(second) == 20


async def test_an_importance_matrix_changes_what_is_kept(ladder: Path, tmp_path: Path) -> None:
    source = spec(ladder, "F16").path
    matrix = Gguf(pairs=[string_pair("general.type", "imatrix")])
    draw = np.random.default_rng(1)
    data = b""
    for layer in range(30):
        name = f"blk.{layer}.ffn_down.weight"
        matrix.tensors += [(f"{name}.in_sum2", (1536,), F32), (f"{name}.counts", (1,), F32)]
        data += draw.gamma(0.3, size=1536).astype("<f4").tobytes()
        data += np.float32(1).tobytes() + bytes(28)
    content = matrix.build()
    file = tmp_path / "imatrix.gguf"
    file.write_bytes(content[: len(content) - len(data)] + data)
    plain = await quantize_one(source, "Q4_0", tmp_path / "plain", threads=2)
    weighed = await quantize_one(source, "Q4_0", tmp_path / "weighed", threads=2, imatrix=file)
    one, two = (next(folder.glob("*.gguf")).read_bytes() for folder in (plain, weighed))
    assert len(one) >= len(two) * 0.99
    assert one != two
    with pytest.raises(EngineError, match="not an importance matrix"):
        await quantize_one(source, "Q4_0", tmp_path / "wrong", threads=2, imatrix=source)
