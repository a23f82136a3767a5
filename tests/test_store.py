from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emojudge.domain import CellFailure, Draft
from emojudge.errors import LockHeld, StoreError, StudyTooNew
from emojudge.paths import make_private_folder
from emojudge.store.log import LogFollower, LogWriter, Record
from emojudge.store.study import StudyStore
from emojudge.store.tables import DRAFTS, FAILURES, STUDY, StudyRecord


def failure(number: int, reason: str = "x") -> CellFailure:
    return CellFailure(
        id=f"f{number}", candidate="c", prompt_id="p", sample=0, reason=reason, created="now"
    )


def test_what_is_appended_is_read_back_by_any_follower(tmp_path: Path) -> None:
    writer_side, reader_side = StudyStore(tmp_path), StudyStore(tmp_path)
    writer = writer_side.pipeline_writer()
    writer.put(FAILURES, [failure(1), failure(2)])
    assert reader_side.all(FAILURES) == []
    assert reader_side.refresh() == {"failures"}
    assert reader_side.all(FAILURES) == [failure(1), failure(2)]
    writer.put(FAILURES, [failure(1, "later")])
    writer.remove(FAILURES, ["f2"])
    reader_side.refresh()
    assert reader_side.all(FAILURES) == [failure(1, "later")]
    assert StudyStore(tmp_path).all(FAILURES) == [failure(1, "later")]


