from __future__ import annotations

from collections import Counter

import pytest

from emojudge.config import AiScoring, Config
from emojudge.domain import (
    Candidate,
    Criterion,
    Item,
    Message,
    ModelFile,
    Prompt,
    RatedItem,
    Rating,
    Response,
    Specs,
    human_score,
)
from emojudge.judges.judge import combine_scores
from emojudge.ranking.agreement import OrderAgreement, order_agreement
from emojudge.ranking.next_item import Draw, draw_item, pane_count, prompt_order
from emojudge.ranking.standing import rank_candidates
from emojudge.view import StudyView, mean_over_prompts

WEIGHTS = Config().human_judging.criteria_weights
SPECS = Specs(
    architecture="llama",
    model_name=None,
    parameters=1,
    quantization="F16",
    bits_per_weight=16,
    tensor_types={},
    context_length=None,
    vocabulary_size=None,
    chat_template=None,
)


def candidate(name: str, *, baseline: bool = False) -> Candidate:
    file = ModelFile(path=f"/{name}", size=10, sha256=name, mtime_ns=0, inode=0)
    return Candidate(name=name, files=(file,), specs=SPECS, is_baseline=baseline)


def response(sha: str, prompt: str, sample: int = 0) -> Response:
    return Response(
        id=f"{sha}/{prompt}/{sample}",
        candidate=sha,
        prompt_id=prompt,
        sample=sample,
        seed=0,
        text="x",
        finish="end",
        prompt_tokens=1,
        tokens=1,
        first_token_seconds=0,
        seconds=1,
        rendered_sha256="",
        engine="",
        created="",
    )


def rated(prompt: str, scores: dict[str, int], rater: str = "ana") -> RatedItem:
    ratings = tuple(
        Rating(
            candidate=sha,
            response_id=f"{sha}/{prompt}/0",
            scores=dict.fromkeys(Criterion, value),
        )
        for sha, value in scores.items()
    )
    return RatedItem(
        id=f"{rater}/{prompt}",
        rater=rater,
        number=1,
        prompt_id=prompt,
        sample=0,
        ratings=ratings,
        seconds=1,
        submitted="",
    )


def view(items: list[RatedItem], ai: dict[str, float]) -> StudyView:
    return StudyView(
        config=Config(),
        seed=1,
        candidates=(candidate("a", baseline=True), candidate("b"), candidate("c")),
        unusable=(),
        prompts=tuple(
            Prompt(id=one, messages=(Message(role="user", content=one),), category="x")
            for one in ("p1", "p2", "p9")
        ),
        responses=tuple(response(key[0], key[2:4]) for key in ai),
        failures=(),
        judgements=(),
        rated=tuple(items),
        ai_scores=ai,
    )


def test_human_scores_map_one_to_five_onto_zero_to_one() -> None:
    assert human_score(dict.fromkeys(Criterion, 1), WEIGHTS) == pytest.approx(0)
    assert human_score(dict.fromkeys(Criterion, 5), WEIGHTS) == pytest.approx(1)
    mixed = dict(zip(Criterion, (5, 1, 3, 2), strict=True))
    assert human_score(mixed, WEIGHTS) == pytest.approx((5 * 0.25 + 0.3 + 0.75 + 0.4 - 1) / 4)


def test_the_final_score_is_two_fifths_ai_and_three_fifths_people() -> None:
    ranked = rank_candidates(
        view([rated("p1", {"a": 5, "b": 3})], {"a/p1/0": 1.0, "b/p1/0": 0.5, "c/p1/0": 0.9})
    )
    assert [one.label for one in ranked] == ["a", "b", "c"]
    assert ranked[0].final == pytest.approx(0.4 * 1 + 0.6 * 1)
    assert ranked[1].final == pytest.approx(0.4 * 0.5 + 0.6 * 0.5)
    # AI never stands in for people who have not rated.
    assert (ranked[2].label, ranked[2].final, ranked[2].human) == ("c", None, None)


def test_a_prompt_with_many_values_counts_once() -> None:
    assert mean_over_prompts([("p", 1.0), ("p", 1.0), ("p", 1.0), ("q", 0.0)]) == 0.5
    assert mean_over_prompts([]) is None


