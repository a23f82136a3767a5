"""Ratings under crashes, losses of power and full disks: what was acknowledged is there.

*Bad* is an acknowledged rating that is gone, a rating that stands twice, or a study that a torn
line keeps from being opened.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from emojudge.config_file import load_config
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.study import Study
from tests.depth import sampled_or_all
from tests.power_loss import CALLS, OPTIONS, Recording, remove
from tests.studies import judged_study, situations
from tests.test_rating import rate
from tests.tracing import (
    DONE,
    REFUSED,
    Point,
    inject,
    kill_at,
    limited,
    points_of,
    require_nearly_all,
    sample,
    trace,
)

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
_ITEMS = 3
_BEFORE = 1
_SAMPLED = 16
_TOLD = r'"\x78", 1)'
_STATES = sampled_or_all(40, 200)
_SIZES = 20


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A judged study with one rated item."""
    folder = tmp_path / "template"
    folder.mkdir()
    asyncio.run(judged_study(folder, prompts=situations(6)))
    session = RaterSession(Study(load_config(folder)), "ana")
    rate(session)
    session.close()
    return folder


def evening(folder: Path, told: Path) -> None:
    """Rate some items; each is told to ``told``, in its own folder, once it was acknowledged."""
    session = RaterSession(Study(load_config(folder)), "ana")
    for _ in range(_ITEMS):
        rate(session)
        # Where it is the test's own write that is refused, nothing was told.
        with suppress(OSError), told.open("a") as stream:
            stream.write("x")
    session.close()


def stored(folder: Path) -> int:
    """How many rated items a fresh start finds; each stands there once."""
    study = Study(load_config(folder))
    try:
        rated = study.view().rated
        counted = Counter((one.rater, one.prompt_id, one.sample) for one in rated)
        assert set(counted.values()) == {1}
        return len(rated)
    finally:
        study.close()


def acknowledged(told: Path) -> int:
    return _BEFORE + (told.stat().st_size if told.exists() else 0)


def require_all(folder: Path, told: Path) -> None:
    found, least = stored(folder), acknowledged(told)
    # One more may be on the disk than was told: the crash came in between.
    assert least <= found <= least + 1
    session = RaterSession(Study(load_config(folder)), "ana")
    rate(session)
    session.close()
    assert stored(folder) == found + 1


class Evenings:
    """Copies of the template, each with its own place to tell."""

    def __init__(self, template: Path, folder: Path) -> None:
        self._template, self._folder, self._count = template, folder, 0

    def points(self) -> list[Point]:
        """All mutating calls of an evening, without those of what is imported at first use."""
        evening(*self.fresh())
        return points_of(partial(evening, *self.fresh()))

    def fresh(self) -> tuple[Path, Path]:
        self._count += 1
        folder = self._folder / f"study-{self._count}"
        shutil.copytree(self._template, folder)
        return folder, self._folder / f"told-{self._count}"


def test_killed_at_every_mutating_call(template: Path, tmp_path: Path) -> None:
    evenings = Evenings(template, tmp_path)
    points = sample(evenings.points(), _SAMPLED, seed=3)
    killed = 0
    for point in points:
        folder, told = evenings.fresh()
        killed += kill_at(partial(evening, folder, told), point)
        require_all(folder, told)
        shutil.rmtree(folder)
    print(f"rating: {killed} killed at {len(points)} calls, 0 bad")
    require_nearly_all(killed, points)


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_an_error_of_the_disk_at_every_write(template: Path, tmp_path: Path, error: str) -> None:
    evenings = Evenings(template, tmp_path)
    failing = {"write", "fsync", "fdatasync", "rename", "ftruncate"}
    points = [one for one in evenings.points() if one.call in failing]
    refused = 0
    for point in sample(points, _SAMPLED, seed=4):
        folder, told = evenings.fresh()
        status = inject(partial(evening, folder, told), point, f"error={error}")
        assert status in (DONE, REFUSED), (point, status)
        refused += status == REFUSED
        require_all(folder, told)
        shutil.rmtree(folder)
    print(f"rating, {error}: {refused} refused, 0 bad")


def test_a_disk_that_is_full_at_twenty_places(template: Path, tmp_path: Path) -> None:
    """The log of ratings may grow by so many bytes: by nothing up to all of an evening's."""
    evenings = Evenings(template, tmp_path)
    folder, told = evenings.fresh()
    log = next(folder.rglob("ratings/ana.log"))
    before = log.stat().st_size
    evening(folder, told)
    # How long a line is differs a little: the seconds that it took stand in it.
    growth = round(1.2 * (log.stat().st_size - before))
    refused = 0
    for step in range(_SIZES):
        folder, told = evenings.fresh()
        status = limited(partial(evening, folder, told), before + growth * step // (_SIZES - 1))
        assert status in (DONE, REFUSED), (step, status)
        refused += status == REFUSED
        require_all(folder, told)
        shutil.rmtree(folder)
    print(f"rating, a full disk: {refused} of {_SIZES} sizes refused, 0 bad")
    assert 0 < refused < _SIZES


def recorded(folder: Path, told: Path) -> tuple[Recording, list[int]]:
    """An evening's events, and after how many of them each item was acknowledged."""
    recording = Recording(folder)
    status, lines = trace(partial(evening, folder, told), CALLS, *OPTIONS)
    assert status == DONE, lines[-3:]
    process = int(lines[0].split()[0])
    marks = []
    for line in lines:
        recording.follow([line], process)
        number, _, call = line.partition(" ")
        if number == str(process) and call.strip().startswith("write(") and _TOLD in call:
            marks.append(len(recording.events))
    assert len(marks) == _ITEMS
    return recording, marks


def test_leaving_out_an_fsync_of_the_log_is_found_out(template: Path, tmp_path: Path) -> None:
    """Without any of those that an acknowledged item rests on, some state has lost one."""
    folder, told = Evenings(template, tmp_path).fresh()
    recording, marks = recorded(folder, told)
    draw = random.Random(7)
    # The last fsync before an item was acknowledged is the one that it rests on.
    needed = [max(place for place in recording.syncs if place < mark) for mark in marks]
    for place, mark in zip(needed, marks, strict=True):
        lost = False
        for _ in range(_STATES):
            recording.lose_power(mark, draw, place).build(folder)
            lost = lost or stored(folder) < _BEFORE + marks.index(mark) + 1
        assert lost, place
    print(f"rating: {len(needed)} fsyncs left out, each found out")
    remove(folder)


def test_no_acknowledged_rating_is_lost_with_the_power(template: Path, tmp_path: Path) -> None:
    folder, told = Evenings(template, tmp_path).fresh()
    recording, marks = recorded(folder, told)
    draw = random.Random(5)
    for _ in range(_STATES):
        at = draw.randint(0, len(recording.events))
        recording.lose_power(at, draw).build(folder)
        least = _BEFORE + sum(mark <= at for mark in marks)
        found = stored(folder)
        assert least <= found <= least + 1, (at, found)
    print(f"rating: {len(recording.events)} events, {_STATES} states, 0 bad")
    remove(folder)
