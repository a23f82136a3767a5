"""Generations: a core on disk with its manifest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from emojudge.deploy.own_errors import in_words
from emojudge.domain import ModelFile, combined_sha256
from emojudge.errors import DeployError
from emojudge.frozen import Frozen
from emojudge.paths import read_small_file
from emojudge.text import visible_line

MANIFEST_NAME = "manifest.json"
_SHA_PREFIX = 12
_MANIFEST_BYTES = 1_000_000
_NAME_LENGTH = 200
_FOLDER_NAME = re.compile(rf"(?P<number>\d{{1,9}})-(?P<prefix>[0-9a-f]{{{_SHA_PREFIX}}})")


class CoreFile(Frozen):
    """One file of a core; split sets have several."""

    name: str
    size: int
    sha256: str


class Manifest(Frozen):
    """``manifest.json`` of a generation. ``model_path`` is what the companion opens."""

    generation: int
    name: str
    model_path: str
    quantization_method: str
    size_mb: float
    emotional_degradation: float | None
    last_updated: str
    replacement_checksum: str
    files: tuple[CoreFile, ...]
    by: str

    @property
    def sha256(self) -> str:
        """The file's digest; of a split model, the digest of its files' digests."""
        return combined_sha256([file.sha256 for file in self.files])


class Generation(Frozen):
    """A core on disk with its manifest."""

    number: int
    folder: str
    manifest: Manifest

    @property
    def folder_name(self) -> str:
        """The name of its folder, ``<number>-<sha256 prefix>``."""
        return Path(self.folder).name

    @property
    def model(self) -> Path:
        """Its model, or the first file of a split one."""
        return Path(self.folder) / self.manifest.files[0].name

    @property
    def size(self) -> int:
        """Bytes of its model."""
        return sum(file.size for file in self.manifest.files)

    def missing_files(self) -> list[str]:
        """Its files that are not there in their full size."""
        folder = Path(self.folder)
        return [
            file.name
            for file in self.manifest.files
            if (folder / file.name).is_symlink()
            or not (folder / file.name).is_file()
            or (folder / file.name).stat().st_size != file.size
        ]

    def holds(self, files: Iterable[CoreFile | ModelFile]) -> bool:
        """Whether this generation's model is exactly these files."""
        return [one.sha256 for one in self.manifest.files] == [one.sha256 for one in files]

    def require_whole(self) -> None:
        """Raise DeployError unless a companion that follows the manifest finds a whole model."""
        missing = self.missing_files()
        if missing:
            raise DeployError(
                f"Generation {self.number} is not whole: {missing[0]} is missing, cut short or a "
                "symbolic link. Promote its model again, or restore another generation."
            )
        named = Path(self.manifest.model_path)
        if named.resolve() != self.model.resolve():
            raise DeployError(
                f"The manifest of generation {self.number} points elsewhere: it names {named}, and "
                f"its model is {self.model}. A store stays where it was made. If it was moved, "
                "move it back, or begin a new one: set active_dir and backup_dir to new folders, "
                "then `emojudge deploy adopt` the core's model. If it was not moved, the manifest "
                "was changed by hand: restore another generation."
            )


def folder_name(number: int, sha256: str) -> str:
    """The folder name of a generation."""
    return f"{number}-{sha256[:_SHA_PREFIX]}"


def number_in(name: str) -> int | None:
    """The number in a generation's folder name; None for any other name.

    >>> number_in("12-0123456789ab"), number_in("incoming")
    (12, None)
    """
    match = _FOLDER_NAME.fullmatch(name)
    return int(match["number"]) if match else None


def name_beside(model: Path) -> str:
    """What the model of a store, or of a generation's copy, is called; any other by its file.

    There every model file is named alike, and the manifest beside it says what it is. One that
    is no regular file, too large, of another model, or calls it something odd is not believed.
    """
    try:
        content = read_small_file(model.parent / MANIFEST_NAME, _MANIFEST_BYTES)
        manifest = Manifest.model_validate_json(content)
        size = model.stat().st_size
    except (OSError, ValidationError):
        return model.stem
    described = any((one.name, one.size) == (model.name, size) for one in manifest.files)
    fit = manifest.name == visible_line(manifest.name) and 0 < len(manifest.name) <= _NAME_LENGTH
    return manifest.name if described and fit else model.stem


def read_generation(folder: Path) -> Generation:
    """Parse one generation. Raises DeployError."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST_NAME).read_bytes())
    except (OSError, ValidationError) as problem:
        raise DeployError(
            f"The generation {folder} has no readable manifest ({in_words(problem)}). The core in "
            "use is not affected unless it is this one; restore another generation."
        ) from problem
    if number_in(folder.name) != manifest.generation or not manifest.files:
        raise DeployError(f"The generation folder {folder} does not match its manifest.")
    if any("/" in file.name or file.name in {"", ".", ".."} for file in manifest.files):
        raise DeployError(f"The manifest in {folder} names files outside it; it was changed.")
    return Generation(number=manifest.generation, folder=str(folder), manifest=manifest)
