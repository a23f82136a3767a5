"""The JSON report and the model comparisons."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from emojudge import __version__
from emojudge.domain import RatedItem, human_score
from emojudge.provenance import provenance_of
from emojudge.sections import ReportKey, Section
from emojudge.text import without_thinking
from emojudge.view import StudyView

INTERVALS = {
    "deciding_interval": (
        "95% at every look, however often one looks: mixture over a normal prior of standard "
        "deviation settings.prior_sd, variance by leaving out one prompt at a time; null ends are "
        "open"
    ),
    "fixed_n_interval": (
        "95% for one look at a fixed number of items: Student t, variance by leaving out one "
        "prompt at a time; descriptive"
    ),
    "interval": (
        "95%: of losses, order agreements, correlations and slopes Student t over prompts left "
        "out one at a time; of reliabilities between people a bootstrap of responses; null where "
        "too little is there to say"
    ),
    "bradley_terry_interval": (
        "95%: sandwich variance with leverage (HC3); every within-item pair is one vote, not "
        "clustered by prompt"
    ),
    "people_minus_ai.limits": "mean ± 1.96 standard deviations over responses (Bland-Altman)",
}
"""What each kind of interval in the report is."""


def is_complete(phases_completed: Sequence[str]) -> bool:
    """Whether every phase that a final ranking needs is done."""
    return {"ai-judge", "human-judge", "rank"} <= set(phases_completed)


def json_value(value: Any) -> Any:
    """``value`` with null for every NaN and infinity, which JSON cannot say."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: json_value(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(own) for own in value]
    return value


def json_bytes(value: Any) -> bytes:
    """A report as it stands in its file. Raises ValueError on NaN and infinities.

    A lone surrogate (from a file's name) becomes its JSON escape.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode(errors="backslashreplace")


def build_report(
    view: StudyView, sections: Sequence[Section], phases_completed: Sequence[str]
) -> dict[str, Any]:
    """The report's six top keys; each section's data stands under its key by its name."""
    report: dict[str, Any] = {
        "pass2_execution": {
            "emojudge_version": __version__,
            "config": view.config.model_dump(mode="json", by_alias=True),
            "total_candidates": len(view.candidates),
            "phases_completed": list(phases_completed),
            "complete": is_complete(phases_completed),
            "seed": view.seed,
            "intervals": INTERVALS,
            "provenance": provenance_of(view),
        }
    }
    for key in ReportKey:
        report[key.value] = {
            section.name: json_value(section.data)
            for section in sections
            if section.report_key is key and section.data is not None
        }
    return report


def _ratings(view: StudyView, items: Sequence[RatedItem]) -> dict[str, list[dict[str, Any]]]:
    """What was said of each response, by its id."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in items:
        for rating in item.ratings:
            found[rating.response_id].append(
                {
                    "rater": item.rater,
                    "item": item.id,
                    "repeat_of": item.repeat_of,
                    "adaptive": item.adaptive,
                    "scores": {name.value: score for name, score in rating.scores.items()},
                    "score": human_score(rating.scores, view.criteria_weights),
                    "comment": rating.comment,
                }
            )
    return found


def build_comparisons(view: StudyView) -> dict[str, Any]:
    """Every prompt with all responses, their AI scores and what people said of them.

    ``repeats`` are second ratings by the same rater: they measure the rater, and count nowhere.
    """
    ratings, repeats = _ratings(view, view.counted_items), _ratings(view, view.repeats)
    by_prompt: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for response in view.responses:
        parts = {part: own.get(response.id) for part, own in view.part_scores.items()}
        by_prompt[response.prompt_id].append(
            {
                "id": response.id,
                "candidate": view.by_sha[response.candidate].name,
                "sample": response.sample,
                "seed": response.seed,
                "text": without_thinking(response.text),
                "finish": response.finish,
                "tokens": response.tokens,
                "ai_score": json_value(view.ai_scores.get(response.id)),
                "ai_parts": json_value(parts),
                "ratings": ratings.get(response.id, []),
                "repeats": repeats.get(response.id, []),
            }
        )
    provenance = provenance_of(view)
    hashes = ("config_sha256", "prompts_sha256", "responses_sha256", "ratings_sha256")
    return {
        "study": view.config.name,
        "provenance": {name: provenance[name] for name in hashes},
        "prompts": [
            {
                "id": prompt.id,
                "category": prompt.category,
                "complexity": prompt.complexity,
                "messages": [message.model_dump() for message in prompt.messages],
                "responses": by_prompt.get(prompt.id, []),
            }
            for prompt in view.prompts
        ],
    }
