"""``emojudge bench --deploy``: a change of the core against one copy and one hash of its file."""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from emojudge import paths
from emojudge.candidates.hashing import CHUNK
from emojudge.deploy.building import Incoming
from emojudge.deploy.copying import hash_file, reflink
from emojudge.deploy.gates import passed
from emojudge.deploy.progress import Going
from emojudge.deploy.replacer import CoreModelReplacer
from emojudge.errors import DeployError
from emojudge.pipeline.bench.figures import BenchFigures, Figure
from emojudge.pipeline.bench.grown_model import grow_model
from emojudge.pipeline.setup import demo_ladder
from emojudge.text import human_bytes

_BLOCKS = 290
_ROLLBACKS = 10
_BLOCK_BYTES = 512
_GATES = ("checking the copy", "loading it in the sandbox")
_PASSED = (passed("benchmark", "nothing is judged here"),)
Progress = Callable[[str, int, int], None]


def disk_bytes(folder: Path) -> int:
    """Bytes that a folder's files take on the disk."""
    total = 0
    for root, _, names in os.walk(folder):
        total += sum(os.lstat(Path(root) / name).st_blocks for name in names)
    return total * _BLOCK_BYTES


@dataclass
class _Watch:
    """How long each step of a change took, and the most that the store took meanwhile."""

    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)
    most_bytes: int = 0
    _words: str = ""
    _since: float = 0.0

    def __call__(self, going: Going) -> None:
        if going.words == self._words:
            return
        self.end()
        self._words, self._since = going.words, time.perf_counter()

    def end(self) -> None:
        """The step before is over."""
        if self._words:
            took = time.perf_counter() - self._since
            self.seconds[self._words] = self.seconds.get(self._words, 0.0) + took
        self.most_bytes = max(self.most_bytes, disk_bytes(self.folder))
        # Looking at the disk is not part of any step.
        self._since = time.perf_counter()


@dataclass(frozen=True)
class _Round:
    """One promotion of the large model beside one copy and one hash pass of it, in seconds."""

    copy: float
    hash: float
    change: float
    gates: float
    rollbacks: list[float]
    extra: int
    backups: int

    @property
    def ratio(self) -> float:
        """Staging and switching, gates taken off, over a copy and a hash pass."""
        return (self.change - self.gates) / (self.copy + self.hash)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _copy_once(source: Path, target: Path) -> None:
    """A plain copy that is on disk when it returns."""
    with source.open("rb") as old, target.open("wb") as new:
        shutil.copyfileobj(old, new, CHUNK)
        new.flush()
        os.fsync(new.fileno())


def _round(folder: Path, small: Path, large: Path, *, copy_first: bool) -> _Round:
    folder.mkdir()
    core = CoreModelReplacer(folder / "core", folder / "backups", who="bench")
    core.adopt(small, "small")
    before = disk_bytes(folder / "core")
    watch = _Watch(folder / "core")
    incoming = Incoming(path=large, name="large")

    def reference() -> tuple[float, float]:
        copy = _timed(lambda: _copy_once(large, folder / "copy"))
        hashed = _timed(lambda: hash_file(folder / "copy", lambda count: None))
        (folder / "copy").unlink()
        return copy, hashed

    # By turns, because the machine's speed wanders.
    copied = reference() if copy_first else None
    change = _timed(lambda: core.replace(incoming, judgements=_PASSED, progress=watch))
    watch.end()
    copy, hashed = copied or reference()
    rollbacks = [_timed(core.rollback) for _ in range(_ROLLBACKS)]
    unpinned = disk_bytes(folder / "backups")
    core.backup("pinned")
    backups = disk_bytes(folder / "backups") - unpinned
    gates = sum(watch.seconds.get(words, 0.0) for words in _GATES)
    extra = watch.most_bytes - before
    shutil.rmtree(folder, onerror=_open_and_remove)
    return _Round(copy, hashed, change, gates, rollbacks, extra, backups)


def _open_and_remove(function: Callable[[str], object], path: str, problem: object) -> None:
    Path(path).parent.chmod(0o700)
    function(path)


def _can_reflink(folder: Path) -> bool:
    one, other = folder / "one", folder / "other"
    one.write_bytes(bytes(4096))
    with one.open("rb") as source, other.open("wb") as target:
        return reflink(source.fileno(), target.fileno())


def run_deploy_benchmark(repetitions: int, progress: Progress) -> BenchFigures:
    """Time promotions and rollbacks of a model of 2 GB (some minutes, 5 GB of disk).

    Raises EmojudgeError.
    """
    models = asyncio.run(demo_ladder(lambda text: None))
    small = next(models.glob("*F16/*.gguf"))
    try:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=paths.cache_dir()) as name:
            folder = Path(name)
            progress("growing a model", 0, repetitions + 1)
            large = folder / "large.gguf"
            size = grow_model(small, large, _BLOCKS)
            shared = _can_reflink(folder)
            # The first round meets a disk that is still busy with the file just grown.
            progress("warming up", 0, repetitions + 1)
            _round(folder / "warm", small, large, copy_first=True)
            rounds = []
            for number in range(repetitions):
                progress("promoting, rolling back", number + 1, repetitions + 1)
                first = bool(number % 2)
                rounds.append(_round(folder / str(number), small, large, copy_first=first))
    except OSError as problem:
        raise DeployError(f"The benchmark ended: {problem}") from problem
    progress("done", repetitions + 1, repetitions + 1)
    return _figures(rounds, size, shared)


def _figures(rounds: list[_Round], size: int, shared: bool) -> BenchFigures:
    def median(of: Callable[[_Round], float]) -> float:
        return statistics.median(of(one) for one in rounds)

    each = ", ".join(f"{one.ratio:.2f}" for one in rounds)
    rollbacks = sorted(one for each in rounds for one in each.rollbacks)
    return BenchFigures(
        (
            Figure("the model", size / 1e9, "GB", None, "reflinks" if shared else "no reflinks"),
            Figure("one copy, fsync included", median(lambda one: one.copy), "s", None),
            Figure("one hash pass", median(lambda one: one.hash), "s", None),
            Figure("staging and switching", median(lambda one: one.change - one.gates), "s", None),
            Figure("gates: structure, weights, trial", median(lambda one: one.gates), "s", None),
            Figure(
                "staging and switching over copy and hash",
                median(lambda one: one.ratio),
                "",
                1.15,
                each,
            ),
            Figure(
                "rollback, the slowest",
                1000 * rollbacks[-1],
                "ms",
                50,
                f"of {len(rollbacks)}, median {1000 * statistics.median(rollbacks):.1f} ms",
            ),
            Figure(
                "most extra disk over the model's size",
                median(lambda one: one.extra) / size,
                "share",
                1.001,
                human_bytes(int(median(lambda one: one.extra))),
            ),
            Figure(
                "disk for a backup, of the model's size",
                median(lambda one: one.backups) / size,
                "share",
                0.0001,
                human_bytes(int(median(lambda one: one.backups))),
            ),
        )
    )
