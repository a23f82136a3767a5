"""The rating workstation by keyboard: pairs, flags, undo, settings, sizes, colours."""

from __future__ import annotations

import json
import struct
import tomllib
from pathlib import Path

import pytest
from textual.events import Key
from textual.widgets import Input

from emojudge import paths
from emojudge.actions import PAIRS, RATE, SCORES, check_keymap, footer_entries
from emojudge.app import EmojudgeApp
from emojudge.errors import ConfigError
from emojudge.opening import own_command
from emojudge.pipeline.phases import Mark, phase_lines
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.state import Status
from emojudge.pipeline.study import Study
from emojudge.preferences import PREFERENCES, PersonalSettings, next_choice
from emojudge.screens.deploy import DeployScreen
from emojudge.screens.rate import RateScreen
from emojudge.screens.settings import SettingsScreen
from emojudge.settings import Settings
from emojudge.widgets.response_pane import ResponsePane
from emojudge.widgets.response_text import ResponseText
from tests.gguf_files import text
from tests.malformed import MALFORMED, content_of
from tests.studies import SCRIPTED, judged_study, situations, well_rated_study, write_study
from tests.test_screens import Host, make_app, screen_text, until


def rate_screen(app: EmojudgeApp) -> RateScreen:
    assert isinstance(app.screen, RateScreen)
    return app.screen


def session_of(app: EmojudgeApp) -> RaterSession:
    session = app.desk.session
    assert session is not None
    return session


def ready(app: EmojudgeApp) -> bool:
    """Whether an item is on the screen with all its text."""
    screen = app.screen
    return (
        isinstance(screen, RateScreen)
        and app.is_open
        and app.desk.session is not None
        and app.desk.session.item is not None
        and screen.all_shown
        and "╭─ A" in screen_text(app)
    )


# Keys


async def test_an_item_takes_as_many_keys_as_it_has_scores_and_enter(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded), "rate")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: ready(app))
        await pilot.press(*"432155551111", "enter")
        await until(pilot, lambda: session_of(app).done == 1)
        scores = [list(one.scores.values()) for one in session_of(app).rated()[0].ratings]
        assert scores == [[4, 3, 2, 1], [5] * 4, [1] * 4]
    app.desk.study.close()


async def test_equal_totals_are_seen_and_ordered_with_one_key(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded), "rate")
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: ready(app))
        assert "better" not in screen_text(app)
        await pilot.press(*"333322223333")
        assert [str(pane.border_title) for pane in app.screen.query(ResponsePane)] == [
            "A = C",
            "B",
            "C = A",
        ]
        assert "b better" in screen_text(app)
        await pilot.press("b")
        assert [str(pane.border_title) for pane in app.screen.query(ResponsePane)] == [
            "A < C",
            "B",
            "C > A",
        ]
        await pilot.press("enter")
        await until(pilot, lambda: session_of(app).done == 1)
        assert [one.tie_break for one in session_of(app).rated()[0].ratings] == [0, 0, 1]
    app.desk.study.close()


async def test_votes_on_pairs_by_keyboard_and_back(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded), "rate")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: ready(app))
        await pilot.press("4", "v")
        await until(pilot, lambda: ready(app) and "pairs 0/3" in screen_text(app))
        assert "[ left better" in screen_text(app)
        assert "believability" not in screen_text(app)
        await pilot.press("3", "left_square_bracket")
        await until(pilot, lambda: ready(app) and "pairs 1/3" in screen_text(app))
        await pilot.press("space")
        await until(pilot, lambda: ready(app) and "pairs 2/3" in screen_text(app))
        await pilot.press("u")
        await until(pilot, lambda: ready(app) and "pairs 1/3" in screen_text(app))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: ready(app) and "pairs 2/3" in screen_text(app))
        await pilot.press("space")
        await until(pilot, lambda: "voted on a pair of every prompt" in screen_text(app))
        assert [one.preferred.value for one in session_of(app).votes()] == ["left", "right", "tie"]
        await pilot.press("v")
        await until(pilot, lambda: ready(app) and "●●●●○" in screen_text(app))
    app.desk.study.close()


async def test_flags_and_comments_take_a_number_or_words(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded), "rate")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: ready(app))
        await pilot.press("f", "1", "enter", "C", *"all alike", "enter")
        await pilot.press("right", "f", *"2 is me", "enter")
        draft = session_of(app).draft
        assert draft is not None
        assert [pane.flag for pane in draft.panes] == ["broken text", "2 is me", ""]
        assert draft.comment == "all alike"
        text = screen_text(app)
        assert "! broken text" in text
        assert "“all alike”" in text
        await pilot.press("f")
        app.screen.query_one(Input).value = ""
        await pilot.press("enter", "s", "9", "enter")
        await pilot.pause()
        assert "there is no reason 9" in screen_text(app)
        await pilot.press("backspace", "3", "enter")
        await until(
            pilot,
            lambda: [one.skipped for one in session_of(app).rated()] == ["too upsetting to rate"],
        )
    app.desk.study.close()


