"""Cutting a reply into sentences, because an emotion lasts for one and a reply may hold several."""

from __future__ import annotations

import unicodedata

import sentencex

_SAYS = frozenset("LNS")
"""Unicode's letters, numbers and symbols (emoji are symbols): the rest is how text is laid out."""


def says_something(text: str) -> bool:
    """Whether a text holds a letter, a number or a symbol, and not only marks and controls."""
    return any(unicodedata.category(character)[0] in _SAYS for character in text)


def sentences(text: str) -> list[str]:
    """The sentences of a text in any language; none of a text that says nothing.

    The rules are sentencex's for English, which know the full stops of other scripts too; what is
    left of a list's numbers and of layout is dropped.
    """
    parts = [part.strip() for part in sentencex.segment("en", text)]
    whole = [part for part in parts if any(one.isalpha() for one in part) or _symbols(part)]
    return whole or [part for part in parts if says_something(part)]


def _symbols(text: str) -> bool:
    return any(unicodedata.category(character)[0] == "S" for character in text)
