"""What the judges' sections have in common: figures as text and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from emojudge.domain import Candidate
from emojudge.estimates import Estimate
from emojudge.judges.emotional_judge import PART as ENSEMBLE
from emojudge.judges.judge import shares_of
from emojudge.sections import Interval, Voice
from emojudge.view import StudyView


def finite(value: float | None) -> float | None:
    """JSON has neither infinities nor NaN."""
    return None if value is None or not math.isfinite(value) else float(value)


def estimate_data(estimate: Estimate | None) -> dict[str, Any] | None:
    """An estimate for JSON; None where there is no finite value."""
    if estimate is None or not math.isfinite(estimate.value):
        return None
    ends = estimate.interval
    return {
        "value": float(estimate.value),
        "interval": None if ends is None else [finite(end) for end in ends],
        "n": int(estimate.count),
    }


def interval_cell(estimate: Estimate, factor: float, decimals: int) -> Interval | None:
    """An estimate's interval, in units of 1 / factor."""
    if estimate.interval is None:
        return None
    low, high = (factor * end for end in estimate.interval)
    return Interval(rounded(low, decimals), rounded(high, decimals), decimals)


def rounded(value: float, decimals: int) -> float:
    """What is shown as 0 has no sign."""
    return round(value, decimals) + 0.0


def number_text(value: float, decimals: int, *, signed: bool = False) -> str:
    """With a real minus sign."""
    sign = "+" if signed else ""
    return f"{rounded(value, decimals):{sign}.{decimals}f}".replace("-", "−")


def percent_text(value: float, decimals: int = 1) -> str:
    """A share as a percentage."""
    return f"{number_text(100 * value, decimals)}%"


def listed(words: Iterable[str]) -> str:
    """``a, b and c``."""
    *rest, last = words
    return f"{', '.join(rest)} and {last}" if rest else last


def ai_in_words(view: StudyView) -> str:
    """What the AI score is of: likeness alone, or also the ensemble's scores where it counts."""
    shares = shares_of(view.part_scores, view.config.ai_scoring)
    if not shares.get(ENSEMBLE):
        return "likeness to the baseline, which is 1 against itself; it says nothing of quality"
    if len([share for share in shares.values() if share]) == 1:
        return "what judges say of the responses, from 0 to 1"
    share = percent_text(shares[ENSEMBLE], 0)
    return f"{share} what judges say (0 to 1), the rest likeness to the baseline, 1 against itself"


def baseline_of(view: StudyView) -> Candidate | None:
    """The candidate that everything is measured against."""
    return next((one for one in view.candidates if one.is_baseline), None)


def baseline_first(view: StudyView) -> list[Candidate]:
    """All candidates, the baseline before the others."""
    return sorted(view.candidates, key=lambda one: not one.is_baseline)


def voice_of(candidate: Candidate) -> Voice:
    """The baseline is dim everywhere."""
    return Voice.BASELINE if candidate.is_baseline else Voice.PLAIN
