"""Candidate effects with their delete-one-prompt jackknife.

Prompts are what a study samples from a population, so they, and not single ratings, are left out:
raters, samples and candidates that share a prompt stay together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emojudge.estimates import Floats, Ints
from emojudge.ranking.normal_equations import NormalEquations, groups_of, solve_centred


@dataclass(frozen=True)
class Effects:
    """Effects of K candidates, and what they become when each of the study's prompts is left out.

    ``values`` (K) and ``left_out`` (prompts × K) sum to zero within a group; ``groups`` and
    ``left_out_groups`` say which candidates are connected by shared items. ``informative``
    (prompts) marks those that hold any item; ``prompts`` is G, the number that fixes the degrees
    of freedom. ``rounding`` (K) is the least variance a value can have, because scores are whole.
    """

    values: Floats
    groups: Ints
    left_out: Floats
    left_out_groups: Ints
    informative: Ints
    prompts: int
    rounding: Floats

    def against(self, one: int) -> tuple[Floats, Floats]:
        """Differences (K) of candidate ``one`` to each, and their jackknife variances (K).

        The variance is infinite where the two were never connected, or would not be without some
        prompt. Source: Efron and Stein 1981, (n − 1) / n · Σ (θ₍₋ₚ₎ − mean)².
        """
        difference = self.values[one] - self.values
        replicates = (self.left_out[:, [one]] - self.left_out)[self.informative]
        count = len(self.informative)
        variance = np.full(len(self.values), np.inf)
        if count >= 2:
            spread = replicates - replicates.mean(axis=0)
            variance = (count - 1) / count * (spread * spread).sum(axis=0)
        broken = (self.left_out_groups[:, [one]] != self.left_out_groups).any(axis=0)
        variance[broken | (self.groups != self.groups[one])] = np.inf
        least = self.rounding + self.rounding[one]
        least[one] = 0.0
        return difference, np.maximum(variance, least)


def effects_of(sums: NormalEquations, rounding_variance: float = 0.0) -> Effects:
    """Solve for all prompts, and with each prompt left out.

    ``rounding_variance`` is the variance that whole scores add to one rating of a candidate.
    """
    matrix, moment = sums.matrix.sum(axis=0), sums.moment.sum(axis=0)
    groups = groups_of(matrix)
    values = solve_centred(matrix, moment, groups)
    informative = np.flatnonzero(sums.items)
    left_out = np.tile(values, (len(sums.items), 1))
    left_out_groups = np.tile(groups, (len(sums.items), 1))
    if len(informative):
        without = matrix - sums.matrix[informative]
        own_groups = groups_of_each(without, matrix, groups)
        left_out_groups[informative] = own_groups
        left_out[informative] = solve_centred(
            without, moment - sums.moment[informative], own_groups
        )
    rounding = np.zeros(len(values))
    rated = sums.scored > 0
    rounding[rated] = rounding_variance / sums.scored[rated]
    return Effects(
        values, groups, left_out, left_out_groups, informative, len(informative), rounding
    )


def groups_of_each(matrices: Floats, whole: Floats, groups: Ints) -> Ints:
    """Groups (… × K) of matrices (… × K × K) of parts of the items behind ``whole``.

    Only those that lack one of its links are looked at anew.
    """
    linked = np.abs(whole) > 1e-9
    lost = (linked & (np.abs(matrices) <= 1e-9)).any(axis=(1, 2))
    found = np.tile(groups, (len(matrices), 1))
    for index in np.flatnonzero(lost):
        found[index] = groups_of(matrices[index])
    return found


def combined(parts: Sequence[tuple[float, Effects]]) -> Effects:
    """The weighted sum of effects over the same candidates and prompts, part by part.

    A prompt that is left out is left out of every part, so what the parts share stays shared. G is
    the smallest of the parts that count. Parts of weight 0 do not count; one must.
    """
    counting = [(weight, part) for weight, part in parts if weight > 0]
    labels = len(counting[0][1].groups)
    return Effects(
        values=sum_of([weight * part.values for weight, part in counting]),
        groups=_joint([part.groups for _, part in counting], labels),
        left_out=sum_of([weight * part.left_out for weight, part in counting]),
        left_out_groups=_joint([part.left_out_groups for _, part in counting], labels),
        informative=np.unique(np.concatenate([part.informative for _, part in counting])),
        prompts=min(part.prompts for _, part in counting),
        rounding=sum_of([weight**2 * part.rounding for weight, part in counting]),
    )


def sum_of(terms: Sequence[Floats]) -> Floats:
    """The sum of arrays of one shape."""
    total: Floats = np.sum(terms, axis=0)
    return total


def _joint(labels: Sequence[Ints], count: int) -> Ints:
    """Labels that are equal where all the given ones are."""
    joint = labels[0]
    for own in labels[1:]:
        joint = joint * count + own
    return joint