def test_a_torn_last_line_is_dropped_and_appending_goes_on(tmp_path: Path) -> None:
    writer = StudyStore(tmp_path).pipeline_writer()
    writer.put(FAILURES, [failure(1)])
    writer.close()
    log = tmp_path / "responses.log"
    whole = log.read_bytes()
    log.write_bytes(whole + whole[: len(whole) // 2])
    assert StudyStore(tmp_path).all(FAILURES) == [failure(1)]
    store = StudyStore(tmp_path)
    writer = store.pipeline_writer()
    writer.put(FAILURES, [failure(2)])
    assert [one.id for one in StudyStore(tmp_path).all(FAILURES)] == ["f1", "f2"]
    assert not StudyStore(tmp_path).damage


@pytest.mark.parametrize("damage", ["flip", "garbage"])
def test_a_damaged_line_is_set_aside_and_the_rest_is_used(tmp_path: Path, damage: str) -> None:
    writer = StudyStore(tmp_path).pipeline_writer()
    writer.put(FAILURES, [failure(number) for number in range(3)])
    writer.close()
    log = tmp_path / "responses.log"
    lines = log.read_bytes().splitlines(keepends=True)
    bad = lines[1].replace(b"f1", b"fX") if damage == "flip" else b"\x00\xff not json\n"
    log.write_bytes(lines[0] + bad + lines[2])
    store = StudyStore(tmp_path)
    assert [one.id for one in store.all(FAILURES)] == ["f0", "f2"]
    assert len(store.damage) == 1
    assert f"at byte {len(lines[0])}" in str(store.damage[0])
    store.pipeline_writer().put(FAILURES, [failure(9)])
    assert (tmp_path / f"responses.log.damaged-{len(lines[0])}").read_bytes() == bad
    assert log.read_bytes().startswith(lines[0] + bad)


def test_a_second_leader_is_refused_with_the_first_ones_pid(tmp_path: Path) -> None:
    first = StudyStore(tmp_path).pipeline_writer()
    with pytest.raises(LockHeld, match=f"process {os.getpid()} on "):
        StudyStore(tmp_path).pipeline_writer()
    first.close()
    StudyStore(tmp_path).pipeline_writer().close()


def test_a_rater_writes_only_the_raters_own_log(tmp_path: Path) -> None:
    store = StudyStore(tmp_path)
    ana, ben = store.rater_writer("ana"), store.rater_writer("ben")
    with pytest.raises(StoreError, match="does not own"):
        ana.put(FAILURES, [failure(1)])
    with pytest.raises(LockHeld, match="rating session of ana"):
        StudyStore(tmp_path).rater_writer("ana")
    ben.close()


def test_folders_and_files_are_private(tmp_path: Path) -> None:
    store = StudyStore(tmp_path / "study")
    store.pipeline_writer().put(FAILURES, [failure(1)])
    assert (tmp_path / "study").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "study" / "responses.log").stat().st_mode & 0o777 == 0o600


def test_a_study_from_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    writer = StudyStore(tmp_path).pipeline_writer()
    writer.put(STUDY, [StudyRecord(schema_version=99, seed=1, name="n", created="now")])
    writer.close()
    before = (tmp_path / "study.log").read_bytes()
    with pytest.raises(StudyTooNew, match="schema version 99"):
        StudyStore(tmp_path)
    assert (tmp_path / "study.log").read_bytes() == before


def test_text_that_cannot_be_encoded_is_stored_all_the_same(tmp_path: Path) -> None:
    store = StudyStore(tmp_path)
    store.pipeline_writer().put(FAILURES, [failure(1, "half \ud83d an emoji")])
    assert StudyStore(tmp_path).all(FAILURES)[0].reason == "half ? an emoji"


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    code = f"""
import resource, signal, sys
from pathlib import Path
from emojudge.errors import StoreError
from emojudge.store.log import LogWriter, Record
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = LogWriter(Path({str(tmp_path / "a.log")!r}))
log.append(Record("t", "one", {{"x": 1}}))
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
try:
    log.append(Record("t", "two", {{"x": "y" * 1000}}))
except StoreError as problem:
    print(problem)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Nothing of this step was stored" in done.stdout
    assert [record.id for record in LogFollower(tmp_path / "a.log").read_new()] == ["one"]


def test_appends_survive_a_kill_at_any_moment(tmp_path: Path) -> None:
    """What the writer acknowledged before it was killed is there afterwards."""
    code = f"""
from pathlib import Path
from emojudge.store.log import LogWriter, Record
log = LogWriter(Path({str(tmp_path / "a.log")!r}))
for number in range(10**6):
    log.append(Record("t", str(number), {{"text": "word " * 50}}))
    print(number, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) >= 40:
                child.send_signal(signal.SIGKILL)
                break
        acknowledged = [int(line) for line in child.stdout]
    last = max([40, *acknowledged])
    LogWriter(tmp_path / "a.log").append(Record("t", "after", {}))
    follower = LogFollower(tmp_path / "a.log")
    ids = [record.id for record in follower.read_new()]
    assert not follower.damage
    assert set(map(str, range(last + 1))) <= set(ids)
    assert ids[-1] == "after"


def test_lines_are_plain_json(tmp_path: Path) -> None:
    LogWriter(tmp_path / "a.log").append(Record("t", "é", {"x": "ü"}))
    line = json.loads((tmp_path / "a.log").read_text())
    assert (line["table"], line["id"], line["doc"]) == ("t", "é", {"x": "ü"})


def test_many_may_make_the_same_folder_at_once(tmp_path: Path) -> None:
    """Eight raters start together, and each makes the ratings folder if it is missing."""
    together = threading.Barrier(8)

    def make(folder: Path) -> None:
        together.wait()
        make_private_folder(folder)

    with ThreadPoolExecutor(8) as raters:
        for round_number in range(50):
            folder = tmp_path / f"study{round_number}" / "ratings"
            list(raters.map(make, [folder] * 8))
            assert folder.stat().st_mode & 0o7777 == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_private_folder(tmp_path / "file")


def test_in_a_teams_folder_everything_is_the_groups(tmp_path: Path) -> None:
    """Set-gid on the study folder means a team; what is made inside is for the group too."""
    folder = tmp_path / "study"
    folder.mkdir()
    folder.chmod(0o2770)
    before = os.umask(0o077)
    try:
        store = StudyStore(folder)
        store.pipeline_writer().put(FAILURES, [failure(1)])
        store.rater_writer("ana").put(DRAFTS, [Draft(id="i", panes=())])
    finally:
        os.umask(before)
    assert (folder / "ratings").stat().st_mode & 0o7777 == 0o2770
    for file in ("responses.log", "ratings/ana.log", "pipeline.lock.holder"):
        assert (folder / file).stat().st_mode & 0o777 == 0o660, file
