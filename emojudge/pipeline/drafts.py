"""What a key does to a draft: pure steps from one state of an item to the next."""

from __future__ import annotations

from collections.abc import Mapping

from emojudge.domain import (
    Criterion,
    Draft,
    Item,
    PairVote,
    PaneScores,
    RatedItem,
    human_score,
)

CRITERIA = tuple(Criterion)
_EQUAL = 1e-9


def _with_pane(draft: Draft, pane: int, **changes: object) -> Draft:
    panes = list(draft.panes)
    panes[pane] = panes[pane].model_copy(update=changes)
    return draft.model_copy(update={"panes": tuple(panes)})


def scored(draft: Draft, value: int) -> Draft:
    """The focused criterion gets ``value`` (1 to 5), and the focus moves on to the next.

    Totals may be others then, so what was said of the order of equal ones is taken back.
    """
    pane, criterion = draft.pane, draft.criterion
    scores = {**draft.panes[pane].scores, CRITERIA[criterion]: value}
    changed = _with_pane(draft, pane, scores=scores)
    if criterion + 1 < len(CRITERIA):
        criterion += 1
    elif pane + 1 < len(draft.panes):
        pane, criterion = pane + 1, 0
    return changed.model_copy(update={"pane": pane, "criterion": criterion, "ahead": ()})


def focused(draft: Draft, pane: int, criterion: int) -> Draft:
    """The focus elsewhere, inside the edges."""
    inside = {
        "pane": min(max(pane, 0), len(draft.panes) - 1),
        "criterion": min(max(criterion, 0), len(CRITERIA) - 1),
    }
    return draft.model_copy(update=inside)


def with_comment(draft: Draft, text: str) -> Draft:
    """The focused pane's comment."""
    return _with_pane(draft, draft.pane, comment=text)


def with_flag(draft: Draft, reason: str) -> Draft:
    """The focused pane flagged; no reason takes the flag away."""
    return _with_pane(draft, draft.pane, flag=reason)


def without_last_score(draft: Draft) -> Draft | None:
    """The last score in reading order taken back; None when there is none."""
    for pane, own in reversed(list(enumerate(draft.panes))):
        for place, criterion in reversed(list(enumerate(CRITERIA))):
            if criterion in own.scores:
                scores = {one: value for one, value in own.scores.items() if one != criterion}
                taken = _with_pane(draft, pane, scores=scores)
                return taken.model_copy(update={"pane": pane, "criterion": place})
    return None


def first_gap(draft: Draft) -> tuple[int, Criterion] | None:
    """The first pane and criterion without a score, in reading order."""
    for pane, own in enumerate(draft.panes):
        for criterion in CRITERIA:
            if criterion not in own.scores:
                return pane, criterion
    return None


def equals_of(draft: Draft, pane: int, weights: Mapping[Criterion, float]) -> list[int]:
    """Other panes whose total equals this one's; only completely scored panes have a total."""

    def total(one: PaneScores) -> float | None:
        return human_score(one.scores, weights) if one.complete else None

    own = total(draft.panes[pane])
    if own is None:
        return []
    others = ((index, total(one)) for index, one in enumerate(draft.panes) if index != pane)
    return [index for index, value in others if value is not None and abs(value - own) < _EQUAL]


def empty_draft(item: Item) -> Draft:
    """Nothing said of the item yet."""
    return Draft(id=item.id, panes=tuple(PaneScores() for _ in item.panes))


def draft_of(item: Item, said: RatedItem | PairVote) -> Draft:
    """The draft that this was submitted from, as far as it tells; a skip tells no scores."""
    spent = {"seconds": said.seconds, "idle_seconds": said.idle_seconds, "comment": said.comment}
    last = {"pane": len(item.panes) - 1, "criterion": len(CRITERIA) - 1}
    if isinstance(said, PairVote):
        panes = tuple(
            PaneScores(comment=comment, flag=flag)
            for comment, flag in zip(said.comments, said.flags, strict=True)
        )
        return Draft.model_validate({"id": item.id, "panes": panes, **spent})
    if not said.ratings:
        return empty_draft(item).model_copy(update=spent)
    ordered = sorted(
        (place for place, one in enumerate(said.ratings) if one.tie_break),
        key=lambda place: -said.ratings[place].tie_break,
    )
    panes = tuple(
        PaneScores(scores=one.scores, comment=one.comment, flag=one.flag) for one in said.ratings
    )
    return Draft.model_validate(
        {"id": item.id, "panes": panes, "ahead": tuple(ordered), **spent, **last}
    )


def put_ahead(draft: Draft, pane: int) -> Draft:
    """The pane before those with an equal total; once more takes that back."""
    ahead = tuple(one for one in draft.ahead if one != pane)
    if len(ahead) == len(draft.ahead):
        ahead = (*draft.ahead, pane)
    return draft.model_copy(update={"ahead": ahead})


def tie_breaks(draft: Draft, weights: Mapping[Criterion, float]) -> tuple[int, ...]:
    """For each pane its place among those with an equal total: larger is preferred, 0 unordered."""
    places = []
    for pane in range(len(draft.panes)):
        if pane in draft.ahead and equals_of(draft, pane, weights):
            places.append(len(draft.ahead) - draft.ahead.index(pane))
        else:
            places.append(0)
    return tuple(places)
