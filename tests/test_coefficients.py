"""Coefficients of agreement and strengths against published values and other programs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from emojudge.errors import UsageError
from emojudge.estimates import Floats
from emojudge.ranking import coefficients as of
from emojudge.ranking.bradley_terry import Strengths, strengths
from emojudge.ranking.coefficients import KappaWeights, Level, Likeness, Resampled

_ = np.nan


def rows(*raters: list[float]) -> Floats:
    return np.array(raters, dtype=np.float64)


# The three-coder example in the README of fast-krippendorff.
THREE_CODERS = rows(
    [_, _, _, _, _, 3, 4, 1, 2, 1, 1, 3, 3, _, 3],
    [1, _, 2, 1, 3, 3, 4, 3, _, _, _, _, _, _, _],
    [_, _, 2, 1, 3, 4, 4, _, 2, 1, 1, 3, 3, _, 4],
)
# irrCAC 0.4.4's data sets raw_4raters and raw_5observers (Gwet 2014).
FOUR_RATERS = rows(
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, _],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 3],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
)
FIVE_OBSERVERS = rows(
    [1, 1, 2, _, 0, 0, 1, 1, 2, 2, _, 0, 1, 3, 1],
    [1, 1, 3, 0, 0, 0, 0, _, 2, 1, 1, 0, 2, 3, 1],
    [2, 0, 3, 0, 0, 0, 2, 2, 2, 1, 0, 0, 2, 2, 1],
    [_, 1, 3, _, _, _, _, 0, _, 1, 0, 0, 2, 2, _],
    [2, _, _, 0, 0, 0, 1, _, 2, _, _, _, _, 3, 1],
)
WITH_A_GAP = rows([1, 1, 2, 5, 5, 1, 2, 2, 5, 1], [1, 2, 2, 5, 2, 1, 2, 5, 5, 1])


@pytest.mark.parametrize(
    ("level", "alpha"), [("nominal", 0.691358), ("ordinal", 0.806721), ("interval", 0.810845)]
)
def test_krippendorffs_alpha(level: Level, alpha: float) -> None:
    assert of.krippendorff_alpha(THREE_CODERS, level) == pytest.approx(alpha, abs=5e-7)


# The table and the values of statsmodels' documentation of cohens_kappa.
TABLE = [[0, 4, 1], [0, 8, 0], [0, 1, 5]]
PLACES = [
    (row, column) for row in range(3) for column in range(3) for _n in range(TABLE[row][column])
]
A, B = np.array(PLACES, dtype=np.float64).T


@pytest.mark.parametrize(
    ("weights", "kappa"), [(None, 0.4842), ("linear", 0.4701), ("quadratic", 0.4502)]
)
def test_cohens_kappa(weights: KappaWeights, kappa: float) -> None:
    assert of.weighted_kappa(A, B, weights) == pytest.approx(kappa, abs=5e-5)


@pytest.mark.parametrize(
    ("values", "weights", "expected"),
    [
        (FOUR_RATERS, "identity", 0.77544407),
        (FOUR_RATERS, "quadratic", 0.91400072),
        (FIVE_OBSERVERS, "identity", 0.4966220549),
        (FIVE_OBSERVERS, "quadratic", 0.8304335727),
        (WITH_A_GAP, "identity", 0.5505617978),
        (WITH_A_GAP, "quadratic", 0.6726019529),
    ],
)
def test_gwets_coefficient_is_irrcacs(values: Floats, weights: Likeness, expected: float) -> None:
    """Expected values are what irrCAC 0.4.4 prints for CAC(data, weights).gwet()."""
    assert of.gwet_ac2(values, weights) == pytest.approx(expected, abs=1e-8)


def test_the_share_of_agreeing_pairs() -> None:
    assert of.pairwise_agreement(rows([1, 1, 2, _], [1, 2, 2, 5], [1, 3, _, _])) == 4 / 7
    assert of.pairwise_agreement(rows([1, _], [_, 1])) is None


def test_a_category_that_nobody_used_still_counts() -> None:
    assert of.scale_positions(rows([1, 5, 2, _])[0]).tolist()[:3] == [0, 4, 1]
    assert of.scale_positions(rows([1, 2.5, 1.5])[0]).tolist() == [0, 3, 1]
    assert of.scale_positions(rows([0, 1, 2.7])[0]).tolist() == [0, 1, 2]
    a, b = WITH_A_GAP
    far = of.weighted_kappa(a, b)
    assert far is not None
    # The same ratings with 5 renamed 3 disagree by smaller steps.
    near = of.weighted_kappa(np.where(a == 5, 3, a), np.where(b == 5, 3, b))
    assert near is not None
    assert far != pytest.approx(near)


def drawn(raters: int, items: int, missing: float = 0.2) -> Floats:
    draw = np.random.default_rng(7)
    truth = draw.normal(3, 1, items)
    values = np.clip(np.rint(truth + draw.normal(0, 0.8, (raters, items))), 1, 5)
    values[draw.random(values.shape) < missing] = np.nan
    return values


MANY = drawn(4, 60)
PAIR = drawn(2, 60)
X, Y = PAIR


def kappa_of(pair: Floats, weights: KappaWeights) -> float | None:
    return of.weighted_kappa(pair[0], pair[1], weights)


LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval")
WEIGHTS: tuple[KappaWeights, ...] = (None, "linear", "quadratic")
FIGURES: list[tuple[Resampled, Callable[[Floats], float | None], Floats]] = [
    *(
        (of.resampled_alpha(MANY, level), partial(of.krippendorff_alpha, level=level), MANY)
        for level in LEVELS
    ),
    (of.resampled_ac2(MANY, "quadratic"), partial(of.gwet_ac2, weights="quadratic"), MANY),
    (of.resampled_agreement(MANY), of.pairwise_agreement, MANY),
    *((of.resampled_kappa(X, Y, one), partial(kappa_of, weights=one), PAIR) for one in WEIGHTS),
    (of.resampled_spearman(X, Y), lambda pair: of.spearman(pair[0], pair[1]), PAIR),
    (of.resampled_kendall(X, Y), lambda pair: of.kendall(pair[0], pair[1]), PAIR),
]


@pytest.mark.parametrize("place", range(len(FIGURES)))
def test_resampled_figures_are_the_figures_of_the_repeated_items(place: int) -> None:
    """The quick formulas of the bootstrap against the libraries', on three resamples."""
    resampled, plain, values = FIGURES[place]
    items = values.shape[1]
    draw = np.random.default_rng(3)
    counts = draw.multinomial(items, np.full(items, 1 / items), size=3)
    counts[0] = 1
    expected = [plain(np.repeat(values, times, axis=1)) for times in counts]
    assert resampled(counts.astype(np.float64)).tolist() == pytest.approx(expected, abs=1e-12)