async def test_what_is_typed_in_one_piece_with_the_key_of_a_dialog_is_kept(tmp_path: Path) -> None:
    """As a slow line delivers it: the dialog is not there yet when the text comes."""
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded), "rate")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: ready(app))
        for key in ["c", *"keep me", "enter", "f", *"odd", "enter", "4"]:
            name = {" ": "space"}.get(key, key)
            character = {"enter": "\r"}.get(key, key)
            app.post_message(Key(name, character))
        await until(pilot, lambda: isinstance(app.screen, RateScreen))
        draft = session_of(app).draft
        assert draft is not None
        await until(pilot, lambda: bool(session_of(app).draft.panes[0].scores))  # type: ignore[union-attr]
        pane = session_of(app).draft.panes[0]  # type: ignore[union-attr]
        assert (pane.comment, pane.flag) == ("keep me", "odd")
    app.desk.study.close()


async def test_undo_opens_the_item_before_with_its_scores(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded), "rate")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: ready(app))
        first = session_of(app).item
        await pilot.press(*"432155551111", "enter")
        await until(pilot, lambda: ready(app) and session_of(app).item != first)
        await pilot.press("u")
        await until(pilot, lambda: ready(app) and session_of(app).item == first)
        text = screen_text(app)
        assert "the item before is open again" in text
        assert "0/3" in text
        assert text.count("●●●●●") == 4
        await pilot.press("u")
        draft = session_of(app).draft
        assert draft is not None
        assert not draft.panes[2].complete
        await pilot.press("1", "enter")
        await until(pilot, lambda: ready(app) and session_of(app).done == 1)
    app.desk.study.close()


def test_a_key_may_do_two_things_only_in_two_modes() -> None:
    check_keymap({})
    check_keymap({"rate.left_better": "1"})
    with pytest.raises(ConfigError, match=r"both rate\.reveal and rate\.submit"):
        check_keymap({"rate.submit": "space"})
    with pytest.raises(ConfigError, match=r"both rate\.tie and rate\.undo|rate\.undo.*rate\.tie"):
        check_keymap({"rate.tie": "u"})
    with pytest.raises(ConfigError, match=r"no action 'rate\.ti'.*'rate\.tie'"):
        check_keymap({"rate.ti": "x"})


def test_the_key_line_names_what_works_in_its_mode() -> None:
    scores = {label: keys for keys, label in footer_entries(RATE, {}, mode=SCORES)}
    pairs = {label: keys for keys, label in footer_entries(RATE, {}, mode=PAIRS)}
    assert scores["score"] == "1–5"
    assert scores["move"] == "←↓↑→"
    assert "submit" in scores
    assert "tie" not in scores
    assert (pairs["left better"], pairs["tie"], pairs["right better"]) == ("[", "space", "]")
    assert "score" not in pairs
    without = footer_entries(RATE, {}, mode=SCORES, without={"rate.submit"})
    assert "submit" not in {label: keys for keys, label in without}


# Reading


async def test_more_text_than_a_pane_holds_is_named_and_scrolled(tmp_path: Path) -> None:
    pane = ResponsePane("A")
    app = Host(pane)
    async with app.run_test(size=(40, 16)) as pilot:
        pane.body.set_text("\n".join(f"line {number}" for number in range(30)))
        await pilot.pause()
        assert f"↓ {30 - pane.body.size.height} lines" in screen_text(app)
        pane.body.scroll_by(4)
        await pilot.pause()
        text = screen_text(app)
        assert "line 4" in text
        assert "line 3 " not in text
        pane.body.scroll_by(1000)
        await pilot.pause()
        assert "line 29" in screen_text(app)
        assert "↓" not in screen_text(app)
        pane.body.scroll_to_top()
        await pilot.pause()
        assert "line 0" in screen_text(app)


async def test_growing_text_stays_as_wrapped_whatever_comes() -> None:
    """Also where words are wider than the pane, and blanks and scripts are mixed."""
    growing, whole = ResponseText(), ResponseText()
    pieces = [" ", "  ", "a", "word", "\n", "\n\n", "日本語", "é", "- item", "longer-than-most"]
    app = Host(growing, whole)
    async with app.run_test(size=(30, 20)) as pilot:
        await pilot.pause()
        for seed in range(60):
            text = "".join(pieces[(seed * 7 + place * place) % 10] for place in range(50))
            growing.set_text("")
            for end in range(0, len(text), 1 + seed % 5):
                growing.set_text(text[:end])
            growing.set_text(text)
            whole.set_text("")
            whole.set_text(text)
            assert growing.lines == whole.lines
            assert "".join("".join(whole.lines).split()) == "".join(text.split())


