"""Real models: what the sandbox finds, and a companion that is served while its core changes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from emojudge.candidates.gguf import read_header
from emojudge.deploy.building import Incoming
from emojudge.deploy.candidate_gates import try_in_sandbox
from emojudge.deploy.gates import GateStatus
from emojudge.deploy.hooks import Hooks
from emojudge.deploy.replacer import CoreModelReplacer
from emojudge.errors import DeployError, GateRefused
from emojudge.pipeline.bench.grown_model import grow_model
from tests.core_stores import PASSED, replacer

pytestmark = pytest.mark.models
COMPANION = Path(__file__).parents[1] / "examples" / "companion" / "companion.py"


def model(ladder: Path, kind: str) -> Path:
    return next(ladder.glob(f"*{kind}/*.gguf"))


def real(folder: Path, **options: object) -> CoreModelReplacer:
    return replacer(folder, minimum_size_mb=50, try_model=try_in_sandbox, **options)


def promote(core: CoreModelReplacer, path: Path) -> int:
    return core.replace(Incoming(path=path, name=path.stem), judgements=PASSED).number


def poisoned(source: Path, target: Path) -> Path:
    """The same model with one weight that is not a number."""
    content = bytearray(source.read_bytes())
    tensor = next(one for one in read_header(source).tensors if one.type.name == "Q8_0")
    content[tensor.offset : tensor.offset + 2] = b"\xff\x7f"
    target.write_bytes(content)
    return target


def with_template(source: Path, target: Path) -> Path:
    """The same model with one word of its chat template changed, in as many bytes."""
    content = source.read_bytes()
    assert content.count(b"<|im_start|>assistant\n") >= 1
    target.write_bytes(content.replace(b"You are a helpful AI", b"You are a dreadful A", 1))
    assert target.read_bytes() != content
    return target


def test_a_real_ladder_is_promoted_through_all_gates(ladder: Path, tmp_path: Path) -> None:
    core = real(tmp_path)
    core.adopt(model(ladder, "F16"), "F16")
    gates = {gate.name: gate for gate in core.validate(model(ladder, "Q8_0"))}
    assert list(gates) == ["structure", "size", "template", "weights", "smoke"]
    assert {gate.status for gate in gates.values()} == {GateStatus.PASS}
    assert re.match(r"loaded in \d+\.\d s.* said “.+”", gates["smoke"].reason)
    assert promote(core, model(ladder, "Q8_0")) == 2


def test_a_model_of_many_tensors_is_checked_within_the_sandboxs_limits(
    ladder: Path, tmp_path: Path
) -> None:
    """llama.cpp starts a thread per tensor, whose stacks would not fit otherwise."""
    grown = tmp_path / "grown.gguf"
    size = grow_model(model(ladder, "Q4_0"), grown, blocks=80)
    assert size == grown.stat().st_size
    header = read_header(grown)
    assert len(header.tensors) > 700
    trial = try_in_sandbox(grown, has_template=True, size=size)
    assert trial.text.strip()


def test_weights_that_are_no_numbers_fail_their_gate(ladder: Path, tmp_path: Path) -> None:
    core = real(tmp_path)
    core.adopt(model(ladder, "Q8_0"), "Q8_0")
    path = poisoned(model(ladder, "Q8_0"), tmp_path / "nan.gguf")
    with pytest.raises(DeployError, match=r"weights gate: NaN or Inf: .*has invalid data"):
        promote(core, path)
    with pytest.raises(DeployError, match=r"weights gate: NaN or Inf"):
        core.replace(Incoming(path=path, name="nan"), judgements=PASSED, force="I insist")
    assert core.status().current.number == 1  # type: ignore[union-attr]
    assert list((tmp_path / "core" / "incoming").iterdir()) == []


def test_another_template_is_shown_as_a_diff_and_asks_for_a_reason(
    ladder: Path, tmp_path: Path
) -> None:
    core = real(tmp_path)
    core.adopt(model(ladder, "Q8_0"), "Q8_0")
    path = with_template(model(ladder, "Q8_0"), tmp_path / "other.gguf")
    (gate,) = (one for one in core.look_at(path) if one.name == "template")
    assert gate.status is GateStatus.FAIL
    assert "+" in gate.evidence
    assert "dreadful" in gate.evidence
    with pytest.raises(GateRefused, match=r"✗ template: .* differ from the core's"):
        promote(core, path)
    core.replace(Incoming(path=path, name="other"), judgements=PASSED, force="I wrote it")
    assert core.status().audit[-1].overridden == ("template",)


def test_a_template_that_never_ends_fails_the_smoke_gate(ladder: Path, tmp_path: Path) -> None:
    """Sound in its structure; only the sandbox finds it, and the old core goes on serving."""
    core = real(tmp_path)
    core.adopt(model(ladder, "Q8_0"), "Q8_0")
    content = model(ladder, "Q8_0").read_bytes()
    begin = content.index(b"{% for message in messages %}")
    endless = b"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    path = tmp_path / "endless.gguf"
    path.write_bytes(content[:begin] + endless + content[begin + len(endless) :])
    assert path.stat().st_size == len(content)
    with pytest.raises(DeployError, match=r"Refused by the smoke gate: .*untouched"):
        core.replace(Incoming(path=path, name="endless"), judgements=PASSED, force="I insist")
    assert core.status().current.number == 1  # type: ignore[union-attr]


class Serving:
    """The example companion on its own port."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(COMPANION), str(folder), "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.address = f"http://127.0.0.1:{line.split()[-1]}"

    def say(self, message: str) -> int:
        """The generation that answered."""
        request = urllib.request.Request(
            f"{self.address}/chat", json.dumps({"message": message}).encode()
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200
            data = json.load(answer)
        assert data["reply"].strip()
        return int(data["generation"])

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def serving(ladder: Path, tmp_path: Path) -> Iterator[Serving]:
    real(tmp_path).adopt(model(ladder, "Q8_0"), "Q8_0")
    companion = Serving(tmp_path / "core")
    yield companion
    companion.end()


def test_a_promotion_under_traffic_drops_no_request(
    ladder: Path, tmp_path: Path, serving: Serving
) -> None:
    health = f"{serving.address}/health?generation=$EMOJUDGE_GENERATION"
    check = (
        f'{sys.executable} -c "import os, urllib.request as u; '
        f"u.urlopen(os.path.expandvars('{health}'))\""
    )
    core = real(tmp_path, hooks=Hooks(health_check=check, health_seconds=60))
    answered: Counter[int] = Counter()
    problems: list[str] = []
    stop = threading.Event()

    def talk() -> None:
        while not stop.is_set():
            try:
                answered[serving.say("Hello, how was your day?")] += 1
            except Exception as problem:  # noqa: BLE001 - every kind of failure is a dropped request
                problems.append(repr(problem))

    talkers = [threading.Thread(target=talk) for _ in range(2)]
    for one in talkers:
        one.start()
    try:
        while sum(answered.values()) < 2 and not problems:
            time.sleep(0.05)
        assert promote(core, model(ladder, "Q4_0")) == 2
        # The health check held the promotion until the companion served it.
        assert serving.say("And now?") == 2
        core.rollback()
        assert serving.say("And now?") == 1
    finally:
        stop.set()
        for one in talkers:
            one.join()
    print(f"{sum(answered.values())} requests: {dict(answered)}, {len(problems)} dropped")
    assert problems == []
    assert answered[1] > 0