def test_alpha_without_a_coincidence_matrix_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=(3, 40))
    expected = [of.krippendorff_alpha(values, level) for level in LEVELS]
    monkeypatch.setattr(of, "_MOST_ALPHA_CELLS", 0)
    found = [of.krippendorff_alpha(values, level) for level in LEVELS]
    assert found == pytest.approx(expected, abs=1e-12)


def test_kendall_above_the_limit_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    interval = of.bootstrap_interval(of.resampled_kendall(X, Y), 60)
    monkeypatch.setattr(of, "_MOST_ITEMS_IN_PAIRS", 10)
    again = of.bootstrap_interval(of.resampled_kendall(X, Y), 60)
    assert interval is not None
    assert again == pytest.approx(interval, abs=1e-12)


def test_correlations_are_scipys() -> None:
    both = ~(np.isnan(X) | np.isnan(Y))
    assert of.spearman(X, Y) == pytest.approx(spearmanr(X[both], Y[both]).statistic)
    assert of.kendall(X, Y) == pytest.approx(kendalltau(X[both], Y[both]).statistic)
    value, interval = of.pearson(X, Y)
    assert value is not None
    assert interval is not None
    assert interval[0] < value < interval[1]
    # Fisher's z: tanh(atanh r ± 1.96/√(n − 3)).
    reach = 1.959964 / np.sqrt(both.sum() - 3)
    assert interval[1] == pytest.approx(np.tanh(np.arctanh(value) + reach), abs=1e-6)


