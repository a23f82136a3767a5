"""Whether the baseline answers what it is asked: everything is measured against it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emojudge.domain import BaselineCheck, Response, stable_hash
from emojudge.estimates import Floats, from_left_out
from emojudge.judges.judge import Vectors
from emojudge.judges.sentences import says_something
from emojudge.text import without_thinking


def check_id(encoder: str, responses: Sequence[Response]) -> str:
    """The id of a look at these responses of the baseline with this encoder."""
    return stable_hash(["baseline", encoder, sorted(one.id for one in responses)], 24)


def check_baseline(
    check: str, responses: Sequence[Response], vectors: Vectors
) -> BaselineCheck | None:
    """Compare replies to one prompt with replies to others; None with fewer than two prompts.

    ``vectors`` has the row of each response. The difference of the two mean cosines has a
    delete-one-prompt jackknife interval.
    """
    prompts, place = np.unique([one.prompt_id for one in responses], return_inverse=True)
    count = len(prompts)
    if count < 2:
        return None
    sums = np.zeros((count, vectors.shape[1]))
    np.add.at(sums, place, vectors)
    samples = np.bincount(place, minlength=count).astype(np.float64)
    silent = [not says_something(without_thinking(one.text)) for one in responses]
    # Of unit rows, the sum of all pairs' cosines is what the sums of rows give.
    products = sums @ sums.T
    own = np.bincount(place, (vectors**2).sum(axis=1), minlength=count)
    within_pairs = samples * (samples - 1)
    within = np.diag(products) - own

    def means(kept: Floats) -> tuple[float, float]:
        weight = samples * kept
        between = kept @ products @ kept - (kept * np.diag(products)).sum()
        pairs_between = weight.sum() ** 2 - (weight**2).sum()
        inside = (kept * within_pairs).sum()
        return (
            float((kept * within).sum() / inside) if inside > 0 else float("nan"),
            float(between / pairs_between) if pairs_between > 0 else float("nan"),
        )

    whole = means(np.ones(count))
    if not np.isfinite(whole).all():
        return None
    left_out = []
    for one in range(count):
        kept = np.ones(count)
        kept[one] = 0
        inside, outside = means(kept)
        left_out.append(inside - outside)
    difference = from_left_out(whole[0] - whole[1], np.array(left_out), len(responses))
    return BaselineCheck(
        id=check,
        within=whole[0],
        between=whole[1],
        above=difference.interval,
        silent=sum(silent),
        responses=len(responses),
    )
