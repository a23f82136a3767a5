"""Which item comes next: balance, common prompts, repeats, and the adaptive choice."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np

from emojudge.domain import Criterion, Item
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.study import Study
from emojudge.ranking.choice import Shown, adaptive, balanced
from emojudge.ranking.decision import Rules
from emojudge.ranking.next_item import (
    COMMON_SHARE,
    Draw,
    common_prompts,
    draw_item,
    draw_repeat,
    prompt_order,
    repeats_due,
)
from emojudge.ranking.simulate.planted import Design
from emojudge.ranking.simulate.study import SimulatedStudy
from emojudge.ranking.simulate.walk import one_leader, strengths
from tests.studies import judged_study

PROMPTS = [f"p{number:03}" for number in range(100)]


def test_candidates_and_pairs_are_shown_equally_often() -> None:
    shown, draw = Shown(6), random.Random(1)
    for _ in range(150):
        shown.add(balanced(shown, 4, draw))
    assert np.ptp(shown.candidates) <= 1
    pairs = [int(shown.pairs[one, other]) for one, other in combinations(range(6), 2)]
    assert max(pairs) - min(pairs) <= 2


def test_raters_share_the_common_prompts_and_otherwise_get_different_ones() -> None:
    common = common_prompts(7, PROMPTS)
    assert len(common) == COMMON_SHARE * len(PROMPTS)
    ana = prompt_order(7, "ana", PROMPTS, {})[:40]
    ben = prompt_order(7, "ben", PROMPTS, Counter(ana))[:40]
    assert set(ana) & set(ben) == set(common[:6])
    assert [one for one in ana if one in common] == [one for one in ben if one in common]
    whole = prompt_order(7, "ana", PROMPTS, {})
    assert sorted(whole) == PROMPTS
    assert whole == prompt_order(7, "ana", PROMPTS[::-1], {})


def draw_for(rater: str, number: int, shown: list[Item], common: tuple[str, ...]) -> Item:
    shas = ["a", "b", "c", "d", "e", "f"]
    return draw_item(
        Draw(3, rater, number, f"{number:04}"),
        prompt_id=f"p{number}",
        common=common,
        candidates=shas,
        panes=4,
        samples=4,
        shown_to_all=shown,
        response_ids={(sha, sample): f"{sha}{sample}" for sha in shas for sample in range(4)},
    )


def test_a_common_prompt_shows_everybody_the_same_responses() -> None:
    first = draw_for("ana", 1, [], ("p1",))
    second = draw_for("ben", 1, [first], ("p1",))
    assert set(first.responses) == set(second.responses)
    assert first.sample == second.sample
    apart = draw_for("ben", 1, [first], ())
    assert set(apart.panes) != set(first.panes)


def test_positions_are_balanced_for_each_rater() -> None:
    shown: list[Item] = []
    for number in range(1, 61):
        shown.append(draw_for("ana", number, shown, ()))
    for position in range(4):
        here = Counter(item.panes[position] for item in shown)
        assert max(here.values()) - min(here.values()) <= 6


def test_repeats_come_at_their_share_and_ten_by_sixty_items() -> None:
    assert [repeats_due(count, 0.05) for count in (0, 19, 24, 40, 60, 100, 200, 300)] == [
        0, 0, 1, 5, 10, 10, 10, 15,
    ]  # fmt: skip
    assert repeats_due(500, 0.0) == 0
    steps = [repeats_due(count, 0.05) for count in range(300)]
    assert all(after - before in (0, 1) for before, after in pairwise(steps))


def test_a_repeat_is_an_old_item_under_other_letters() -> None:
    own = [draw_for("ana", number, [], ()) for number in range(1, 20)]
    rated = {item.id for item in own if item.number != 3}
    again = draw_repeat(Draw(3, "ana", 20, "later"), own, rated)
    assert again is not None
    first = next(item for item in own if item.id == again.repeat_of)
    assert set(again.responses) == set(first.responses)
    assert again.panes != first.panes
    assert dict(zip(again.panes, again.responses, strict=True)) == dict(
        zip(first.panes, first.responses, strict=True)
    )
    assert first.number <= 8
    assert first.number != 3
    everything: list[Item] = [*own, again]
    seen = {again.repeat_of}
    # Two repeats one after the other would be noticed.
    assert draw_repeat(Draw(3, "ana", 21, "later"), everything, rated) is None
    later = draw_repeat(Draw(3, "ana", 24, "later"), everything, rated)
    assert later is not None
    assert later.repeat_of not in seen


async def test_a_raters_repeats_are_stored_as_such_and_not_counted(tmp_path: Path) -> None:
    prompts = [
        {"id": f"p{number}", "prompt": f"Situation {number}.", "category": "teasing"}
        for number in range(40)
    ]
    study = await judged_study(tmp_path, prompts=prompts)
    session = RaterSession(Study(study.loaded), "ana")
    while (item := session.next_item()) is not None:
        for _ in range(len(Criterion) * len(item.panes)):
            session.score(3)
        session.submit()
    items = session.items()
    repeats = [one for one in items if one.repeat_of is not None]
    assert len(items) == 40 + len(repeats)
    assert len(repeats) == repeats_due(40, 0.05)
    assert not session.upcoming_prompts()
    session.study.follow()
    view = session.study.view()
    assert len(view.counted_items) == 40
    assert len(view.repeats) == len(repeats)
    session.close()


# Adaptive


def after(items: int, values: tuple[float, ...]) -> SimulatedStudy:
    study = SimulatedStudy(strengths(values), Design(100, 4), seed=5)
    for _ in zip(range(items), study, strict=False):
        pass
    return study


def test_adaptive_is_balanced_until_everybody_has_the_wanted_items() -> None:
    study = after(10, (0.6, 0.5, 0.5, 0.5, 0.5, 0.5))
    shown = Shown(6)
    shown.candidates[:] = [10, 10, 10, 10, 10, 9]
    chosen, departed = adaptive(study.evidence(), study.rules, shown, 4, random.Random(1))
    assert not departed
    assert 5 in chosen
    assert len(chosen) == 4


def test_adaptive_shows_the_leader_beside_rivals_that_are_not_beaten_yet() -> None:
    study = after(150, (0.5, 0.7, 0.7, 0.2, 0.2, 0.2))
    shown = Shown(6)
    shown.candidates[:] = 50
    rules = Rules(0, (1, 2, 3, 4, 5), 0.01, 10)
    chosen, departed = adaptive(study.evidence(), rules, shown, 4, random.Random(1))
    assert departed
    assert set(chosen) == {1, 2}


def test_adaptive_shows_the_baseline_beside_the_next_rungs_when_that_verdict_is_nearer() -> None:
    study = after(60, (0.6, 0.6, 0.6, 0.6, 0.6, 0.6))
    shown = Shown(6)
    shown.candidates[:] = 50
    chosen, _ = adaptive(study.evidence(), study.rules, shown, 4, random.Random(1))
    assert chosen[0] == 0
    assert chosen[1:] == sorted(chosen[1:])


def test_adaptive_needs_no_choice_where_all_fit() -> None:
    study = after(40, one_leader(3, 0.3).people)
    chosen, departed = adaptive(study.evidence(), study.rules, Shown(3), 4, random.Random(1))
    assert not departed
    assert sorted(chosen) == [0, 1, 2]
