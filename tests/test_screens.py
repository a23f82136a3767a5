"""Widgets in host apps, and journeys through the real app on scripted workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual._context import visible_screen_stack
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from emojudge.actions import ACTIONS, SCREENS
from emojudge.app import EmojudgeApp
from emojudge.domain import PaneScores
from emojudge.first_run import Choice, FirstRunApp
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.study import Study
from emojudge.report.cells import scale_text
from emojudge.screens.candidates import CandidatesScreen
from emojudge.screens.dialogs import HelpScreen
from emojudge.screens.rate import RateScreen
from emojudge.screens.typed_word import TypedWordDialog
from emojudge.sections import Mark, Scale
from emojudge.settings import Settings
from emojudge.text import visible
from emojudge.theme import ThemedApp
from emojudge.widgets.response_pane import PaneLook, ResponsePane
from emojudge.widgets.response_text import ResponseText
from emojudge.widgets.score_rows import dots
from tests.fakes.scripted_worker import HOSTILE
from tests.gguf_files import write_ladder
from tests.studies import SCRIPTED, judged_study, write_study

QUICK = Settings(paints_per_second=15, reveal_words_per_second=1000)


def make_app(study: Study, screen: str = "candidates", **options: object) -> EmojudgeApp:
    return EmojudgeApp(
        study,
        QUICK,
        rater="ana",
        first_screen=screen,
        modules=SCRIPTED,
        **options,  # type: ignore[arg-type]
    )


async def until(pilot: Pilot[Any], condition: Callable[[], bool]) -> None:
    """Let the app run until ``condition`` holds; a condition that never does fails the test."""
    for _ in range(600):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError(f"still not: {condition}")


def screen_text(app: App[Any]) -> str:
    # Textual renders what shows through a dialog only for who names the screens behind it.
    visible_screen_stack.set(app._background_screens)
    return "\n".join(
        "".join(segment.text for segment in strip)
        for strip in app.screen._compositor.render_strips()
    )


# One widget at a time


class Host(ThemedApp[None]):
    def __init__(self, *widgets: ResponseText | ResponsePane) -> None:
        super().__init__("emojudge-dark")
        self._widgets = widgets

    def compose(self) -> ComposeResult:
        yield from self._widgets


async def test_growing_text_wraps_as_if_it_had_come_at_once() -> None:
    text = "One paragraph that is long enough to wrap.\n\nA second one, with 日本語 in it.\n\nlast"
    grown, whole = ResponseText(), ResponseText()
    app = Host(grown, whole)
    async with app.run_test(size=(24, 40)) as pilot:
        for end in range(len(text) + 1):
            grown.set_text(text[:end])
        whole.set_text(text)
        await pilot.pause()
        assert grown._lines == whole._lines
        assert " ".join("\n".join(whole._lines).split()) == " ".join(text.split())


async def test_text_is_never_markup_and_escapes_are_seen() -> None:
    pane = ResponsePane("A")
    app = Host(pane)
    async with app.run_test(size=(110, 20)) as pilot:
        pane.body.set_text(visible(HOSTILE))
        pane.show(PaneLook(PaneScores(comment="[red]x[/]"), 0))
        await pilot.pause()
        shown = screen_text(app)
        assert "␛]0;stolen title" in shown
        assert "[bold red]not markup[/]" in shown
        assert "“[red]x[/]”" in shown
        assert "\x1b" not in shown


async def test_text_rewraps_on_resize() -> None:
    body = ResponseText()
    app = Host(body)
    async with app.run_test(size=(60, 10)) as pilot:
        body.set_text("word " * 30)
        wide = len(body._lines)
        await pilot.resize_terminal(20, 10)
        await pilot.pause()
        assert len(body._lines) > wide


def test_scores_are_seen_without_colour() -> None:
    assert [dots(score) for score in (None, 1, 5)] == ["·····", "●○○○○", "●●●●●"]
    assert scale_text(Mark(0.5, 0.25, 0.75), Scale(), 9) == "··├─●─┤··"
    assert scale_text(Mark(0.0), Scale(), 5) == "●····"
    assert scale_text(Mark(0.5, -1, 0.75), Scale(band=(0.1, 0.9)), 9) == "‹───●─┤░·"


# Journeys


async def test_a_study_is_discovered_and_judged_from_the_candidates_screen(
    tmp_path: Path,
) -> None:
    study = Study(write_study(tmp_path))
    app = make_app(study)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: study.discovered)
        await until(pilot, lambda: "tiny-Q" in screen_text(app) or "Q8_0" in screen_text(app))
        await pilot.press("s")
        await until(pilot, lambda: study.state.status.judged == 3)
        await until(pilot, lambda: "6/6" in screen_text(app))
        await until(pilot, lambda: "ai-judge is complete" in study.state.status.activity)
    study.close()


def agreement_items(app: EmojudgeApp) -> int:
    latest = app.desk.insights.latest
    return 0 if latest is None else latest.agreement.items


async def test_rating_three_prompts_changes_the_agreement(tmp_path: Path) -> None:
    study = Study(write_study(tmp_path))
    app = make_app(study, "rate")
    shares = []
    async with app.run_test(size=(120, 40)) as pilot:
        for scores in ("5" * 4 + "1" * 4 + "3" * 4, "3" * 12, "543215432154"):
            await until(pilot, lambda: "believability" in screen_text(app))
            await until(pilot, lambda: all(pane.text.finished for pane in app.desk.panes()))
            before = len(study.view().rated)
            for key in scores:
                await pilot.press(key)
            await pilot.press("enter")
            await until(pilot, lambda count=before: len(study.view().rated) == count + 1)  # type: ignore[misc]
            await until(
                pilot,
                lambda count=before: agreement_items(app) == count + 1,  # type: ignore[misc]
            )
            latest = app.desk.insights.latest
            assert latest is not None
            assert latest.agreement.share is not None
            shares.append(latest.agreement.share.value)
        await until(pilot, lambda: "rated every prompt" in screen_text(app))
        assert "same order" in screen_text(app)
    assert len(set(shares)) > 1
    study.close()


async def test_nothing_on_the_rating_screen_names_a_candidate(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded), "rate")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "believability" in screen_text(app))
        await pilot.press("space")
        await pilot.pause(0.2)
        shown = screen_text(app) + str(app.title) + str(app.sub_title)
        for one in study.discovery.candidates:
            for tell in (one.name, one.specs.quantization, one.sha256[:8], one.path.name):
                assert tell not in shown
    app.desk.study.close()


@pytest.mark.parametrize(("width", "pages"), [(120, 1), (80, 1), (60, 2), (40, 3)])
async def test_a_narrow_terminal_pages_and_drops_no_pane(
    tmp_path: Path, width: int, pages: int
) -> None:
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded), "rate")
    seen: set[str] = set()
    async with app.run_test(size=(width, 24)) as pilot:
        await until(pilot, lambda: "believability" in screen_text(app))
        screen = app.screen
        assert isinstance(screen, RateScreen)
        turns = 1
        for _ in range(3):
            shown = frozenset(pane.letter for pane in screen.query(ResponsePane) if pane.display)
            turns += bool(seen) and not shown <= seen
            seen |= shown
            await pilot.press("right")
            await pilot.pause()
        assert seen == {"A", "B", "C"}
        assert turns == pages
    app.desk.study.close()


async def test_comment_skip_undo_and_help_by_keyboard(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded), "rate")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "believability" in screen_text(app))
        await pilot.press("4", "c", *"too sweet", "enter")
        session = app.desk.session
        assert session is not None
        assert session.draft is not None
        assert session.draft.panes[0].comment == "too sweet"
        await pilot.press("u")
        assert session.draft.panes[0].comment == ""
        await pilot.press("u")
        assert session.draft.panes[0].scores == {}
        await pilot.press("enter")
        await pilot.pause()
        assert "A has no score for believability" in screen_text(app)
        await pilot.press("c", "escape", "question_mark")
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("escape", "s", *"odd", "enter")
        await until(pilot, lambda: [one.skipped for one in session.rated()] == ["odd"])
    app.desk.study.close()


async def test_promote_and_roll_back_from_the_deploy_screen(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded), "deploy")
    store = app.desk.replacer
    store.adopt(study.discovery.candidates[0].path, "tiny-F16")
    async with app.run_test(size=(100, 40)) as pilot:
        await until(pilot, lambda: "generation 1" in screen_text(app))
        await pilot.press("p")
        assert isinstance(app.screen, TypedWordDialog)
        await pilot.press("enter", *"promote", "enter")
        assert isinstance(app.screen, TypedWordDialog)
        assert "a reason is needed" in screen_text(app)
        await pilot.press(*"just trying", "enter", "x", "enter")
        assert isinstance(app.screen, TypedWordDialog)
        assert "that is not promote" in screen_text(app)
        await pilot.press("backspace", *"promote", "enter")
        await until(pilot, lambda: store.status().audit[-1].action == "promote")
        assert store.status().audit[-1].reason == "just trying"
        await until(pilot, lambda: "generation 2" in screen_text(app))
        await pilot.press("b", *"good", "enter", *"pin", "enter")
        await until(pilot, lambda: any(not one.automatic for one in store.list_backups()))
        await pilot.press("r", *"rollback", "enter")
        await until(pilot, lambda: store.status().audit[-1].action == "rollback")
        await until(pilot, lambda: "1 F16" in screen_text(app))
        await pilot.press("r", "escape")
        assert store.status().current is not None
        assert store.status().current.number == 1  # type: ignore[union-attr]
    app.desk.study.close()


async def test_every_action_of_the_table_exists_on_its_screen(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded))
    async with app.run_test(size=(100, 30)) as pilot:
        for scope in SCREENS:
            app.switch_mode(scope)
            await pilot.pause()
            bound = {
                binding.id: binding for _, binding in app.screen._bindings if binding.id is not None
            }
            for action in ACTIONS:
                if action.scope == scope:
                    assert action.id in bound
                    method = "action_" + action.call.partition("(")[0]
                    assert callable(getattr(app.screen, method))
                    assert bound[action.id].tooltip == action.tooltip
        palette = {command.title for command in app.get_system_commands(app.screen)}
        assert "promote: Make the chosen candidate the core" in palette
    app.desk.study.close()


async def test_a_keymap_changes_keys_footer_and_help(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    settings = QUICK.model_copy(update={"keymap": {"rate.undo": "z"}})
    app = EmojudgeApp(
        Study(study.loaded), settings, rater="ana", first_screen="rate", modules=SCRIPTED
    )
    async with app.run_test(size=(140, 30)) as pilot:
        await until(pilot, lambda: "believability" in screen_text(app))
        assert "z undo" in screen_text(app)
        await pilot.press("3", "z")
        session = app.desk.session
        assert session is not None
        assert session.draft is not None
        assert session.draft.panes[0].scores == {}
    app.desk.study.close()


async def test_a_follower_sees_who_leads_and_rates_what_is_there(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    leader = Study(study.loaded)
    leader.lead()
    app = make_app(Study(study.loaded))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "is in use by process" in " ".join(screen_text(app).split()))
        await pilot.press("s")
        await pilot.press("f3")
        await until(pilot, lambda: "believability" in screen_text(app))
    assert isinstance(app.desk.session, RaterSession)
    app.desk.study.close()
    leader.close()


async def test_a_problem_at_start_ends_the_app_with_its_status(tmp_path: Path) -> None:
    study = Study(write_study(tmp_path, candidate_dir="nowhere"))
    app = make_app(study)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.problem is not None)
    assert app.return_code == 2
    assert "does not exist" in str(app.problem)
    study.close()


async def test_the_first_run_screen_offers_what_can_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    async def answer_to(key: str) -> Choice | None:
        app = FirstRunApp(Settings(), tmp_path)
        async with app.run_test() as pilot:
            await until(pilot, lambda: "No GGUF files lie in this folder" in screen_text(app))
            assert "no study in this folder" in screen_text(app)
            await pilot.press(key)
        return app.return_value

    assert await answer_to("i") == Choice("init")
    assert await answer_to("d") == Choice("demo")
    assert await answer_to("q") is None
    assert await answer_to("escape") is None


async def test_the_first_run_screen_starts_a_study_of_what_lies_nearby(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_ladder(tmp_path / "here" / "models")
    app = FirstRunApp(Settings(), tmp_path / "here")
    async with app.run_test() as pilot:
        await until(pilot, lambda: "this folder: models  3 models" in screen_text(app))
        await pilot.press("enter")
    assert app.return_value is not None
    assert app.return_value.models is not None
    assert app.return_value.models.folder == tmp_path / "here" / "models"


async def test_failures_are_told_and_the_item_is_left_out(tmp_path: Path) -> None:
    prompts = [{"id": "bad", "prompt": "CRASH", "category": "x"}]
    study = Study(write_study(tmp_path, prompts=prompts))
    app = make_app(study, "rate")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: bool(study.view().rated) if study.discovered else False)
        assert "SIGABRT" in str(study.view().rated[0].skipped)
        await pilot.press("f2")
        assert isinstance(app.screen, CandidatesScreen)
    study.close()


async def test_a_second_start_streams_what_the_first_left_open(tmp_path: Path) -> None:
    """The item was shown and nothing of it was stored: the new engine must be asked for it."""
    study = Study(write_study(tmp_path))
    study.lead()
    await study.discover()
    session = RaterSession(study, "ana")
    item = session.next_item()
    session.close()
    study.close()
    app = make_app(Study(study.loaded), "rate")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: bool(app.desk.panes()))
        await until(pilot, lambda: all(pane.text.finished for pane in app.desk.panes()))
        assert app.desk.session is not None
        assert app.desk.session.item == item
        before = app.desk.openings
        await app.desk.rediscover()
        await until(pilot, lambda: app.desk.openings > before)
        await pilot.pause(0.2)
        assert app.desk.session.item == item
    app.desk.study.close()


async def test_a_failing_candidate_is_not_named_on_the_rating_screen(tmp_path: Path) -> None:
    prompts = [{"id": "bad", "prompt": "CRASH", "category": "x"}]
    study = Study(write_study(tmp_path, prompts=prompts))
    app = make_app(study, "rate")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(study.view().rated) if study.discovered else False)
        await until(pilot, lambda: bool(app._notifications))
        told = " ".join(note.message for note in app._notifications)
        assert "could not be made" in told
        assert not any(one in told for one in ("Q8_0", "Q4_0", "F16", "SIGABRT"))
        assert not any(one in screen_text(app) for one in ("Q8_0", "Q4_0", "F16", "SIGABRT"))
        await pilot.press("f2")
        await until(pilot, lambda: "SIGABRT" in screen_text(app))
    study.close()


async def test_the_item_under_a_dialog_stays(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded), "rate")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "believability" in screen_text(app))
        session = app.desk.session
        assert session is not None
        first = session.item
        await pilot.press("c")
        app.desk.openings += 1
        await pilot.pause(0.3)
        assert session.item == first
        await pilot.press(*"kept", "enter")
        assert session.draft is not None
        assert session.draft.panes[0].comment == "kept"
    app.desk.study.close()


async def test_a_hostile_category_is_only_text(tmp_path: Path) -> None:
    prompts = [{"id": "a", "prompt": "x", "category": "care [/x] [@click=app.quit]here[/]"}]
    study = await judged_study(tmp_path, prompts=prompts)
    app = make_app(Study(study.loaded), "rate")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "believability" in screen_text(app))
        assert "care [/x] [@click=app.quit]here[/]" in screen_text(app)
    app.desk.study.close()


async def test_what_is_not_shown_yet_cannot_be_submitted(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    slow = Settings(paints_per_second=15, reveal_words_per_second=0.5)
    app = EmojudgeApp(Study(study.loaded), slow, rater="ana", first_screen="rate", modules=SCRIPTED)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "believability" in screen_text(app))
        await pilot.press(*"333333333333", "enter")
        await until(pilot, lambda: "not all text is shown" in screen_text(app))
        await pilot.press("space")
        await until(pilot, lambda: getattr(app.screen, "all_shown", False))
        await pilot.press("enter")
        await until(pilot, lambda: len(app.desk.study.view().rated) == 1)
    app.desk.study.close()
