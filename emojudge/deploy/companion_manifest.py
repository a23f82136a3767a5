"""The companion's own manifest: six fields of ``model_info``, every other key untouched."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from emojudge.deploy.generation import Manifest
from emojudge.deploy.journal import CompanionBefore
from emojudge.errors import DeployError
from emojudge.paths import fsync_folder, write_durably

_INFO = "model_info"
_FIELDS = (
    "model_path",
    "quantization_method",
    "size_mb",
    "emotional_degradation",
    "last_updated",
    "replacement_checksum",
)
_NEW_FILE_MODE = 0o644


class CompanionManifest:
    """A JSON file of the companion's, which is told which core it has."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> dict[str, Any]:
        """Its object; empty if there is no file. Raises DeployError if it cannot be kept."""
        try:
            if self.file.is_symlink():
                raise DeployError(
                    f"The companion's manifest {self.file} is a symbolic link, which would be "
                    "replaced by a file. Set replacement_config.manifest to the file itself."
                )
            data = json.loads(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as problem:
            raise DeployError(
                f"The companion's manifest {self.file} cannot be read ({problem}), so it cannot "
                "be updated either. Mend it first; the core in use is untouched."
            ) from problem
        if not isinstance(data, dict) or not isinstance(data.get(_INFO, {}), dict):
            raise DeployError(
                f"The companion's manifest {self.file} does not hold a JSON object with an object "
                f"{_INFO!r}. Mend it first; the core in use is untouched."
            )
        return data

    def remember(self) -> CompanionBefore:
        """What it says now of the core, to be put back if the change is taken back."""
        if not self.file.parent.is_dir():
            raise DeployError(
                f"The companion's manifest {self.file} cannot be made, because its folder does not "
                "exist. Make it, or correct replacement_config.manifest; the core in use is "
                "untouched."
            )
        data = self.read()
        info = data.get(_INFO, {})
        return CompanionBefore(
            file=str(self.file.absolute()),
            existed=self.file.exists(),
            had_info=_INFO in data,
            fields={name: info[name] for name in _FIELDS if name in info},
        )

    def update(self, manifest: Manifest) -> None:
        """Set the six fields. Raises DeployError or StoreError."""
        data = self.read()
        fields = manifest.model_dump(mode="json", include=set(_FIELDS))
        data.setdefault(_INFO, {}).update({name: fields[name] for name in _FIELDS})
        self.write(data)

    def write(self, data: dict[str, Any]) -> None:
        """Replace the file, which keeps its mode. Raises StoreError."""
        try:
            mode = stat.S_IMODE(self.file.lstat().st_mode)
        except FileNotFoundError:
            mode = _NEW_FILE_MODE
        content = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
        write_durably(self.file, content.encode(), exact_mode=mode)


def put_back(before: CompanionBefore) -> None:
    """Let a companion's manifest say what it said before a change. Raises as :meth:`update`."""
    companion = CompanionManifest(Path(before.file))
    if not before.existed:
        companion.file.unlink(missing_ok=True)
        fsync_folder(companion.file.parent)
        return
    data = companion.read()
    there = json.dumps(data)
    info = data.setdefault(_INFO, {})
    for name in _FIELDS:
        # Assigned where it stands, so that the order of keys stays as it is.
        if name in before.fields:
            info[name] = before.fields[name]
        else:
            info.pop(name, None)
    if not before.had_info and not info:
        del data[_INFO]
    if json.dumps(data) != there:
        companion.write(data)
