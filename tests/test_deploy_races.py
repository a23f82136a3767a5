"""Several at once on one store: one wins, the others are refused in words, readers see no mix."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from emojudge.deploy.audit import Head
from emojudge.deploy.building import Incoming
from emojudge.deploy.replacer import CoreModelReplacer
from emojudge.errors import EmojudgeError
from tests.core_stores import PASSED, check_contract, promote, replacer, write_models
from tests.depth import sampled_or_all
from tests.gguf_files import F16, language_model
from tests.test_deploy_places import ANA, BO, TEAM, as_user, become, needs_root, shared, team_store
from tests.test_faults_deploy import crowded, interrupted, store

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
_ROUNDS = sampled_or_all(5, 25)
__all__ = ["shared"]


def at_once(works: list[Callable[[], object]]) -> list[str]:
    """Do all at the same moment, each in a process of its own; "" or what each was told."""
    start = time.monotonic() + 0.2
    children: list[tuple[int, int]] = []
    for work in works:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            said = "died"
            try:
                time.sleep(max(0.0, start - time.monotonic()))
                work()
                said = ""
            except EmojudgeError as problem:
                said = str(problem)
            finally:
                os.write(write, said.encode())
                os._exit(0)
        os.close(write)
        children.append((child, read))
    answers = []
    for child, read in children:
        with os.fdopen(read, "rb") as stream:
            answers.append(stream.read().decode())
        os.waitpid(child, 0)
    return answers


def winner_of(works: dict[str, Callable[[], object]]) -> str:
    """Who of those who change a core at once wins; the others are told."""
    said = dict(zip(works, at_once(list(works.values())), strict=True))
    told = [one for one in said.values() if one]
    assert len(told) == len(works) - 1, said
    assert all("is in use by" in one or "changed meanwhile" in one for one in told), told
    return next(who for who, one in said.items() if not one)


def test_of_four_promoters_one_wins_and_three_are_told(tmp_path: Path) -> None:
    models = write_models(tmp_path)
    for number in range(4):
        language_model(F16, fill=20 + number, rows=4096).write(tmp_path / f"c{number}.gguf")
    for round_number in range(_ROUNDS):
        folder = tmp_path / str(round_number)
        core = replacer(folder)
        core.adopt(models["F16"], "F16")
        seen = core.status().head
        incoming = [
            Incoming(path=tmp_path / f"c{number}.gguf", name=f"c{number}") for number in range(4)
        ]

        def attempt(one: Incoming, core: CoreModelReplacer, seen: Head) -> Callable[[], object]:
            return lambda: core.replace(one, expected=1, seen=seen, judgements=PASSED)

        winner = winner_of(
            {one.name: attempt(one, replacer(folder, who=one.name), seen) for one in incoming}
        )
        last = core.status().audit[-1]
        assert last.who == winner
        assert check_contract(folder) == last.sha256
    print(f"four promoters: {_ROUNDS} rounds, one winner each")


@needs_root
def test_of_two_users_one_wins_and_the_other_is_told(shared: Path) -> None:
    """The lock and its holder's name are one file, which both may write."""
    team_store(shared)
    models = {path.stem: path for path in (shared / "models").glob("*.gguf")}

    def core(who: str) -> CoreModelReplacer:
        return replacer(shared, who=who, keep_backups=0)

    assert as_user(ANA, TEAM, lambda: core("ana").adopt(models["F16"], "F16")) == ""
    won: set[str] = set()
    for _ in range(_ROUNDS):
        status = core("x").status()
        current = status.current
        assert current is not None
        names = [name for name in models if name != current.manifest.name]

        def attempt(
            user: int, who: str, name: str, number: int, seen: Head
        ) -> Callable[[], object]:
            def work() -> None:
                become(user, TEAM)
                incoming = Incoming(path=models[name], name=name)
                core(who).replace(incoming, expected=number, seen=seen, judgements=PASSED)

            return work

        winner = winner_of(
            {
                "ana": attempt(ANA, "ana", names[0], current.number, status.head),
                "bo": attempt(BO, "bo", names[1], current.number, status.head),
            }
        )
        assert core("x").status().audit[-1].who == winner
        check_contract(shared)
        won.add(winner)
    assert core("x").verify_audit() == []
    print(f"two users: {_ROUNDS} rounds, won by {', '.join(sorted(won))}")


def test_clean_up_beside_a_promotion_takes_nothing_that_is_kept(tmp_path: Path) -> None:
    for number in range(_ROUNDS):
        folder = tmp_path / str(number)
        crowded(folder)
        core = store(folder)
        works: list[Callable[[], object]] = [
            partial(promote, store(folder), folder / "F16.gguf"),
            partial(promote, store(folder), folder / "Q8.gguf"),
            store(folder).recover,
            partial(store(folder).backup, "both"),
        ]
        said = at_once(works)
        assert "died" not in said
        assert all(one == "" or "is in use by" in one for one in said), said
        check_contract(folder, folder / "companion.json")
        status = core.status()
        current = status.current
        assert current is not None
        assert current.number in {one.number for one in status.generations}
        assert all(one.model.is_file() for one in status.generations)
        # What one may want to go back to is there.
        core.rollback()
        check_contract(folder, folder / "companion.json")
        assert core.verify_audit() == []


def test_a_start_that_recovers_beside_another_one(tmp_path: Path) -> None:
    for number in range(_ROUNDS):
        folder = tmp_path / str(number)
        interrupted(folder)
        said = at_once([store(folder).recover, store(folder).recover, store(folder).rollback])
        assert "died" not in said
        assert all(one == "" or "is in use by" in one for one in said), said
        store(folder).recover()
        check_contract(folder, folder / "companion.json")
        assert store(folder).verify_audit() == []


def test_a_reader_sees_no_mix_while_others_promote_roll_back_and_clear_away(
    tmp_path: Path,
) -> None:
    models = write_models(tmp_path)
    core = replacer(tmp_path, keep_backups=0)
    core.adopt(models["F16"], "F16")
    current = tmp_path / "core" / "current"
    end = time.monotonic() + 3

    def read() -> None:
        looks = 0
        while time.monotonic() < end:
            manifest = json.loads((current / "manifest.json").read_text())
            try:
                model = Path(manifest["model_path"]).read_bytes()
            except FileNotFoundError:
                # Two promotions came between the two looks; the core and the one before stay.
                now = json.loads((current / "manifest.json").read_text())
                assert now["generation"] != manifest["generation"]
                continue
            assert hashlib.sha256(model).hexdigest() == manifest["replacement_checksum"]
            looks += 1
        assert looks > 10

    def change(name: str) -> Callable[[], None]:
        def work() -> None:
            own = replacer(tmp_path, who=name, keep_backups=0)
            while time.monotonic() < end:
                for model in models.values():
                    try:
                        promote(own, model)
                        own.rollback()
                    except EmojudgeError:
                        # Another one holds the lock, or this model is the core: go on.
                        time.sleep(0.005)

        return work

    assert at_once([read, read, change("ana"), change("bo")]) == ["", "", "", ""]
    assert len(core.status().audit) > 5
    assert core.verify_audit() == []
    check_contract(tmp_path)
