from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emojudge.deploy.building import Incoming
from emojudge.deploy.gates import GateStatus
from emojudge.deploy.generation import Manifest, name_beside
from emojudge.engine.trial import Trial
from emojudge.errors import (
    DeployError,
    EngineError,
    GateRefused,
    LockHeld,
    ModelFileError,
    WorkerDied,
)
from emojudge.store.locks import HeldLock
from tests.core_stores import PASSED, current_model, promote, replacer, write_models
from tests.gguf_files import Gguf, language_model
from tests.malformed import MALFORMED, content_of


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    return write_models(tmp_path)


def test_adopt_promote_and_roll_back(tmp_path: Path, models: dict[str, Path]) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    assert current_model(tmp_path) == models["F16"].read_bytes()
    promote(core, models["Q8"])
    assert current_model(tmp_path) == models["Q8"].read_bytes()
    core.rollback()
    assert current_model(tmp_path) == models["F16"].read_bytes()
    core.rollback()
    assert current_model(tmp_path) == models["Q8"].read_bytes()
    assert [one.action for one in core.status().audit] == [
        "adopt",
        "promote",
        "rollback",
        "rollback",
    ]


def test_the_form_on_disk(tmp_path: Path, models: dict[str, Path]) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    root = tmp_path / "core"
    generation = root / "current"
    assert generation.is_symlink()
    assert str(generation.readlink()).startswith("generations/1-")
    assert sorted(path.name for path in generation.iterdir()) == ["core.gguf", "manifest.json"]
    assert (generation / "core.gguf").stat().st_mode & 0o777 == 0o444
    assert root.stat().st_mode & 0o777 == 0o700
    assert list((root / "incoming").iterdir()) == []
    manifest = Manifest.model_validate_json((generation / "manifest.json").read_bytes())
    assert manifest.replacement_checksum.startswith(str(generation.readlink()).split("-")[1])


