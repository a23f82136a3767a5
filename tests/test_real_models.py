"""Real GGUF models, a real encoder, the real quantizer, in their real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from emojudge.candidates.discover import discover
from emojudge.candidates.gguf import read_header
from emojudge.config_file import load_config
from emojudge.domain import Message, Sampling
from emojudge.engine.encoder import Encoder
from emojudge.engine.local import LocalExecutor, WorkerOptions
from emojudge.engine.process import WorkerProcess
from emojudge.engine.protocol import Generate, LoadModel
from emojudge.engine.quantizer import quantize_one
from emojudge.engine.tasks import Failed, Finished, GenerateTask, ModelSpec, NewText
from emojudge.errors import EngineError, UsageError
from emojudge.pipeline.encoders import bundled_encoder
from emojudge.pipeline.setup import find_demo_model
from emojudge.pipeline.study import Study
from tests.gguf_files import F32, Gguf, string_pair
from tests.test_cli import PROGRAM, emojudge

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


@pytest.mark.parametrize("wrong", ["truncated", "text", "missing"])
async def test_a_file_llama_cpp_cannot_load_fails_the_task_only(
    ladder: Path, tmp_path: Path, wrong: str
) -> None:
    path = tmp_path / "model.gguf"
    if wrong == "truncated":
        path.write_bytes(spec(ladder, "Q4_0").path.read_bytes()[: 1 << 20])
    elif wrong == "text":
        path.write_text("not a model")
    engine = LocalExecutor(1, WorkerOptions(threads=1))
    try:
        model = ModelSpec(key="bad", name="bad", path=path, size=1)
        events = [event async for event in engine.submit(task(model))]
    finally:
        await engine.close()
    assert isinstance(events[-1], Failed)
    assert "bad could not be loaded" in events[-1].reason


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


def test_the_whole_demo_without_a_terminal(ladder: Path, tmp_path: Path) -> None:
    """Five candidates with differing scores; the second run reuses everything."""
    out = tmp_path / "demo"
    started = time.monotonic()
    first = emojudge("demo", "--headless", "--prompts", "2", "--out", out)
    between = time.monotonic()
    assert first.returncode == 0, first.stderr
    reports = sorted((out / "results").glob("pass2_complete_report_*.json"))
    report = json.loads(reports[-1].read_text())
    assert report["pass2_execution"]["total_candidates"] == 5
    ranking = report["final_rankings"]["ranking"]["ranking"]
    assert len({row["ai_score"] for row in ranking}) == 5
    assert (out / "companion" / "core" / "current" / "core.gguf").is_file()
    size = (out / "responses.log").stat().st_size
    second = emojudge("demo", "--headless", "--prompts", "2", "--out", out)
    assert second.returncode == 0
    assert second.stderr.count("responses reused") == 5
    assert (out / "responses.log").stat().st_size == size
    ratio = (time.monotonic() - between) / (between - started)
    print(f"second run took {ratio:.2f} of the first")
    log = (out / "pass2_execution.log").read_text()
    assert "all 4 responses reused" in log


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_in_the_middle_leaves_a_study_that_goes_on(
    ladder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "demo"
    arguments = ["demo", "--headless", "--prompts", "2", "--out", str(out)]
    child = subprocess.Popen([PROGRAM, *arguments], stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    log = out / "responses.log"
    while not (log.exists() and log.stat().st_size):
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(number)
    errors = child.stderr.read()
    assert child.wait() == 1
    child.stderr.close()
    assert f"Stopped by {number.name}" in errors
    assert "Traceback" not in errors
    study = Study(load_config(out))
    stored = len(study.view().responses)
    assert 0 < stored < 24
    study.close()
    done = emojudge(*arguments)
    assert done.returncode == 0, done.stderr


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
