"""What the doctor finds on machines and studies that are well, and on those that are not."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from emojudge.config_file import load_config
from emojudge.engine import gpu
from emojudge.engine.build import build_of
from emojudge.engine.gpu import LlamaProbe
from emojudge.errors import EngineError, UsageError
from emojudge.pipeline.doctor import machine, models, study, terminal
from emojudge.pipeline.doctor.checkup import checkup
from emojudge.pipeline.doctor.findings import Checkup, Finding, Level, failure, warning, well
from emojudge.processors import usable_cores
from tests.core_stores import replacer, write_models
from tests.studies import judged_study, write_study
from tests.test_cli import emojudge
from tests.test_faults_deploy import interrupted

UTF8 = {"TERM": "xterm-256color"}


def test_the_summary_counts_and_names_what_mends() -> None:
    found = Checkup((well("a", "x"), warning("bb", "y\x1b", "do z"), failure("c", "w", "do v")))
    assert found.lines() == [
        "✓ a   x",
        "! bb  y␛",
        "      → do z",
        "✗ c   w",
        "      → do v",
        "1 failure, 1 warning",
    ]
    assert found.as_json()["ok"] is False
    assert Checkup((well("a", "x"),)).lines()[-1] == "nothing stands in the way of a run"


@pytest.mark.parametrize(
    ("version", "level"),
    [((3, 11, 7), Level.OK), ((3, 13, 0), Level.OK), ((3, 14, 0), Level.WARNING)],
)
def test_pythons(version: tuple[int, ...], level: Level) -> None:
    assert machine.python(version).level is level


def test_a_build_is_told_from_its_files() -> None:
    names = ["libggml-base.so.0.25.3", "libggml-cpu-haswell.so", "libggml-cuda.so", "libllama.so"]
    assert str(build_of("0.3.36", names)) == "llama-cpp-python 0.3.36, ggml 0.25.3, CPU and CUDA"
    assert "static" in str(build_of("0.3.36", ["libllama.so"]))


@pytest.mark.parametrize(
    ("offload", "kind", "level", "text"),
    [
        (False, None, Level.OK, "models run on the CPU"),
        (False, "an NVIDIA GPU", Level.WARNING, "built without support"),
        (True, "an AMD GPU", Level.OK, "offloads to an AMD GPU"),
    ],
)
def test_gpus(offload: bool, kind: str | None, level: Level, text: str) -> None:
    found = machine.gpu(LlamaProbe(offload, ""), kind)
    assert found.level is level
    assert text in found.text
    assert (found.mend is not None) == (level is Level.WARNING)
    if found.mend:
        assert found.mend.startswith('CMAKE_ARGS="-DGGML_CUDA=on" pip install')


def test_threads_are_held_against_the_cores_that_may_be_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("emojudge.pipeline.doctor.machine.usable_cores", lambda: 2)
    barred = machine.processors(None, 8)
    assert (barred.level, barred.text.split(",")[0]) == (Level.OK, "2 cores of 8")
    assert machine.processors(2, 2).text == "2 cores, 2 threads set"
    beyond = machine.processors(4, 8)
    assert beyond.level is Level.WARNING
    assert beyond.mend == "set performance_config.threads to 2, or take the key out"


def test_affinity_and_a_containers_limit_lower_the_cores_in_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    context = "joblib.externals.loky.backend.context"
    monkeypatch.setattr(f"{context}._cpu_count_affinity", lambda count: 6)
    monkeypatch.setattr(f"{context}._cpu_count_cgroup", lambda count: 3)
    assert usable_cores() == 3
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "many")
    with pytest.raises(UsageError, match="LOKY_MAX_CPU_COUNT"):
        usable_cores()


def test_memory_and_disk_against_what_is_wanted(tmp_path: Path) -> None:
    assert machine.memory(0).level is Level.OK
    assert machine.memory(1 << 60).level is Level.FAILURE
    assert machine.disk("disk", tmp_path / "not" / "yet", 0).level is Level.OK
    full = machine.disk("core's disk", tmp_path, 1 << 60)
    assert full.level is Level.FAILURE
    # A run that deploys nothing does without.
    assert machine.disk("core's disk", tmp_path, 1 << 60, failing=False).level is Level.WARNING
    assert full.mend is not None
    assert "du -xh" in full.mend
    assert machine.filesystem_of(Path("/proc")) == "proc"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("size", "environment", "encoding", "escape", "text"),
    [
        (None, {}, "UTF-8", None, "none; run"),
        ((120, 40), UTF8, "UTF-8", None, "120×40, 256 colours, UTF-8"),
        ((120, 40), {**UTF8, "NO_COLOR": "1"}, "UTF-8", None, "no colours"),
        ((120, 40), {**UTF8, "COLORTERM": "truecolor", "TMUX": "x"}, "UTF-8", 10, "in tmux"),
        ((120, 40), {}, "UTF-8", None, "TERM=dumb"),
        ((120, 40), UTF8, "ANSI_X3.4-1968", None, "the screens need UTF-8"),
        ((60, 40), UTF8, "UTF-8", None, "want 80×24"),
        ((120, 40), UTF8, "UTF-8", 500, "for 500 ms"),
    ],
)
def test_terminals(
    size: tuple[int, int] | None,
    environment: dict[str, str],
    encoding: str,
    escape: int | None,
    text: str,
) -> None:
    found = terminal.shown_on(size, environment, encoding, escape)
    assert text in found.text
    wrong = ("TERM=dumb", "the screens need UTF-8", "want 80×24", "for 500 ms")
    assert found.level is (Level.WARNING if text in wrong else Level.OK)


def test_a_place_that_takes_nothing_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: int, target: int) -> bool:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(machine, "reflink", full)
    found = machine.disk("disk", tmp_path, 0)
    assert found.level is Level.FAILURE
    assert "Disk quota exceeded" in found.text


async def test_a_probe_that_dies_says_of_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "PROBE_MODULE", "tests.fakes.dying_probe")
    with pytest.raises(EngineError, match="built for another processor"):
        await gpu.probe_llama()


def named(found: Checkup) -> dict[str, Finding]:
    return {one.name: one for one in found.findings}


def test_a_folder_without_a_study_is_no_failure(tmp_path: Path) -> None:
    found = named(checkup(tmp_path))
    assert found["study"].mend == "emojudge init, or emojudge demo"
    assert found["llama.cpp"].level is Level.OK


async def test_a_study_that_is_well(tmp_path: Path) -> None:
    opened = await judged_study(tmp_path)
    opened.close()
    loaded = load_config(tmp_path)
    assert models.candidates(loaded)[0].level is Level.OK
    assert study.stored(loaded).text.endswith("nobody has rated yet")
    assert study.core(loaded).text == "no core store yet"
    assert models.judges(loaded).level is Level.OK


def test_candidates_and_prompts_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    loaded = write_study(tmp_path)
    first, *rest = sorted((tmp_path / "models").glob("*/*.gguf"))
    first.write_text("rubbish, long enough to be looked at")
    found = models.candidates(loaded)[0]
    assert found.level is Level.WARNING
    assert "not a GGUF file" in found.text
    checked = emojudge("config", "check", tmp_path)
    assert checked.returncode == 0
    assert "is left out" in checked.stderr
    for one in rest:
        one.write_text("rubbish, long enough to be looked at")
    assert models.candidates(loaded)[0].level is Level.FAILURE
    assert emojudge("config", "check", tmp_path).returncode == 2
    (tmp_path / "prompts.jsonl").unlink()
    assert models.prompts(loaded).level is Level.FAILURE


def test_an_interrupted_change_is_ended_by_the_command_that_is_named(tmp_path: Path) -> None:
    """Recovering takes it back and no more; the core stays what it was."""
    interrupted(tmp_path / "store")
    folder = tmp_path / "store"
    (folder / "phase2_config.json").write_text(
        json.dumps({"replacement_config": {"manifest": "companion.json"}})
    )
    found = study.core(load_config(folder))
    assert found.level is Level.WARNING
    assert found.mend == "emojudge deploy recover"
    done = emojudge("deploy", "recover", cwd=folder)
    assert done.returncode == 0
    assert "interrupted" in done.stdout
    status = replacer(folder).status()
    assert status.interrupted is None
    assert status.current is not None
    assert status.current.number == 2


async def test_lines_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    opened = await judged_study(tmp_path)
    opened.close()
    log = tmp_path / "responses.log"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([lines[0], b"rubbish\n", *lines[1:]]))
    found = study.stored(load_config(tmp_path))
    assert found.level is Level.WARNING
    assert "1 line cannot be read" in found.text


def test_a_damaged_core_store_is_a_failure(tmp_path: Path) -> None:
    loaded = write_study(tmp_path, replacement_config={"active_dir": "core"})
    core = replacer(tmp_path)
    files = write_models(tmp_path / "files")
    core.adopt(files["F16"], "F16")
    assert study.core(loaded).level is Level.OK
    (tmp_path / "core" / "audit.jsonl").write_text("{}\n")
    found = study.core(loaded)
    assert found.level is Level.FAILURE
    assert found.mend == "emojudge deploy status; emojudge deploy audit"


def test_a_core_whose_link_is_gone_is_a_failure_that_names_the_way_back(tmp_path: Path) -> None:
    loaded = write_study(tmp_path, replacement_config={"active_dir": "core"})
    core = replacer(tmp_path)
    core.adopt(write_models(tmp_path / "files")["F16"], "F16")
    (tmp_path / "core" / "current").unlink()
    found = study.core(loaded)
    assert found.level is Level.FAILURE
    assert "`current` is gone; it was generation 1" in found.text
    assert "deploy recover" in found.text
    core.recover()
    assert study.core(loaded).level is Level.OK


def test_an_encoder_that_has_to_be_fetched_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub-home"))
    loaded = write_study(tmp_path, judging_config={"encoder": "somebody/encoder"})
    assert models.encoder(loaded).level is Level.WARNING
    (tmp_path / "hub-home/hub/models--somebody--encoder/snapshots").mkdir(parents=True)
    assert models.encoder(loaded).level is Level.OK


def test_the_command_prints_lines_or_json_and_exits_1_on_failure(tmp_path: Path) -> None:
    write_study(tmp_path)
    done = emojudge("doctor", "--config", tmp_path)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[0].startswith("✓ python")
    for model in (tmp_path / "models").glob("*/*.gguf"):
        model.unlink()
    done = emojudge("doctor", "--config", tmp_path, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    (wrong,) = (one for one in found["checks"] if one["level"] == "failure")
    assert wrong["name"] == "candidates"
    assert found["failures"] == 1
