"""Deploys under faults of the system: killed, refused and out of room at every mutating call.

What is *bad* is judged by :func:`tests.core_stores.check_contract`, which knows only the contract
on disk: ``current`` opens, and holds one whole model whose sha256 and manifest match, old or new.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from emojudge.deploy.hooks import Hooks
from emojudge.deploy.journal import Step
from emojudge.deploy.replacer import CoreModelReplacer
from tests.core_stores import check_contract, promote, replacer, write_models
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
)

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
_SAMPLED = 12
_IN_RECOVERY = ("rename", "fsync", "unlink", "openat", "write", "unlinkat", "rmdir")


def store(folder: Path) -> CoreModelReplacer:
    hooks = Hooks(pre_command="true", restart_command="true", health_check="true")
    return replacer(folder, manifest=folder / "companion.json", hooks=hooks, keep_backups=1)


def bare(folder: Path) -> None:
    folder.mkdir()
    (folder / "companion.json").write_text('{"persona": "Iris"}')
    write_models(folder)


def prepared(folder: Path) -> None:
    """Two generations, the second current."""
    bare(folder)
    store(folder).adopt(folder / "F16.gguf", "F16")
    promote(store(folder), folder / "Q8.gguf")


def crowded(folder: Path) -> None:
    """Generations that nothing keeps any more, which the next promotion clears away."""
    prepared(folder)
    core = replacer(folder, auto_backup=False, keep_backups=9)
    kept = core.backup("kept for now")
    promote(store(folder), folder / "Q4.gguf")
    shutil.rmtree(folder / "backups" / kept.backup_id)


@functools.cache
def the_rename_after_the_switch() -> int:
    """Before which rename a promotion has to be killed to be interrupted behind its switch."""
    number = 0
    with tempfile.TemporaryDirectory() as name:
        while True:
            number += 1
            folder = Path(name) / str(number)
            prepared(folder)
            assert kill_at(partial(promote, store(folder), folder / "Q4.gguf"), rename(number))
            journal = store(folder).layout.journal.read()
            switched = (store(folder).layout.current_folder() or "").startswith("3-")
            if journal is not None and journal.step is Step.SWITCHING and switched:
                return number


def rename(number: int) -> Point:
    return Point("rename", number)


def interrupted(folder: Path) -> None:
    """A promotion that a crash ended after its switch."""
    point = rename(the_rename_after_the_switch())
    prepared(folder)
    assert kill_at(partial(promote, store(folder), folder / "Q4.gguf"), point)


@dataclass(frozen=True)
class Operation:
    """What is done to a store, and the store it is done to."""

    prepare: Callable[[Path], None]
    work: Callable[[Path], object]
    may_be_empty: bool = False


OPERATIONS = {
    "adopt": Operation(bare, lambda f: store(f).adopt(f / "F16.gguf", "F16"), may_be_empty=True),
    "promote": Operation(prepared, lambda f: promote(store(f), f / "Q4.gguf")),
    "promote a kept one": Operation(prepared, lambda f: promote(store(f), f / "F16.gguf")),
    "rollback": Operation(prepared, lambda f: store(f).rollback()),
    "restore": Operation(prepared, lambda f: store(f).restore(1)),
    "pin": Operation(prepared, lambda f: store(f).backup("x")),
    "prune": Operation(crowded, lambda f: promote(store(f), f / "F16.gguf")),
    "recovery": Operation(interrupted, lambda f: store(f).recover()),
}
each_operation = pytest.mark.parametrize("name", OPERATIONS)


class Templates:
    """Prepared stores, copied for each run: links and modes as they are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def points(self, operation: Operation) -> list[Point]:
        """All mutating calls of an operation, without those of what is imported at first use."""
        operation.work(self.fresh(operation))
        return points_of(partial(operation.work, self.fresh(operation)))

    def fresh(self, operation: Operation) -> Path:
        self._count += 1
        folder = self._folder / str(self._count)
        operation.prepare(folder)
        return folder


def shas(folder: Path) -> set[str]:
    return {hashlib.sha256(one.read_bytes()).hexdigest() for one in folder.glob("*.gguf")}


