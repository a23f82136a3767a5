"""Text from outside, made harmless to show.

Model files and model output are untrusted: a name may hold terminal escapes, a response may hold
bidirectional overrides that make a screen lie.
"""

from __future__ import annotations

import re
import unicodedata

# Joiners shape emoji and several scripts; they change no order and hide no text.
_HARMLESS_FORMAT = frozenset("\u200c\u200d\u00ad")
_TAB_WIDTH = 4
_SUSPECT = re.compile(r"[^\x20-\x7e\n]")
_THINK_OPEN = "<think>"
_THINK_CLOSE = "</think>"


def _visible_character(character: str) -> str:
    if character in "\n" or character in _HARMLESS_FORMAT:
        return character
    if character == "\t":
        return " " * _TAB_WIDTH
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}:
        return f"⟨U+{code:04X}⟩"
    return character


def visible(text: str) -> str:
    """Return ``text`` with every control, escape, bidi and private character made visible.

    Newlines stay; a carriage return before a newline is dropped.
    """
    unified = text.replace("\r\n", "\n")
    return _SUSPECT.sub(lambda match: _visible_character(match.group()), unified)


def visible_line(text: str) -> str:
    """Like :func:`visible`, on one line: for names, titles and table cells."""
    return visible(text).replace("\n", "⏎")


def without_thinking(raw: str) -> str:
    """Return what is meant to be read of a (possibly unfinished) model output.

    A leading ``<think>…</think>`` block is left out; while it is still open, or while the output
    so far could still become its opening tag, nothing is shown.
    """
    body = raw.lstrip()
    if body.startswith(_THINK_OPEN):
        _, closed, rest = body.partition(_THINK_CLOSE)
        return rest.lstrip() if closed else ""
    if body and _THINK_OPEN.startswith(body):
        return ""
    return body


def human_bytes(count: float) -> str:
    """``145_000_000`` → ``145 MB`` (decimal units, as model pages use them)."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.0f} {unit}" if unit != "GB" else f"{count:.1f} GB"
        count /= 1000
    return f"{count:.1f} TB"


def human_seconds(seconds: float) -> str:
    """``75`` → ``1 min 15 s``; below ten seconds one decimal."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def shortened(text: str, most: int) -> str:
    """At most so many characters, with a mark where something is missing."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def counted(number: int, noun: str) -> str:
    """``1 item``, ``2 items``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def short_names(names: list[str]) -> dict[str, str]:
    """Map each name to what tells it apart, without the leading part that all share."""
    if len(names) < 2:
        return {name: name for name in names}
    shared = 0
    for column in zip(*names, strict=False):
        if len(set(column)) > 1:
            break
        shared += 1
    prefix = names[0][:shared]
    cut = max((prefix.rfind(mark) for mark in "-._ /"), default=-1) + 1
    short = {name: name[cut:] or name for name in names}
    return short if len(set(short.values())) == len(set(names)) else {name: name for name in names}


def sentence(text: str) -> str:
    """Text that ends as a sentence does, so that another one can follow.

    >>> sentence("no room"), sentence("Why?")
    ('no room.', 'Why?')
    """
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "…", "”")) else f"{text}."