def test_the_bootstrap_covers_and_repeats() -> None:
    """The mean of 50 draws: the interval is near the normal one, and the same every time."""
    values = np.random.default_rng(5).normal(size=50)

    def mean(counts: Floats) -> Floats:
        return np.asarray(counts @ values / counts.sum(axis=1))

    interval = of.bootstrap_interval(mean, 50)
    reach = 1.96 * values.std() / np.sqrt(50)
    assert interval == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.04)
    assert of.bootstrap_interval(mean, 50) == interval
    assert of.bootstrap_interval(mean, 50, seed=1) != interval
    assert of.bootstrap_interval(mean, 1) is None
    assert of.bootstrap_interval(lambda counts: np.full(len(counts), np.nan), 50) is None


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_what_is_undefined_is_none(level: Level) -> None:
    same = rows([2, 2, 2], [2, 2, 2])
    lone = rows([1, _], [_, 2])
    likeness = of.identity_or_quadratic(level)
    for values in (same, lone):
        assert of.krippendorff_alpha(values, level) is None
        assert of.gwet_ac2(values, likeness) is None
    flat = rows([2, 2, 2], [1, 2, 3])
    for a, b in (same, lone, flat):
        assert of.weighted_kappa(a, b) is None
        assert of.pearson(a, b) == (None, None)
        assert of.spearman(a, b) is None
        assert of.kendall(a, b) is None
    assert of.pearson(*rows([1, 2, 3], [1, 2, 4]))[1] is None


# Bradley-Terry

# The four-team example of Wikipedia's article "Bradley-Terry model".
WIKIPEDIA = [
    *(("A", "B", 2), ("A", "D", 1), ("B", "A", 3), ("B", "C", 5)),
    *(("C", "B", 3), ("C", "D", 1), ("D", "A", 4), ("D", "C", 3)),
]


def of_votes(*votes: tuple[str, str, float]) -> Strengths:
    left, right, outcome = zip(*votes, strict=True)
    return strengths(left, right, outcome)


def test_wikipedias_example() -> None:
    winners, losers, counts = zip(*WIKIPEDIA, strict=True)
    weighted = strengths(winners, losers, [1.0] * len(counts), counts)
    scaled = weighted.scores / np.exp(np.log(weighted.scores).mean())
    assert dict(zip(weighted.names, scaled.round(3).tolist(), strict=True)) == {
        "A": 0.640,
        "B": 1.043,
        "C": 0.660,
        "D": 2.270,
    }
    assert weighted.scores.sum() == pytest.approx(1)
    assert weighted.ranks() == [4, 2, 3, 1]
    one_by_one = of_votes(*((a, b, 1.0) for a, b, count in WIKIPEDIA for _n in range(count)))
    assert one_by_one.scores == pytest.approx(weighted.scores)
    turned = of_votes(*((b, a, 0.0) for a, b, count in WIKIPEDIA for _n in range(count)))
    assert turned.scores == pytest.approx(weighted.scores)
    assert turned.intervals == pytest.approx(one_by_one.intervals)


def test_a_tie_is_half_a_win_each_way() -> None:
    tied = of_votes(("a", "b", 1), ("a", "b", 0.5), ("b", "a", 0.5), ("a", "b", 1))
    assert tied.scores == pytest.approx([0.75, 0.25])
    assert not tied.prior


def test_weights_are_relative() -> None:
    left, right, outcome = ["a", "a", "b"], ["b", "b", "a"], [1, 0.5, 1]
    plain = strengths(left, right, outcome, [1, 2, 1])
    for factor in (1e-200, 1e200):
        scaled = strengths(left, right, outcome, [factor, 2 * factor, factor])
        assert scaled.scores == pytest.approx(plain.scores)
        assert scaled.intervals == pytest.approx(plain.intervals)
    ignored = strengths(["a", "a", "b", "c"], ["b", "b", "a", "a"], [1, 0.5, 1, 1], [1, 2, 1, 0])
    assert ignored.names == ("a", "b")
    assert ignored.scores == pytest.approx(plain.scores)


