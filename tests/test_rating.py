"""A rater's session, the lockstep reveal, and several processes on one study."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emojudge.domain import Criterion, PaneScores
from emojudge.errors import LockHeld, NeedsPerson
from emojudge.pipeline.desk import Desk
from emojudge.pipeline.headless import HeadlessRun
from emojudge.pipeline.rating import CannotUndo, NotComplete, RaterSession
from emojudge.pipeline.reveal import Lockstep, PaneText
from emojudge.pipeline.study import Study
from tests.studies import PROMPTS, SCRIPTED, judged_study, write_study

CRITERIA = len(Criterion)


def rate(session: RaterSession, value: int = 3) -> None:
    item = session.next_item()
    assert item is not None
    for _ in range(CRITERIA * len(item.panes)):
        session.score(value)
    session.submit()


async def test_digits_walk_through_criteria_and_panes(tmp_path: Path) -> None:
    session = RaterSession(await judged_study(tmp_path), "ana")
    item = session.next_item()
    assert item is not None
    assert len(item.panes) == 3
    for value in (1, 2, 3, 4, 5):
        session.score(value)
    draft = session.draft
    assert draft is not None
    assert (draft.pane, draft.criterion) == (1, 1)
    assert list(draft.panes[0].scores.values()) == [1, 2, 3, 4]
    assert draft.panes[0].complete
    assert draft.panes[1].scores == {Criterion.BELIEVABILITY: 5}
    session.close()


async def test_quitting_at_any_key_resumes_the_same_item_letters_and_scores(
    tmp_path: Path,
) -> None:
    study = await judged_study(tmp_path)
    keys = ("score", "score", "comment", "move", "undo", "score")
    for key in keys:
        session = RaterSession(Study(study.loaded), "ana")
        item = session.next_item()
        before = session.draft
        assert item is not None
        if key == "score":
            session.score(4)
        elif key == "comment":
            session.comment("too cheerful")
        elif key == "move":
            session.move(1, 1)
        else:
            session.undo()
        after = session.draft
        session.close()
        again = RaterSession(Study(study.loaded), "ana")
        assert again.item == item
        assert again.draft == after
        assert key == "undo" or after != before
        again.close()


async def test_an_incomplete_item_is_not_submitted_and_says_what_is_missing(
    tmp_path: Path,
) -> None:
    session = RaterSession(await judged_study(tmp_path), "ana")
    session.next_item()
    session.score(3)
    with pytest.raises(NotComplete, match="A has no score for connection"):
        session.submit()
    session.move(2, 0)
    session.score(1)
    with pytest.raises(NotComplete):
        session.submit()
    assert session.draft is not None
    assert (session.draft.pane, session.draft.criterion) == (0, 1)
    session.close()


async def test_all_prompts_come_once_then_nothing(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    session = RaterSession(study, "ana")
    for _ in range(2):
        rate(session)
    session.next_item()
    session.skip("could not follow it")
    assert session.next_item() is None
    rated = session.rated()
    assert len({one.prompt_id for one in rated}) == 3
    assert [one.skipped for one in rated] == [None, None, "could not follow it"]
    assert len(study.view().counted_items) == 2
    session.close()


async def test_undo_takes_back_scores_and_comments(tmp_path: Path) -> None:
    session = RaterSession(await judged_study(tmp_path), "ana")
    session.next_item()
    with pytest.raises(CannotUndo, match="nothing more"):
        session.undo()
    session.score(2)
    session.comment("hm")
    session.undo()
    session.undo()
    assert session.draft is not None
    assert session.draft.panes[0] == PaneScores()
    session.close()


async def test_two_sessions_of_one_rater_are_refused_and_two_raters_are_not(
    tmp_path: Path,
) -> None:
    study = await judged_study(tmp_path)
    ana = RaterSession(study, "ana")
    with pytest.raises(LockHeld, match="rating session of ana is in use by process"):
        RaterSession(Study(study.loaded), "ana")
    ben = RaterSession(Study(study.loaded), "ben")
    rate(ana)
    rate(ben)
    study.follow()
    assert {item.rater for item in study.view().counted_items} == {"ana", "ben"}
    ana.close()
    ben.close()


async def test_a_follower_rates_only_what_is_stored(tmp_path: Path) -> None:
    """Another process leads; its rater gets items as their responses are appended."""
    loaded = write_study(tmp_path)
    leader = Study(loaded)
    leader.lead()
    await leader.discover()
    follower = Study(loaded)
    assert not follower.try_to_lead()
    session = RaterSession(follower, "ben")
    assert session.next_item() is None
    await HeadlessRun(leader, SCRIPTED).ai_judge()
    follower.follow()
    assert session.next_item() is not None
    rate(session)
    session.close()
    leader.close()
    desk = Desk(follower, "ben", SCRIPTED)
    await desk.follow()
    assert follower.leader is not None
    await desk.close()
    follower.close()


async def test_changed_settings_do_not_leave_a_rater_waiting(tmp_path: Path) -> None:
    study = Study(write_study(tmp_path))
    study.lead()
    await study.discover()
    session = RaterSession(study, "ana")
    assert session.next_item() is not None
    session.close()
    study.close()
    changed = Study(write_study(tmp_path, generation={"temperature": 0.1}))
    changed.lead()
    session = RaterSession(changed, "ana")
    assert session.item is None
    assert "settings changed" in str(session.rated()[0].skipped)
    session.close()
    changed.close()


async def test_eight_raters_at_once_beside_a_headless_run(tmp_path: Path) -> None:
    """Real processes: nobody's rating is lost, and each is stored once."""
    await judged_study(tmp_path)
    more: list[dict[str, Any]] = [
        {"id": f"more{number}", "prompt": f"and {number}?", "category": "x"} for number in range(6)
    ]
    code = f"""
from pathlib import Path
from emojudge.config_file import load_config
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.study import Study
from tests.test_rating import rate
import sys
session = RaterSession(Study(load_config(Path({str(tmp_path)!r}))), sys.argv[1])
for value in (1, 3, 5):
    rate(session, value)
session.close()
"""
    children = [
        subprocess.Popen([sys.executable, "-c", code, f"rater{number}"]) for number in range(8)
    ]
    # The headless run has new prompts to generate meanwhile.
    second = Study(write_study(tmp_path, prompts=[*PROMPTS, *more]))
    run = HeadlessRun(second, SCRIPTED)
    with pytest.raises(NeedsPerson):
        await run.run("full")
    assert [child.wait() for child in children] == [0] * 8
    second.close()
    whole = Study(second.loaded)
    items = whole.view().counted_items
    assert len(items) == 24
    assert len({(item.rater, item.prompt_id) for item in items}) == 24
    assert len(whole.view().responses) == 9 * 4
    assert not whole.store.damage


