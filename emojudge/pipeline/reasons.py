"""The usual reasons of a skip or a flag, by number; anybody's own words do as well."""

from __future__ import annotations

from collections.abc import Sequence

from emojudge.errors import EmojudgeError

SKIP_REASONS = (
    "I cannot tell which is better",
    "all responses are broken",
    "too upsetting to rate",
    "the situation makes no sense",
)
FLAG_REASONS = ("broken text", "says what it is", "harmful", "wrong language", "cut off")


class NoSuchReason(EmojudgeError):
    """A number that stands for no reason."""


def reason_of(said: str, reasons: Sequence[str]) -> str:
    """The reason that a number stands for, else one's own words. Raises NoSuchReason."""
    said = said.strip()
    if not (said.isdecimal() and said.isascii()):
        return said
    if not 0 < int(said) <= len(reasons):
        raise NoSuchReason(f"there is no reason {said}; there are 1 to {len(reasons)}, or words")
    return reasons[int(said) - 1]
