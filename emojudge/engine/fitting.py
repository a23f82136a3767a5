"""Putting texts where messages speak of them, and cutting what is too long in its middle."""

from __future__ import annotations

from collections.abc import Sequence

from emojudge.domain import Message

TEXT_MARK = "\ufffc"
"""Where a text belongs in a message that speaks of it."""

LEFT_OUT = " [… a part is left out here …] "
LEAST_CHARACTERS = 200
"""So much of a text is always kept: less would not be that text."""


def cut(text: str, most: int) -> str:
    """So many characters of a text, from its beginning and its end."""
    if len(text) <= most:
        return text
    return text[: most - most // 2] + LEFT_OUT + text[len(text) - most // 2 :]


def filled(messages: Sequence[Message], texts: Sequence[str]) -> list[Message]:
    """Messages with the texts in the place of their marks, in order."""
    rest = iter(texts)
    result = []
    for message in messages:
        begin, *others = message.content.split(TEXT_MARK)
        content = begin + "".join(next(rest, TEXT_MARK) + other for other in others)
        result.append(message.model_copy(update={"content": content}))
    return result