# Sizes


@pytest.mark.parametrize("screen", ["candidates", "rate", "results", "deploy"])
async def test_a_terminal_that_is_too_small_says_so_and_goes_on_when_enlarged(
    tmp_path: Path, screen: str
) -> None:
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded), screen)
    async with app.run_test(size=(40, 10)) as pilot:
        await until(pilot, lambda: app.study_is_up)
        await until(pilot, lambda: "needs more room" in screen_text(app))
        text = screen_text(app)
        assert "40×18" in text
        assert "40×10" in text
        assert "emojudge rate --plain" in text
        if screen == "rate":
            await until(pilot, lambda: app.desk.session is not None)
            await pilot.press("5", "4")
            draft = session_of(app).draft
            assert draft is None or not draft.panes[0].scores, "no key acts unseen"
        await pilot.resize_terminal(100, 30)
        await until(pilot, lambda: "needs more room" not in screen_text(app))
        if screen == "rate":
            await until(pilot, lambda: ready(app))
            await pilot.press("5")
            await until(pilot, lambda: "●●●●●" in screen_text(app))
    app.desk.study.close()


async def test_resizing_keeps_texts_scores_and_focus(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded), "rate")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: ready(app))
        await pilot.press("4", "3")
        before = session_of(app).draft
        for size in [(80, 24), (41, 17), (200, 60), (60, 16), (39, 9), (120, 40)]:
            await pilot.resize_terminal(*size)
            await pilot.pause(0.05)
        text = screen_text(app)
        assert "●●●●○" in text
        assert "●●●○○" in text
        assert session_of(app).draft == before
        for pane in app.screen.query(ResponsePane):
            assert max(map(len, pane.body.lines)) <= pane.body.size.width
    app.desk.study.close()


# Settings and colours


def test_choices_go_on_from_values_that_are_none_of_them() -> None:
    speed = next(one for one in PREFERENCES if one.field == "reveal_words_per_second")
    assert next_choice(speed, 18.0, 1) == 27.0
    assert next_choice(speed, 20.0, 1) == 27.0
    assert next_choice(speed, 20.0, -1) == 18.0
    assert next_choice(speed, 1000.0, 1) == 1000.0
    theme = next(one for one in PREFERENCES if one.field == "theme")
    assert next_choice(theme, "dracula", 1) == "emojudge-dark"
    assert next_choice(theme, "auto", -1) == "ansi-light"


def test_a_change_keeps_what_people_wrote_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('# mine\nrater = "ana"  # me\n\n[keymap]\n"rate.undo" = "z"\n')
    personal = PersonalSettings(Settings(rater="ana"), file)
    personal.change("break_minutes", 20)
    text = file.read_text()
    assert "# mine" in text
    assert "# me" in text
    assert tomllib.loads(text) == {
        "rater": "ana",
        "break_minutes": 20,
        "keymap": {"rate.undo": "z"},
    }
    file.write_text("not = [toml")
    with pytest.raises(ConfigError, match="It holds for now, and is not kept"):
        personal.change("break_minutes", 30)
    assert personal.now.break_minutes == 30
    assert file.read_text() == "not = [toml"


async def test_settings_are_changed_on_their_screen_and_hold_at_once(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded), "rate")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: ready(app))
        await pilot.press("comma")
        assert isinstance(app.screen, SettingsScreen)
        await pilot.press("right", "right")
        assert app.theme == "emojudge-light"
        await pilot.press("down", "left", "escape")
        stored = tomllib.loads(paths.settings_file().read_text())
        assert stored == {"theme": "emojudge-light", "reveal_words_per_second": 80.0}
        await pilot.press("minus")
        assert app.personal.now.reveal_words_per_second == 40
        assert "40 words per second" in screen_text(app)
    app.desk.study.close()


def test_no_colour_means_none_and_an_empty_wish_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    colourless = Host()
    assert colourless.theme == "ansi-dark"
    assert colourless.no_color
    colourless.use_theme("emojudge-light")
    assert colourless.theme == "ansi-dark"
    monkeypatch.setenv("NO_COLOR", "")
    assert not Host().no_color


# Candidates


def test_phases_say_how_far_each_is(tmp_path: Path) -> None:
    lines = phase_lines(Status(activity="reading candidates: 1 MB of 2 MB"), None, None, "")
    assert [line.mark for line in lines] == [Mark.GOING, *[Mark.AHEAD] * 4]
    assert lines[0].words == "reading candidates: 1 MB of 2 MB"


