"""Who may change a store, who may only read it, and which places are refused; with real users."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emojudge.deploy.places import why_read_only
from emojudge.deploy.replacer import CoreModelReplacer
from emojudge.errors import DeployError, EmojudgeError, StoreError
from tests.core_stores import check_contract, current_model, promote, replacer, write_models

ANA, BO, SERVICE, TEAM, OTHERS = 61001, 61002, 61003, 62001, 62002
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="other users need root")


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    return write_models(tmp_path)


def become(user: int, group: int) -> None:
    """Go on as another user, for good, with a umask that lets nobody in."""
    os.setgroups([group])
    os.setgid(group)
    os.setuid(user)
    os.umask(0o077)


def as_user(user: int, group: int, work: Callable[[], object]) -> str:
    """Do ``work`` as another user; "" when it went well, else its error."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            become(user, group)
            work()
        except EmojudgeError as problem:
            os.write(write, str(problem).encode())
        except Exception as problem:  # noqa: BLE001 - the parent asserts what it was
            os.write(write, f"not ours: {problem!r}".encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        said = stream.read().decode()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        models = folder / "models"
        models.mkdir()
        write_models(models)
        yield folder


def team_store(folder: Path) -> None:
    core, backups = folder / "core", folder / "backups"
    for one in (core, backups):
        one.mkdir()
        os.chown(one, ANA, TEAM)
        one.chmod(0o2775)


def modes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode)
        for path in sorted(folder.rglob("*"))
        if not path.is_symlink()
    }


@needs_root
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_teammate_promotes_what_the_first_one_built_and_a_service_reads(shared: Path) -> None:
    team_store(shared)
    models = {path.stem: path for path in (shared / "models").glob("*.gguf")}

    def core(who: str) -> CoreModelReplacer:
        return replacer(shared, who=who, keep_backups=0)

    assert as_user(ANA, TEAM, lambda: core("ana").adopt(models["F16"], "F16")) == ""
    assert as_user(ANA, TEAM, lambda: promote(core("ana"), models["Q8"])) == ""
    assert as_user(BO, TEAM, lambda: core("bo").rollback()) == ""
    assert as_user(BO, TEAM, lambda: core("bo").backup("bo's")) == ""
    assert as_user(ANA, TEAM, lambda: core("ana").status()) == ""
    # What a crash of ana's left with a mode that lets nobody in stands in bo's way no more.
    left = shared / "core" / "incoming" / "left"
    left.mkdir(mode=0o700)
    os.chown(left, ANA, TEAM)
    # Generation 2, which ana built, is cleared away by bo, with a umask that lets nobody in.
    assert as_user(BO, TEAM, lambda: promote(core("bo"), models["Q4"])) == ""
    folders = (shared / "core" / "generations").iterdir()
    assert sorted(path.name.split("-")[0] for path in folders) == ["1", "3"]
    assert as_user(ANA, TEAM, lambda: promote(core("ana"), models["Q8"])) == ""
    status = core("x").status()
    assert [one.who for one in status.audit] == ["ana", "ana", "bo", "bo", "ana"]
    check_contract(shared)
    # Bo's and ana's backups are the team's: readable and writable for its group.
    assert all(mode & 0o060 == 0o060 for mode in modes(shared / "backups").values())
    found = modes(shared / "core")
    assert {mode for name, mode in found.items() if name.endswith(".gguf")} == {0o444}
    assert found["audit.jsonl"] == found["journal.json"] == 0o664
    assert found["generations"] == 0o2775
    assert all((shared / "core" / name).stat().st_gid == TEAM for name in found)

    def read() -> None:
        assert check_contract(shared)
        assert core("service").status().read_only is not None

    assert as_user(SERVICE, OTHERS, read) == ""
    said = as_user(SERVICE, OTHERS, lambda: core("service").rollback())
    assert said.startswith("The core cannot be changed: you may read")
    (shared / "core").chmod(0o2770)
    said = as_user(SERVICE, OTHERS, lambda: core("service").status())
    assert "Permission denied" in said
    assert "not ours" not in said


@needs_root
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_private_store_of_another_user_is_refused_in_words(shared: Path) -> None:
    (shared / "core").mkdir(mode=0o700)
    (shared / "backups").mkdir(mode=0o700)
    os.chown(shared / "core", ANA, TEAM)
    os.chown(shared / "backups", ANA, TEAM)
    models = {path.stem: path for path in (shared / "models").glob("*.gguf")}
    assert as_user(ANA, TEAM, lambda: replacer(shared).adopt(models["F16"], "F16")) == ""
    assert stat.S_IMODE((shared / "core").stat().st_mode) == 0o700
    said = as_user(BO, TEAM, lambda: promote(replacer(shared), models["Q8"]))
    assert "Permission denied" in said or "cannot be changed" in said
    assert "not ours" not in said


def test_a_place_that_everybody_may_write_to_is_refused(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    with pytest.raises(DeployError, match=r"Everybody may write to .*open, .*chmod o-w"):
        replacer(open_folder).adopt(models["F16"], "F16")
    # Sticky, as /tmp is: others cannot exchange what stands in it.
    open_folder.chmod(0o1777)
    replacer(open_folder).adopt(models["F16"], "F16")
    (open_folder / "core").chmod(0o1777)
    with pytest.raises(DeployError, match=r"Everybody may write to .*core"):
        replacer(open_folder).backup("x")


@pytest.mark.parametrize("name", ["core", "generations", "incoming", "audit.jsonl", "deploy.lock"])
def test_symbolic_links_in_the_place_of_the_stores_own_are_refused(
    tmp_path: Path, models: dict[str, Path], name: str
) -> None:
    core = replacer(tmp_path)
    core.adopt(models["F16"], "F16")
    held = current_model(tmp_path)
    place = tmp_path / "core" if name == "core" else tmp_path / "core" / name
    elsewhere = tmp_path / "elsewhere"
    if place.exists():
        place.rename(elsewhere)
    place.symlink_to(elsewhere)
    with pytest.raises((DeployError, StoreError), match=r"symbolic link|Too many levels"):
        promote(core, models["Q8"])
    assert current_model(tmp_path) == held


def test_who_may_only_read_is_told_before_anything_is_tried(tmp_path: Path) -> None:
    assert why_read_only(tmp_path / "not" / "there" / "yet") is None


def test_a_filesystem_without_flock_is_refused(
    tmp_path: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import fcntl

    def no_flock(fd: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_flock)
    with pytest.raises(EmojudgeError, match=r"filesystem with flock"):
        replacer(tmp_path).adopt(models["F16"], "F16")
    assert not (tmp_path / "core" / "current").exists()
