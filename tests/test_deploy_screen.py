"""The Deploy screen: what it refuses, what it follows, what it tells."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from emojudge.app import EmojudgeApp
from emojudge.deploy.building import Incoming
from emojudge.deploy.progress import Going
from emojudge.pipeline.study import Study
from emojudge.screens.deploy import DeployScreen
from emojudge.screens.evidence import EvidenceScreen
from emojudge.screens.typed_word import TypedWordDialog
from tests.core_stores import PASSED
from tests.studies import judged_study
from tests.test_deploy_crash import crashes
from tests.test_screens import make_app, screen_text, until


@contextlib.asynccontextmanager
async def deploy_screen(
    folder: Path, *, adopted: bool = True, size: tuple[int, int] = (100, 40)
) -> AsyncIterator[tuple[EmojudgeApp, Pilot[None]]]:
    """The screen on a judged study, its gates read."""
    study = await judged_study(folder)
    app = make_app(Study(study.loaded), "deploy")
    if adopted:
        app.desk.replacer.adopt(study.discovery.candidates[0].path, "tiny-F16")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "✓ structure" in screen_text(app))
        yield app, pilot
    app.desk.study.close()


def said(app: EmojudgeApp) -> str:
    """What stands in the notes at the edge."""
    return "\n".join(note.message for note in app._notifications)


def incoming(app: EmojudgeApp, place: int) -> Incoming:
    candidate = app.desk.study.discovery.candidates[place]
    return Incoming(path=candidate.path, name=candidate.name)


async def test_the_screen_follows_a_colleagues_change(tmp_path: Path) -> None:
    async with deploy_screen(tmp_path) as (app, pilot):
        app.desk.replacer.replace(incoming(app, 1), judgements=PASSED)
        await until(pilot, lambda: "generation 2" in screen_text(app))
        assert "r goes here" in screen_text(app)


async def test_a_stale_screen_changes_nothing(tmp_path: Path) -> None:
    async with deploy_screen(tmp_path) as (app, pilot):
        await pilot.press("p")
        assert isinstance(app.screen, TypedWordDialog)
        app.desk.replacer.replace(incoming(app, 1), judgements=PASSED)
        await pilot.press(*"mine", "enter", *"promote", "enter")
        await until(pilot, lambda: "you were looking at 1" in said(app))
        assert [one.action for one in app.desk.replacer.status().audit] == ["adopt", "promote"]


async def test_without_a_core_there_is_nothing_to_pin_or_restore(tmp_path: Path) -> None:
    async with deploy_screen(tmp_path, adopted=False) as (app, pilot):
        assert "none yet" in screen_text(app)
        for key in ("b", "r", "enter"):
            await pilot.press(key)
            assert not isinstance(app.screen, TypedWordDialog)
        footer = screen_text(app).splitlines()[-1]
        assert "promote" in footer
        assert "pin" not in footer


async def test_who_may_only_read_sees_the_store_and_no_key_that_changes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "you may read /srv/core, not write to it"
    said_of: dict[str, str | None] = {"store": None}
    for module in ("replacer", "store_view"):
        name = f"emojudge.deploy.{module}.why_read_only"
        monkeypatch.setattr(name, lambda root: said_of["store"])
    async with deploy_screen(tmp_path) as (app, pilot):
        said_of["store"] = why
        await pilot.press("right")
        assert why in screen_text(app)
        for key in ("p", "b"):
            await pilot.press(key)
            assert not isinstance(app.screen, TypedWordDialog)
        assert "The core cannot be changed" in said(app)
        assert "promote" not in screen_text(app).splitlines()[-1]


async def test_the_evidence_is_read_with_a_key(tmp_path: Path) -> None:
    async with deploy_screen(tmp_path) as (app, pilot):
        await pilot.press("v")
        assert isinstance(app.screen, EvidenceScreen)
        text = screen_text(app)
        assert "never overridden" in text
        assert "a reason overrides it" in text
        await pilot.press("v")
        assert not isinstance(app.screen, EvidenceScreen)


async def test_each_gate_has_its_reason_where_there_is_room(tmp_path: Path) -> None:
    async with deploy_screen(tmp_path, size=(80, 24)) as (app, pilot):
        assert "✓ structure  ✓ size  ✓ template" in screen_text(app)
        await pilot.resize_terminal(100, 40)
        await until(pilot, lambda: "llama, " in screen_text(app))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
async def test_a_change_that_a_crash_interrupted_is_told_at_the_start(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded), "deploy")
    store = app.desk.replacer
    paths = [one.path for one in study.discovery.candidates]
    store.adopt(paths[0], "tiny-F16")
    store.replace(Incoming(path=paths[1], name="tiny-Q8_0"), judgements=PASSED)
    point = 0
    while store.status().interrupted is None:
        point += 1
        assert crashes(point, store.rollback)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "was interrupted and taken back" in screen_text(app))
        await until(pilot, lambda: "core now   generation 2" in screen_text(app))
    assert store.status().audit[-1].action == "undone"
    app.desk.study.close()


async def test_the_marked_generation_is_restored_with_a_typed_word(tmp_path: Path) -> None:
    async with deploy_screen(tmp_path) as (app, pilot):
        store = app.desk.replacer
        for place in (1, 2):
            store.replace(incoming(app, place), judgements=PASSED)
        await until(pilot, lambda: "core now   generation 3" in screen_text(app))
        await pilot.press("down", "down", "enter", *"restore", "tab", *"calmer", "enter")
        await until(pilot, lambda: "core now   generation 1" in screen_text(app))
        last = store.status().audit[-1]
        assert (last.action, last.before, last.after) == ("restore", 3, 1)
        assert last.origin.study == "trial"
        assert last.reason == "calmer"
        assert last.origin.ratings_sha256 is not None


async def test_a_lost_core_is_told_and_put_back(tmp_path: Path) -> None:
    async with deploy_screen(tmp_path) as (app, pilot):
        store = app.desk.replacer
        store.replace(incoming(app, 1), judgements=PASSED)
        store.layout.current.unlink()
        await until(pilot, lambda: "`current` is gone; it was generation 2" in screen_text(app))
        await pilot.press("enter", "r", "b")
        assert not isinstance(app.screen, TypedWordDialog)
        assert "generation 2 again" in (store.recover() or "")
        await until(pilot, lambda: "core now   generation 2" in screen_text(app))


async def test_the_plan_says_when_there_is_too_little_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with deploy_screen(tmp_path) as (app, pilot):
        assert "less than a second" in screen_text(app)
        monkeypatch.setattr("emojudge.deploy.store_view.free_bytes", lambda folder: 1000)
        await pilot.press("right", "left")
        assert "(1 kB free: TOO LITTLE)" in screen_text(app)


async def test_names_with_escapes_are_shown_harmless(tmp_path: Path) -> None:
    async with deploy_screen(tmp_path) as (app, pilot):
        candidate = app.desk.study.discovery.candidates[1]
        evil = Incoming(path=candidate.path, name="\x1b]0;owned\x07\u202eevil")
        app.desk.replacer.replace(evil, judgements=PASSED, force="\x1b[2Jbecause")
        app.desk.replacer.backup("\x1b[31mred")
        await until(pilot, lambda: "generation 2" in screen_text(app))
        await pilot.press("r")
        text = screen_text(app)
        assert not set(text) & {"\x1b", "\x07", "\u202e"}
        assert "owned" in text


async def test_copying_shows_how_far_it_is(tmp_path: Path) -> None:
    async with deploy_screen(tmp_path) as (app, _):
        screen = app.screen
        assert isinstance(screen, DeployScreen)
        screen._show_progress(Going("copying and hashing", 1_500_000, 3_000_000))
        text = screen_text(app)
        assert "copying and hashing ▓▓▓" in text
        assert "1.5 MB of 3.0 MB" in text or "2 MB of 3 MB" in text


async def test_what_shows_through_a_dialog_is_read_after_the_dialog_was_painted_anew(
    tmp_path: Path,
) -> None:
    async with deploy_screen(tmp_path) as (app, pilot):
        await pilot.press("p")
        assert isinstance(app.screen, TypedWordDialog)
        app.screen.refresh()
        assert "✓ structure" in screen_text(app)
