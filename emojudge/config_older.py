"""Keys of older config files: where they went, and which no longer have an effect."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_MOVED: dict[str, str] = {
    "directories.candidate_dir": "candidate_dir",
    "directories.evaluation_prompts": "evaluation_prompts",
    "directories.results_dir": "output_config.results_dir",
    "directories.backup_dir": "replacement_config.backup_dir",
    "judging_config.evaluation_prompts_subset": "performance_config.max_prompts",
    "performance_config.max_parallel_evaluations": "performance_config.parallel_models",
    "performance_config.evaluation_batch_size": "performance_config.batch_size",
    "ai_judging.embedding_model": "judging_config.encoder",
}

_WITHOUT_EFFECT: dict[str, str] = {
    "ai_judging.similarity_threshold": "similarity is reported with its interval, not cut",
    "ai_judging.emotional_dimensions": "the emotion model fixes its own labels",
    "human_judging.require_comments": "comments are always optional",
    "human_judging.show_technical_specs": "blind rating shows no specs",
    "replacement_config.safety_checks": "they are always all on",
    "output_config.report_format": "JSON and HTML are always both available",
    "output_config.include_raw_responses": "responses are always in the study",
    "performance_config.memory_limit_gb": "free memory is measured",
}

LOG_LEVEL_KEY = "logging_config.level"


def _take(data: Json, path: str) -> tuple[bool, Any]:
    """Remove ``path`` from ``data``; the first value says whether it was there."""
    *parents, leaf = path.split(".")
    for parent in parents:
        child = data.get(parent)
        if not isinstance(child, dict):
            return False, None
        data = child
    return (True, data.pop(leaf)) if leaf in data else (False, None)


def _put(data: Json, path: str, value: Any) -> bool:
    """Set ``path`` unless the file already says it the new way."""
    *parents, leaf = path.split(".")
    for parent in parents:
        child = data.setdefault(parent, {})
        if not isinstance(child, dict):
            return False
        data = child
    if leaf in data:
        return False
    data[leaf] = value
    return True


def take_older_keys(data: Json) -> tuple[dict[str, str], str | None, list[str]]:
    """Rewrite older keys of ``data`` in place.

    Returns where each moved value stood in the file (new path → old path), the log level if one
    was set, and the warnings to show.
    """
    moved: dict[str, str] = {}
    warnings: list[str] = []
    for old, new in _MOVED.items():
        present, value = _take(data, old)
        if not present:
            continue
        if _put(data, new, value):
            moved[new] = old
        else:
            warnings.append(f"{old} is ignored, because {new} is set too.")
    for path, why in _WITHOUT_EFFECT.items():
        if _take(data, path)[0]:
            warnings.append(f"{path} is without effect: {why}.")
    _, level = _take(data, LOG_LEVEL_KEY)
    rest = data.pop("logging_config", None)
    if isinstance(rest, dict):
        warnings += [
            f"logging_config.{key} is without effect: the log is pass2_execution.log."
            for key in rest
        ]
    for emptied in ("directories", "ai_judging"):
        if data.get(emptied) == {}:
            del data[emptied]
    return moved, level, warnings
