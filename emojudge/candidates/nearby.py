"""GGUF files that lie nearby, to start a study from: this folder's, and other programs' stores.

Nothing is read but names, sizes and Ollama's manifests; what the files hold is for discovery.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from emojudge.candidates.discover import SPLIT_NAME, scan
from emojudge.text import counted, human_bytes, short_names, visible_line

_LOG = logging.getLogger(__name__)
_DEPTH = 3
_MOST_ENTRIES = 5_000
_MOST_MANIFEST = 1 << 20
_NOT_LOOKED_INTO = {"node_modules", "site-packages", "generations", "incoming"}
_NO_LANGUAGE_MODEL = ("mmproj", "imatrix")
_OLLAMA_SERVICE = Path("/usr/share/ollama/.ollama/models")
_OLLAMA_MODEL = "application/vnd.ollama.image.model"


@dataclass(frozen=True)
class NearbyModel:
    """A model's files in the order of their shards, ``size`` bytes together."""

    name: str
    files: tuple[Path, ...]
    size: int


@dataclass(frozen=True)
class Nearby:
    """Models that belong together. ``folder`` is a candidate folder as it stands, or None where
    another program keeps them under names of its own."""

    title: str
    folder: Path | None
    models: tuple[NearbyModel, ...]

    @property
    def size(self) -> int:
        """Bytes of all models."""
        return sum(one.size for one in self.models)

    def __str__(self) -> str:
        names = short_names([one.name for one in self.models])
        said = visible_line(", ".join(names.values()))
        return f"{counted(len(self.models), 'model')}, {human_bytes(self.size)}: {said}"


def find_nearby(here: Path, environment: Mapping[str, str] = os.environ) -> list[Nearby]:
    """Ladders first, those of this folder before those of other programs' stores.

    A store that may not be read has nothing to offer.
    """
    home = Path(environment.get("HOME", "~")).expanduser()
    found: list[Nearby] = []
    pass1 = here.resolve().parent / "quant_pass1" / "models"
    own = environment.get("OLLAMA_MODELS")
    ollama = [Path(own)] if own else [home / ".ollama" / "models", _OLLAMA_SERVICE]
    stores: tuple[Callable[[], list[Nearby]], ...] = (
        partial(_in_folders, here, "this folder"),
        partial(_in_folders, pass1, "Pass 1"),
        partial(_hugging_face, environment, home),
        partial(_lm_studio, home / ".lmstudio" / "models"),
        partial(_lm_studio, home / ".cache" / "lm-studio" / "models"),
        *(partial(_ollama, root) for root in ollama),
    )
    for look in stores:
        try:
            found += look()
        except OSError as problem:
            _LOG.info("not looked into: %s", problem)
    # Sorting is stable: within a kind, nearer ones stay before farther ones.
    return sorted(found, key=lambda one: len(one.models) < 2)


def models_in(folder: Path) -> Nearby:
    """A candidate folder as somebody names it, with the names that discovery will give.

    Raises OSError where it may not be read.
    """
    models = [
        NearbyModel(one.name, tuple(one.shards), sum(file.stat().st_size for file in one.shards))
        for one in scan(folder)[0]
        if _may_speak(one.name)
        and not one.folder.name.startswith(".")
        and not any(file.is_symlink() or not file.is_file() for file in one.shards)
    ]
    return Nearby(str(folder), folder, tuple(models))


def hub_folder(environment: Mapping[str, str] = os.environ, home: Path | None = None) -> Path:
    """Where Hugging Face's library keeps what it fetched, told without importing it."""
    cache = environment.get("HF_HUB_CACHE")
    base = environment.get("HF_HOME") or (home or Path.home()) / ".cache" / "huggingface"
    return Path(cache) if cache else Path(base) / "hub"


def _may_speak(name: str) -> bool:
    """By its name; projectors and importance matrices lie beside models."""
    return not any(one in name.lower() for one in _NO_LANGUAGE_MODEL)


def _models(files: list[tuple[str, Path]]) -> tuple[NearbyModel, ...]:
    """Group (name, file) into models; shards of a split set are one."""
    groups: dict[str, list[Path]] = {}
    for name, file in sorted(files):
        if _may_speak(name):
            split = SPLIT_NAME.fullmatch(name)
            stem = split["stem"] if split else name.removesuffix(".gguf")
            groups.setdefault(stem, []).append(file)
    return tuple(
        NearbyModel(name, tuple(paths), sum(one.stat().st_size for one in paths))
        for name, paths in groups.items()
    )


