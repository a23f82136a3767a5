"""Which item a rater sees next: balanced, and decided by the study's stored seed alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

from emojudge.domain import Item

MAX_PANES = 4
MIN_PANES = 2


def prompt_order(seed: int, rater: str, prompt_ids: Sequence[str]) -> list[str]:
    """The order in which this rater meets the prompts: a permutation drawn from the seed."""
    order = sorted(prompt_ids)
    random.Random(f"prompts:{seed}:{rater}").shuffle(order)
    return order


def pane_count(configured: int | None, candidates: int) -> int:
    """How many panes an item has: as configured, else 4, never more than candidates."""
    return min(configured or MAX_PANES, candidates)


def draw_item(
    *,
    seed: int,
    rater: str,
    number: int,
    prompt_id: str,
    candidates: Sequence[str],
    panes: int,
    samples: int,
    shown_before: Sequence[Item],
    response_ids: Mapping[tuple[str, int], str],
    now: str,
) -> Item:
    """Draw which candidates an item shows, in which positions, and which sample of each.

    Those shown least so far come first, then those that stood least in the position to be
    filled; the seed breaks ties. ``candidates`` are sha256 digests, ``response_ids`` maps
    (candidate, sample) to the response's id. The same inputs give the same item.
    """
    draw = random.Random(f"item:{seed}:{rater}:{number}:{prompt_id}")
    shown = Counter(sha for item in shown_before for sha in item.panes)
    pool = sorted(candidates)
    draw.shuffle(pool)
    chosen = sorted(pool, key=lambda sha: shown[sha])[:panes]
    placed: list[str] = []
    remaining = list(chosen)
    draw.shuffle(remaining)
    for position in range(panes):
        here = Counter(item.panes[position] for item in shown_before if position < len(item.panes))
        best = min(remaining, key=lambda sha: here[sha])
        placed.append(best)
        remaining.remove(best)
    # Samples rotate, from a start of the rater's own, so that models are rated and not texts.
    start = random.Random(f"sample:{seed}:{rater}").randrange(samples)
    sample = (start + number - 1) % samples
    return Item(
        id=f"{rater}:{number}",
        rater=rater,
        number=number,
        prompt_id=prompt_id,
        sample=sample,
        panes=tuple(placed),
        responses=tuple(response_ids[(sha, sample)] for sha in placed),
        shown=now,
    )