def test_a_backup_names_a_generation_and_costs_no_bytes(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    mine = core.backup("before pass 2")
    promote(core, models["Q8"])
    promote(core, models["Q4"])
    assert [(one.automatic, one.generation) for one in core.list_backups()][-1] == (False, 1)
    assert len(core.list_backups()) == 3
    assert not list((tmp_path / "backups").glob("**/*.gguf"))
    core.restore_named(mine.backup_id)
    assert current_model(tmp_path) == models["F16"].read_bytes()
    with pytest.raises(DeployError, match="There is no backup 'nope'"):
        core.restore_named("nope")


def test_a_backup_of_another_store_restores_nothing(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    mine = core.backup("the old one")
    (tmp_path / "core").rename(tmp_path / "old")
    core = replacer(tmp_path)
    core.adopt(models["Q8"], "Q8")
    promote(core, models["Q4"])
    with pytest.raises(DeployError, match="is of F16, and generation 1 here is Q8"):
        core.restore_named(mine.backup_id)
    with pytest.raises(DeployError, match="made in another store"):
        core.export(mine.backup_id, tmp_path / "copy")
    assert current_model(tmp_path) == models["Q4"].read_bytes()


def test_a_lost_current_is_put_back_before_anything_else_happens(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path, auto_backup=False)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    core.layout.current.unlink()
    with pytest.raises((DeployError, ModelFileError)):
        promote(core, tmp_path / "no.gguf")
    assert core.status().lost == 2
    models["Q4"].write_bytes(models["Q4"].read_bytes()[:-64])
    with pytest.raises((DeployError, ModelFileError)):
        promote(core, models["Q4"])
    assert core.rollback().number == 1
    assert core.rollback().number == 2
    assert current_model(tmp_path) == models["Q8"].read_bytes()


def test_a_lost_current_whose_model_is_damaged_stays_lost_until_another_is_restored(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    model = core.status().generations[0].model
    model.chmod(0o600)
    model.write_bytes(b"GGUF")
    core.layout.current.unlink()
    assert core.recover() is None
    assert core.status().lost == 2
    core.restore(1)
    assert core.status().lost is None
    assert current_model(tmp_path) == models["F16"].read_bytes()


def test_a_lost_current_beside_an_audit_that_cannot_be_read_is_still_looked_at(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    core.layout.current.unlink()
    core.layout.audit_log.file.write_text("rubbish\n")
    status = core.status()
    assert status.current is None
    assert any("line 1, cannot be read" in one for one in status.problems)
    assert core.restore(1).number == 1
    assert current_model(tmp_path) == models["F16"].read_bytes()


def test_a_copied_core_keeps_its_name_where_its_manifest_can_be_believed(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "the warm one")
    copy = core.export("current", tmp_path / "copy")[0]
    manifest = copy.parent / "manifest.json"
    assert name_beside(copy) == "the warm one"
    assert name_beside(models["F16"]) == "F16"
    data = json.loads(manifest.read_text())
    for name in ("", "\x1b[31mred", "nul\x00", "long" * 100):
        manifest.write_text(json.dumps({**data, "name": name}))
        assert name_beside(copy) == "core"
    manifest.write_text(json.dumps(data) + " " * 2_000_000)
    assert name_beside(copy) == "core"
    manifest.unlink()
    os.mkfifo(manifest)
    assert name_beside(copy) == "core"
    manifest.unlink()
    manifest.write_text(json.dumps(data))
    shutil.copyfile(models["Q8"], copy)
    assert name_beside(copy) == "core"


def test_a_model_in_a_kept_generation_is_not_copied_again(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    digest = core.status().generations[0].manifest.files[0].sha256
    promote(core, models["Q8"])
    models["F16"].unlink()
    again = core.replace(
        Incoming(path=models["F16"], name="F16", expected_sha256=(digest,)), judgements=PASSED
    )
    assert again.number == 1
    assert len(core.status().generations) == 2


@pytest.mark.parametrize("wrong", ["truncated", "text", "missing", "symlink", "small", "changed"])
def test_a_bad_model_is_refused_and_the_old_core_serves(
    tmp_path: Path, models: dict[str, Path], wrong: str
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    path = tmp_path / "bad.gguf"
    expected: tuple[str, ...] | None = None
    if wrong == "truncated":
        path.write_bytes(models["Q8"].read_bytes()[:-64])
    elif wrong == "text":
        path.write_text("not a model " * 100)
    elif wrong == "symlink":
        path.symlink_to(models["Q8"])
    elif wrong == "small":
        core = replacer(tmp_path, minimum_size_mb=50)
        path = models["Q8"]
    elif wrong == "changed":
        path, expected = models["Q8"], ("0" * 64,)
    with pytest.raises((DeployError, ModelFileError)) as caught:
        core.replace(Incoming(path=path, name="bad", expected_sha256=expected), judgements=PASSED)
    assert len(str(caught.value)) > 20
    assert current_model(tmp_path) == models["F16"].read_bytes()
    assert len(core.status().generations) == 1
    assert list((tmp_path / "core" / "incoming").iterdir()) == []


@pytest.mark.parametrize(("gguf", "message"), MALFORMED)
def test_a_malformed_header_is_refused_with_its_offset(
    tmp_path: Path, models: dict[str, Path], gguf: Gguf, message: str
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    path = tmp_path / "bad.gguf"
    path.write_bytes(content_of(gguf))
    with pytest.raises(
        DeployError, match=r"Refused by the structure gate: .*at byte \d+"
    ) as caught:
        core.replace(Incoming(path=path, name="bad"), judgements=PASSED, force="I insist")
    assert message in str(caught.value)
    assert current_model(tmp_path) == models["F16"].read_bytes()


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (WorkerDied("The worker was ended by SIGSEGV."), "SIGSEGV"),
        (EngineError("bad.gguf was not through its trial after 300 s."), "not through its trial"),
    ],
)
def test_a_signal_or_a_deadline_in_the_sandbox_is_a_failed_gate(
    tmp_path: Path, models: dict[str, Path], problem: EngineError, said: str
) -> None:
    def dies(path: Path, *, has_template: bool, size: int) -> Trial:
        raise problem

    replacer(tmp_path).adopt(models["F16"], "F16")
    core = replacer(tmp_path, try_model=dies)
    gates = {gate.name: gate for gate in core.validate(models["Q8"])}
    assert gates["smoke"].status is GateStatus.FAIL
    assert gates["weights"].status is GateStatus.UNKNOWN
    with pytest.raises(DeployError, match=rf"Refused by the smoke gate: .*{said}"):
        core.replace(Incoming(path=models["Q8"], name="Q8"), judgements=PASSED, force="I insist")
    assert current_model(tmp_path) == models["F16"].read_bytes()
    assert list((tmp_path / "core" / "incoming").iterdir()) == []


def test_a_stale_screen_cannot_overwrite_a_colleagues_deploy(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    with pytest.raises(DeployError, match="generation 2 is current now, you were looking at 1"):
        promote(core, models["Q4"], expected=1)
    with pytest.raises(DeployError, match="changed meanwhile"):
        core.rollback(expected=1)
    assert current_model(tmp_path) == models["Q8"].read_bytes()


def test_open_judgement_gates_ask_for_a_reason_that_is_audited(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    incoming = Incoming(path=models["Q8"], name="Q8")
    with pytest.raises(GateRefused, match="--force REASON"):
        core.replace(incoming)
    with pytest.raises(GateRefused):
        core.replace(incoming, force="   ")
    core.replace(incoming, force="it is my own machine")
    assert core.status().audit[-1].reason == "it is my own machine"


def test_the_companions_manifest_keeps_its_other_keys(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    file = tmp_path / "companion_manifest.json"
    file.write_text(json.dumps({"zebra": 1, "model_info": {"own": "kept"}, "apple": [2]}))
    core = replacer(tmp_path, manifest=file)
    core.adopt(models["F16"], "F16")
    data = json.loads(file.read_text())
    assert list(data) == ["zebra", "model_info", "apple"]
    assert data["model_info"]["own"] == "kept"
    assert Path(data["model_info"]["model_path"]).read_bytes() == models["F16"].read_bytes()
    file.write_text("{ broken")
    with pytest.raises(DeployError, match="cannot be read"):
        promote(core, models["Q8"])
    assert current_model(tmp_path) == models["F16"].read_bytes()


def test_two_changes_at_once_are_refused(tmp_path: Path, models: dict[str, Path]) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    lock = HeldLock(core.layout.lock_file, "The core store")
    with pytest.raises(LockHeld, match=f"process {os.getpid()}"):
        promote(core, models["Q8"])
    lock.release()
    promote(core, models["Q8"])


def test_split_sets_keep_the_names_llama_cpp_insists_on(tmp_path: Path) -> None:
    for number in (1, 2):
        language_model(fill=number).write(tmp_path / f"big-0000{number}-of-00002.gguf")
    core = replacer(tmp_path)
    core.adopt(tmp_path / "big-00001-of-00002.gguf", "big")
    names = sorted(path.name for path in (tmp_path / "core" / "current").glob("*.gguf"))
    assert names == ["core-00001-of-00002.gguf", "core-00002-of-00002.gguf"]


def test_a_reader_never_finds_a_mix(tmp_path: Path, models: dict[str, Path]) -> None:
    """A separate process opens current in a loop while cores are switched."""
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    code = f"""
import hashlib, json, sys
from pathlib import Path
bad = looks = 0
current = Path({str(tmp_path)!r}) / "core" / "current"
stop = Path({str(tmp_path)!r}) / "stop"
while not stop.exists():
    manifest = json.loads((current / "manifest.json").read_text())
    model = Path(manifest["model_path"]).read_bytes()
    bad += hashlib.sha256(model).hexdigest() != manifest["replacement_checksum"]
    looks += 1
print(looks, bad)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as reader:
        promote(core, models["Q8"])
        for _ in range(40):
            core.rollback()
        (tmp_path / "stop").touch()
        assert reader.stdout is not None
        looks, bad = map(int, reader.stdout.read().split())
    assert looks > 0
    assert bad == 0


def test_a_store_that_was_tampered_with_is_told(tmp_path: Path, models: dict[str, Path]) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    link = tmp_path / "core" / "current"
    link.unlink()
    link.symlink_to("/etc")
    assert "points outside the store" in core.status().problems[0]
    with pytest.raises(DeployError, match="points outside the store"):
        core.backup("x")


def test_a_companions_manifest_without_a_folder_is_told_before_anything_is_switched(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    unlucky = replacer(tmp_path, manifest=tmp_path / "personas" / "m.json")
    with pytest.raises(DeployError, match="its folder does not exist"):
        promote(unlucky, models["Q8"])
    assert current_model(tmp_path) == models["F16"].read_bytes()
    assert [one.action for one in core.status().audit] == ["adopt"]


def test_a_kept_generation_that_is_not_whole_is_built_anew(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    broken = core.status().generations[0]
    promote(core, models["Q8"])
    file = Path(broken.folder) / "core.gguf"
    file.chmod(0o600)
    file.write_bytes(b"")
    digest = broken.manifest.files[0].sha256
    again = core.replace(
        Incoming(path=models["F16"], name="F16", expected_sha256=(digest,)), judgements=PASSED
    )
    assert again.number == 3
    assert current_model(tmp_path) == models["F16"].read_bytes()
    with pytest.raises(DeployError, match="is not whole"):
        core.restore(1)


def test_a_store_that_cannot_be_used_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "core").write_text("a file where the store should be")
    with pytest.raises(DeployError, match="core store"):
        replacer(tmp_path).backup("x")