async def test_candidates_shows_every_phase_of_a_finished_study(tmp_path: Path) -> None:
    study = await well_rated_study(tmp_path)
    app = make_app(study)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "is the best" in screen_text(app))
        text = screen_text(app)
        for line in (
            "✓ discover     3 candidates, 24 prompts",
            "✓ ai-judge     24 of 24 prompts judged",
            "✓ human-judge  32 items by 2 people",
            "✓ rank",
            "· deploy       no core yet",
        ):
            assert line in text
    app.desk.study.close()


async def test_a_core_that_is_not_whole_is_no_phase_done(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    app = make_app(Study(study.loaded))
    app.desk.replacer.adopt(study.discovery.candidates[0].path, "tiny-F16")
    assert app.desk.core_in_words == "generation 1: tiny-F16"
    (app.desk.replacer.layout.root / "current" / "core.gguf").unlink()
    assert app.desk.core_in_words.startswith("! Generation 1 is not whole")
    lines = phase_lines(Status(), study.discovery, None, app.desk.core_in_words)
    assert lines[-1].mark is Mark.GOING
    app.desk.study.close()


async def test_malformed_models_are_named_and_keys_answered_meanwhile(tmp_path: Path) -> None:
    loaded = write_study(tmp_path, prompts=situations(2))
    for number, (gguf, _) in enumerate(MALFORMED):
        wrong = tmp_path / "models" / f"wrong-{number:02}.gguf"
        wrong.parent.mkdir(exist_ok=True)
        wrong.write_bytes(content_of(gguf))
    costly = b"".join(
        text(f"k{number}") + struct.pack("<IIQ", 9, 8, 400_000) + bytes(8 * 400_000)
        for number in range(9)
    )
    (tmp_path / "models" / "costly.gguf").write_bytes(
        b"GGUF" + struct.pack("<IQQ", 3, 0, 9) + costly
    )
    app = make_app(Study(loaded), start=True)
    async with app.run_test(size=(120, 60)) as pilot:
        await until(pilot, lambda: app.is_open)
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(app.screen, DeployScreen))
        await pilot.press("f2")
        await until(pilot, lambda: "2 of 2 prompts judged" in screen_text(app))
        found = app.desk.study.discovery
        assert found is not None
        reasons = {one.name: one.reason for one in found.unusable}
        assert len(reasons) == len(MALFORMED) + 1
        for number, (_, message) in enumerate(MALFORMED):
            assert message in reasons[f"wrong-{number:02}"]
        assert "more than 2,000,000 strings" in reasons["costly"]
        assert len(found.candidates) == 3
        assert "wrong-00" in screen_text(app)
    app.desk.study.close()


async def test_stop_drops_what_is_under_way_and_start_goes_on(tmp_path: Path) -> None:
    marker = tmp_path / "begun"
    prompts = situations(6)
    prompts[3]["prompt"] += f" SLOW-ONCE:{marker} "
    app = make_app(Study(write_study(tmp_path, prompts=prompts)), start=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, marker.exists)
        await pilot.press("x")
        await until(pilot, lambda: "stopped; what was finished is stored" in screen_text(app))
        assert "s start" in screen_text(app)
        assert "x stop" not in screen_text(app)
        await pilot.press("s")
        await until(pilot, lambda: "6 of 6 prompts judged" in screen_text(app))
        view = app.desk.study.view()
        assert not view.failures
        assert len(view.responses) >= 18
    app.desk.study.close()


async def test_an_encoder_and_worker_that_never_start_leave_the_frame(tmp_path: Path) -> None:
    """The first frame needs nothing of the study."""
    loaded = write_study(tmp_path)
    opened: list[Study] = []

    def open_study() -> Study:
        opened.append(Study(loaded))
        return opened[0]

    app = EmojudgeApp(open_study, Settings(), rater="ana", first_screen="rate", modules=SCRIPTED)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        assert "opening the study" in screen_text(app) or app.is_open
        await until(pilot, lambda: ready(app))
    assert opened
    opened[0].close()


async def test_a_config_that_cannot_be_read_ends_the_app_with_its_reason(tmp_path: Path) -> None:
    def open_study() -> Study:
        raise ConfigError("phase2_config.json: line 3: oh no")

    app = EmojudgeApp(open_study, Settings(), rater="ana", modules=SCRIPTED)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.problem is not None)
    assert "oh no" in str(app.problem)
    assert app.return_code == ConfigError("").exit_code
    assert json.dumps(app.return_code) != "0"


def test_what_goes_on_is_named_by_its_path_where_no_shell_finds_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["/srv/my venv/bin/emojudge"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert own_command() == "'/srv/my venv/bin/emojudge'"
    (tmp_path / "emojudge").touch(mode=0o755)
    assert own_command() == "emojudge"