def _ggufs(root: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """Regular GGUF files below ``root``; other programs' folders and hidden ones are left out."""
    left = _MOST_ENTRIES
    waiting = [(root, 0)]
    while waiting and left > 0:
        folder, level = waiting.pop(0)
        try:
            entries = sorted(os.scandir(folder), key=lambda one: one.name)
        except OSError:
            # What may not be read cannot be offered.
            continue
        for entry in entries:
            left -= 1
            if entry.is_file(follow_symlinks=False) and entry.name.endswith(".gguf"):
                yield Path(entry.path)
            elif (
                level < depth
                and entry.is_dir(follow_symlinks=False)
                and not entry.name.startswith(".")
                and entry.name not in _NOT_LOOKED_INTO
            ):
                waiting.append((Path(entry.path), level + 1))


def _in_folders(root: Path, where: str) -> list[Nearby]:
    """A folder of files, or of folders that hold a model each, is a candidate folder."""
    folders: dict[Path, list[Path]] = {}
    for file in _ggufs(root):
        folders.setdefault(file.parent, []).append(file)
    chosen: dict[Path, None] = {}
    for folder, files in folders.items():
        alone = len(_models([(one.name, one) for one in files])) == 1 and folder != root
        beside = [other for other in folders if other.parent == folder.parent and other != folder]
        chosen[folder.parent if alone and beside else folder] = None
    found = []
    for folder in chosen:
        below = "" if folder == root else f": {folder.relative_to(root)}"
        own = models_in(folder)
        if own.models:
            found.append(Nearby(visible_line(f"{where}{below}"), folder, own.models))
    return found


def _hugging_face(environment: Mapping[str, str], home: Path) -> list[Nearby]:
    """Repositories in Hugging Face's cache, whose snapshots are links to blobs."""
    found = []
    for repository in sorted(hub_folder(environment, home).glob("models--*")):
        files = {}
        for file in sorted(repository.glob("snapshots/*/*.gguf")):
            blob = file.resolve()
            if blob.is_file():
                files[file.name] = blob
        if any(map(_may_speak, files)):
            name = repository.name.removeprefix("models--").replace("--", "/")
            title = visible_line(f"Hugging Face: {name}")
            found.append(Nearby(title, None, _models(list(files.items()))))
    return found


def _lm_studio(root: Path) -> list[Nearby]:
    found = []
    for folder in sorted(path for path in root.glob("*/*") if path.is_dir()):
        files = [(one.name, one) for one in folder.glob("*.gguf") if not one.is_symlink()]
        models = _models(files)
        if models:
            title = visible_line(f"LM Studio: {folder.relative_to(root)}")
            # A ladder would be written beside another program's own files.
            found.append(Nearby(title, folder if len(models) > 1 else None, models))
    return found


def _ollama(root: Path) -> list[Nearby]:
    """Models of one name with different tags are a ladder; the blobs carry no names."""
    found = []
    manifests = (root / "manifests").glob("*/*/*/*")
    for folder in sorted({file.parent for file in manifests if file.is_file()}):
        files = []
        for manifest in sorted(folder.iterdir()):
            blob = _ollama_blob(root, manifest)
            if blob is not None:
                files.append((f"{folder.name}-{manifest.name}.gguf", blob))
        if files:
            title = visible_line(f"Ollama: {folder.name}")
            found.append(Nearby(title, None, _models(files)))
    return found


def _ollama_blob(root: Path, manifest: Path) -> Path | None:
    """The file of a manifest's model, or None where there is none to be had."""
    try:
        if manifest.stat().st_size > _MOST_MANIFEST:
            return None
        layers = json.loads(manifest.read_text())["layers"]
        digest = next(one["digest"] for one in layers if one["mediaType"] == _OLLAMA_MODEL)
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        # Not a manifest of a model: nothing to offer.
        return None
    name = str(digest).replace(":", "-")
    blob = root / "blobs" / name
    return blob if "/" not in name and blob.is_file() and not blob.is_symlink() else None
