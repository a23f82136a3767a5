"""A rated item with its letters lifted: what was said, and what people and the AI thought."""

from __future__ import annotations

from dataclasses import dataclass

from emojudge.domain import Criterion, Message, human_score
from emojudge.pipeline.rating import LETTERS
from emojudge.text import visible, without_thinking
from emojudge.view import StudyView


@dataclass(frozen=True)
class OpenedPane:
    """One response; ``ai`` is None where it was not judged. Texts are harmless to show."""

    letter: str
    label: str
    text: str
    people: float
    ai: float | None
    scores: dict[Criterion, int]
    comment: str


@dataclass(frozen=True)
class OpenedItem:
    """An item and its panes in the order of their letters."""

    rater: str
    category: str
    messages: tuple[Message, ...]
    panes: tuple[OpenedPane, ...]


def open_item(view: StudyView, item_id: str) -> OpenedItem | None:
    """The item with this id; None when its prompt or its texts are gone."""
    item = next((one for one in view.counted_items if one.id == item_id), None)
    if item is None:
        return None
    prompt = next((one for one in view.prompts if one.id == item.prompt_id), None)
    wanted = {rating.response_id for rating in item.ratings}
    texts = {one.id: one.text for one in view.responses if one.id in wanted}
    if prompt is None or wanted - texts.keys():
        return None
    return OpenedItem(
        rater=item.rater,
        category=prompt.category,
        messages=prompt.messages,
        panes=tuple(
            OpenedPane(
                letter=letter,
                label=view.labels[rating.candidate],
                text=visible(without_thinking(texts[rating.response_id])),
                people=human_score(rating.scores, view.criteria_weights),
                ai=view.ai_scores.get(rating.response_id),
                scores=rating.scores,
                comment=rating.comment,
            )
            for letter, rating in zip(LETTERS, item.ratings, strict=False)
        ),
    )