def test_intervals_hold_what_they_promise() -> None:
    """Drawn votes of known strengths: 95% intervals cover about 95% of them, ties and all."""
    draw = np.random.default_rng(11)
    covered = total = 0
    for _round in range(120):
        log = draw.normal(0, 0.7, 5)
        truth = np.exp(log) / np.exp(log).sum()
        left = draw.integers(0, 5, 80)
        right = (left + draw.integers(1, 5, 80)) % 5
        share = truth[left] / (truth[left] + truth[right])
        tie = 0.4 * np.minimum(share, 1 - share)
        luck = draw.random(80)
        outcome = np.where(luck < tie, 0.5, np.where(luck < share + tie / 2, 1.0, 0.0))
        found = strengths([str(one) for one in left], [str(one) for one in right], outcome)
        assert found.intervals is not None
        low, high = found.intervals.T
        assert np.all((low > 0) & (low < found.scores) & (found.scores < high) & (high < 1))
        covered += int(np.sum((low <= truth) & (truth <= high)))
        total += 5
    assert 0.92 <= covered / total <= 0.985


def test_more_votes_narrow_the_interval() -> None:
    few = of_votes(*[("a", "b", 1.0), ("b", "a", 1.0)] * 4)
    many = of_votes(*[("a", "b", 1.0), ("b", "a", 1.0)] * 64)
    assert few.intervals is not None
    assert many.intervals is not None
    widths = [np.diff(one.intervals[0]).item() for one in (few, many) if one.intervals is not None]
    assert widths[1] < widths[0] / 3


def test_a_single_vote_is_not_taken_for_certain() -> None:
    once = of_votes(("a", "b", 1))
    assert (once.undefeated, once.winless) == ((("a",),), (("b",),))
    assert once.scores == pytest.approx([1.25 / 1.5, 0.25 / 1.5])
    assert once.intervals is not None
    assert once.intervals[0, 0] < 0.5 < once.intervals[0, 1]


def test_groups_that_never_lost_or_won_are_named() -> None:
    chain = of_votes(("a", "b", 1), ("b", "a", 1), ("b", "c", 1), ("c", "d", 1), ("d", "e", 0.5))
    assert chain.undefeated == (("a", "b"),)
    assert chain.winless == (("d", "e"),)
    assert np.all(np.diff(chain.scores[[1, 2, 3]]) < 0)


def test_all_ties_share_a_rank_and_have_no_interval() -> None:
    tied = of_votes(("a", "b", 0.5), ("b", "c", 0.5), ("c", "a", 0.5), ("a", "c", 0.5))
    assert tied.scores == pytest.approx([1 / 3] * 3)
    assert tied.ranks() == [1, 1, 1]
    assert tied.intervals is None


def test_what_cannot_be_ranked() -> None:
    with pytest.raises(UsageError, match=r"2 groups that never meet: \(a, b\); \(c, d\)"):
        of_votes(("a", "b", 1), ("b", "a", 1), ("d", "c", 0.5))
    with pytest.raises(UsageError, match="no vote"):
        strengths([], [], [])
    with pytest.raises(UsageError, match="no vote"):
        strengths(["a"], ["b"], [1.0], [0.0])
    with pytest.raises(UsageError, match="itself"):
        of_votes(("a", "a", 1))
    with pytest.raises(UsageError, match="outcome"):
        of_votes(("a", "b", 0.7))
    for weight in (-1.0, np.nan, np.inf):
        with pytest.raises(UsageError, match="finite"):
            strengths(["a"], ["b"], [1.0], [weight])


def test_a_long_chain_is_solved_exactly() -> None:
    names = [f"{place:02}" for place in range(60)]
    votes = [
        (one, other, outcome)
        for one, other in itertools.pairwise(names)
        for outcome in (1.0, 1.0, 1.0, 0.0, 0.0)
    ]
    found = of_votes(*votes)
    assert found.scores[:-1] / found.scores[1:] == pytest.approx([1.5] * 59)


def test_a_long_chain_of_names_settles() -> None:
    """Each beats the next in five votes of six: neighbours stand five to one."""
    left, right, outcome = [], [], []
    for number in range(30):
        for won in (1.0, 1.0, 1.0, 1.0, 1.0, 0.0):
            left.append(f"name-{number:02}")
            right.append(f"name-{number + 1:02}")
            outcome.append(won)
    found = strengths(left, right, outcome)
    ratios = found.scores[:-1] / found.scores[1:]
    assert ratios == pytest.approx(np.full(30, 5.0), rel=1e-4)
