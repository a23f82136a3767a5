"""What comes next for one rater: a planned repeat, the next prompt, or the next pair to vote on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from tinydb import where

from emojudge import clock
from emojudge.domain import Candidate, Item, Prompt, RatedItem
from emojudge.pipeline.study import Study
from emojudge.ranking.next_item import (
    MIN_PANES,
    Draw,
    Pick,
    common_prompts,
    draw_item,
    draw_repeat,
    pane_count,
    prompt_order,
    repeats_due,
)
from emojudge.ranking.scored import adaptive_pick
from emojudge.store.tables import FAILURES, ITEMS, RESPONSES

_PAIR = 2


class ItemDrawer:
    """Draws items from the study's stored seed and what was shown so far; stores nothing."""

    def __init__(self, study: Study, rater: str) -> None:
        self._study = study
        self._rater = rater

    def own_items(self) -> list[Item]:
        """All items this rater was shown, in order."""
        mine = self._study.store.all(ITEMS, where("rater") == self._rater)
        return sorted(mine, key=lambda item: item.number)

    def upcoming(self, *, pairwise: bool) -> list[Prompt]:
        """Prompts not yet shown to this rater in this way, in the order in which they will come.

        Pairs take the prompts from the end, so that scores meet fresh texts as long as possible.
        """
        prompts = {prompt.id: prompt for prompt in self._study.discovery.prompts}
        seen = {item.prompt_id for item in self.own_items() if item.pairwise == pairwise}
        others = Counter(
            item.prompt_id
            for item in self._study.store.all(ITEMS)
            if item.rater != self._rater and item.pairwise == pairwise
        )
        order = prompt_order(self._study.seed, self._rater, list(prompts), others)
        if pairwise:
            order.reverse()
        return [prompts[prompt_id] for prompt_id in order if prompt_id not in seen]

    def draw(self, rated: Collection[RatedItem], *, pairwise: bool) -> Item | None:
        """A new item; None when nothing is left, or nothing of it is there yet."""
        own = self.own_items()
        draw = Draw(
            self._study.seed,
            self._rater,
            max((item.number for item in own), default=0) + 1,
            clock.stamp(),
        )
        if pairwise:
            return self._fresh(draw, pairwise=True)
        scored = [item for item in own if not item.pairwise]
        return self._repeat(draw, scored, rated) or self._fresh(draw, pairwise=False)

    def _repeat(self, draw: Draw, own: list[Item], rated: Collection[RatedItem]) -> Item | None:
        """A planned repeat, when one is due."""
        came_back = sum(item.repeat_of is not None for item in own)
        first = {one.id for one in rated if one.skipped is None and one.repeat_of is None}
        share = self._study.config.human_judging.repeat_share
        if came_back >= repeats_due(len(first), share):
            return None
        known = {prompt.id for prompt in self._study.discovery.prompts}
        item = draw_repeat(draw, [one for one in own if one.prompt_id in known], first)
        return item if item is not None and self.stored(item) else None

    def stored(self, item: Item) -> bool:
        """Whether every response of the item is stored."""
        return all(self._study.store.get(RESPONSES, one) for one in item.responses)

    def _available(self, prompt: Prompt) -> list[Candidate]:
        """Candidates that can be shown for a prompt: all samples stored, or still to be made."""
        study = self._study
        samples = study.config.generation.samples_per_prompt
        available = []
        for candidate in study.discovery.candidates:
            cells = [study.cell(candidate, prompt, sample) for sample in range(samples)]
            if any(study.store.get(FAILURES, cell.id) for cell in cells):
                continue
            may_speak = study.leader is not None and not candidate.gone
            if may_speak or all(study.stored(cell) for cell in cells):
                available.append(candidate)
        return available

    def _fresh(self, draw: Draw, *, pairwise: bool) -> Item | None:
        """The next prompt that at least two candidates can answer."""
        study = self._study
        configured = _PAIR if pairwise else study.config.human_judging.panes
        shown = [one for one in study.store.all(ITEMS) if one.pairwise == pairwise]
        shown.sort(key=lambda item: (item.shown, item.id))
        for prompt in self.upcoming(pairwise=pairwise):
            candidates = self._available(prompt)
            if len(candidates) < MIN_PANES:
                continue
            everyone = len(candidates) == len(study.discovery.candidates)
            item = self._drawn(
                draw, prompt, candidates, configured, shown, everyone and not pairwise
            )
            return item.model_copy(update={"pairwise": True}) if pairwise else item
        return None

    def _drawn(
        self,
        draw: Draw,
        prompt: Prompt,
        candidates: Sequence[Candidate],
        configured: int | None,
        shown: Sequence[Item],
        may_choose: bool,
    ) -> Item:
        study = self._study
        samples = study.config.generation.samples_per_prompt
        return draw_item(
            draw,
            prompt_id=prompt.id,
            common=common_prompts(study.seed, [one.id for one in study.discovery.prompts]),
            candidates=[one.sha256 for one in candidates],
            panes=pane_count(configured, len(candidates)),
            samples=samples,
            shown_to_all=shown,
            response_ids={
                (one.sha256, sample): study.cell(one, prompt, sample).id
                for one in candidates
                for sample in range(samples)
            },
            pick=self._pick() if may_choose else None,
        )

    def _pick(self) -> Pick | None:
        """How candidates are chosen, where the config wants more than balance."""
        if self._study.config.human_judging.choice != "adaptive":
            return None
        return adaptive_pick(self._study.view())

    def obtainable(self, item: Item) -> bool:
        """Whether each response is stored, or is what the present settings would generate."""
        study = self._study
        prompt = next(one for one in study.discovery.prompts if one.id == item.prompt_id)
        cells = {
            study.cell(candidate, prompt, item.sample).id
            for candidate in study.discovery.candidates
        }
        return all(
            one in cells or study.store.get(RESPONSES, one) is not None for one in item.responses
        )
