"""Pictures of every screen at 80×24 and 120×40, on stored data; look before accepting a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from emojudge.app import EmojudgeApp
from emojudge.deploy.building import Incoming
from emojudge.deploy.hooks import Hooks
from emojudge.errors import DeployError
from emojudge.first_run import FirstRunApp
from emojudge.pipeline.deploying import replacer_for
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.state import CandidateProgress
from emojudge.pipeline.study import Study
from emojudge.screens.rate import RateScreen
from emojudge.settings import Settings
from tests.gguf_files import language_model, write_ladder
from tests.studies import SCRIPTED, judged_study, well_rated_study, write_study
from tests.test_rating import rate
from tests.test_screens import screen_text, until

pytestmark = pytest.mark.usefixtures("noon", "same_disk")
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
SETTINGS = Settings(reveal_words_per_second=1000)
Compare = Callable[..., bool]


@pytest.fixture
def same_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every machine has as much room."""
    monkeypatch.setattr("emojudge.deploy.store_view.free_bytes", lambda folder: 71_400_000_000)


def rated_study(folder: Path, items: int = 2) -> Study:
    """Judged, partly rated, with the baseline adopted as the core."""
    study = asyncio.run(judged_study(folder))
    session = RaterSession(study, "ana")
    for value in (4, 2, 5)[:items]:
        rate(session, value)
    session.close()
    return Study(study.loaded)


def app_on(study: Study, screen: str) -> EmojudgeApp:
    app = EmojudgeApp(study, SETTINGS, rater="ana", first_screen=screen, modules=SCRIPTED)
    # A path of this test run would differ in every picture.
    app.desk.store_name = "/srv/companion/core"
    return app


async def settled(pilot: Pilot[None], *, skip: bool = True) -> None:
    """Everything that is going to show is shown; without ``skip`` the text is left as it comes."""
    app = pilot.app
    assert isinstance(app, EmojudgeApp)
    # The forecast of a verdict takes many seconds on a busy machine.
    for _ in range(5000):
        await pilot.pause(0.02)
        at_rest = app.study_is_up and not app.desk.study.state.status.running
        if at_rest and app.desk.insights.current:
            break
    else:
        raise AssertionError("the study never came to rest")
    for _ in range(500 if skip else 0):
        screen = app.screen
        if not isinstance(screen, RateScreen) or screen.all_shown:
            break
        await pilot.press("space")
        await pilot.pause(0.05)
    else:
        assert not skip, "the text was never all shown"
    await pilot.pause(0.3)


def shot(
    compare: Compare,
    app: EmojudgeApp,
    size: tuple[int, int],
    *keys: str,
    skip: bool = True,
    then: Callable[[], None] = lambda: None,
) -> None:
    async def before(pilot: Pilot[None]) -> None:
        await settled(pilot, skip=skip)
        then()
        await pilot.press(*keys)
        for box in pilot.app.screen.query(Input):
            box.cursor_blink = False
        await pilot.pause(0.3)

    run_before: Callable[[Pilot[Any]], Awaitable[None]] = before
    try:
        assert compare(app, terminal_size=size, run_before=run_before)
    finally:
        app.desk.study.close()


