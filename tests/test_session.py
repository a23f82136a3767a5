"""A rater's session beyond scoring: undo through items, flags, order of equals, pairs, time."""

from __future__ import annotations

from pathlib import Path

import pytest

from emojudge.domain import Criterion, Draft, PaneScores, Preference, RatedItem, Rating
from emojudge.errors import StoreError
from emojudge.pipeline import drafts
from emojudge.pipeline.attention import BREAK, IDLE_AFTER, Attention
from emojudge.pipeline.exchange import rating_rows
from emojudge.pipeline.rating import CannotUndo, NotComplete, RaterSession
from emojudge.pipeline.study import Study
from emojudge.ranking.people import pairwise_strengths
from emojudge.store.log import LogFollower
from emojudge.store.tables import DRAFTS, RATED
from tests.studies import judged_study, situations, write_study
from tests.test_rating import rate

WEIGHTS = dict(zip(Criterion, (0.25, 0.3, 0.25, 0.2), strict=True))


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def score(session: RaterSession, *panes: str) -> None:
    """Score whole panes, each by its four digits."""
    for digits in panes:
        for digit in digits:
            session.score(int(digit))


# Drafts


def scored(*panes: str) -> Draft:
    return Draft(
        id="i",
        panes=tuple(
            PaneScores(scores=dict(zip(Criterion, map(int, digits), strict=False)))
            for digits in panes
        ),
    )


def test_equal_totals_count_the_weights_and_only_complete_panes() -> None:
    draft = scored("4343", "4343", "4433", "434", "3434")
    # 3.5 three times, once from other digits; the same digits in another order make 3.55.
    assert drafts.equals_of(draft, 0, WEIGHTS) == [1, 4]
    assert drafts.equals_of(draft, 2, WEIGHTS) == []
    assert drafts.equals_of(draft, 3, WEIGHTS) == []


def test_the_order_of_equals_is_the_order_in_which_they_were_put_ahead() -> None:
    draft = scored("3333", "3333", "3333", "1111")
    draft = drafts.put_ahead(drafts.put_ahead(draft, 2), 0)
    assert drafts.tie_breaks(draft, WEIGHTS) == (1, 0, 2, 0)
    draft = drafts.put_ahead(draft, 2)
    assert drafts.tie_breaks(draft, WEIGHTS) == (1, 0, 0, 0)


def test_an_order_of_totals_that_are_not_equal_any_more_says_nothing() -> None:
    draft = drafts.put_ahead(scored("3333", "3333"), 1)
    changed = draft.model_copy(update={"panes": scored("3333", "4333").panes})
    assert drafts.tie_breaks(changed, WEIGHTS) == (0, 0)


def test_a_new_score_takes_back_what_was_said_of_other_totals() -> None:
    draft = drafts.put_ahead(scored("3333", "3333", "4444"), 0)
    draft = drafts.focused(draft, 2, 0)
    assert drafts.scored(draft, 3).ahead == ()


# Undo


