"""Bradley-Terry strengths from pairwise votes, with intervals that hold for few votes too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from emojudge.errors import EmojudgeError, UsageError
from emojudge.estimates import Floats

Places = npt.NDArray[np.int64]

CONFIDENCE = 0.95
# Of an average vote's weight, on every compared pair, where the likelihood has no maximum.
PRIOR_TIE = 0.5
_TOLERANCE = 1e-12
_LIMIT = 2_000
_NEWTON_STEPS = 500
_MOST_APART = 600.0
_SAME = 1e-9
_SHOWN_NAMES = 8
_MOST_NAMES = 3_000


@dataclass(frozen=True)
class Strengths:
    """Strengths by name, in the order of the names.

    ``scores`` are positive and sum to 1, ``intervals`` have shape (names, 2) and lie within 0..1;
    they are None where the votes leave no residual to tell the spread from. ``covariance`` is that
    of the log strengths, centred on their mean. ``undefeated`` and ``winless`` are the groups that
    never lost to, or never won against, the rest; where there are any, ``prior`` is true.
    """

    names: tuple[str, ...]
    scores: Floats
    intervals: Floats | None
    covariance: Floats
    votes: int
    undefeated: tuple[tuple[str, ...], ...] = ()
    winless: tuple[tuple[str, ...], ...] = ()

    @property
    def prior(self) -> bool:
        """Whether virtual ties were added, because there is no maximum without them."""
        return bool(self.undefeated or self.winless)

    def ranks(self) -> list[int]:
        """The rank of each name from 1; equal scores share the better one."""
        ordered = np.sort(self.scores)[::-1]
        return [int(np.sum(ordered > score * (1 + _SAME))) + 1 for score in self.scores]


@dataclass(frozen=True)
class _Votes:
    """Votes with places for names: ``outcome`` is left's share of the win, weights average 1."""

    left: Places
    right: Places
    outcome: Floats
    weight: Floats
    size: int

    def wins(self) -> Floats:
        """Weighted wins of row over column, ties half."""
        table = np.zeros((self.size, self.size))
        np.add.at(table, (self.left, self.right), self.weight * self.outcome)
        np.add.at(table, (self.right, self.left), self.weight * (1 - self.outcome))
        return table

    def with_ties(self, pairs: Places) -> _Votes:
        """These votes and, behind them, a virtual tie on each of the pairs (pairs, 2)."""
        count = len(pairs)
        return _Votes(
            np.concatenate([self.left, pairs[:, 0]]),
            np.concatenate([self.right, pairs[:, 1]]),
            np.concatenate([self.outcome, np.full(count, 0.5)]),
            np.concatenate([self.weight, np.full(count, PRIOR_TIE)]),
            self.size,
        )


