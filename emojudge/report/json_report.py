"""The JSON report and the model comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emojudge import __version__
from emojudge.domain import human_score
from emojudge.sections import ReportKey, Section
from emojudge.text import without_thinking
from emojudge.view import StudyView


def is_complete(phases_completed: Sequence[str]) -> bool:
    """Whether every phase that a final ranking needs is done."""
    return {"ai-judge", "human-judge", "rank"} <= set(phases_completed)


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
        }
    }
    for key in ReportKey:
        report[key.value] = {
            section.name: section.data for section in sections if section.report_key is key
        }
    return report


def build_comparisons(view: StudyView) -> dict[str, Any]:
    """Every prompt with all responses, their AI scores and what people said of them."""
    ratings: dict[str, list[dict[str, Any]]] = {}
    for item in view.counted_items:
        for rating in item.ratings:
            ratings.setdefault(rating.response_id, []).append(
                {
                    "rater": item.rater,
                    "scores": {name.value: score for name, score in rating.scores.items()},
                    "score": human_score(rating.scores, view.criteria_weights),
                    "comment": rating.comment,
                }
            )
    by_prompt: dict[str, list[dict[str, Any]]] = {}
    for response in view.responses:
        by_prompt.setdefault(response.prompt_id, []).append(
            {
                "candidate": view.by_sha[response.candidate].name,
                "sample": response.sample,
                "text": without_thinking(response.text),
                "finish": response.finish,
                "tokens": response.tokens,
                "ai_score": view.ai_scores.get(response.id),
                "ratings": ratings.get(response.id, []),
            }
        )
    return {
        "prompts": [
            {
                "id": prompt.id,
                "category": prompt.category,
                "complexity": prompt.complexity,
                "messages": [message.model_dump() for message in prompt.messages],
                "responses": by_prompt.get(prompt.id, []),
            }
            for prompt in view.prompts
        ]
    }
