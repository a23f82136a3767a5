"""Which item a rater sees next: drawn from the study's stored seed and what was shown so far."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from emojudge.domain import Item
from emojudge.ranking.choice import Shown, balanced

MAX_PANES = 4
MIN_PANES = 2
COMMON_SHARE = 0.15
"""This share of the prompts comes to every rater, and early, so that people can be compared."""
FIRST_REPEAT_AFTER = 20
MANY_ITEMS = 60
REPEATS_AT_MANY = 10
_REPEAT_DISTANCE = 12
_BETWEEN_REPEATS = 3

Pick = Callable[[Shown, int, random.Random], tuple[list[int], bool]]
"""Chooses candidates by index from what was shown, and says whether by what is known of them."""


def common_prompts(seed: int, prompt_ids: Sequence[str]) -> list[str]:
    """The prompts that every rater meets, in the order in which all meet them."""
    order = sorted(prompt_ids)
    random.Random(f"common:{seed}").shuffle(order)
    return order[: math.ceil(COMMON_SHARE * len(order))]


def prompt_order(
    seed: int, rater: str, prompt_ids: Sequence[str], shown_to_others: Mapping[str, int]
) -> list[str]:
    """The order in which this rater meets the prompts.

    Common ones are spread evenly from the start; of the others, those that fewest other raters
    were shown come first, and the seed decides among equals.
    """
    common = common_prompts(seed, prompt_ids)
    own = sorted(set(prompt_ids) - set(common))
    random.Random(f"prompts:{seed}:{rater}").shuffle(own)
    own.sort(key=lambda one: shown_to_others.get(one, 0))
    order: list[str] = []
    taken = 0
    for place in range(len(prompt_ids)):
        due = taken < len(common) and taken < COMMON_SHARE * (place + 1)
        if due or not own:
            order.append(common[taken])
            taken += 1
        else:
            order.append(own.pop(0))
    return order


def pane_count(configured: int | None, candidates: int) -> int:
    """How many panes an item has: as configured, else 4, never more than candidates."""
    return min(configured or MAX_PANES, candidates)


def repeats_due(rated: int, share: float) -> int:
    """How many items should have come back once ``rated`` others are rated.

    The given share, and at least 10 from 60 items on, approached evenly; none with share 0.
    """
    if share <= 0 or rated < FIRST_REPEAT_AFTER:
        return 0
    ramp = (rated - FIRST_REPEAT_AFTER) * REPEATS_AT_MANY // (MANY_ITEMS - FIRST_REPEAT_AFTER)
    return max(math.floor(share * rated), min(REPEATS_AT_MANY, ramp))


@dataclass(frozen=True)
class Draw:
    """Who an item is drawn for, and what it depends on: the same draw gives the same item."""

    seed: int
    rater: str
    number: int
    now: str

    def random(self, what: str) -> random.Random:
        """A generator for one purpose."""
        return random.Random(f"{what}:{self.seed}:{self.rater}:{self.number}")

    def item(
        self,
        prompt_id: str,
        sample: int,
        panes: Sequence[tuple[str, str]],
        *,
        repeat_of: str | None = None,
        adaptive: bool = False,
    ) -> Item:
        """The item of these (candidate, response id) pairs, in the order of its letters."""
        return Item(
            id=f"{self.rater}:{self.number}",
            rater=self.rater,
            number=self.number,
            prompt_id=prompt_id,
            sample=sample,
            panes=tuple(candidate for candidate, _ in panes),
            responses=tuple(response for _, response in panes),
            shown=self.now,
            repeat_of=repeat_of,
            adaptive=adaptive,
        )


def draw_item(
    draw: Draw,
    *,
    prompt_id: str,
    common: Collection[str],
    candidates: Sequence[str],
    panes: int,
    samples: int,
    shown_to_all: Sequence[Item],
    response_ids: Mapping[tuple[str, int], str],
    pick: Pick | None = None,
) -> Item:
    """Draw which candidates an item shows, in which positions, and which sample of each.

    ``candidates`` are sha256 digests, ``response_ids`` maps (candidate, sample) to the response's
    id. A ``common`` prompt that another rater was shown shows the same responses; else candidates
    and pairs are balanced over all raters (or chosen by ``pick``), positions over this one, and
    samples rotate from a start of the rater's own, so that models are rated and not texts.
    """
    pool = sorted(candidates)
    own = [item for item in shown_to_all if item.rater == draw.rater]
    like = None
    if prompt_id in common:
        like = _same_for_all(prompt_id, pool, shown_to_all, response_ids)
    if like is not None:
        chosen, sample = list(like.panes), like.sample
        chosen_by_results = like.adaptive
    else:
        shown = _shown(pool, shown_to_all)
        rng = draw.random("item")
        indices, chosen_by_results = (
            pick(shown, panes, rng) if pick is not None else (balanced(shown, panes, rng), False)
        )
        chosen = [pool[index] for index in indices]
        start = random.Random(f"sample:{draw.seed}:{draw.rater}").randrange(samples)
        sample = (start + draw.number - 1) % samples
    placed = _place(chosen, own, draw.random("place"))
    return draw.item(
        prompt_id,
        sample,
        [(sha, response_ids[(sha, sample)]) for sha in placed],
        adaptive=chosen_by_results,
    )


def _shown(pool: Sequence[str], items: Sequence[Item]) -> Shown:
    places = {sha: index for index, sha in enumerate(pool)}
    shown = Shown(len(pool))
    for item in items:
        known = [places[sha] for sha in item.panes if sha in places]
        if item.repeat_of is None and known:
            shown.add(known)
    return shown


def _same_for_all(
    prompt_id: str,
    pool: Sequence[str],
    items: Sequence[Item],
    response_ids: Mapping[tuple[str, int], str],
) -> Item | None:
    """The first item on a common prompt whose responses can still be shown, if there is one."""
    first = next((one for one in items if one.prompt_id == prompt_id), None)
    if first is None or not set(first.panes) <= set(pool):
        return None
    present = [response_ids.get((sha, first.sample)) for sha in first.panes]
    return first if tuple(present) == first.responses else None


def _place(chosen: Sequence[str], own: Sequence[Item], draw: random.Random) -> list[str]:
    """Letters: each position goes to the candidate that stood there least for this rater."""
    remaining = list(chosen)
    draw.shuffle(remaining)
    placed: list[str] = []
    for position in range(len(chosen)):
        here = Counter(item.panes[position] for item in own if position < len(item.panes))
        best = min(remaining, key=lambda sha: here[sha])
        placed.append(best)
        remaining.remove(best)
    return placed


def draw_repeat(draw: Draw, own: Sequence[Item], rated: set[str]) -> Item | None:
    """An earlier item of this rater under other letters, some while after it was first shown.

    ``rated`` are ids of submitted items. None when every old enough item came back already, or one
    came back just before: many at once would be noticed.
    """
    again = {item.repeat_of for item in own}
    recent = [item for item in own if item.number >= draw.number - _BETWEEN_REPEATS]
    if any(item.repeat_of is not None for item in recent):
        return None
    old = [
        item
        for item in own
        if item.repeat_of is None
        and item.id in rated
        and item.id not in again
        and item.number <= draw.number - _REPEAT_DISTANCE
    ]
    if not old:
        return None
    rng = draw.random("repeat")
    chosen = rng.choice(old)
    panes = list(zip(chosen.panes, chosen.responses, strict=True))
    before = list(panes)
    while panes == before:
        rng.shuffle(panes)
    return draw.item(chosen.prompt_id, chosen.sample, panes, repeat_of=chosen.id)
