"""One rater's session: the item in hand, its draft, and what comes next.

Everything a person does is on disk when the call returns, so a session can end at any key.
"""

from __future__ import annotations

import time
from collections import Counter

from tinydb import where

from emojudge import clock
from emojudge.domain import (
    Candidate,
    Criterion,
    Draft,
    Item,
    PaneScores,
    Prompt,
    RatedItem,
    Rating,
)
from emojudge.errors import EmojudgeError
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
from emojudge.store.study import Writer
from emojudge.store.tables import DRAFTS, FAILURES, ITEMS, RATED, RESPONSES

_CRITERIA = tuple(Criterion)


class NotComplete(EmojudgeError):
    """The item cannot be submitted yet; the message says what is missing."""


class RaterSession:
    """A rater's open session; holds ``ratings/<rater>.lock``. Raises LockHeld when opened twice."""

    def __init__(self, study: Study, rater: str) -> None:
        self.study = study
        self.rater = rater
        self._writer: Writer = study.store.rater_writer(rater)
        study.follow()
        self.item: Item | None = None
        self.draft: Draft | None = None
        self._undo: list[Draft] = []
        self._shown_at = time.monotonic()
        self._resume()

    # What is there

    def items(self) -> list[Item]:
        """All items this rater was shown, in order."""
        mine = self.study.store.all(ITEMS, where("rater") == self.rater)
        return sorted(mine, key=lambda item: item.number)

    def rated(self) -> list[RatedItem]:
        """All items this rater submitted or skipped."""
        return self.study.store.all(RATED, where("rater") == self.rater)

    @property
    def total(self) -> int:
        """Items this rater will see in all, planned repeats among them: nothing may tell them."""
        prompts = len(self.study.discovery.prompts)
        return prompts + repeats_due(prompts, self.study.config.human_judging.repeat_share)

    @property
    def prompt(self) -> Prompt:
        """The prompt of the item in hand."""
        assert self.item is not None
        wanted = self.item.prompt_id
        return next(one for one in self.study.discovery.prompts if one.id == wanted)

    def upcoming_prompts(self) -> list[Prompt]:
        """Prompts not yet shown to this rater, in the order in which they will come."""
        prompts = {prompt.id: prompt for prompt in self.study.discovery.prompts}
        seen = {item.prompt_id for item in self.items()}
        others = Counter(
            item.prompt_id for item in self.study.store.all(ITEMS) if item.rater != self.rater
        )
        order = prompt_order(self.study.seed, self.rater, list(prompts), others)
        return [prompts[prompt_id] for prompt_id in order if prompt_id not in seen]

    # Going on

    def _resume(self) -> None:
        """Take up the item that was shown and neither submitted nor skipped."""
        settled = {one.id for one in self.rated()}
        known = {prompt.id for prompt in self.study.discovery.prompts}
        for item in reversed(self.items()):
            if item.id not in settled and item.prompt_id in known:
                self._take(item)
                if not self._obtainable(item):
                    self.skip("the study's settings changed after it was shown")
                return

    def _obtainable(self, item: Item) -> bool:
        """Whether each response is stored, or is what the present settings would generate."""
        cells = {
            self.study.cell(candidate, self.prompt, item.sample).id
            for candidate in self.study.discovery.candidates
        }
        return all(
            one in cells or self.study.store.get(RESPONSES, one) is not None
            for one in item.responses
        )

    def _take(self, item: Item) -> None:
        self.item = item
        empty = Draft(id=item.id, panes=tuple(PaneScores() for _ in item.panes))
        self.draft = self.study.store.get(DRAFTS, item.id) or empty
        self._undo.clear()
        self._shown_at = time.monotonic()

    def _available(self, prompt: Prompt) -> list[Candidate]:
        """Candidates that can be shown for a prompt: all samples stored, or still to be made."""
        leading = self.study.leader is not None
        samples = self.study.config.generation.samples_per_prompt
        available = []
        for candidate in self.study.discovery.candidates:
            cells = [self.study.cell(candidate, prompt, sample) for sample in range(samples)]
            if any(self.study.store.get(FAILURES, cell.id) for cell in cells):
                continue
            if leading or all(self.study.stored(cell) for cell in cells):
                available.append(candidate)
        return available

    def next_item(self) -> Item | None:
        """The item to rate now: the one in hand, else a new one, fixed and stored.

        None when nothing is left, or (for those who do not lead) nothing is generated yet.
        """
        if self.item is not None:
            return self.item
        own = self.items()
        draw = Draw(
            self.study.seed,
            self.rater,
            max((item.number for item in own), default=0) + 1,
            clock.stamp(),
        )
        item = self._repeat(draw, own) or self._fresh(draw)
        if item is not None:
            self._writer.put(ITEMS, [item])
            self._take(item)
        return item

    def _repeat(self, draw: Draw, own: list[Item]) -> Item | None:
        """A planned repeat, when one is due."""
        rated = [one for one in self.rated() if one.skipped is None]
        came_back = sum(item.repeat_of is not None for item in own)
        first = {one.id for one in rated if one.repeat_of is None}
        share = self.study.config.human_judging.repeat_share
        if came_back >= repeats_due(len(first), share):
            return None
        known = {prompt.id for prompt in self.study.discovery.prompts}
        item = draw_repeat(draw, [one for one in own if one.prompt_id in known], first)
        return item if item is not None and self._stored(item) else None

    def _fresh(self, draw: Draw) -> Item | None:
        """The next prompt that at least two candidates can answer."""
        study = self.study
        samples = study.config.generation.samples_per_prompt
        common = common_prompts(study.seed, [one.id for one in study.discovery.prompts])
        shown = sorted(study.store.all(ITEMS), key=lambda item: (item.shown, item.id))
        for prompt in self.upcoming_prompts():
            candidates = self._available(prompt)
            if len(candidates) < MIN_PANES:
                continue
            everyone = len(candidates) == len(study.discovery.candidates)
            return draw_item(
                draw,
                prompt_id=prompt.id,
                common=common,
                candidates=[one.sha256 for one in candidates],
                panes=pane_count(study.config.human_judging.panes, len(candidates)),
                samples=samples,
                shown_to_all=shown,
                response_ids={
                    (one.sha256, sample): study.cell(one, prompt, sample).id
                    for one in candidates
                    for sample in range(samples)
                },
                pick=self._pick() if everyone else None,
            )
        return None

    def _pick(self) -> Pick | None:
        """How candidates are chosen, where the config wants more than balance."""
        if self.study.config.human_judging.choice != "adaptive":
            return None
        return adaptive_pick(self.study.view())

    # Scoring

    def _change(self, draft: Draft, *, undoable: bool = True) -> None:
        assert self.draft is not None
        if undoable:
            self._undo.append(self.draft)
        self._writer.put(DRAFTS, [draft])
        self.draft = draft

    def score(self, value: int) -> None:
        """Score the focused criterion (1 to 5) and move on to the next."""
        assert self.draft is not None
        pane, criterion = self.draft.pane, self.draft.criterion
        scores = {**self.draft.panes[pane].scores, _CRITERIA[criterion]: value}
        panes = list(self.draft.panes)
        panes[pane] = panes[pane].model_copy(update={"scores": scores})
        if criterion + 1 < len(_CRITERIA):
            criterion += 1
        elif pane + 1 < len(panes):
            pane, criterion = pane + 1, 0
        self._change(Draft(id=self.draft.id, panes=tuple(panes), pane=pane, criterion=criterion))

    def move(self, panes: int = 0, criteria: int = 0) -> None:
        """Move the focus; it stops at the edges."""
        if self.draft is None:
            return
        pane = min(max(self.draft.pane + panes, 0), len(self.draft.panes) - 1)
        criterion = min(max(self.draft.criterion + criteria, 0), len(_CRITERIA) - 1)
        if (pane, criterion) != (self.draft.pane, self.draft.criterion):
            moved = self.draft.model_copy(update={"pane": pane, "criterion": criterion})
            self._change(moved, undoable=False)

    def comment(self, text: str) -> None:
        """Set the focused pane's comment."""
        assert self.draft is not None
        panes = list(self.draft.panes)
        panes[self.draft.pane] = panes[self.draft.pane].model_copy(update={"comment": text})
        self._change(self.draft.model_copy(update={"panes": tuple(panes)}))

    def undo(self) -> bool:
        """Take back the last score or comment of this item; False when there is none.

        Of what an earlier session left, scores are taken back from the last one in reading order.
        """
        if not self._undo:
            return self._take_back_last_score()
        self._change(self._undo[-1], undoable=False)
        self._undo.pop()
        return True

    def _take_back_last_score(self) -> bool:
        assert self.draft is not None
        for pane, scored in reversed(list(enumerate(self.draft.panes))):
            for criterion in reversed(_CRITERIA):
                if criterion not in scored.scores:
                    continue
                scores = {one: value for one, value in scored.scores.items() if one != criterion}
                panes = list(self.draft.panes)
                panes[pane] = scored.model_copy(update={"scores": scores})
                place = _CRITERIA.index(criterion)
                self._change(
                    Draft(id=self.draft.id, panes=tuple(panes), pane=pane, criterion=place),
                    undoable=False,
                )
                return True
        return False

    def _stored(self, item: Item) -> bool:
        return all(self.study.store.get(RESPONSES, one) for one in item.responses)

    def submit(self) -> RatedItem:
        """Store the rating and let go of the item. Raises NotComplete."""
        assert self.item is not None
        assert self.draft is not None
        if not self._stored(self.item):
            raise NotComplete("a response is still being written")
        for index, pane in enumerate(self.draft.panes):
            if not pane.complete:
                missing = next(one for one in _CRITERIA if one not in pane.scores)
                self.move(index - self.draft.pane, _CRITERIA.index(missing) - self.draft.criterion)
                raise NotComplete(f"{chr(ord('A') + index)} has no score for {missing.label} yet")
        ratings = tuple(
            Rating(
                candidate=candidate,
                response_id=response,
                scores=pane.scores,
                comment=pane.comment,
            )
            for candidate, response, pane in zip(
                self.item.panes, self.item.responses, self.draft.panes, strict=True
            )
        )
        return self._settle(ratings, None)

    def skip(self, reason: str) -> RatedItem:
        """Leave the item unrated. Raises NotComplete without a reason."""
        if not reason.strip():
            raise NotComplete("a skipped item needs a reason")
        return self._settle((), reason.strip())

    def _settle(self, ratings: tuple[Rating, ...], skipped: str | None) -> RatedItem:
        assert self.item is not None
        rated = RatedItem(
            id=self.item.id,
            rater=self.rater,
            number=self.item.number,
            prompt_id=self.item.prompt_id,
            sample=self.item.sample,
            ratings=ratings,
            skipped=skipped,
            seconds=time.monotonic() - self._shown_at,
            submitted=clock.stamp(),
            repeat_of=self.item.repeat_of,
            adaptive=self.item.adaptive,
        )
        self._writer.put(RATED, [rated])
        self.item = self.draft = None
        self._undo.clear()
        self.study.changed()
        return rated

    def close(self) -> None:
        """Give up the rater's lock; the item in hand stays for the next session."""
        self._writer.close()