def require_sound(folder: Path, operation: Operation, *, companion: bool) -> None:
    """The independent checker; before any recovery only the store itself must be whole."""
    if operation.may_be_empty and not (folder / "core" / "current").is_symlink():
        return
    found = check_contract(folder, folder / "companion.json" if companion else None)
    assert found in shas(folder)


@each_operation
def test_killed_at_every_mutating_call(tmp_path: Path, name: str) -> None:
    operation, templates = OPERATIONS[name], Templates(tmp_path)
    points = sample(templates.points(operation), _SAMPLED, seed=8)
    killed = twice = 0
    for place, point in enumerate(points):
        folder = templates.fresh(operation)
        killed += kill_at(partial(operation.work, folder), point)
        require_sound(folder, operation, companion=False)
        # A second crash, somewhere in the recovery of the first.
        again = Point(_IN_RECOVERY[place % len(_IN_RECOVERY)], 1 + place % 4)
        twice += kill_at(store(folder).recover, again)
        require_sound(folder, operation, companion=False)
        store(folder).recover()
        require_sound(folder, operation, companion=True)
        assert store(folder).verify_audit() == []
        shutil.rmtree(folder, onerror=open_and_remove)
    print(f"{name}: {killed} killed at {len(points)} calls, {twice} twice, 0 bad")
    require_nearly_all(killed, points)


def without_current(folder: Path) -> None:
    prepared(folder)
    (folder / "core" / "current").unlink()


def test_killed_while_a_lost_current_is_put_back(tmp_path: Path) -> None:
    operation = Operation(without_current, lambda f: store(f).recover(), may_be_empty=True)
    templates = Templates(tmp_path)
    points = templates.points(operation)
    killed = 0
    for point in points:
        folder = templates.fresh(operation)
        killed += kill_at(partial(operation.work, folder), point)
        require_sound(folder, operation, companion=False)
        store(folder).recover()
        check_contract(folder, folder / "companion.json")
        assert store(folder).rollback() is not None
        assert store(folder).verify_audit() == []
    print(f"put back: {killed} killed at {len(points)} calls, 0 bad")
    require_nearly_all(killed, points)


def open_and_remove(function: Callable[[str], object], path: str, problem: object) -> None:
    Path(path).parent.chmod(0o700)
    Path(path).chmod(0o700)
    function(path)


def was_refused(status: int, folder: Path, operation: Operation, where: object) -> bool:
    """Done or refused in words, the store whole at once and after the next start; then removed."""
    assert status in (DONE, REFUSED), (where, status)
    require_sound(folder, operation, companion=False)
    store(folder).recover()
    require_sound(folder, operation, companion=True)
    shutil.rmtree(folder, onerror=open_and_remove)
    return status == REFUSED


@each_operation
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_an_error_of_the_disk_at_every_write(tmp_path: Path, name: str, error: str) -> None:
    operation, templates = OPERATIONS[name], Templates(tmp_path)
    failing = {"write", "fsync", "rename", "mkdir", "symlink", "openat", "ftruncate"}
    points = [one for one in templates.points(operation) if one.call in failing]
    refused = 0
    for point in sample(points, _SAMPLED, seed=9):
        folder = templates.fresh(operation)
        status = inject(partial(operation.work, folder), point, f"error={error}")
        # Done all the same, or refused in words of ours: never a traceback.
        refused += was_refused(status, folder, operation, point)
    print(f"{name}, {error}: {refused} refused, 0 bad")


def test_a_disk_that_is_full_at_twenty_places(tmp_path: Path) -> None:
    """Nothing larger than so many bytes can be written: from nothing at all to the whole model."""
    operation, templates = OPERATIONS["promote"], Templates(tmp_path)
    largest = 2 * max(one.stat().st_size for one in templates.fresh(operation).glob("*.gguf"))
    sizes = [0, *(round(largest ** (step / 19)) for step in range(1, 20))]
    refused = 0
    for size in sizes:
        folder = templates.fresh(operation)
        status = limited(partial(operation.work, folder), size)
        refused += was_refused(status, folder, operation, size)
    print(f"promote, a full disk: {refused} of {len(sizes)} sizes refused, 0 bad")
    assert 0 < refused < len(sizes)
