"""The live line about AI and rater, as parts with their voices: for screens and for plain lines."""

from __future__ import annotations

from emojudge.ranking.agreement import OrderAgreement
from emojudge.ranking.verdict import score_text
from emojudge.sections import Voice
from emojudge.text import counted


def agreement_parts(agreement: OrderAgreement, items: int) -> list[tuple[str, Voice]]:
    """Share with its interval, ceiling and τ; ``items`` are those that the rater counts.

    Only for an agreement that has a share.
    """
    assert agreement.share is not None
    parts = [
        ("AI", Voice.AI),
        (" vs ", Voice.DIM),
        ("you", Voice.PEOPLE),
        (" · ", Voice.DIM),
        (counted(items, "item"), Voice.PLAIN),
        (" · same order ", Voice.DIM),
        (f"{agreement.share.value:.0%}", Voice.STRONG),
    ]
    if agreement.share.interval is not None:
        low, high = agreement.share.interval
        parts.append((f" [{100 * low:.0f}–{100 * high:.0f}]", Voice.PLAIN))
    if agreement.ceiling is not None:
        parts += [(" of at most ", Voice.DIM), (f"{agreement.ceiling.value:.0%}", Voice.PLAIN)]
    if agreement.tau is not None:
        parts += [(" · τ ", Voice.DIM), (score_text(agreement.tau.value), Voice.PLAIN)]
    return parts
