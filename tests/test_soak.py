"""A long day: deploys that are killed at any moment, beside eight people who rate."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest

from emojudge.config_file import load_config
from emojudge.errors import EmojudgeError
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.study import Study
from tests.core_stores import check_contract, promote
from tests.depth import sampled_or_all
from tests.test_faults_deploy import prepared, store
from tests.test_never_lost import stored_study
from tests.test_rating import rate

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
_CHANGES = sampled_or_all(60, 500)
_RATERS = 8
_LONGEST = 0.12


@dataclass
class Child:
    """A forked process; ``told`` holds a byte for each thing that it acknowledged."""

    pid: int
    told: Path

    @property
    def acknowledged(self) -> int:
        return self.told.stat().st_size if self.told.exists() else 0


def fork(work: Callable[[], object]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work()
    except EmojudgeError:
        os._exit(3)
    except BaseException as problem:  # noqa: BLE001 - the parent fails on this status
        os.write(2, f"{problem!r}\n".encode())
        os._exit(1)
    os._exit(0)


def rate_until_killed(folder: Path, rater: str, told: Path) -> None:
    session = RaterSession(Study(load_config(folder)), rater)
    while session.upcoming_prompts():
        rate(session)
        with told.open("a") as stream:
            stream.write("x")


def change(folder: Path, number: int, draw: random.Random) -> Callable[[], object]:
    models = sorted(folder.glob("*.gguf"))
    if number % 3 == 2:
        return store(folder).rollback
    return partial(promote, store(folder), draw.choice(models))


def disk_use(folder: Path) -> int:
    return sum(one.lstat().st_size for one in folder.rglob("*") if one.is_file())


def test_a_long_day(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    children = set(psutil.Process().children(recursive=True))
    folder, study = tmp_path / "store", stored_study(tmp_path / "study", 400)
    prepared(folder)
    raters = []
    for number in range(_RATERS):
        told = tmp_path / f"told-{number}"
        work = partial(rate_until_killed, study, f"rater-{number}", told)
        raters.append(Child(fork(work), told))
    draw = random.Random(6)
    killed = 0
    handles = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - descriptors, not paths
    for number in range(_CHANGES):
        child = fork(change(folder, number, draw))
        if number % 2:
            time.sleep(draw.uniform(0, _LONGEST))
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, 3, -signal.SIGKILL)
        killed += status == -signal.SIGKILL
        check_contract(folder)
    for one in raters:
        os.kill(one.pid, signal.SIGKILL)
        os.waitpid(one.pid, 0)
    rated = Study(load_config(study)).view().rated
    for number, one in enumerate(raters):
        found = sum(each.rater == f"rater-{number}" for each in rated)
        assert one.acknowledged <= found <= one.acknowledged + 1
    core = store(folder)
    core.recover()
    # One more promotion clears away what nothing keeps; then only kept generations are left.
    other = next(one for one in sorted(folder.glob("*.gguf")) if current_is_not(folder, one))
    promote(core, other)
    kept = sum(one.size for one in core.status().generations)
    assert len(core.status().generations) <= 3
    assert disk_use(folder / "core" / "generations") < kept + 10_000 * len(
        core.status().generations
    )
    assert list((folder / "core" / "incoming").iterdir()) == []
    check_contract(folder, folder / "companion.json")
    assert core.verify_audit() == []
    assert len(os.listdir("/proc/self/fd")) == handles  # noqa: PTH208
    assert set(psutil.Process().children(recursive=True)) <= children
    print(
        f"a long day: {_CHANGES} changes, {killed} killed, {len(rated)} ratings by {_RATERS} "
        f"people, {len(core.layout.audit())} lines of audit, 0 bad"
    )


def current_is_not(folder: Path, model: Path) -> bool:
    current = store(folder).layout.current_generation()
    return current is not None and current.model.read_bytes() != model.read_bytes()
