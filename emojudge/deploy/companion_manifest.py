"""The companion's own manifest: six fields of ``model_info``, every other key untouched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from emojudge.deploy.layout import Manifest
from emojudge.errors import DeployError
from emojudge.paths import write_durably

_FIELDS = (
    "model_path",
    "quantization_method",
    "size_mb",
    "emotional_degradation",
    "last_updated",
    "replacement_checksum",
)


def read_companion_manifest(file: Path) -> dict[str, Any]:
    """The file's object; empty if there is none. Raises DeployError if it cannot be kept."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise DeployError(
            f"The companion's manifest {file} cannot be read ({problem}), so it cannot be updated "
            "either. Mend it first; the core in use is untouched."
        ) from problem
    if not isinstance(data, dict) or not isinstance(data.get("model_info", {}), dict):
        raise DeployError(f"The companion's manifest {file} does not hold a JSON object.")
    return data


def update_companion_manifest(file: Path, manifest: Manifest) -> None:
    """Set the six fields. Raises DeployError."""
    data = read_companion_manifest(file)
    fields = manifest.model_dump(mode="json", include=set(_FIELDS))
    data.setdefault("model_info", {}).update({name: fields[name] for name in _FIELDS})
    write_durably(file, (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode())
