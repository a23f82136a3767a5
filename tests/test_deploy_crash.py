"""Crashes at every step of every change: what a companion finds, and what the next start does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from emojudge.deploy.hooks import Hooks
from emojudge.deploy.journal import Step
from emojudge.deploy.replacer import CoreModelReplacer
from emojudge.errors import DeployError
from tests.core_stores import check_contract, current_model, promote, replacer, write_models

_MUTATING = ("rename", "replace", "symlink", "unlink", "fsync", "write", "mkdir", "chmod", "rmdir")


class Crashing:
    """Ends this process before its n-th mutating call of the operating system."""

    def __init__(self, at: int) -> None:
        self.left = at
        for name in _MUTATING:
            setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                os._exit(9)
            return real(*arguments, **named)

        return call


def crashes(at: int, work: Callable[[], object]) -> bool:
    """Do ``work`` in a child that ends before its ``at``-th mutating call; False: it is through."""
    child = os.fork()
    if child == 0:
        try:
            os.close(2)
            Crashing(at)
            work()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9), status
    return status == 9


def store(folder: Path) -> CoreModelReplacer:
    hooks = Hooks(restart_command=f"echo $EMOJUDGE_GENERATION >> {folder}/restarts")
    return replacer(folder, manifest=folder / "companion.json", hooks=hooks, keep_backups=1)


def prepared(folder: Path) -> dict[str, Path]:
    folder.mkdir()
    (folder / "companion.json").write_text('{"persona": "Iris"}')
    models = write_models(folder)
    core = store(folder)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    return models


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("action", ["promote", "rollback", "restore"])
def test_a_crash_before_any_mutating_call_leaves_a_whole_core(tmp_path: Path, action: str) -> None:
    def work(core: CoreModelReplacer) -> object:
        if action == "promote":
            return promote(core, core.layout.root.parent / "Q4.gguf")
        return core.rollback() if action == "rollback" else core.restore(1)

    points = twice = 0
    while True:
        points += 1
        folder = tmp_path / str(points)
        prepared(folder)
        before = check_contract(folder, folder / "companion.json")
        if not crashes(points, partial(work, store(folder))):
            break
        # At once, without any recovery: whoever opens current finds a whole core.
        check_contract(folder)
        # And a second crash, in the middle of recovery.
        twice += crashes(1 + points % 7, store(folder).recover)
        check_contract(folder)
        core = store(folder)
        core.recover()
        found = check_contract(folder, folder / "companion.json")
        journal = core.layout.journal.read()
        assert journal is not None
        assert journal.step is Step.IDLE
        assert core.verify_audit() == []
        # The store was prepared with an adoption and a promotion.
        committed = [one for one in core.layout.audit()[2:] if one.action == action]
        assert len(committed) == (found != before)
        assert list(core.layout.incoming_dir.iterdir()) == []
        # No backup of a change that never was, and no generation that nothing keeps.
        labels = [one.label for one in core.list_backups()]
        numbers = {one.number for one in core.status().generations}
        if action == "promote" and committed:
            # A crash before the clean-up leaves what the next promotion clears away.
            assert labels[0] == "before Q4"
            assert {3, 2} <= numbers <= {3, 2, 1}
        else:
            back = [f"before the {action} to 1"] if committed else []
            assert labels == [*back, "before Q8"]
            assert numbers == {2, 1}
        restarts = (folder / "restarts").read_text().split()
        assert int(restarts[-1]) == core.status().current.number  # type: ignore[union-attr]
        # Nothing stands in the way of the next change.
        promote(core, folder / "Q4.gguf") if found == before else core.rollback()
        check_contract(folder, folder / "companion.json")
    assert points > 15
    assert twice > 5
    print(f"{action}: {points - 1} crash points, {twice} of them twice, none bad")


def test_the_first_core_that_was_never_complete_is_none(tmp_path: Path) -> None:
    models = write_models(tmp_path)
    points = 0
    while True:
        points += 1
        folder = tmp_path / str(points)
        folder.mkdir()
        (folder / "companion.json").write_text('{"persona": "Iris"}')
        if not crashes(points, partial(store(folder).adopt, models["F16"], "F16")):
            break
        core = store(folder)
        core.recover()
        if core.status().current is None:
            assert json.loads((folder / "companion.json").read_text()) == {"persona": "Iris"}
            core.adopt(models["F16"], "F16")
        check_contract(folder, folder / "companion.json")


def test_a_damaged_journal_is_set_aside_and_blocks_promotion_until_somebody_looked(
    tmp_path: Path,
) -> None:
    models = prepared(tmp_path / "a")
    core = store(tmp_path / "a")
    core.layout.journal.file.write_text("{ torn")
    said = core.recover()
    assert said is not None
    assert "a copy is journal.json.damaged-" in said
    with pytest.raises(DeployError, match=r"remove that file to promote again"):
        promote(core, models["Q4"])
    core.rollback()
    assert current_model(tmp_path / "a") == models["F16"].read_bytes()
    core.layout.journal.damaged()[0].unlink()
    promote(core, models["Q4"])
    (noted,) = core.verify_audit()
    assert noted.endswith("the journal could not be read")


def test_an_interrupted_change_is_told_in_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    prepared(folder)
    journal = store(folder).layout.journal
    point = 0
    while (read := journal.read()) is None or read.step is not Step.SWITCHING:
        point += 1
        assert crashes(point, store(folder).rollback)
    assert "is under way or was interrupted" in (store(folder).status().interrupted or "")
    said = store(folder).recover()
    assert said is not None
    assert "ana's rollback of generation 1" in said
    assert "was interrupted and taken back: the core in use is generation 2." in said
    assert store(folder).recover() is None
    assert store(folder).status().interrupted is None
