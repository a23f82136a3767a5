"""One rater's session: the item in hand, its draft, and what comes next.

Everything a person does is on disk when the call returns, so a session can end at any key.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from tinydb import where

from emojudge import clock
from emojudge.domain import (
    Criterion,
    Draft,
    Item,
    PairVote,
    Preference,
    Prompt,
    RatedItem,
    Rating,
)
from emojudge.errors import EmojudgeError, LockHeld, StoreError
from emojudge.pipeline import drafts
from emojudge.pipeline.attention import Attention, Spent
from emojudge.pipeline.drawing import ItemDrawer
from emojudge.pipeline.named_models import named_models, telling_words
from emojudge.pipeline.study import Study
from emojudge.ranking.next_item import repeats_due
from emojudge.store.log import Record
from emojudge.store.study import Writer
from emojudge.store.tables import DRAFTS, ITEMS, PAIR_VOTES, RATED, RESPONSES
from emojudge.text import without_thinking

_LOG = logging.getLogger(__name__)
LETTERS = "ABCD"
_KEPT_STEPS = 20


class NotComplete(EmojudgeError):
    """The item cannot be submitted yet; the message says what is missing."""


class CannotUndo(EmojudgeError):
    """Nothing is taken back; the message says why."""


class RaterSession:
    """A rater's open session; holds ``ratings/<rater>.lock``. Raises LockHeld when opened twice.

    ``pairwise`` is the quick mode: votes between two responses instead of scores. ``now`` gives
    seconds that never go back.
    """

    def __init__(
        self,
        study: Study,
        rater: str,
        *,
        pairwise: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study = study
        self.rater = rater
        self.pairwise = pairwise
        self.attention = Attention(now)
        try:
            self._writer: Writer = study.store.rater_writer(rater)
        except LockHeld as held:
            raise LockHeld(
                f"{held} Leave that session first, or rate under another name with --rater NAME."
            ) from held
        study.follow()
        # A draft is stored at every key, and whoever opens the log reads them all.
        self._writer.tidy(DRAFTS)
        self._drawer = ItemDrawer(study, rater)
        self.item: Item | None = None
        self.draft: Draft | None = None
        self._steps: dict[str, list[Draft]] = {}
        self._settled_in: dict[bool, list[str]] = {False: [], True: []}
        self._resume()

    # What is there

    def items(self) -> list[Item]:
        """All items this rater was shown, in order."""
        return self._drawer.own_items()

    def rated(self) -> list[RatedItem]:
        """All items this rater submitted or skipped."""
        return self.study.store.all(RATED, where("rater") == self.rater)

    def votes(self) -> list[PairVote]:
        """All pairs this rater voted on."""
        return self.study.store.all(PAIR_VOTES, where("rater") == self.rater)

    @property
    def done(self) -> int:
        """Items submitted or skipped in the present mode."""
        settled = sum(self._was_pair(one) == self.pairwise for one in self.rated())
        return settled + (len(self.votes()) if self.pairwise else 0)

    def _was_pair(self, rated: RatedItem) -> bool:
        """Whether this is a skipped pair; a pair that was not skipped is a vote."""
        item = self.study.store.get(ITEMS, rated.id) if rated.skipped is not None else None
        return item is not None and item.pairwise

    @property
    def total(self) -> int:
        """Items this rater will see in all, planned repeats among them: nothing may tell them."""
        prompts = len(self.study.discovery.prompts)
        if self.pairwise:
            return prompts
        return prompts + repeats_due(prompts, self.study.config.human_judging.repeat_share)

    @property
    def prompt(self) -> Prompt:
        """The prompt of the item in hand."""
        assert self.item is not None
        wanted = self.item.prompt_id
        return next(one for one in self.study.discovery.prompts if one.id == wanted)

    def upcoming_prompts(self) -> list[Prompt]:
        """Prompts not yet shown to this rater, in the order in which they will come."""
        return self._drawer.upcoming(pairwise=self.pairwise)

    @property
    def equals(self) -> list[int]:
        """Panes with the focused pane's total; empty while it is not scored."""
        return [] if self.draft is None else self.equals_of(self.draft.pane)

    def equals_of(self, pane: int) -> list[int]:
        """Panes with this pane's total."""
        return [] if self.draft is None else drafts.equals_of(self.draft, pane, self._weights)

    @property
    def _weights(self) -> dict[Criterion, float]:
        return dict(self.study.config.human_judging.criteria_weights)

    def named_in(self, response_id: str) -> tuple[str, ...]:
        """Models and vendors that a stored response names."""
        response = self.study.store.get(RESPONSES, response_id)
        if response is None:
            return ()
        own = telling_words(one.name for one in self.study.discovery.candidates)
        return named_models(self.as_shown(response.text), own)

    def as_shown(self, text: str) -> str:
        """What a rater reads of a response."""
        hidden = self.study.config.generation.hide_thinking
        return without_thinking(text) if hidden else text

    @property
    def _settled(self) -> list[str]:
        """Items of the present mode that this session submitted or skipped."""
        return self._settled_in[self.pairwise]

    # Going on

    def _resume(self) -> None:
        """Take up the first item of this mode that was shown and is not settled."""
        self._keep_time()
        self.item = self.draft = None
        settled = {one.id for one in self.rated()} | {one.id for one in self.votes()}
        known = {prompt.id for prompt in self.study.discovery.prompts}
        for item in self.items():
            if item.pairwise != self.pairwise or item.id in settled or item.prompt_id not in known:
                continue
            self._take(item)
            if self._drawer.obtainable(item):
                return
            self.drop("the study's settings changed after it was shown")

    def _may_stay(self, item: Item) -> bool:
        """Whether the item in hand is still of this study: prompts and candidates may change."""
        known = {prompt.id for prompt in self.study.discovery.prompts}
        return item.prompt_id in known and self._drawer.obtainable(item)

    def _keep_time(self) -> None:
        """Store the time since the last key, where it was long enough to be reading."""
        if self.draft is None:
            return
        spent = self.attention.touch()
        if spent.active - self.draft.seconds >= 1:
            self._change(self.draft, undoable=False)

    def _take(self, item: Item) -> None:
        self._open(item, self.study.store.get(DRAFTS, item.id) or drafts.empty_draft(item))

    def _open(self, item: Item, draft: Draft) -> None:
        self.item, self.draft = item, draft
        self.attention.begin(Spent(draft.seconds, draft.idle_seconds))

    def next_item(self) -> Item | None:
        """The item to rate now: one in hand or left open, else a new one, fixed and stored.

        None when nothing is left, or (for those who do not lead) nothing is generated yet.
        """
        if self.item is None or not self._may_stay(self.item):
            self._resume()
        if self.item is None:
            item = self._drawer.draw(self.rated(), pairwise=self.pairwise)
            if item is not None:
                self._writer.put(ITEMS, [item])
                self._take(item)
        return self.item

    def switch_mode(self) -> None:
        """From scores to pairs, or back; the item in hand stays open in its mode."""
        self.pairwise = not self.pairwise
        self._resume()

    # Scoring

    def _change(self, draft: Draft, *, undoable: bool = True) -> None:
        assert self.draft is not None
        spent = self.attention.touch()
        kept = draft.model_copy(update={"seconds": spent.active, "idle_seconds": spent.idle})
        self._writer.put(DRAFTS, [kept])
        if undoable:
            self._steps.setdefault(draft.id, []).append(self.draft)
        self.draft = kept

    def score(self, value: int) -> None:
        """Score the focused criterion (1 to 5) and move on to the next."""
        assert self.draft is not None
        self._change(drafts.scored(self.draft, value))

    def move(self, panes: int = 0, criteria: int = 0) -> None:
        """Move the focus; it stops at the edges."""
        if self.draft is None:
            return
        moved = drafts.focused(self.draft, self.draft.pane + panes, self.draft.criterion + criteria)
        if moved != self.draft:
            self._change(moved, undoable=False)

    def comment(self, text: str) -> None:
        """Set the focused pane's comment."""
        assert self.draft is not None
        self._change(drafts.with_comment(self.draft, text))

    def comment_item(self, text: str) -> None:
        """Set the comment on the item as a whole."""
        assert self.draft is not None
        self._change(self.draft.model_copy(update={"comment": text}))

    def flag(self, reason: str) -> None:
        """Flag the focused response, with a reason; an empty one takes the flag away."""
        assert self.draft is not None
        self._change(drafts.with_flag(self.draft, reason.strip()))

    def put_ahead(self) -> None:
        """Put the focused pane before those with an equal total. Raises NotComplete without any."""
        assert self.draft is not None
        letter = LETTERS[self.draft.pane]
        if not self.draft.panes[self.draft.pane].complete:
            raise NotComplete(f"{letter} is not scored yet; only equal totals need an order")
        if not self.equals:
            raise NotComplete(f"no other response has the weighted total of {letter}")
        self._change(drafts.put_ahead(self.draft, self.draft.pane))

    def undo(self) -> str:
        """Take back the last step, through this item and then the ones before it in this session.

        Returns what was done, in words. Of what an earlier session left in the item, scores are
        taken back from the last one in reading order. Raises CannotUndo.
        """
        if self.draft is not None:
            steps = self._steps.get(self.draft.id, [])
            if steps:
                # The focus and the scores of then, the time of now.
                self._change(steps[-1], undoable=False)
                steps.pop()
                return "taken back"
            before = drafts.without_last_score(self.draft)
            if before is not None:
                self._change(before, undoable=False)
                return "taken back"
        return self._reopen_last()

    def _reopen_last(self) -> str:
        if not self._settled:
            raise CannotUndo("nothing more to take back in this session and mode")
        last, store = self._settled[-1], self.study.store
        item = store.get(ITEMS, last)
        vote, rated = store.get(PAIR_VOTES, last), store.get(RATED, last)
        said = vote or rated
        if item is None or said is None or not self._may_stay(item):
            raise CannotUndo("the item before is not in the study any more")
        shown = self.study.config.human_judging.show_ai_scores == "after_item"
        if shown and rated is not None and rated.skipped is None:
            raise CannotUndo("the item before stays: what the AI said of it was shown")
        self._keep_time()
        draft = store.get(DRAFTS, last) or drafts.draft_of(item, said)
        gone = PAIR_VOTES.gone(last) if vote is not None else RATED.gone(last)
        # What was submitted is never gone before the draft that it came from is there.
        self._writer.write([DRAFTS.record(draft), gone])
        self._settled.pop()
        self._open(item, draft)
        self.study.changed()
        return "the item before is open again"

    def submit(self) -> RatedItem:
        """Store the rating and let go of the item. Raises NotComplete."""
        item, draft = self._complete()
        gap = drafts.first_gap(draft)
        if gap is not None:
            pane, missing = gap
            self.move(pane - draft.pane, drafts.CRITERIA.index(missing) - draft.criterion)
            raise NotComplete(f"{LETTERS[pane]} has no score for {missing.label} yet")
        breaks = drafts.tie_breaks(draft, self._weights)
        ratings = tuple(
            Rating(
                candidate=candidate,
                response_id=response,
                scores=pane.scores,
                comment=pane.comment,
                flag=pane.flag,
                names=self.named_in(response),
                tie_break=tie_break,
            )
            for candidate, response, pane, tie_break in zip(
                item.panes, item.responses, draft.panes, breaks, strict=True
            )
        )
        return self._settle(ratings, None)

    def vote(self, preferred: Preference) -> PairVote:
        """Store the vote on a pair and let go of it. Raises NotComplete."""
        item, draft = self._complete()
        spent = self.attention.touch()
        left, right = item.responses
        vote = PairVote(
            id=item.id,
            rater=self.rater,
            number=item.number,
            prompt_id=item.prompt_id,
            sample=item.sample,
            candidates=(item.panes[0], item.panes[1]),
            responses=(left, right),
            preferred=preferred,
            comment=draft.comment,
            comments=(draft.panes[0].comment, draft.panes[1].comment),
            flags=(draft.panes[0].flag, draft.panes[1].flag),
            names=(self.named_in(left), self.named_in(right)),
            seconds=spent.active,
            idle_seconds=spent.idle,
            submitted=clock.stamp(),
        )
        self._let_go(PAIR_VOTES.record(vote))
        return vote

    def _complete(self) -> tuple[Item, Draft]:
        """The item in hand and its draft. Raises NotComplete while a response is being written."""
        assert self.item is not None
        assert self.draft is not None
        if not self._drawer.stored(self.item):
            raise NotComplete("a response is still being written")
        return self.item, self.draft

    def skip(self, reason: str) -> RatedItem:
        """Leave the item unrated. Raises NotComplete without a reason."""
        if not reason.strip():
            raise NotComplete("a skipped item needs a reason")
        return self._settle((), reason.strip())

    def drop(self, reason: str) -> None:
        """Leave an item that cannot be rated; undo does not come back to it."""
        self._settle((), reason)
        self._settled.pop()

    def _settle(self, ratings: tuple[Rating, ...], skipped: str | None) -> RatedItem:
        assert self.item is not None
        assert self.draft is not None
        spent = self.attention.touch()
        rated = RatedItem(
            id=self.item.id,
            rater=self.rater,
            number=self.item.number,
            prompt_id=self.item.prompt_id,
            sample=self.item.sample,
            ratings=ratings,
            skipped=skipped,
            seconds=spent.active,
            idle_seconds=spent.idle,
            comment=self.draft.comment,
            flags={
                candidate: pane.flag
                for candidate, pane in zip(self.item.panes, self.draft.panes, strict=True)
                if pane.flag and skipped is not None
            },
            submitted=clock.stamp(),
            repeat_of=self.item.repeat_of,
            adaptive=self.item.adaptive,
        )
        self._let_go(RATED.record(rated))
        return rated

    def _let_go(self, submitted: Record) -> None:
        """Store what was submitted, and let go of the item."""
        # Of older items undo takes back score by score what was submitted.
        old = self._settled[-_KEPT_STEPS:][:1] if len(self._settled) >= _KEPT_STEPS else []
        stale = [DRAFTS.gone(one) for one in old if self.study.store.get(DRAFTS, one) is not None]
        self._writer.write([submitted, *stale])
        for one in old:
            self._steps.pop(one, None)
        self._settled.append(submitted.id)
        self.item = self.draft = None
        self.study.changed()

    def close(self) -> None:
        """Give up the rater's lock; the item in hand stays for the next session."""
        try:
            self._keep_time()
        except StoreError as problem:
            _LOG.warning("the time at the open item is not kept: %s", problem)
        self._writer.close()