def share_of(found: OrderAgreement) -> float | None:
    return None if found.share is None else found.share.value


def test_order_agreement_counts_pairs_and_halves_ties() -> None:
    ai = {"a/p1/0": 1.0, "b/p1/0": 0.8, "c/p1/0": 0.6, "a/p2/0": 1.0, "b/p2/0": 0.2}
    same = order_agreement(view([rated("p1", {"a": 5, "b": 4, "c": 1})], ai))
    assert (share_of(same), same.pairs, same.items) == (1.0, 3, 1)
    reversed_order = order_agreement(view([rated("p1", {"a": 1, "b": 4, "c": 5})], ai))
    assert share_of(reversed_order) == 0.0
    tie = order_agreement(view([rated("p1", {"a": 3, "b": 3})], ai))
    assert share_of(tie) == 0.5
    both = order_agreement(view([rated("p1", {"a": 3, "b": 3}), rated("p2", {"a": 5, "b": 1})], ai))
    assert (share_of(both), both.trend) == (0.75, (0.5, 0.75))
    unjudged = order_agreement(view([rated("p9", {"a": 5, "b": 1})], ai))
    assert (share_of(unjudged), unjudged.items) == (None, 0)


def test_agreement_of_one_rater_leaves_the_others_out() -> None:
    ai = {"a/p1/0": 1.0, "b/p1/0": 0.5}
    items = [rated("p1", {"a": 5, "b": 1}, "ana"), rated("p1", {"a": 1, "b": 5}, "ben")]
    assert share_of(order_agreement(view(items, ai), "ana")) == 1.0
    assert share_of(order_agreement(view(items, ai), "ben")) == 0.0
    assert share_of(order_agreement(view(items, ai))) == 0.5


# Similarity


def test_parts_are_weighed_and_rescaled_over_those_that_count() -> None:
    weights = AiScoring(ensemble=0.5, preservation=0.2, similarity=0.15, fluency=0.15)
    alone = combine_scores({"similarity": {"r": 0.4}, "fluency": {}}, weights)
    assert alone == pytest.approx({"r": 0.4})
    both = combine_scores({"similarity": {"r": 0.4, "s": 1.0}, "preservation": {"r": 0.8}}, weights)
    assert both == pytest.approx({"r": (0.15 * 0.4 + 0.2 * 0.8) / 0.35})
    assert combine_scores({}, weights) == {}


# Which item next


def draw_many(count: int, candidates: list[str], panes: int, seed: int = 3) -> list[Item]:
    items: list[Item] = []
    for number in range(1, count + 1):
        items.append(
            draw_item(
                Draw(seed, "ana", number, ""),
                prompt_id=f"p{number}",
                common=(),
                candidates=candidates,
                panes=panes,
                samples=4,
                shown_to_all=items,
                response_ids={(sha, s): f"{sha}{s}" for sha in candidates for s in range(4)},
            )
        )
    return items


def test_items_are_balanced_over_candidates_positions_and_samples() -> None:
    items = draw_many(60, ["a", "b", "c", "d", "e"], 4)
    shown = Counter(sha for item in items for sha in item.panes)
    assert max(shown.values()) - min(shown.values()) <= 1
    for position in range(4):
        here = Counter(item.panes[position] for item in items)
        assert max(here.values()) - min(here.values()) <= 6
    assert set(Counter(item.sample for item in items).values()) == {15}
    assert all(len(set(item.panes)) == 4 for item in items)


def test_the_same_seed_draws_the_same_and_another_one_differs() -> None:
    first = draw_many(10, ["a", "b", "c"], 3)
    assert draw_many(10, ["c", "a", "b"], 3) == first
    assert draw_many(10, ["a", "b", "c"], 3, seed=4) != first


def test_raters_meet_prompts_in_orders_of_their_own() -> None:
    prompts = [f"p{number}" for number in range(20)]
    assert prompt_order(1, "ana", prompts, {}) == prompt_order(1, "ana", prompts[::-1], {})
    assert prompt_order(1, "ana", prompts, {}) != prompt_order(1, "ben", prompts, {})


def test_there_are_never_more_panes_than_candidates() -> None:
    assert pane_count(None, 5) == 4
    assert pane_count(None, 3) == 3
    assert pane_count(2, 5) == 2
