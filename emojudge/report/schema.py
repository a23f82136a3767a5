"""The JSON Schemas (draft 2020-12) of the report files, shipped beside this module."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def _load(name: str) -> dict[str, Any]:
    text = (resources.files("emojudge.report") / name).read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def report_schema() -> dict[str, Any]:
    """Of ``pass2_complete_report_TIMESTAMP.json``."""
    return _load("report_schema.json")


def comparisons_schema() -> dict[str, Any]:
    """Of ``model_comparisons_TIMESTAMP.json``."""
    return _load("comparisons_schema.json")
