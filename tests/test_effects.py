"""Effects and their jackknife, against least squares done the long way."""

from __future__ import annotations

import numpy as np
import pytest

from emojudge.estimates import Floats, Ints
from emojudge.ranking.effects import combined, effects_of
from emojudge.ranking.normal_equations import NormalEquations

K, PROMPTS = 5, 9
Item = tuple[int, Ints, Floats]


def some_items(seed: int = 1, count: int = 30) -> list[Item]:
    rng = np.random.default_rng(seed)
    items = []
    for number in range(count):
        who = rng.choice(K, size=int(rng.integers(2, 5)), replace=False)
        items.append((number % PROMPTS, who, rng.normal(0.5, 0.2, len(who)) + 0.1 * who))
    return items


def sums_of(items: list[Item], prompts: int = PROMPTS) -> NormalEquations:
    sums = NormalEquations(K, prompts)
    for prompt, who, scores in items:
        sums.add(prompt, who, scores)
    return sums


def by_dummy_regression(items: list[Item]) -> Floats:
    """One column per candidate and per item, solved by numpy's own least squares."""
    rows, values = [], []
    for number, (_, who, scores) in enumerate(items):
        for one, score in zip(who, scores, strict=True):
            row = np.zeros(K + len(items))
            row[one] = row[K + number] = 1
            rows.append(row)
            values.append(score)
    solution = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0][:K]
    centred: Floats = solution - solution.mean()
    return centred


def test_effects_are_least_squares_with_an_effect_per_item() -> None:
    items = some_items()
    assert effects_of(sums_of(items)).values == pytest.approx(by_dummy_regression(items))


def test_the_variance_leaves_out_one_prompt_at_a_time() -> None:
    items = some_items()
    replicates = np.array(
        [
            by_dummy_regression([item for item in items if item[0] != prompt])
            for prompt in range(PROMPTS)
        ]
    )
    _, variance = effects_of(sums_of(items)).against(2)
    own = replicates[:, [2]] - replicates
    expected = (PROMPTS - 1) / PROMPTS * ((own - own.mean(axis=0)) ** 2).sum(axis=0)
    assert variance == pytest.approx(expected)


def test_adding_one_by_one_or_all_at_once_is_the_same() -> None:
    items = some_items()
    one_by_one, at_once = sums_of(items), NormalEquations(K, PROMPTS)
    at_once.add_all(*map(list, zip(*items, strict=True)))
    for name in ("matrix", "moment", "squares", "items", "scored"):
        assert getattr(at_once, name) == pytest.approx(getattr(one_by_one, name))


def test_a_raters_level_and_a_prompts_level_change_nothing() -> None:
    items = some_items()
    shifted = [
        (prompt, who, scores + 3 * number) for number, (prompt, who, scores) in enumerate(items)
    ]
    assert effects_of(sums_of(shifted)).values == pytest.approx(effects_of(sums_of(items)).values)


def pair(prompt: int, one: int, other: int, by: float) -> Item:
    return prompt, np.array([one, other]), np.array([by, 0.0])


def test_groups_that_never_met_cannot_be_compared() -> None:
    items = [pair(prompt, 0, 1, 0.1 * prompt) for prompt in range(4)]
    items += [pair(prompt, 2, 3, 0.3) for prompt in range(4, 8)]
    effects = effects_of(sums_of(items))
    assert effects.groups.tolist() == [0, 0, 1, 1, 2]
    _, variance = effects.against(0)
    assert np.isfinite(variance[1])
    assert np.isinf(variance[2:]).all()


def test_one_prompt_that_holds_two_groups_together_leaves_their_difference_open() -> None:
    items = [pair(prompt, 0, 1, 0.1 * prompt) for prompt in range(4)]
    items += [pair(prompt, 2, 3, 0.1 * prompt) for prompt in range(4)]
    items += [pair(5, 1, 2, 0.2), pair(6, 3, 4, 0.1), pair(7, 3, 4, 0.2)]
    _, variance = effects_of(sums_of(items)).against(0)
    assert np.isfinite(variance[1])
    assert np.isinf(variance[2:]).all()


def test_items_of_one_candidate_tell_nothing() -> None:
    sums = sums_of([(0, np.array([1]), np.array([0.9]))])
    assert sums.items.sum() == 0
    assert effects_of(sums).values.tolist() == [0.0] * K


def test_parts_are_left_out_together() -> None:
    people, ai = effects_of(sums_of(some_items(1))), effects_of(sums_of(some_items(2)))
    final = combined([(0.4, ai), (0.6, people)])
    assert final.values == pytest.approx(0.4 * ai.values + 0.6 * people.values)
    assert final.left_out == pytest.approx(0.4 * ai.left_out + 0.6 * people.left_out)
    few = effects_of(sums_of([item for item in some_items(3) if item[0] < 6]))
    assert combined([(0.4, ai), (0.6, few)]).prompts == 6
    alone = combined([(0.0, ai), (1.0, people)])
    assert alone.values == pytest.approx(people.values)


def test_whole_scores_set_a_floor_under_the_variance() -> None:
    items = [pair(prompt, 0, 1, 0.5) for prompt in range(8)]
    assert effects_of(sums_of(items)).against(0)[1][1] == pytest.approx(0)
    assert effects_of(sums_of(items), 0.0013).against(0)[1][1] == pytest.approx(2 * 0.0013 / 8)