# Lockstep


def panes(*texts: tuple[str, bool]) -> list[PaneText]:
    return [PaneText(text, finished) for text, finished in texts]


def test_nothing_shows_before_every_pane_has_begun() -> None:
    step = Lockstep(words_per_second=100)
    for now in (0.0, 1.0, 2.0):
        assert step.shown(panes(("one two three", False), ("", False)), now) == ["", ""]


def test_panes_show_the_same_number_of_words_whatever_their_speed() -> None:
    """The fast pane waits for the slow one; the last word of a growing text is held back."""
    step = Lockstep(words_per_second=1000)
    step.shown(panes(("", False), ("", False)), 0.0)
    fast = "a b c d e f"
    assert step.shown(panes((fast, True), ("x y", False)), 1.0) == ["a", "x"]
    assert step.shown(panes((fast, True), ("x yes z", False)), 2.0) == ["a b", "x yes"]
    ended = panes((fast, True), ("x yes z", True))
    assert step.shown(ended, 3.0) == ["a b", "x yes"]
    # The rest comes at the pace of the slow one, as if it had more to say.
    assert step.shown(ended, 7.0) == ["a b c d", "x yes z"]
    assert step.shown(ended, 9.0) == [fast, "x yes z"]


def test_swapping_the_timing_of_two_candidates_gives_the_same_frames() -> None:
    texts = ("one two three four five", "uno dos tres cuatro cinco")
    arrivals = [(0, 0), (1, 5), (2, 5), (3, 5), (5, 5)]

    def frames(order: int) -> list[list[int]]:
        step = Lockstep(words_per_second=10)
        seen = []
        for index, counts in enumerate(arrivals):
            states = [
                PaneText(" ".join(text.split()[:count]), count == 5)
                for text, count in zip(texts, counts[::order], strict=True)
            ]
            seen.append([len(shown.split()) for shown in step.shown(states, index * 0.5)])
        return seen

    assert frames(1) == [frame[::-1] for frame in frames(-1)]
    assert all(left == right for left, right in frames(1))


def test_the_speed_is_the_readers_and_can_be_skipped() -> None:
    step = Lockstep(words_per_second=2)
    whole = panes(("a b c d", True), ("e f g h", True))
    assert step.shown(whole, 10.0) == ["", ""]
    assert step.shown(whole, 11.0) == ["a b", "e f"]
    step.skip()
    assert step.shown(whole, 11.0) == ["a b c d", "e f g h"]
    assert step.complete
    step.restart()
    assert step.shown(whole, 12.0) == ["", ""]
