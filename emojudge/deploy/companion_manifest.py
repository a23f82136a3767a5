"""The companion's own manifest: six fields of ``model_info``, every other key untouched."""

from __future__ import annotations

import json
import math
import re
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
_INDENT = re.compile(r"\A\s*\{\r?\n(?P<indent>[ \t]+)\"")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a key stands twice, and one of them would be lost")
    return data


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number that JSON can hold")
    return value


def _parsed(text: str) -> Any:
    """JSON of which nothing would be lost by writing it again. Raises ValueError."""
    return json.loads(text, object_pairs_hook=_once, parse_float=_finite, parse_constant=_finite)


class CompanionManifest:
    """A JSON file of the companion's, which is told which core it has."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def _text(self) -> str | None:
        """What it says; None where there is no file. Raises DeployError."""
        if self.file.is_symlink():
            raise DeployError(
                f"The companion's manifest {self.file} is a symbolic link, which would be "
                "replaced by a file. Set replacement_config.manifest to the file itself."
            )
        try:
            return self.file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as problem:
            raise self._unreadable(problem) from problem

    def _unreadable(self, problem: Exception) -> DeployError:
        return DeployError(
            f"The companion's manifest {self.file} cannot be read ({problem}), so it cannot be "
            "updated either. Mend it first; the core in use is untouched."
        )

    def read(self) -> dict[str, Any]:
        """Its object; empty if there is no file. Raises DeployError if it cannot be kept."""
        text = self._text()
        if text is None:
            return {}
        try:
            data = _parsed(text)
        except ValueError as problem:
            raise self._unreadable(problem) from problem
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
        self._write(data)

    def put_back(self, before: CompanionBefore) -> None:
        """Let it say what it said before a change. Raises DeployError, StoreError or OSError."""
        data = self.read()
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
        if not data and not before.existed:
            # Only ours was in it; what the companion wrote meanwhile would have stayed.
            self.file.unlink(missing_ok=True)
            fsync_folder(self.file.parent)
        elif json.dumps(data) != there:
            self._write(data)

    def _write(self, data: dict[str, Any]) -> None:
        """Replace the file, which keeps its mode, its owner and its indentation."""
        text = self._text()
        mode, owner, indent = _NEW_FILE_MODE, None, "  "
        if text is not None:
            state = self.file.lstat()
            mode, owner = stat.S_IMODE(state.st_mode), (state.st_uid, state.st_gid)
            match = _INDENT.match(text)
            indent = match["indent"] if match else indent
        try:
            content = json.dumps(data, indent=indent, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            # Half of a surrogate pair, which only an escape can hold.
            content = json.dumps(data, indent=indent).encode()
        write_durably(self.file, content + b"\n", exact_mode=mode, owner=owner)
