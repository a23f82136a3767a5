"""Sentences that have nothing to do with anybody: for padding in exams, and as stand-ins."""

from __future__ import annotations

from itertools import chain, cycle, islice

OFF_TOPIC = (
    "The bus to the harbour stops at the corner by the old bakery.",
    "Most of the tiles in the station hall were laid before the war.",
    "A ladder is kept behind the door of the boiler room.",
    "The river is narrow there, and barges pass it slowly.",
    "Copper pipes are joined with a ring and a little paste.",
    "In the north of the country the fields are bordered with stones.",
    "The museum keeps its maps in wide flat drawers.",
    "Paint of this kind dries best in a room that is not too warm.",
    "There is a small window above the stairs, and it faces the yard.",
    "The shop sells string, nails, lamp oil and paper.",
    "Trains on this line are made up of green and grey carriages.",
    "The roof of the market is held by iron columns.",
    "A post stands at each end of the bridge.",
    "The factory made buttons, and later handles for drawers.",
    "Clay from the pit was carried to the kiln in carts.",
    "The table in the office has a drawer on either side.",
    "Some of the trees along the canal are older than the houses.",
    "The path turns left behind the mill and goes on to the quarry.",
    "The clock on the town hall is wound on the first day of the week.",
    "Wool of this quality is sold by weight.",
    "The printer used a press that came by ship.",
    "Salt was stored in the lower room, and rope in the upper.",
    "The gate is closed in winter, and the side door is used.",
    "A map of the tram lines hangs beside the counter.",
)
"""Plain statements without digits, feelings or persons."""


def off_topic(count: int, start: int) -> str:
    """So many of these sentences in a row, from a place on that ``start`` chooses."""
    begin = start % len(OFF_TOPIC)
    return " ".join(islice(cycle(OFF_TOPIC), begin, begin + count))


def stand_in(length: int, start: int) -> str:
    """About ``length`` characters of these sentences, ending with a whole word and a full stop."""
    begin = start % len(OFF_TOPIC)
    text = ""
    for word in chain.from_iterable(one.split() for one in islice(cycle(OFF_TOPIC), begin, None)):
        if text and len(text) + 1 + len(word) > length:
            break
        text = f"{text} {word}".strip()
    return text.rstrip(".,") + "."