@SIZES
def test_candidates(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    shot(snap_compare, app_on(rated_study(tmp_path), "candidates"), size)


@SIZES
def test_candidates_while_they_generate(
    snap_compare: Compare, tmp_path: Path, size: tuple[int, int]
) -> None:
    """Rates differ from run to run, so the state says what a run said."""
    study = rated_study(tmp_path)

    def run() -> None:
        shas = [one.sha256 for one in study.discovery.candidates]
        at = [(40, 0, None, None), (23, 1, 95.2, 41.0), (0, 0, None, 290.0)]
        study.state.progress(
            {
                sha: CandidateProgress(done, 40, 0, failed, rate, left)
                for sha, (done, failed, rate, left) in zip(shas, at, strict=False)
            }
        )
        study.state.judged(4, 20)
        study.state.say("generating with tiny-Q8_0", running=True)
        study.state.run_phase(True)

    shot(snap_compare, app_on(study, "candidates"), size, then=run)


@SIZES
def test_rate(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    shot(snap_compare, app_on(rated_study(tmp_path), "rate"), size, *"43512")


@SIZES
def test_rate_when_all_is_rated(
    snap_compare: Compare, tmp_path: Path, size: tuple[int, int]
) -> None:
    shot(snap_compare, app_on(rated_study(tmp_path, items=3), "rate"), size)


@SIZES
def test_results(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    shot(snap_compare, app_on(rated_study(tmp_path, items=3), "results"), size)


@SIZES
def test_results_with_a_verdict(
    snap_compare: Compare, tmp_path: Path, size: tuple[int, int]
) -> None:
    study = asyncio.run(well_rated_study(tmp_path, samples=2))
    shot(snap_compare, app_on(study, "results"), size)


def test_a_disagreement_read_with_its_letters_lifted(snap_compare: Compare, tmp_path: Path) -> None:
    study = asyncio.run(well_rated_study(tmp_path, samples=2))
    shot(snap_compare, app_on(study, "results"), (100, 30), "right", "right", "enter")


@SIZES
def test_deploy(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    study = rated_study(tmp_path, items=3)
    app = app_on(study, "deploy")
    app.desk.replacer.adopt(study.discovery.candidates[0].path, "tiny-F16")
    shot(snap_compare, app, size)


@SIZES
def test_deploy_with_a_history(
    snap_compare: Compare, tmp_path: Path, size: tuple[int, int]
) -> None:
    """Replaced, pinned, taken back, and read-only for who looks."""
    study = rated_study(tmp_path, items=3)
    app = app_on(study, "deploy")
    core = app.desk.replacer
    first, second, third = (one.path for one in study.discovery.candidates)
    core.adopt(first, "tiny-F16")
    core.replace(Incoming(path=second, name="tiny-Q8_0"), force="to hear it for a week")
    core.backup("the calm one")
    sick = replacer_for(study.loaded, who="bo")
    sick.hooks = Hooks(health_check="echo no such model; false", health_seconds=0.01)
    with pytest.raises(DeployError):
        sick.replace(Incoming(path=third, name="tiny-Q4_0"), force="smaller")

    def tell() -> None:
        app.desk.core_recovery = (
            "bo's promote of generation 3 was interrupted and taken back: the core in use is "
            "generation 2."
        )

    shot(snap_compare, app, size, "down", then=tell)


def test_the_evidence_of_gates(snap_compare: Compare, tmp_path: Path) -> None:
    app = app_on(rated_study(tmp_path, items=3), "deploy")
    shot(snap_compare, app, (80, 24), "v")


def test_promote_dialog(snap_compare: Compare, tmp_path: Path) -> None:
    app = app_on(rated_study(tmp_path, items=3), "deploy")
    shot(snap_compare, app, (80, 24), "p")


def test_help(snap_compare: Compare, tmp_path: Path) -> None:
    shot(snap_compare, app_on(rated_study(tmp_path), "rate"), (80, 24), "f1")


@SIZES
def test_rate_while_text_comes(
    snap_compare: Compare, tmp_path: Path, size: tuple[int, int]
) -> None:
    """Words, held back: the panes before the first, and the key that shows them."""
    app = app_on(rated_study(tmp_path), "rate")
    app.personal.now = SETTINGS.model_copy(update={"reveal_words_per_second": 0.001})
    shot(snap_compare, app, size, skip=False)


@SIZES
def test_rate_with_a_note_flag_and_equal_totals(
    snap_compare: Compare, tmp_path: Path, size: tuple[int, int]
) -> None:
    keys = [*"33333333444", "enter", "f", "2", "enter", "c", *"warm", "enter", "b"]
    shot(snap_compare, app_on(rated_study(tmp_path), "rate"), size, *keys)


@SIZES
def test_rate_pairs(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    shot(snap_compare, app_on(rated_study(tmp_path), "rate"), size, "v")


@SIZES
def test_rate_when_nothing_can_be_rated(
    snap_compare: Compare, tmp_path: Path, size: tuple[int, int]
) -> None:
    """Somebody else rates under this name."""
    study = rated_study(tmp_path)
    lock = RaterSession(Study(study.loaded), "ana")
    (tmp_path / "ratings" / "ana.lock.holder").write_text('{"pid": 4711, "host": "gpu-box"}')
    try:
        shot(snap_compare, app_on(study, "rate"), size, skip=False)
    finally:
        lock.close()


@SIZES
def test_candidates_before_anything_is_generated(
    snap_compare: Compare, tmp_path: Path, size: tuple[int, int]
) -> None:
    shot(snap_compare, app_on(Study(write_study(tmp_path)), "candidates"), size)


@SIZES
def test_candidates_with_problems(
    snap_compare: Compare, tmp_path: Path, size: tuple[int, int]
) -> None:
    study = rated_study(tmp_path)
    study.discovery.candidates[2].path.unlink()
    (tmp_path / "models" / "tiny-Q2").mkdir()
    (tmp_path / "models" / "tiny-Q2" / "model.gguf").write_bytes(b"not a model")
    shot(snap_compare, app_on(Study(study.loaded), "candidates"), size)


@SIZES
def test_results_before_anything_is_rated(
    snap_compare: Compare, tmp_path: Path, size: tuple[int, int]
) -> None:
    shot(snap_compare, app_on(rated_study(tmp_path, items=0), "results"), size)


@SIZES
def test_deploy_before_the_first_core(
    snap_compare: Compare, tmp_path: Path, size: tuple[int, int]
) -> None:
    shot(snap_compare, app_on(rated_study(tmp_path), "deploy"), size)


def test_settings(snap_compare: Compare, tmp_path: Path) -> None:
    app = app_on(rated_study(tmp_path), "rate")
    app.personal.file = Path("/home/ana/.config/emojudge/settings.toml")
    shot(snap_compare, app, (80, 24), "comma", "down")


def test_too_small(snap_compare: Compare, tmp_path: Path) -> None:
    shot(snap_compare, app_on(rated_study(tmp_path), "rate"), (40, 10), skip=False)


@pytest.mark.parametrize("theme", ["ansi-dark", "ansi-light"])
def test_rate_in_the_terminals_own_colours(
    snap_compare: Compare, tmp_path: Path, theme: str
) -> None:
    app = app_on(rated_study(tmp_path), "rate")
    app.theme = theme
    shot(snap_compare, app, (80, 24), *"43")


def test_rate_in_light(snap_compare: Compare, tmp_path: Path) -> None:
    app = app_on(rated_study(tmp_path), "rate")
    app.theme = "emojudge-light"
    shot(snap_compare, app, (120, 40), *"43")


def test_first_run(snap_compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_ladder(tmp_path / "here" / "models")
    language_model(rows=4096).write(tmp_path / ".lmstudio/models/somebody/tiny/tiny-F16.gguf")
    app = FirstRunApp(SETTINGS, tmp_path / "here")

    async def looked(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "LM Studio" in screen_text(app))

    assert snap_compare(app, terminal_size=(80, 24), run_before=looked)
