"""``emojudge bench --ranking``: how long a rating, a whole ranking and a file of votes take."""

from __future__ import annotations

import csv
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emojudge.columns import aligned
from emojudge.errors import EmojudgeError
from emojudge.pipeline.insights import quick_insight, whole_insight
from emojudge.pipeline.planted_study import store_planted_study
from emojudge.pipeline.study import Study
from emojudge.ranking.simulate.planted import Design
from emojudge.ranking.simulate.planted_view import planted_view
from emojudge.ranking.simulate.walk import one_leader
from emojudge.store.tables import RATED

_RATINGS = 5000
_PANES = 4
_VOTES = 10_000
_NAMES = 60
_SEED = 1
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Timing:
    """Median and slowest of ``repetitions``, in milliseconds; ``bound`` None: there is none."""

    name: str
    median: float
    slowest: float
    repetitions: int
    bound: float | None

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "name": self.name,
            "median_ms": self.median,
            "slowest_ms": self.slowest,
            "repetitions": self.repetitions,
            "bound_ms": self.bound,
        }


@dataclass(frozen=True)
class RankingBench:
    """All timings."""

    timings: tuple[Timing, ...]

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"timings": [one.as_json() for one in self.timings]}

    def lines(self) -> list[str]:
        """For a terminal."""
        rows = [["", "median", "slowest", "bound"]]
        rows += [
            [
                one.name,
                f"{one.median:.1f} ms",
                f"{one.slowest:.1f} ms",
                f"{one.bound:g} ms" if one.bound is not None else "beside the screens",
            ]
            for one in self.timings
        ]
        return aligned(rows, right=(1, 2))


def _timed(
    name: str, work: Callable[[], object], repetitions: int, bound: float | None = None
) -> Timing:
    taken = []
    for _ in range(repetitions):
        began = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - began))
    return Timing(name, statistics.median(taken), max(taken), repetitions, bound)


def run_ranking_benchmark(repetitions: int, progress: Progress) -> RankingBench:
    """Time everything on planted data in a temporary folder. Raises EmojudgeError."""
    with tempfile.TemporaryDirectory(prefix="emojudge-bench-") as folder:
        progress("storing a study of 5,000 ratings", 0, 4)
        timings = _after_a_rating(Path(folder), repetitions)
        progress("ranking 20 candidates", 2, 4)
        timings.append(_whole_ranking(repetitions))
        progress("ranking votes", 3, 4)
        timings.append(_votes(Path(folder), repetitions))
        progress("done", 4, 4)
    return RankingBench(tuple(timings))


def _after_a_rating(folder: Path, repetitions: int) -> list[Timing]:
    """What the next key waits for after a submitted item, and what is computed beside it."""
    sizes = [(f"rung-{number}", 300 - 20 * number) for number in range(5)]
    items = _RATINGS // _PANES
    view = planted_view(
        one_leader(len(sizes), 0.03), Design(125, -(-items // 125)), sizes, items=items + 1
    )
    loaded = store_planted_study(folder / "study", view)
    study = Study(loaded)
    last = study.view().rated[-1]
    writer = study.store.rater_writer(last.rater)

    def submit() -> None:
        writer.put(RATED, [last])
        study.changed()
        study.view()

    try:
        return [
            _timed(
                f"submit at {_RATINGS} ratings, on the screens' thread", submit, repetitions, 20
            ),
            _timed("agreement line after it", lambda: quick(study), repetitions),
            _timed(
                "verdict and all sections after it", lambda: whole(study), max(3, repetitions // 3)
            ),
        ]
    finally:
        writer.close()
        study.close()


def quick(study: Study) -> None:
    """Without what an earlier repetition kept."""
    study.view().memo.clear()
    quick_insight(study.view(), "rater-1")


def whole(study: Study) -> None:
    """Without what an earlier repetition kept."""
    study.view().memo.clear()
    whole_insight(study.view())


def _whole_ranking(repetitions: int) -> Timing:
    sizes = [(f"rung-{number:02}", 400 - 10 * number) for number in range(20)]
    view = planted_view(one_leader(20, 0.03), Design(500, 5, samples=2), sizes, items=2500)

    def rank() -> None:
        view.memo.clear()
        whole_insight(view, sections=False)

    name = "full ranking of 20 candidates × 500 prompts × 5 raters"
    return _timed(name, rank, max(3, repetitions // 3), 2000)


def _votes(folder: Path, repetitions: int) -> Timing:
    """The command as people call it: start of Python, imports and all."""
    rng = random.Random(_SEED)
    strength = {f"name-{number:02}": rng.gauss(0, 1) for number in range(_NAMES)}
    file = folder / "votes.csv"
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["left", "right", "winner"])
        for _ in range(_VOTES):
            left, right = rng.sample(sorted(strength), 2)
            chance = 1 / (1 + 2.718281828 ** (strength[right] - strength[left]))
            winner = "tie" if rng.random() < 0.1 else "left" if rng.random() < chance else "right"
            rows.writerow([left, right, winner])

    def command() -> None:
        done = subprocess.run(
            [sys.executable, "-m", "emojudge", "rank", str(file), "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0 or len(json.loads(done.stdout)["items"]) != _NAMES:
            raise EmojudgeError(f"`emojudge rank` failed on the benchmark's file: {done.stderr}")

    name = f"emojudge rank, {_VOTES} votes over {_NAMES} names"
    return _timed(name, command, max(3, repetitions // 3), 2000)
