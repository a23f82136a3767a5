"""Nothing that was acknowledged is lost: kills, full disks, disks that take nothing."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import selectors
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from emojudge.config_file import load_config
from emojudge.domain import Criterion
from emojudge.errors import LockHeld, StoreError, StudyTooNew
from emojudge.pipeline.planted_study import store_planted_study
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.study import Study
from emojudge.ranking.simulate.planted import Design
from emojudge.ranking.simulate.planted_view import planted_view
from emojudge.ranking.simulate.walk import one_leader
from emojudge.store.tables import ITEMS, RATED
from tests.studies import judged_study
from tests.test_rating import rate

_RATERS = 8
_EACH = 200
_KILLS = 50
_RATE = """
import json, random, sys
from pathlib import Path
from emojudge.config_file import load_config
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.study import Study

draw = random.Random()
session = RaterSession(Study(load_config(Path(sys.argv[1]))), sys.argv[2])
while len(session.rated()) < int(sys.argv[3]):
    item = session.next_item()
    assert item is not None
    while session.draft.panes[-1].complete is False or not session.draft.panes[0].complete:
        session.score(draw.randint(1, 5))
    rated = session.submit()
    scores = [list(one.scores.values()) for one in rated.ratings]
    print(json.dumps([rated.id, rated.prompt_id, scores]), flush=True)
session.close()
print("done", flush=True)
"""


def stored_study(folder: Path, prompts: int) -> Path:
    """Three candidates' responses to so many prompts, to be rated by whoever follows."""
    sizes = [(f"rung-{number}", 300 - 20 * number) for number in range(3)]
    view = planted_view(one_leader(3, 0.03), Design(prompts, 1), sizes, items=0)
    store_planted_study(folder, view)
    lines = [
        json.dumps({"id": one.id, "prompt": one.messages[0].content, "category": one.category})
        for one in view.prompts
    ]
    (folder / "prompts.jsonl").write_text("\n".join(lines))
    config = {
        "name": "planted",
        "evaluation_prompts": "prompts.jsonl",
        "human_judging": {"panes": 2, "repeat_share": 0},
        "generation": {"samples_per_prompt": 1},
    }
    (folder / "phase2_config.json").write_text(json.dumps(config))
    return folder


@dataclass
class Rater:
    """A process that rates, restarted when it is killed, and what it acknowledged."""

    name: str
    folder: Path
    acknowledged: dict[str, tuple[str, list[list[int]]]] = field(default_factory=dict)
    finished: bool = False
    kills: int = 0

    def start(self) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-c", _RATE, str(self.folder), self.name, str(_EACH)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def take(self, line: str) -> None:
        if line.strip() == "done":
            self.finished = True
        elif line.endswith("\n"):
            item, prompt, scores = json.loads(line)
            assert item not in self.acknowledged, "an item was rated twice"
            self.acknowledged[item] = (prompt, scores)

    def kill(self) -> None:
        """SIGKILL, whatever it is doing; what it had said by then still counts."""
        self.child.kill()
        self.kills += 1
        for line in self.said:
            self.take(line)
        self.close()

    @property
    def said(self) -> IO[str]:
        """What the process acknowledges."""
        assert self.child.stdout is not None
        return self.child.stdout

    def close(self) -> int:
        """Wait for the end; its complaints are part of a failure's text."""
        with self.child as ended:
            assert ended.stderr is not None
            complaints = ended.stderr.read()
        assert ended.returncode in (0, -9), complaints
        return ended.returncode


def test_fifty_kills_among_eight_raters_lose_and_double_nothing(tmp_path: Path) -> None:
    folder = stored_study(tmp_path, _EACH + 5)
    raters = [Rater(f"rater-{number}", folder) for number in range(_RATERS)]
    draw = random.Random(11)
    # After so many acknowledged ratings of all, somebody is killed.
    when = sorted(draw.sample(range(20, _RATERS * _EACH - 100), _KILLS))
    with selectors.DefaultSelector() as selector:
        for rater in raters:
            rater.start()
            selector.register(rater.said, selectors.EVENT_READ, rater)
        while selector.get_map():
            for key, _ in selector.select(timeout=60):
                rater = key.data
                line = rater.said.readline()
                if not line:
                    selector.unregister(key.fileobj)
                    assert rater.close() == 0
                    continue
                rater.take(line)
                done = sum(len(one.acknowledged) for one in raters)
                alive = [one for one in raters if not one.finished]
                if when and done >= when[0] and alive:
                    when.pop(0)
                    victim = draw.choice(alive)
                    selector.unregister(victim.said)
                    victim.kill()
                    victim.start()
                    selector.register(victim.said, selectors.EVENT_READ, victim)
    assert sum(rater.kills for rater in raters) == _KILLS
    store = Study(load_config(folder)).store
    assert not store.damage
    stored = store.all(RATED)
    assert Counter(one.rater for one in stored) == dict.fromkeys(
        (rater.name for rater in raters), _EACH
    )
    assert max(Counter((one.rater, one.prompt_id) for one in stored).values()) == 1
    by_id = {one.id: one for one in stored}
    for rater in raters:
        for item, (prompt, scores) in rater.acknowledged.items():
            kept = by_id[item]
            assert kept.prompt_id == prompt
            assert [list(one.scores.values()) for one in kept.ratings] == scores
    shown = Counter(one.id for one in store.all(ITEMS))
    assert max(shown.values()) == 1


