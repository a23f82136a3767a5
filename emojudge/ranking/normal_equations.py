"""Least squares on within-item centred scores, summed per prompt so that prompts can be left out.

Each item (one rater, one prompt, two to four candidates) has an effect of its own, which takes up
the prompt's and the rater's level; what is left tells candidates apart. Centring an item of m
scores multiplies by I − J/m, so an item adds I − J/m to the normal matrix of its candidates and its
centred scores to the right-hand side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emojudge.estimates import Floats, Ints


class NormalEquations:
    """Normal matrices ``matrix`` (prompts × K × K) and right-hand sides ``moment`` (prompts × K).

    ``items`` (prompts) counts items, ``scored`` (K) the items that hold a candidate, ``squares``
    (prompts) sums the squares of centred scores.
    """

    def __init__(self, candidates: int, prompts: int) -> None:
        self.matrix: Floats = np.zeros((prompts, candidates, candidates))
        self.moment: Floats = np.zeros((prompts, candidates))
        self.squares: Floats = np.zeros(prompts)
        self.items: Ints = np.zeros(prompts, dtype=np.int64)
        self.scored: Ints = np.zeros(candidates, dtype=np.int64)

    @property
    def candidates(self) -> int:
        """K."""
        return len(self.scored)

    def add(self, prompt: int, candidates: Ints, scores: Floats) -> None:
        """Add one item: the scores of different candidates; fewer than two tell nothing apart."""
        count = len(candidates)
        if count < 2:
            return
        block = np.full((count, count), -1 / count)
        block.flat[:: count + 1] += 1
        self.matrix[prompt, candidates[:, None], candidates] += block
        centred = scores - scores.sum() / count
        self.moment[prompt, candidates] += centred
        self.squares[prompt] += centred @ centred
        self.items[prompt] += 1
        self.scored[candidates] += 1

    def add_all(
        self, prompts: Sequence[int], candidates: Sequence[Ints], scores: Sequence[Floats]
    ) -> None:
        """Add many items at once; those of equal size are added together."""
        sizes = np.array([len(one) for one in candidates], dtype=np.int64)
        for count in np.unique(sizes[sizes >= 2]):
            chosen = np.flatnonzero(sizes == count)
            where = np.asarray(prompts, dtype=np.int64)[chosen]
            who = np.stack([candidates[index] for index in chosen.tolist()])
            centred = np.stack([scores[index] for index in chosen.tolist()]).astype(np.float64)
            centred -= centred.mean(axis=1, keepdims=True)
            block = np.eye(count) - 1 / count
            np.add.at(self.matrix, (where[:, None, None], who[:, :, None], who[:, None, :]), block)
            np.add.at(self.moment, (where[:, None], who), centred)
            np.add.at(self.squares, where, (centred * centred).sum(axis=1))
            np.add.at(self.items, where, 1)
            np.add.at(self.scored, who, 1)


def groups_of(matrix: Floats) -> Ints:
    """Which candidates (K) are connected by shared items: equal labels can be compared."""
    # Imported where it is needed, because it would hold up the first paint.
    from scipy.sparse.csgraph import connected_components

    _, labels = connected_components(np.abs(matrix) > 1e-9, directed=False)
    groups: Ints = labels.astype(np.int64)
    return groups


def solve_centred(matrix: Floats, moment: Floats, groups: Ints) -> Floats:
    """Effects (… × K) that sum to zero within each group; candidates without items get 0.

    ``matrix`` (… × K × K) leaves each group's common level open; adding the group's averaging
    matrix fixes it at zero and changes nothing else.
    """
    same = (groups[..., :, None] == groups[..., None, :]).astype(np.float64)
    level = same / same.sum(axis=-1, keepdims=True)
    solved: Floats = np.linalg.solve(matrix + level, moment[..., None])[..., 0]
    return solved
