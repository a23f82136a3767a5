"""Stores that somebody damaged, moved or set traps in; each with what the user is told."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from emojudge.deploy.building import Incoming
from emojudge.deploy.companion_manifest import CompanionManifest
from emojudge.deploy.hooks import Hooks, run_command
from emojudge.deploy.journal import Step
from emojudge.errors import DeployError
from tests.core_stores import check_contract, current_model, promote, replacer, write_models
from tests.test_deploy_crash import crashes

forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    return write_models(tmp_path)


def overwrite(file: Path, change: Callable[[str], str]) -> None:
    file.chmod(0o600)
    file.write_text(change(file.read_text()))


def test_a_link_in_the_place_of_incoming_is_not_followed_at_the_start(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    home = tmp_path / "home"
    home.mkdir()
    (home / "diary").write_text("mine")
    incoming = tmp_path / "core" / "incoming"
    incoming.rmdir()
    incoming.symlink_to(home)
    assert core.recover() is None
    with pytest.raises(DeployError, match=r"incoming is a symbolic link"):
        core.backup("x")
    overwrite(core.layout.journal.file, lambda text: "{")
    with pytest.raises(DeployError, match=r"incoming is a symbolic link"):
        core.recover()
    assert (home / "diary").read_text() == "mine"


@pytest.mark.parametrize("name", ["{home}", "../home", "backup_20200101_000000"])
def test_a_backup_that_says_it_is_another_one_is_named_and_removes_nothing(
    tmp_path: Path, models: dict[str, Path], name: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    core = replacer(tmp_path, keep_backups=0)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    core.backup("x")
    folder = next((tmp_path / "backups").iterdir())
    data = json.loads((folder / "backup_metadata.json").read_text())
    data |= {"backup_id": name.format(home=home), "automatic": True}
    (folder / "backup_metadata.json").write_text(json.dumps(data))
    promote(core, models["Q4"])
    assert home.is_dir()
    assert folder.is_dir()
    assert "it was renamed, copied or changed" in core.status().problems[0]
    with pytest.raises(DeployError, match="Move its folder away"):
        core.list_backups()
    # While it is not known what backups keep, no generation goes.
    assert len(core.status().generations) == 3


@forks
@pytest.mark.parametrize("field", ["companion", "before_folder", "after_folder"])
def test_a_journal_is_not_believed_about_paths(
    tmp_path: Path, models: dict[str, Path], field: str
) -> None:
    companion = tmp_path / "companion.json"
    companion.write_text("{}")
    victim = tmp_path / "victim"
    victim.write_text("{}")
    core = replacer(tmp_path, manifest=companion)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    point = 0
    while (journal := core.layout.journal.read()) is None or journal.step is not Step.SWITCHING:
        point += 1
        assert crashes(point, core.rollback)
    data = json.loads(core.layout.journal.file.read_text())
    if field == "companion":
        data["companion"] |= {"file": str(victim), "existed": False, "had_info": False}
    else:
        data[field] = "../../home"
    core.layout.journal.file.write_text(json.dumps(data))
    said = core.recover()
    assert said is not None
    expected = "is not the one that the config" if field == "companion" else "could not be read"
    assert expected in said
    assert victim.read_text() == "{}"
    check_contract(tmp_path)
    core.rollback()
    check_contract(tmp_path, companion)


@pytest.mark.parametrize("how", ["manifest", "foreign link", "gone", "cut"])
def test_a_damaged_core_is_told_and_rolled_back(
    tmp_path: Path, models: dict[str, Path], how: str
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    current = core.layout.generations_dir / (core.layout.current_folder() or "")
    if how == "manifest":
        overwrite(current / "manifest.json", lambda text: text[:20])
    elif how == "foreign link":
        core.layout.current.unlink()
        core.layout.current.symlink_to("/etc")
    elif how == "gone":
        current.chmod(0o700)
        shutil.rmtree(current)
    else:
        (current / "core.gguf").chmod(0o600)
        (current / "core.gguf").write_bytes(b"GGUF")
    if how == "cut":
        assert "is missing, cut short" in core.scrub()[0].wrong
    else:
        assert core.status().problems
    core.rollback()
    assert check_contract(tmp_path)
    assert current_model(tmp_path) == models["F16"].read_bytes()


def test_one_unreadable_old_generation_hides_nothing_else(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    old = next(core.layout.generations_dir.glob("1-*"))
    overwrite(old / "manifest.json", lambda text: "")
    status = core.status()
    assert [one.number for one in status.generations] == [2]
    assert "has no readable manifest" in status.problems[0]
    assert [bool(one.wrong) for one in core.scrub()] == [False, True]
    promote(core, models["Q4"])
    assert current_model(tmp_path) == models["Q4"].read_bytes()


def test_a_pin_of_another_study_is_kept_and_a_missing_folder_stops_clearing(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    one = replacer(tmp_path, keep_backups=0)
    one.adopt(models["F16"], "F16")
    pinned = one.backup("the one I liked")
    other = replacer(tmp_path, keep_backups=0)
    other.backup_dir = tmp_path / "other study" / "backups"
    promote(other, models["Q8"])
    promote(other, models["Q4"])
    promote(other, models["Q8"])
    assert [each.number for each in other.status().generations] == [3, 2, 1]
    (tmp_path / "backups").rename(tmp_path / "unmounted")
    promote(other, models["Q4"])
    promote(other, models["Q8"])
    assert 1 in [each.number for each in other.status().generations]
    (tmp_path / "unmounted").rename(tmp_path / "backups")
    one.restore_named(pinned.backup_id)
    assert current_model(tmp_path) == models["F16"].read_bytes()


@forks
def test_a_journal_lost_in_the_middle_of_a_switch(tmp_path: Path, models: dict[str, Path]) -> None:
    """State is derived from current: the companion, the audit and a rollback follow it."""
    companion = tmp_path / "companion.json"
    companion.write_text("{}")
    core = replacer(tmp_path, manifest=companion, auto_backup=False)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    point = 0
    while (core.layout.current_folder() or "").startswith("2-"):
        point += 1
        assert crashes(point, core.rollback)
    overwrite(core.layout.journal.file, lambda text: text[:30])
    said = core.recover()
    assert said is not None
    assert "The core in use is generation 1" in said
    check_contract(tmp_path, companion)
    last = core.status().audit[-1]
    assert (last.action, last.before, last.after) == ("found", 2, 1)
    assert "remove" in (core.status().interrupted or "")
    core.layout.journal.damaged()[0].unlink()
    core.rollback()
    assert current_model(tmp_path) == models["Q8"].read_bytes()
    assert core.verify_audit()[0].endswith("the journal could not be read")


def test_a_number_is_not_used_again_after_a_change_was_taken_back(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    replacer(tmp_path).adopt(models["F16"], "F16")
    sick = replacer(tmp_path, hooks=Hooks(health_check="false", health_seconds=0.1))
    with pytest.raises(DeployError, match="taken back"):
        promote(sick, models["Q8"])
    core = replacer(tmp_path)
    assert [one.number for one in core.status().generations] == [1]
    assert promote(core, models["Q4"]) == 3


def test_a_later_change_does_not_hide_that_the_audit_was_cut(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    core.rollback()
    file = core.layout.audit_log.file
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:2]))
    core.restore(2)
    wrong = core.verify_audit()
    assert len(wrong) == 1
    assert wrong[0].startswith("found ")
    assert wrong[0].endswith("1 of 3 lines are gone from its end")
    core.rollback()
    assert core.verify_audit() == wrong


def test_a_kept_generation_with_a_flipped_bit_is_built_anew(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    model = next(one for one in core.status().generations if one.number == 1).model
    content = bytearray(model.read_bytes())
    content[-3] ^= 4
    model.chmod(0o600)
    model.write_bytes(content)
    assert promote(core, models["F16"]) == 3
    check_contract(tmp_path)


def test_the_same_model_again_is_said_to_be_the_core(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    with pytest.raises(DeployError, match=r"is the core already, as generation 1"):
        promote(core, models["F16"])
    assert list((tmp_path / "core" / "incoming").iterdir()) == []


def test_gates_that_the_config_leaves_out_stand_in_the_audit(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path, try_model=None)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    assert core.status().audit[-1].overridden == ("weights (not tried)", "smoke (not tried)")


@forks
def test_a_companions_manifest_that_cannot_be_put_back_does_not_stand_in_the_way(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    companion = tmp_path / "companion.json"
    companion.write_text('{"persona": "Iris"}')
    core = replacer(tmp_path, manifest=companion)
    core.adopt(models["F16"], "F16")
    whole = companion.read_text()
    # Killed by its own restart command, so behind the switch and the companion's manifest.
    killed = replacer(tmp_path, manifest=companion, hooks=Hooks(restart_command="kill -9 $PPID"))
    child = os.fork()
    if child == 0:
        promote(killed, models["Q8"])
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert companion.read_text() != whole
    companion.write_text("{ half")
    said = core.recover()
    assert said is not None
    assert "could not be put right yet" in said
    core.backup("goes on")
    companion.write_text(whole)
    core.backup("again")
    check_contract(tmp_path, companion)
    assert json.loads(companion.read_text())["persona"] == "Iris"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1, "a": 2}', "stands twice"),
        ('{"a": 1e999}', "no number that JSON can hold"),
        ('{"a": NaN}', "no number that JSON can hold"),
        ('["a"]', "does not hold a JSON object"),
        ('{"model_info": 3}', "does not hold a JSON object"),
    ],
)
def test_a_companions_manifest_of_which_something_would_be_lost_is_refused(
    tmp_path: Path, models: dict[str, Path], text: str, why: str
) -> None:
    companion = tmp_path / "companion.json"
    companion.write_text(text)
    core = replacer(tmp_path, manifest=companion)
    with pytest.raises(DeployError, match=why):
        core.adopt(models["F16"], "F16")
    assert companion.read_text() == text
    assert core.status().current is None


def test_a_companions_manifest_keeps_its_looks(tmp_path: Path, models: dict[str, Path]) -> None:
    companion = tmp_path / "companion.json"
    companion.write_text('{\n\t"half": "\\ud800",\n\t"ünï": [1]\n}\n')
    companion.chmod(0o640)
    replacer(tmp_path, manifest=companion).adopt(models["F16"], "F16")
    text = companion.read_text()
    assert text.startswith('{\n\t"half"')
    assert list(json.loads(text)) == ["half", "ünï", "model_info"]
    assert companion.stat().st_mode & 0o777 == 0o640


def test_a_companions_manifest_is_made_and_what_the_companion_wrote_meanwhile_stays(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    file = tmp_path / "companion.json"
    core = replacer(tmp_path, manifest=file)
    core.adopt(models["F16"], "F16")
    assert list(json.loads(file.read_text())) == ["model_info"]
    own = CompanionManifest(file)
    file.unlink()
    before = own.remember()
    assert not before.existed
    current = core.status().current
    assert current is not None
    own.update(current.manifest)
    file.write_text(json.dumps({**json.loads(file.read_text()), "mood": "calm"}))
    own.put_back(before)
    assert json.loads(file.read_text()) == {"mood": "calm"}
    file.unlink()
    own.update(current.manifest)
    own.put_back(before)
    assert not file.exists()


def test_a_core_that_went_and_came_back_is_not_the_one_that_was_seen(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    promote(core, models["Q4"])
    seen = core.status().head
    core.restore(1)
    core.restore(3)
    with pytest.raises(DeployError, match="changed meanwhile"):
        core.rollback(expected=3, seen=seen)
    assert current_model(tmp_path) == models["Q4"].read_bytes()


def test_a_way_to_the_store_that_everybody_may_change_is_refused(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    safe, way = tmp_path / "safe", tmp_path / "way"
    safe.mkdir()
    way.mkdir()
    (way / "link").symlink_to(safe)
    way.chmod(0o777)
    with pytest.raises(DeployError, match=r"Everybody may write to .*way"):
        replacer(way / "link").adopt(models["F16"], "F16")
    core = replacer(safe)
    core.adopt(models["F16"], "F16")
    (safe / "core" / "generations").chmod(0o777)
    with pytest.raises(DeployError, match=r"Everybody may write to .*generations"):
        promote(core, models["Q8"])


def test_a_failed_fsync_is_not_tried_again(
    tmp_path: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    calls: list[int] = []

    def fails(fd: int) -> None:
        calls.append(fd)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(DeployError, match="Input/output error"):
        promote(core, models["Q8"])
    monkeypatch.undo()
    assert len(calls) == 1
    assert core.recover() is None
    assert current_model(tmp_path) == models["F16"].read_bytes()
    assert list((tmp_path / "core" / "incoming").iterdir()) == []


def test_a_command_ends_with_whoever_interrupts(tmp_path: Path) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    command = f"echo $$ > {tmp_path}/pid; sleep 60; touch {tmp_path}/went-on"
    try:
        with pytest.raises(KeyboardInterrupt):
            run_command("command", command, {}, 30)
    finally:
        signal.signal(signal.SIGALRM, before)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_brackets_in_the_name_of_a_split_model(tmp_path: Path, models: dict[str, Path]) -> None:
    path = tmp_path / "m[1]-00001-of-00001.gguf"
    models["Q8"].rename(path)
    core = replacer(tmp_path)
    assert core.adopt(path, "m[1]").number == 1


def test_a_rollback_to_what_a_scrub_found_damaged_is_refused_with_the_way_out(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    model = next(one for one in core.status().generations if one.number == 1).model
    whole = model.read_bytes()
    model.chmod(0o600)
    model.write_bytes(whole[:-1] + b"!")
    core.scrub()
    assert any("Generation 1 is damaged" in one for one in core.status().problems)
    with pytest.raises(DeployError, match=r"Generation 1 is damaged.*Promote its model again"):
        core.rollback()
    model.write_bytes(whole)
    core.scrub()
    assert core.status().problems == ()
    core.rollback()


def test_what_a_rollback_leaves_is_kept_as_a_backup(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    core.rollback(reason="it was cold")
    assert core.status().audit[-1].reason == "it was cold"
    promote(core, models["Q4"])
    assert {one.number for one in core.status().generations} == {1, 2, 3}
    core.restore_named("before the rollback to 1")
    assert current_model(tmp_path) == models["Q8"].read_bytes()
    core.remove_backup("before the rollback to 1")
    with pytest.raises(DeployError, match=r"There is no backup 'before the rollback to 1'"):
        core.restore_named("before the rollback to 1")
    core.restore_named("1")
    assert current_model(tmp_path) == models["F16"].read_bytes()


def test_nothing_is_made_where_no_core_ever_was(tmp_path: Path) -> None:
    core = replacer(tmp_path)
    for work in (core.rollback, lambda: core.backup("x"), lambda: core.restore(1)):
        with pytest.raises(DeployError, match=r"no core store at .* yet"):
            work()
    assert list(tmp_path.iterdir()) == []


def test_the_core_itself_is_recognised_before_a_reason_is_asked_for(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    with pytest.raises(DeployError, match="is the core already"):
        core.replace(Incoming(path=models["F16"], name="again"))
