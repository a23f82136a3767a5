"""Coefficients of agreement between raters, with bootstrap intervals over items.

Ratings are a float array of shape (raters, items), NaN where a rating is missing. Every figure is
None where it is undefined, and never NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from emojudge.estimates import Floats

Codes = npt.NDArray[np.int64]
Level = Literal["nominal", "ordinal", "interval"]
KappaWeights = Literal["linear", "quadratic"] | None
Likeness = Literal["identity", "quadratic"]
Interval = tuple[float, float]
# One figure of each of a batch of resamples, from how often each holds each item: (resamples,
# items) to (resamples,), NaN where a resample leaves the figure undefined.
Resampled = Callable[[Floats], Floats]

MOST_CATEGORIES = 20
CONFIDENCE = 0.95
_SEED = 20_260_101
_RESAMPLES = 1_000
_FEW_RESAMPLES = 200
_MANY_ITEMS = 20_000
_BATCH_CELLS = 4_000_000
_MOST_UNDEFINED = 0.1
_MOST_ALPHA_CELLS = 20_000_000
_MOST_ITEMS_IN_PAIRS = 2_000
_MOST_POSITIONS = 100


def _some(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _both(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """The ratings of the items that both raters rated."""
    there = ~(np.isnan(a) | np.isnan(b))
    return a[there], b[there]


def _constant(values: Floats) -> bool:
    return values.size == 0 or bool(np.all(values == values[0]))


def scale_positions(values: Floats) -> Floats:
    """Where values stand on their scale, in steps from the lowest; NaN stays.

    A step is the smallest distance between two values, so that 1, 2, 5 stand at 0, 1, 4: a
    category that nobody used still counts. Values without a common step, or more than 100 steps
    apart, stand at 0, 1, 2, … in their order.
    """
    known = np.unique(values[~np.isnan(values)])
    if known.size < 2:
        return values * 0
    positions = (known - known[0]) / np.diff(known).min()
    whole = np.rint(positions)
    if positions[-1] > _MOST_POSITIONS or not np.allclose(positions, whole, rtol=0, atol=1e-6):
        whole = np.arange(known.size, dtype=np.float64)
    filled = np.searchsorted(known, np.where(np.isnan(values), known[0], values))
    return np.where(np.isnan(values), np.nan, whole[filled])


# Bootstrap


def bootstrap_interval(figure: Resampled, items: int, seed: int = _SEED) -> Interval | None:
    """The 95% percentile interval of a figure over resamples of the items, reproducibly.

    1,000 resamples, 200 above 20,000 items. Resamples that leave the figure undefined are left
    out; None when these are more than a tenth, or there are fewer than two items. Source: Efron &
    Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    if items < 2:
        return None
    draw = np.random.default_rng(seed)
    wanted = _RESAMPLES if items <= _MANY_ITEMS else _FEW_RESAMPLES
    batch = max(1, min(wanted, _BATCH_CELLS // items))
    share = np.full(items, 1 / items)
    found = []
    for start in range(0, wanted, batch):
        counts = draw.multinomial(items, share, size=min(batch, wanted - start))
        found.append(figure(counts.astype(np.float64)))
    figures = np.concatenate(found)
    defined = figures[np.isfinite(figures)]
    if defined.size < (1 - _MOST_UNDEFINED) * wanted:
        return None
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _ratio(above: Floats, below: Floats) -> Floats:
    """Elementwise quotient, NaN where nothing stands below."""
    result: Floats = np.full(np.broadcast(above, below).shape, np.nan)
    np.divide(above, below, out=result, where=np.abs(below) > 1e-12)
    return result


# Krippendorff's alpha


class _Pairable:
    """The ratings of items with at least two, flattened: values' codes and their items."""

    def __init__(self, values: Floats) -> None:
        there = ~np.isnan(values)
        there &= there.sum(axis=0) >= 2
        self.items = values.shape[1]
        self.item: Codes = np.nonzero(there.T)[0]
        self.domain, codes = np.unique(values.T[there.T], return_inverse=True)
        self.code: Codes = codes.astype(np.int64)
        self.sizes = there.sum(axis=0).astype(np.float64)
        # Items without pairs get a harmless divisor; no rating of theirs is looked at.
        self.pairs_with = np.where(self.sizes >= 2, self.sizes - 1, 1.0)

    def counts(self) -> Codes:
        """How often each item has each value: shape (items, values)."""
        flat = np.bincount(
            self.item * self.domain.size + self.code, minlength=self.items * self.domain.size
        )
        return flat.reshape(self.items, self.domain.size)

    def spread(self, x: Floats) -> Floats:
        """Σ (x_j − x_l)² over the ordered pairs within each item, by ratings less one."""
        first = np.bincount(self.item, x[self.code], minlength=self.items)
        second = np.bincount(self.item, x[self.code] ** 2, minlength=self.items)
        result: Floats = 2 * (self.sizes * second - first**2) / self.pairs_with
        return result

    def unequal(self) -> Floats:
        """Ordered pairs with unequal values within each item, by ratings less one."""
        pair = self.item * self.domain.size + self.code
        own, times = np.unique(pair, return_counts=True)
        equal = np.bincount(own // self.domain.size, times**2, minlength=self.items)
        result: Floats = (self.sizes**2 - equal) / self.pairs_with
        return result


def resampled_alpha(values: Floats, level: Level) -> Resampled:
    """Krippendorff's alpha of resampled items, by moments instead of a coincidence matrix.

    Ordinal distances are squared differences of midranks, so interval and ordinal alpha share the
    formula. Source: Krippendorff, Content Analysis (2018), chapter 12.
    """
    data = _Pairable(values)
    within = data.unequal() if level == "nominal" else data.spread(_centred(data.domain))

    def figure(weights: Floats) -> Floats:
        alphas = np.full(len(weights), np.nan)
        for index, weight in enumerate(weights):
            margin = np.bincount(data.code, weight[data.item], minlength=data.domain.size)
            total = margin.sum()
            observed = within
            if level == "nominal":
                expected = total**2 - np.sum(margin**2)
            else:
                x = _centred(data.domain)
                if level == "ordinal":
                    x = np.cumsum(margin) - margin / 2 - total / 2
                    observed = data.spread(x)
                expected = 2 * (total * np.sum(margin * x**2) - np.sum(margin * x) ** 2)
            if expected > 1e-12:
                disagreement = float(weight @ observed)
                alphas[index] = 1 - (total - 1) * disagreement / expected
        return alphas

    return figure


def _centred(domain: Floats) -> Floats:
    """Values about zero and in units of their range, so that no precision is lost in squares."""
    if domain.size < 2:
        return domain * 0
    result: Floats = (domain - domain.mean()) / (domain[-1] - domain[0])
    return result


def krippendorff_alpha(values: Floats, level: Level) -> float | None:
    """Krippendorff's alpha of ratings (raters, items); 1 is agreement, 0 that of chance.

    None when no item has two ratings or all ratings are the same. The ``krippendorff`` package
    computes it, except for so many distinct values that its matrices would not fit in memory.
    """
    import krippendorff

    data = _Pairable(values)
    categories = data.domain.size
    if categories < 2:
        return None
    if data.items * categories**2 > _MOST_ALPHA_CELLS:
        return _some(resampled_alpha(values, level)(np.ones((1, data.items)))[0])
    alpha = krippendorff.alpha(
        value_counts=data.counts(), value_domain=_centred(data.domain), level_of_measurement=level
    )
    return _some(alpha)


# Weighted kappa


def weighted_kappa(a: Floats, b: Floats, weights: KappaWeights = "quadratic") -> float | None:
    """Cohen's kappa of two raters, over the items that both rated.

    Distances are steps on the scale (:func:`scale_positions`). None when a rater is constant:
    kappa would be 0 whatever the other does. Source: Cohen, Psychological Bulletin 70 (1968).
    """
    from sklearn.metrics import cohen_kappa_score

    a, b = _both(a, b)
    if _constant(a) or _constant(b):
        return None
    places = scale_positions(np.concatenate([a, b])).astype(np.int64)
    kappa = cohen_kappa_score(
        places[: a.size],
        places[a.size :],
        weights=weights,
        labels=np.arange(places.max() + 1),
    )
    return _some(kappa)


def resampled_kappa(a: Floats, b: Floats, weights: KappaWeights = "quadratic") -> Resampled:
    """Cohen's kappa of resampled items."""
    there = ~(np.isnan(a) | np.isnan(b))
    places = scale_positions(np.concatenate([a[there], b[there]]))
    known, codes = np.unique(places, return_inverse=True)
    size = known.size
    cell = codes[: there.sum()] * size + codes[there.sum() :]
    distance = np.abs(known[:, None] - known[None, :])
    cost = {"quadratic": distance**2, "linear": distance}.get(
        weights or "", (distance > 0).astype(np.float64)
    )

    def figure(counts: Floats) -> Floats:
        kappas = np.full(len(counts), np.nan)
        for index, weight in enumerate(counts[:, there]):
            table = np.bincount(cell, weight, minlength=size * size).reshape(size, size)
            expected = table.sum(axis=1) @ cost @ table.sum(axis=0)
            if expected > 0:
                kappas[index] = 1 - table.sum() * np.sum(cost * table) / expected
        return kappas

    return figure


# Gwet's AC1 and AC2


def identity_or_quadratic(level: Level) -> Likeness:
    """How like categories are at a level: of nominal ones, only the same one is."""
    return "identity" if level == "nominal" else "quadratic"


def resampled_ac2(values: Floats, weights: Likeness) -> Resampled:
    """Gwet's coefficient of resampled items; the categories stay those of all ratings."""
    known = np.unique(values[~np.isnan(values)])
    places = scale_positions(known) if weights == "quadratic" else known
    counts = np.stack([(values == value).sum(axis=0) for value in known], axis=1).astype(np.float64)
    span = places[-1] - places[0] if known.size > 1 else 1.0
    alike = (
        1 - ((places[:, None] - places[None, :]) / span) ** 2
        if weights == "quadratic"
        else np.eye(known.size)
    )
    sizes = counts.sum(axis=1)
    rated, paired = (sizes >= 1).astype(np.float64), (sizes >= 2).astype(np.float64)
    agreement = np.sum(counts * (counts @ alike - 1), axis=1) / np.maximum(sizes * (sizes - 1), 1)
    shares = counts / np.maximum(sizes, 1)[:, None]
    hardness = alike.sum() / max(known.size * (known.size - 1), 1)

    def figure(weight: Floats) -> Floats:
        observed = _ratio(weight @ (agreement * paired), weight @ paired)
        prevalence = (weight @ shares) / np.maximum(weight @ rated, 1)[:, None]
        chance = hardness * np.sum(prevalence * (1 - prevalence), axis=1)
        return _ratio(observed - chance, 1 - chance)

    return figure


def gwet_ac2(values: Floats, weights: Likeness) -> float | None:
    """Gwet's AC2 (AC1 with identity weights) of ratings (raters, items).

    Items with one rating count for the prevalence of categories only. None when no item has two
    ratings or all ratings are the same. Source: Gwet, Handbook of Inter-Rater Reliability (2014),
    chapters 4 and 5; British J. of Math. and Stat. Psychology 61 (2008).
    """
    there = ~np.isnan(values)
    if _constant(values[there]) or not np.any(there.sum(axis=0) >= 2):
        return None
    return _some(resampled_ac2(values, weights)(np.ones((1, values.shape[1])))[0])


# Plain agreement


def resampled_agreement(values: Floats) -> Resampled:
    """The share of agreeing pairs in resampled items."""
    data = _Pairable(values)
    pairs = np.where(data.sizes >= 2, data.sizes * (data.sizes - 1), 0.0)
    equal = pairs - data.unequal() * data.pairs_with * (data.sizes >= 2)
    return lambda weight: _ratio(weight @ equal, weight @ pairs)


def pairwise_agreement(values: Floats) -> float | None:
    """The share of pairs of ratings of the same item that are equal; None without a pair."""
    return _some(resampled_agreement(values)(np.ones((1, values.shape[1])))[0])


# Correlations of two raters


def pearson(a: Floats, b: Floats) -> tuple[float | None, Interval | None]:
    """Pearson's r with scipy's interval (Fisher's z); None for a constant rater or one item."""
    from scipy.stats import pearsonr

    a, b = _both(a, b)
    if _constant(a) or _constant(b):
        return None, None
    found = pearsonr(a, b)
    value = _some(found.statistic)
    # Fisher's standard error is 1/√(n − 3), and a perfect correlation has no finite z.
    if value is None or a.size < 4 or abs(value) >= 1:
        return value, None
    interval = found.confidence_interval(CONFIDENCE)
    return value, (float(interval.low), float(interval.high))


def spearman(a: Floats, b: Floats) -> float | None:
    """Spearman's ρ with midranks; None for a constant rater or one item."""
    from scipy.stats import spearmanr

    a, b = _both(a, b)
    if _constant(a) or _constant(b):
        return None
    return _some(spearmanr(a, b).statistic)


def resampled_spearman(a: Floats, b: Floats) -> Resampled:
    """Spearman's ρ of resampled items: Pearson's r of the resample's own midranks."""
    there = ~(np.isnan(a) | np.isnan(b))
    codes = [np.unique(one[there], return_inverse=True)[1] for one in (a, b)]

    def figure(counts: Floats) -> Floats:
        found = np.full(len(counts), np.nan)
        for index, weight in enumerate(counts[:, there]):
            ranks = []
            for code in codes:
                times = np.bincount(code, weight)
                ranks.append((np.cumsum(times) - (times + weight.sum()) / 2)[code])
            x, y = ranks
            below = np.sqrt((weight @ x**2) * (weight @ y**2))
            if below > 0:
                found[index] = (weight @ (x * y)) / below
        return found

    return figure


def kendall(a: Floats, b: Floats) -> float | None:
    """Kendall's τ-b; None for a constant rater or one item."""
    from scipy.stats import kendalltau

    a, b = _both(a, b)
    if _constant(a) or _constant(b):
        return None
    return _some(kendalltau(a, b).statistic)


def resampled_kendall(a: Floats, b: Floats) -> Resampled:
    """Kendall's τ-b of resampled items.

    Up to 2,000 items all pairs' signs are kept, and a resample is a product of matrices; above,
    each resample is computed anew.
    """
    there = ~(np.isnan(a) | np.isnan(b))
    a, b = a[there], b[there]
    if a.size > _MOST_ITEMS_IN_PAIRS:
        return lambda counts: _kendall_anew(counts[:, there], a, b)
    x = np.sign(a[:, None] - a[None, :])
    y = np.sign(b[:, None] - b[None, :])

    def pairs(weight: Floats, signs: Floats) -> Floats:
        return np.asarray(np.einsum("bi,bi->b", weight @ signs, weight))

    def figure(counts: Floats) -> Floats:
        weight = counts[:, there]
        below = np.sqrt(pairs(weight, np.abs(x)) * pairs(weight, np.abs(y)))
        return _ratio(pairs(weight, x * y), below)

    return figure


def _kendall_anew(counts: Floats, a: Floats, b: Floats) -> Floats:
    found = np.full(len(counts), np.nan)
    for index, weight in enumerate(counts):
        times = weight.astype(np.int64)
        value = kendall(np.repeat(a, times), np.repeat(b, times))
        if value is not None:
            found[index] = value
    return found
