"""The audit's chain of hashes, what is kept, exports and scrubs."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from emojudge.deploy.audit import GENESIS, Origin
from emojudge.deploy.building import Incoming
from emojudge.deploy.progress import Going, Lines
from emojudge.errors import DeployError
from tests.core_stores import PASSED, current_model, promote, replacer, write_models


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    return write_models(tmp_path)


def lines_of(folder: Path) -> list[bytes]:
    return (folder / "core" / "audit.jsonl").read_bytes().splitlines()


def test_each_line_carries_the_hash_of_the_one_before(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    origin = Origin(study="spring", report_sha256="a" * 64, ratings_sha256="b" * 64)
    core.replace(Incoming(path=models["Q8"], name="Q8", origin=origin), force="mine")
    core.rollback()
    lines = lines_of(tmp_path)
    previous = GENESIS
    for line in lines:
        assert json.loads(line)["previous"] == previous
        previous = hashlib.sha256(line).hexdigest()
    second = json.loads(lines[1])
    assert second["origin"] == origin.model_dump()
    assert second["overridden"] == ["judgement"]
    assert second["reason"] == "mine"
    assert second["who"] == "ana"
    assert second["sha256"] == hashlib.sha256(models["Q8"].read_bytes()).hexdigest()
    assert second["staged_bytes"] == models["Q8"].stat().st_size
    assert core.verify_audit() == []


@pytest.mark.parametrize("how", ["changed", "removed", "swapped", "cut", "last changed", "torn"])
def test_whoever_changes_the_audit_is_found_out(
    tmp_path: Path, models: dict[str, Path], how: str
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    core.rollback()
    lines = lines_of(tmp_path)
    if how == "changed":
        lines[1] = lines[1].replace(b"ana", b"bo ")
    elif how == "removed":
        del lines[1]
    elif how == "swapped":
        lines[0], lines[1] = lines[1], lines[0]
    elif how == "cut":
        lines = lines[:2]
    elif how == "last changed":
        lines[2] = lines[2].replace(b"ana", b"bo ")
    content = b"\n".join(lines) + (b'\n{"transac' if how == "torn" else b"\n")
    core.layout.audit_log.file.write_bytes(content)
    wrong = core.verify_audit()
    assert wrong
    expected = {
        "changed": "line 3 does not follow line 2",
        "removed": "line 2 does not follow line 1",
        "swapped": "line 1 does not follow line 0",
        "cut": "1 of 3 lines are gone from its end",
        "last changed": "line 3 is not the one that the journal knows",
        "torn": "its last line is torn",
    }[how]
    assert any(one.startswith(expected) for one in wrong), wrong


def test_only_automatic_backups_expire_and_what_nothing_keeps_goes(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path, keep_backups=1)
    core.adopt(models["F16"], "F16")
    pinned = core.backup("the one I liked")
    promote(core, models["Q8"])
    promote(core, models["Q4"])
    (tmp_path / "other.gguf").write_bytes(models["Q8"].read_bytes() + bytes(32))
    numbers = [one.number for one in core.status().generations]
    assert numbers == [3, 2, 1]
    core.rollback()
    promote(core, models["Q4"])
    promote(core, models["F16"])
    status = core.status()
    assert [one.automatic for one in status.backups].count(True) == 1
    assert pinned.backup_id in [one.backup_id for one in status.backups]
    kept = {one.number for one in status.generations}
    # The current core, its predecessor, the pin; the newest automatic backup is the predecessor.
    assert status.current is not None
    assert status.predecessor is not None
    assert kept == {status.current.number, status.predecessor.number, 1}
    core.rollback()
    assert current_model(tmp_path) == models["Q4"].read_bytes()
    folders = list((tmp_path / "core" / "generations").iterdir())
    assert len(folders) == len(kept)


def test_numbers_are_never_used_twice(tmp_path: Path, models: dict[str, Path]) -> None:
    core = replacer(tmp_path, keep_backups=0, auto_backup=False)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    promote(core, models["Q4"])
    promote(core, models["F16"])
    assert [one.after for one in core.layout.audit()] == [1, 2, 3, 4]
    assert [one.number for one in core.status().generations] == [4, 3]


def test_an_export_is_a_real_copy_with_a_manifest_of_its_own(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    backup = core.backup("x")
    promote(core, models["Q8"])
    target = tmp_path / "disk" / "copy"
    assert core.export(backup.backup_id, target) == [target / "core.gguf"]
    assert (target / "core.gguf").read_bytes() == models["F16"].read_bytes()
    assert json.loads((target / "manifest.json").read_text())["model_path"] == str(
        target / "core.gguf"
    )
    with pytest.raises(DeployError, match="is not empty"):
        core.export("current", target)
    core.export("current", tmp_path / "now")
    assert (tmp_path / "now" / "core.gguf").read_bytes() == models["Q8"].read_bytes()


def test_a_scrub_finds_a_flipped_bit_and_an_export_refuses_it(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    assert [one.wrong for one in core.scrub()] == [""]
    file = core.status().generations[0].model
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.chmod(0o600)
    file.write_bytes(content)
    (found,) = core.scrub()
    assert found.wrong.startswith("core.gguf is damaged")
    with pytest.raises(DeployError, match="is damaged"):
        core.export("current", tmp_path / "copy")


def test_a_manifest_that_points_elsewhere_is_refused(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    file = tmp_path / "core" / "generations"
    manifest = next(file.glob("1-*")) / "manifest.json"
    data = json.loads(manifest.read_text())
    manifest.chmod(0o600)
    manifest.write_text(json.dumps({**data, "model_path": str(models["Q4"])}))
    with pytest.raises(
        DeployError,
        match=r"generation 1 points elsewhere.*active_dir and backup_dir to new folders",
    ):
        core.rollback()
    assert current_model(tmp_path) == models["Q8"].read_bytes()


@pytest.mark.parametrize("kind", ["fifo", "folder of two", "device"])
def test_what_is_no_regular_file_is_refused(
    tmp_path: Path, models: dict[str, Path], kind: str
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    path = tmp_path / "candidate"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        path.mkdir()
        for name in ("a.gguf", "b.gguf"):
            (path / name).write_bytes(models["Q8"].read_bytes())
    with pytest.raises(DeployError, match=r"regular file|holds 2 GGUF models"):
        promote(core, path)
    assert current_model(tmp_path) == models["F16"].read_bytes()


def test_a_source_that_changes_while_it_is_copied_is_refused(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")

    def meddle(going: Going) -> None:
        if going.words.startswith("copying"):
            with models["Q8"].open("ab") as stream:
                stream.write(b"more")

    with pytest.raises(DeployError, match="changed while it was copied"):
        core.replace(Incoming(path=models["Q8"], name="Q8"), judgements=PASSED, progress=meddle)
    assert current_model(tmp_path) == models["F16"].read_bytes()
    assert list((tmp_path / "core" / "incoming").iterdir()) == []


def test_too_little_space_is_told_with_the_figures(
    tmp_path: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    monkeypatch.setattr("emojudge.deploy.staging.free_bytes", lambda folder: 1000)
    with pytest.raises(DeployError, match=r"Staging needs .* MB in .*core, 1 kB are free"):
        promote(core, models["Q8"])


def test_progress_is_a_line_per_step() -> None:
    said: list[str] = []
    lines = Lines(said.append, seconds=0)
    for going in (Going("copying", 1, 4), Going("copying", 2, 4), Going("switching")):
        lines(going)
    assert said == ["copying…", "copying: 50%", "switching…"]