async def test_a_full_disk_keeps_what_was_stored_and_says_so(tmp_path: Path) -> None:
    """No file may grow beyond a limit in a child: the write fails as on a full disk."""
    study = await judged_study(tmp_path)
    session = RaterSession(study, "ana")
    rate(session)
    session.next_item()
    session.score(4)
    session.close()
    log = tmp_path / "ratings" / "ana.log"
    code = f"""
import resource, signal
from pathlib import Path
from emojudge.config_file import load_config
from emojudge.errors import StoreError
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.study import Study
session = RaterSession(Study(load_config(Path({str(tmp_path)!r}))), "ana")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({log.stat().st_size + 100},) * 2)
try:
    session.score(2)
except StoreError as problem:
    print(problem)
print(len(session.draft.panes[0].scores))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, kept = done.stdout.splitlines()
    assert "free some space" in said
    assert kept == "1", "a score that is not on disk is not shown as given"
    session = RaterSession(Study(study.loaded), "ana")
    assert len(session.rated()) == 1
    assert session.draft is not None
    assert session.draft.panes[0].scores == {Criterion.BELIEVABILITY: 4}
    session.score(2)
    session.close()


async def test_a_disk_that_takes_nothing_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = await judged_study(tmp_path)
    session = RaterSession(study, "ana")

    def read_only(descriptor: int, payload: bytes) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("emojudge.store.log.os.write", read_only)
    with pytest.raises(StoreError, match=r"Read-only file system.*mend the disk"):
        session.next_item()
    assert session.item is None, "an item that is not on disk is not shown"
    monkeypatch.undo()
    assert session.next_item() is not None
    session.close()


async def test_two_sessions_of_one_rater_name_the_first_ones_process(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    session = RaterSession(study, "ana")
    with pytest.raises(
        LockHeld, match=rf"in use by process {os.getpid()} on {os.uname().nodename}"
    ):
        RaterSession(Study(study.loaded), "ana")
    session.close()
    RaterSession(Study(study.loaded), "ana").close()


async def test_a_damaged_rating_is_set_aside_named_and_the_rest_used(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    session = RaterSession(study, "ana")
    rate(session)
    rate(session)
    session.close()
    log = tmp_path / "ratings" / "ana.log"
    lines = log.read_bytes().splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if b'"table":"rated"' in line)
    lines[place] = lines[place].replace(b'"sample":0', b'"sample":7')
    log.write_bytes(b"".join(lines))
    again = Study(study.loaded)
    session = RaterSession(again, "ana")
    assert len(again.view().counted_items) == 1
    assert [entry for entry in again.view().damage if "ratings/ana.log" in entry]
    assert len(list((tmp_path / "ratings").glob("ana.log.damaged-*"))) == 1
    # The item whose rating was damaged is offered again, with what was typed.
    item = session.next_item()
    assert item is not None
    assert session.draft is not None
    assert all(pane.complete for pane in session.draft.panes)
    session.submit()
    assert len(again.view().counted_items) == 2
    session.close()


async def test_a_study_from_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    log = tmp_path / "study.log"
    from emojudge.store.log import LogFollower, LogWriter, Record

    newest = next(one for one in LogFollower(log).read_new() if one.table == "study")
    document = {**(newest.document or {}), "schema_version": 99}
    LogWriter(log).append(Record("study", "study", document))
    before = log.read_bytes()
    with pytest.raises(StudyTooNew, match="schema version 99"):
        Study(study.loaded)
    assert log.read_bytes() == before


def test_the_limit_of_this_process_is_as_it_was() -> None:
    """The full disk above was a child's own."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] in (resource.RLIM_INFINITY, -1)