def listed(names: Sequence[str]) -> str:
    """Names joined by commas, the first eight of many."""
    more = len(names) - _SHOWN_NAMES
    return ", ".join(names[:_SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def _components(beats: npt.NDArray[np.bool_], *, strong: bool) -> Places:
    from scipy.sparse.csgraph import connected_components

    _, labels = connected_components(
        beats, directed=True, connection="strong" if strong else "weak"
    )
    return np.asarray(labels, dtype=np.int64)


def _groups(labels: Places, names: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [
        tuple(names[place] for place in np.flatnonzero(labels == label))
        for label in range(labels.max() + 1)
    ]


def _check_connected(wins: Floats, names: tuple[str, ...]) -> None:
    groups = _groups(_components(wins > 0, strong=False), names)
    if len(groups) > 1:
        shown = "; ".join(f"({listed(group)})" for group in groups[:_SHOWN_NAMES])
        more = f"; and {len(groups) - _SHOWN_NAMES} more" if len(groups) > _SHOWN_NAMES else ""
        raise UsageError(
            f"The comparisons fall into {len(groups)} groups that never meet: {shown}{more}. "
            "Strengths of different groups cannot be compared; add votes between them, or rank "
            "each group by itself."
        )


def _fit(votes: _Votes) -> Floats:
    """The strengths, summing to 1. Source: Newman, JMLR 24 (2023), 22-1086, as evalica has it."""
    import evalica

    winner = {1.0: evalica.Winner.X, 0.5: evalica.Winner.Draw, 0.0: evalica.Winner.Y}
    found = evalica.bradley_terry(
        votes.left.tolist(),
        votes.right.tolist(),
        [winner[share] for share in votes.outcome.tolist()],
        weights=votes.weight.tolist(),
        win_weight=1.0,
        tie_weight=0.5,
        tolerance=_TOLERANCE,
        limit=_LIMIT,
    )
    scores = found.scores.sort_index().to_numpy(dtype=np.float64)
    if found.iterations >= _LIMIT or not np.all(np.isfinite(scores)) or np.any(scores <= 0):
        scores = _by_newton(votes)
    result: Floats = scores / scores.sum()
    return result


def _by_newton(votes: _Votes) -> Floats:
    """The same maximum, for long chains of names, which fixed-point iterations hardly move along.

    The negative log likelihood is convex in the log strengths; steps are at most 2 long in any of
    them. Raises EmojudgeError where the strengths are too far apart for floating point.
    """
    theta = np.zeros(votes.size)
    for _ in range(_NEWTON_STEPS):
        chance = 1 / (1 + np.exp(theta[votes.right] - theta[votes.left]))
        residual = votes.weight * (votes.outcome - chance)
        slope = np.zeros(votes.size)
        np.add.at(slope, votes.left, residual)
        np.add.at(slope, votes.right, -residual)
        curve = _laplacian(votes, votes.weight * chance * (1 - chance))
        step = np.linalg.lstsq(curve + 1 / votes.size, slope, rcond=None)[0]
        theta += step / max(1.0, float(np.abs(step).max()) / 2)
        theta -= theta.mean()
        if not np.all(np.isfinite(theta)) or np.ptp(theta) > _MOST_APART:
            break
        if np.abs(step).max() < _TOLERANCE:
            result: Floats = np.exp(theta - theta.max())
            return result
    raise EmojudgeError(
        "The strengths do not settle: some names are too far apart for the votes between them. "
        "Add votes, or leave out the extreme names."
    )


def _covariance(votes: _Votes, scores: Floats, observed: int) -> Floats | None:
    """Sandwich covariance of the log strengths; None without a residual.

    With p = P(left wins), H = Σ w p(1−p) d dᵀ, d = e_left − e_right, and residuals r = y − p, it
    is H⁺ (Σ w² r² / (1−h)² d dᵀ) H⁺ over the ``observed`` first votes; h = w p(1−p) dᵀH⁺d is a
    vote's leverage, so that a name with few votes is not taken for a sure one. A row counts as
    one observation whatever its weight. Sources: Huber (1967), Godambe, Ann. Math. Statist. 31
    (1960); the leverage: MacKinnon & White, J. of Econometrics 29 (1985), HC3.
    """
    share = scores[votes.left] / (scores[votes.left] + scores[votes.right])
    curvature = votes.weight * share * (1 - share)
    inverse = np.linalg.pinv(_laplacian(votes, curvature), hermitian=True)
    there = slice(0, observed)
    left, right = votes.left[there], votes.right[there]
    spread = inverse[left, left] + inverse[right, right] - 2 * inverse[left, right]
    free = 1 - curvature[there] * spread
    residual = votes.outcome[there] - share[there]
    if np.any(free < _SAME) or np.all(np.abs(residual) < _SAME):
        return None
    meat = np.zeros(len(votes.weight))
    meat[there] = (votes.weight[there] * residual / free) ** 2
    result: Floats = inverse @ _laplacian(votes, meat) @ inverse
    return result


def _laplacian(votes: _Votes, values: Floats) -> Floats:
    """Σ value · d dᵀ over the votes."""
    table = np.zeros((votes.size, votes.size))
    np.add.at(table, (votes.left, votes.right), values)
    table += table.T
    result: Floats = np.diag(table.sum(axis=1)) - table
    return result


def _intervals(scores: Floats, covariance: Floats) -> Floats:
    """95% intervals by the delta method on logit(score): always within 0..1, shape (names, 2)."""
    gradient = -scores[None, :] / (1 - scores)[:, None]
    np.fill_diagonal(gradient, 1.0)
    variance = np.einsum("ki,ij,kj->k", gradient, covariance, gradient, optimize=True)
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * np.sqrt(np.maximum(variance, 0))
    logit = np.log(scores) - np.log1p(-scores)
    ends: Floats = 1 / (1 + np.exp(-(logit[:, None] + reach[:, None] * np.array([-1.0, 1.0]))))
    return ends


def strengths(
    left: Sequence[str],
    right: Sequence[str],
    outcome: Sequence[float] | Floats,
    weight: Sequence[float] | Floats | None = None,
) -> Strengths:
    """Bradley-Terry strengths: P(i beats j) = score_i / (score_i + score_j).

    ``outcome`` is 1 where left won, 0 where right won, .5 for a tie, which is half a win each
    way. Votes of weight 0 are ignored; weights are relative. Where a group never lost to the rest
    or never won, the likelihood has no maximum (Ford, American Math. Monthly 64, 1957): then half
    a virtual tie, of an average vote's weight, stands on every compared pair.

    Raises UsageError for no votes, a name against itself, more than 3,000 names, and comparisons
    that fall apart.
    """
    shares = np.asarray(outcome, dtype=np.float64)
    weights = np.ones(len(shares)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not np.all(np.isin(shares, (0.0, 0.5, 1.0))):
        raise UsageError("An outcome is 1 (left won), 0 (right won) or .5 (a tie).")
    if not np.all(np.isfinite(weights)) or np.any(weights < 0):
        raise UsageError("A vote's weight is a finite number, 0 or more.")
    kept = weights > 0
    if not np.any(kept):
        raise UsageError("There is no vote with a weight above 0, so there is nothing to rank.")
    names, places = np.unique(
        np.concatenate(
            [np.asarray(left, dtype=object)[kept], np.asarray(right, dtype=object)[kept]]
        ),
        return_inverse=True,
    )
    first, second = np.split(places.astype(np.int64), 2)
    if np.any(first == second):
        raise UsageError("A vote compares a name with itself.")
    if len(names) > _MOST_NAMES:
        raise UsageError(
            f"{len(names)} names are more than the {_MOST_NAMES} that can be ranked at once. Check "
            "that left and right hold names, or rank fewer."
        )
    known = tuple(str(name) for name in names)
    relative = weights[kept] / weights[kept].max()
    votes = _Votes(first, second, shares[kept], relative / relative.mean(), len(known))
    wins = votes.wins()
    _check_connected(wins, known)
    fitted, undefeated, winless = votes, [], []
    labels = _components(wins > 0, strong=True)
    if labels.max() > 0:
        for label, group in enumerate(_groups(labels, known)):
            inside = labels == label
            if not np.any(wins[np.ix_(~inside, inside)]):
                undefeated.append(group)
            if not np.any(wins[np.ix_(inside, ~inside)]):
                winless.append(group)
        fitted = votes.with_ties(np.argwhere(np.triu(wins + wins.T) > 0))
    scores = _fit(fitted)
    covariance = _covariance(fitted, scores, len(first))
    return Strengths(
        names=known,
        scores=scores,
        intervals=None if covariance is None else _intervals(scores, covariance),
        covariance=np.full((len(known),) * 2, np.nan) if covariance is None else covariance,
        votes=len(first),
        undefeated=tuple(undefeated),
        winless=tuple(winless),
    )
