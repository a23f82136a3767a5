"""What Pass 1 wrote beside a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from emojudge.domain import Pass1
from emojudge.paths import read_small_file

METADATA_NAME = "quantization_metadata.json"
CONFIG_NAME = "config.json"
_MOST_BYTES = 1_000_000


def read_pass1(folder: Path) -> tuple[Pass1 | None, str | None]:
    """Read a folder's metadata; returns it (or None) and what is wrong with it (or None).

    Numbers of the wrong kind are left out rather than guessed; a broken file never hides a model.
    """
    file = folder / METADATA_NAME
    try:
        data = json.loads(read_small_file(file, _MOST_BYTES))
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError, RecursionError) as problem:
        return None, f"{METADATA_NAME} cannot be read: {problem}"
    if not isinstance(data, dict):
        return None, f"{METADATA_NAME} does not hold one JSON object"

    def number(key: str) -> float | None:
        value: Any = data.get(key)
        return float(value) if isinstance(value, int | float) and value is not True else None

    def text(key: str) -> str | None:
        value: Any = data.get(key)
        return None if value is None else str(value)

    return (
        Pass1(
            quantization_method=text("quantization_method"),
            emotional_degradation=number("emotional_degradation"),
            compression_ratio=number("compression_ratio"),
            timestamp=text("timestamp"),
        ),
        None,
    )


def write_pass1(
    folder: Path, config: dict[str, Any], quantization_metadata: dict[str, Any]
) -> None:
    """Write a model folder's two JSON files in the Pass 1 layout."""
    for name, content in ((CONFIG_NAME, config), (METADATA_NAME, quantization_metadata)):
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
