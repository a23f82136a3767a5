"""Signs that the baseline itself is broken: everything is measured against it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from emojudge.domain import Candidate
from emojudge.judges.section_parts import percent_text
from emojudge.judges.sentences import says_something
from emojudge.text import counted, without_thinking
from emojudge.view import StudyView

MOST_SILENT = 0.1
"""A larger share of a baseline's responses that say nothing is a fault."""
MIN_PROMPTS = 8
"""With fewer prompts, replies are not compared with replies to others."""
_ERRORS = 3.0
_EVERYTHING = "everything is measured against it"


class BaselineFault(StrEnum):
    """What is wrong with a baseline."""

    FAILED = "failed"
    SILENT = "silent"
    UNRELATED = "unrelated"
    SURPASSED = "surpassed"


@dataclass(frozen=True)
class BaselineFinding:
    """One fault, in a full sentence that ends with what it means."""

    fault: BaselineFault
    sentence: str


def silent_responses(view: StudyView) -> Counter[str]:
    """How many of each candidate's responses say nothing, by sha256."""
    return Counter(
        one.candidate for one in view.responses if not says_something(without_thinking(one.text))
    )


def baseline_findings(view: StudyView) -> tuple[BaselineFinding, ...]:
    """All faults of the view's baseline; none is no proof that it is well."""
    baseline = next((one for one in view.candidates if one.is_baseline), None)
    if baseline is None:
        return ()
    said = {
        BaselineFault.FAILED: _failed(view, baseline),
        BaselineFault.SILENT: _silent(view, baseline),
        BaselineFault.UNRELATED: _unrelated(view, baseline),
        BaselineFault.SURPASSED: _surpassed(view, baseline),
    }
    label = view.labels[baseline.sha256]
    return tuple(
        BaselineFinding(fault, f"{label}, the baseline, {text}; {_EVERYTHING}.")
        for fault, text in said.items()
        if text is not None
    )


def _failed(view: StudyView, baseline: Candidate) -> str | None:
    count = sum(one.candidate == baseline.sha256 for one in view.failures)
    return f"gave no response in {counted(count, 'case')}" if count else None


def _silent(view: StudyView, baseline: Candidate) -> str | None:
    total = sum(one.candidate == baseline.sha256 for one in view.responses)
    silent = silent_responses(view)[baseline.sha256]
    if not total or silent / total <= MOST_SILENT:
        return None
    return f"said nothing in {silent} of {total} responses ({percent_text(silent / total, 0)})"


def _unrelated(view: StudyView, baseline: Candidate) -> str | None:
    check = view.baseline_check
    prompts = {one.prompt_id for one in view.responses if one.candidate == baseline.sha256}
    if check is None or len(prompts) < MIN_PROMPTS:
        return None
    if check.above is not None and check.above[0] > 0:
        return None
    figures = f"mean cosine {check.within:.2f} against {check.between:.2f}".replace("-", "−")
    return (
        "answers anything with the same: its replies to one prompt are not shown to be more alike "
        f"than its replies to different prompts ({figures})"
    )


def _surpassed(view: StudyView, baseline: Candidate) -> str | None:
    """Perplexities compare only between models that cut words into the same tokens."""
    own = view.technical.get(baseline.sha256)
    if own is None or own.perplexity is None or own.perplexity_error is None:
        return None
    better = []
    for one in view.candidates:
        other = view.technical.get(one.sha256)
        if other is None or other.perplexity is None or other.perplexity_error is None:
            continue
        error = math.hypot(own.perplexity_error, other.perplexity_error)
        same_words = one.specs.vocabulary_size == baseline.specs.vocabulary_size
        if same_words and own.perplexity - other.perplexity > _ERRORS * error:
            better.append((other.perplexity, view.labels[one.sha256]))
    if not better:
        return None
    perplexity, label = min(better)
    return (
        f"is the worse language model: its perplexity is {own.perplexity:.1f}, that of {label} "
        f"{perplexity:.1f}"
    )