async def test_undo_goes_back_through_the_items_of_the_session(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    session = RaterSession(study, "ana")
    first = session.next_item()
    score(session, "4321", "2222", "5555")
    session.comment_item("a hard one")
    session.submit()
    second = session.next_item()
    session.score(1)
    session.skip("cannot tell")
    third = session.next_item()
    session.score(5)

    session.undo()
    assert session.draft is not None
    assert session.draft.panes[0].scores == {}
    assert second is not None
    assert session.undo() == "the item before is open again"
    assert session.item == second
    assert session.rated()[-1].id != second.id, "a skip that is taken back is not stored any more"
    assert session.draft.panes[0].scores == {Criterion.BELIEVABILITY: 1}
    session.undo()
    session.undo()
    assert session.item == first
    assert session.rated() == []
    assert session.draft.comment == "a hard one"
    assert [one.complete for one in session.draft.panes] == [True] * 3
    session.undo()
    assert session.draft.comment == ""
    session.comment_item("still hard")
    again = session.submit()
    assert again.comment == "still hard"
    # What was shown comes back in its order, and nothing is drawn anew.
    assert session.next_item() == second
    session.skip("cannot tell")
    assert session.next_item() == third
    assert session.draft.panes[0].scores == {}
    session.close()


async def test_undo_goes_further_back_than_what_is_kept_of_steps(tmp_path: Path) -> None:
    """Of items long ago the draft is gone; what was submitted says what it was."""
    study = await judged_study(tmp_path, prompts=situations(24))
    session = RaterSession(study, "ana")
    item = session.next_item()
    score(session, "4321", "3333", "3333")
    session.put_ahead()
    session.flag("broken text")
    session.comment("odd")
    first = session.submit()
    for _ in range(22):
        session.next_item()
        session.skip("later")
    assert study.store.get(DRAFTS, first.id) is None
    for _ in range(23):
        session.undo()
    assert session.item == item
    draft = session.draft
    assert draft is not None
    assert [list(pane.scores.values()) for pane in draft.panes] == [
        [4, 3, 2, 1],
        [3, 3, 3, 3],
        [3, 3, 3, 3],
    ]
    assert (draft.panes[2].flag, draft.panes[2].comment, draft.ahead) == (
        "broken text",
        "odd",
        (2,),
    )
    assert session.submit().ratings == first.ratings
    session.close()


async def test_an_old_item_that_was_opened_again_survives_a_restart(tmp_path: Path) -> None:
    study = await judged_study(tmp_path, prompts=situations(24))
    session = RaterSession(study, "ana")
    item = session.next_item()
    score(session, "4321", "3333", "2222")
    session.submit()
    for _ in range(22):
        session.next_item()
        session.skip("later")
    for _ in range(23):
        session.undo()
    assert session.item == item
    session.close()
    again = RaterSession(Study(study.loaded), "ana")
    assert again.next_item() == item
    assert again.draft is not None
    assert [one.complete for one in again.draft.panes] == [True] * 3
    again.close()


async def test_a_prompt_that_went_takes_its_item_along(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    session = RaterSession(study, "ana")
    rate(session)
    item = session.next_item()
    assert item is not None
    file = tmp_path / "prompts.jsonl"
    kept = [line for line in file.read_text().splitlines() if item.prompt_id not in line]
    file.write_text("\n".join(kept))
    study.lead()
    await study.discover()
    after = session.next_item()
    assert after is not None
    assert after.prompt_id != item.prompt_id
    session.close()
    study.close()


async def test_a_disk_that_fails_at_submit_leaves_the_item_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = await judged_study(tmp_path)
    session = RaterSession(study, "ana")
    item = session.next_item()
    score(session, "4321", "3333", "2222")

    def full(descriptor: int, payload: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("emojudge.store.log.os.write", full)
    with pytest.raises(StoreError, match="No space left"):
        session.submit()
    monkeypatch.undo()
    assert session.item == item
    assert session.rated() == []
    session.submit()
    assert len(session.rated()) == 1
    session.close()


async def test_undo_stops_where_the_ai_was_shown(tmp_path: Path) -> None:
    study = await judged_study(tmp_path, human_judging={"show_ai_scores": "after_item"})
    session = RaterSession(study, "ana")
    rate(session)
    with pytest.raises(CannotUndo, match="what the AI said of it was shown"):
        session.undo()
    session.next_item()
    session.skip("cannot tell")
    assert session.undo() == "the item before is open again", "of a skip nothing was shown"
    session.close()


async def test_an_item_that_could_not_be_shown_is_not_gone_back_to(tmp_path: Path) -> None:
    session = RaterSession(await judged_study(tmp_path), "ana")
    session.next_item()
    session.drop("no response: it crashed")
    with pytest.raises(CannotUndo):
        session.undo()
    session.close()


# Flags, order, names


async def test_what_is_noticed_beside_scores_is_stored_with_them(tmp_path: Path) -> None:
    session = RaterSession(await judged_study(tmp_path), "ana")
    session.next_item()
    with pytest.raises(NotComplete, match="A is not scored yet"):
        session.put_ahead()
    score(session, "3333", "3333", "4444")
    with pytest.raises(NotComplete, match="no other response has the weighted total of C"):
        session.put_ahead()
    session.move(-1)
    session.put_ahead()
    session.flag("  wrong language ")
    rated = session.submit()
    assert [one.tie_break for one in rated.ratings] == [0, 1, 0]
    assert [one.flag for one in rated.ratings] == ["", "wrong language", ""]
    session.close()


async def test_a_flag_without_a_reason_is_taken_away(tmp_path: Path) -> None:
    session = RaterSession(await judged_study(tmp_path), "ana")
    session.next_item()
    session.flag("harmful")
    session.flag(" ")
    assert session.draft is not None
    assert session.draft.panes[0].flag == ""
    session.close()


async def test_tie_breaks_and_votes_feed_bradley_terry_and_not_the_scores(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    session = RaterSession(study, "ana")
    item = session.next_item()
    assert item is not None
    score(session, "3333", "3333", "3333")
    before = pairwise_strengths(study.view())
    assert before.strengths is None
    session.move(-2, -3)
    session.put_ahead()
    session.submit()
    found = pairwise_strengths(study.view())
    assert found.strengths is not None
    order = dict(zip(found.strengths.names, found.strengths.scores, strict=True))
    best = study.view().labels[item.panes[0]]
    assert max(order, key=lambda name: order[name]) == best
    assert (found.pairs, found.votes) == (3, 0)
    scores = study.view().counted_items[0].ratings
    assert len({tuple(one.scores.values()) for one in scores}) == 1
    session.switch_mode()
    pair = session.next_item()
    assert pair is not None
    session.vote(Preference.RIGHT)
    assert pairwise_strengths(study.view()).votes == 1
    assert len(study.view().counted_items) == 1, "a vote is no rating"
    session.close()


# Pairs


async def test_pairs_are_items_of_their_own_and_each_mode_keeps_its_open_item(
    tmp_path: Path,
) -> None:
    study = await judged_study(tmp_path)
    session = RaterSession(study, "ana")
    scored_item = session.next_item()
    session.score(4)
    session.switch_mode()
    pair = session.next_item()
    assert pair is not None
    assert scored_item is not None
    assert pair.pairwise
    assert len(pair.panes) == 2
    assert pair.prompt_id != scored_item.prompt_id, "scores meet fresh texts as long as possible"
    session.switch_mode()
    assert session.item == scored_item
    assert session.draft is not None
    assert session.draft.panes[0].scores == {Criterion.BELIEVABILITY: 4}
    session.close()

    again = RaterSession(Study(study.loaded), "ana", pairwise=True)
    assert again.next_item() == pair
    vote = again.vote(Preference.TIE)
    assert (vote.candidates, vote.responses) == (pair.panes, pair.responses)
    assert (again.done, again.total) == (1, 3)
    assert again.undo() == "the item before is open again"
    assert again.done == 0
    again.vote(Preference.LEFT)
    for _ in range(2):
        assert again.next_item() is not None
        again.vote(Preference.RIGHT)
    assert again.next_item() is None
    again.switch_mode()
    assert again.next_item() == scored_item
    assert again.done == 0
    again.close()


async def test_a_skipped_pair_counts_and_is_no_rating(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    session = RaterSession(study, "ana", pairwise=True)
    session.next_item()
    session.flag("harmful")
    skipped = session.skip("both broken")
    assert (session.done, session.total) == (1, 3)
    assert list(skipped.flags.values()) == ["harmful"]
    assert list(rating_rows(study)) == []
    session.switch_mode()
    assert session.done == 0
    session.close()


# Time


def test_a_long_gap_is_reading_at_first_and_idle_beyond() -> None:
    clock = Clock()
    attention = Attention(clock)
    clock.now += 30
    assert attention.touch().active == 30
    clock.now += IDLE_AFTER + 500
    spent = attention.touch()
    assert (spent.active, spent.idle) == (30 + IDLE_AFTER, 500)
    attention.leave()
    clock.now += 40
    assert attention.touch().idle == 540


def test_a_break_is_suggested_once_and_again_after_as_long() -> None:
    clock = Clock()
    attention = Attention(clock)

    def work(minutes: int) -> None:
        for _ in range(minutes):
            clock.now += 60
            attention.touch()

    work(44)
    assert attention.break_due(45) is None
    assert attention.break_due(0) is None
    work(1)
    assert attention.break_due(45) == 45
    assert attention.break_due(45) is None
    work(45)
    assert attention.break_due(45) == 90
    clock.now += BREAK + IDLE_AFTER
    attention.touch()
    work(44)
    assert attention.break_due(45) is None, "somebody who was away had a break"


async def test_the_time_of_an_item_survives_a_restart_and_leaves_idleness_out(
    tmp_path: Path,
) -> None:
    study = await judged_study(tmp_path)
    clock = Clock()
    session = RaterSession(study, "ana", now=clock)
    session.next_item()
    clock.now += 20
    session.score(3)
    session.close()
    clock.now += 9000
    session = RaterSession(Study(study.loaded), "ana", now=clock)
    session.next_item()
    clock.now += 10
    score(session, "333", "3333", "3333")
    clock.now += IDLE_AFTER + 7
    rated = session.submit()
    assert rated.seconds == pytest.approx(30 + IDLE_AFTER)
    assert rated.idle_seconds == pytest.approx(7)
    session.close()


# The log


async def test_a_log_full_of_old_drafts_is_tidied_when_it_is_opened(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    session = RaterSession(study, "ana")
    rate(session)
    session.next_item()
    for number in range(2200):
        session.move(1 if number % 2 else -1, 1 if number % 2 else -1)
        session.score(1 + number % 5)
        session.move(-3, -3)
    draft = session.draft
    session.close()
    file = tmp_path / "ratings" / "ana.log"
    before = file.stat().st_size
    session = RaterSession(Study(study.loaded), "ana")
    assert file.stat().st_size < before / 100
    session.next_item()
    assert draft is not None
    assert session.draft is not None
    assert session.draft.panes == draft.panes
    assert len(session.rated()) == 1
    session.score(2)
    session.close()
    follower = LogFollower(file)
    follower.read_new()
    assert not follower.damage


def test_older_records_without_the_new_fields_are_read(tmp_path: Path) -> None:
    """A study that an earlier version wrote goes on."""
    write_study(tmp_path)
    old = {
        "id": "ana:1",
        "rater": "ana",
        "number": 1,
        "prompt_id": "p",
        "sample": 0,
        "ratings": [
            {
                "candidate": "c",
                "response_id": "r",
                "scores": {one.value: 3 for one in Criterion},
                "comment": "",
            }
        ],
        "skipped": None,
        "seconds": 4.0,
        "submitted": "2026-11-03T12:00:00+00:00",
        "repeat_of": None,
        "adaptive": False,
    }
    rated = RATED.model.model_validate(old)
    assert isinstance(rated, RatedItem)
    assert (rated.idle_seconds, rated.comment) == (0.0, "")
    assert rated.ratings[0] == Rating(
        candidate="c", response_id="r", scores=dict.fromkeys(Criterion, 3)
    )
