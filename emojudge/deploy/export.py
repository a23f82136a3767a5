"""Real copies of a generation for another disk, and looking whether all are still whole."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from emojudge.deploy.copying import copy_file, hash_file
from emojudge.deploy.generation import MANIFEST_NAME, Generation
from emojudge.deploy.progress import Going, Progress
from emojudge.deploy.staging import require_space
from emojudge.errors import DeployError, DeployUsageError
from emojudge.paths import fsync_folder, write_durably


@dataclass(frozen=True)
class Scrubbed:
    """What re-hashing one generation found; ``wrong`` is empty for a whole one."""

    number: int | None
    name: str
    size: int
    wrong: str


def export_generation(generation: Generation, target: Path, progress: Progress) -> list[Path]:
    """Copy a generation's files and manifest into a new or empty folder; returns the models.

    The manifest there names the copies. Raises DeployError when the folder holds something, and
    when a file is not what the manifest says.
    """
    generation.require_whole()
    target = target.resolve()
    try:
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise DeployUsageError(f"{target} is not empty. Name a new folder to export to.")
        require_space(target, generation.size)
        return _copy_all(generation, target, progress)
    except OSError as problem:
        raise DeployError(
            f"Exporting to {target} failed: {problem.strerror}. What is there is not complete; "
            "remove it. The store is untouched."
        ) from problem


def _copy_all(generation: Generation, target: Path, progress: Progress) -> list[Path]:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(Going("copying and hashing", done, generation.size))

    copies = []
    for file in generation.manifest.files:
        source = os.open(Path(generation.folder) / file.name, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            copy = copy_file(source, target / file.name, advance)
        finally:
            os.close(source)
        if copy.sha256 != file.sha256:
            (target / file.name).unlink()
            raise DeployError(
                f"{file.name} of generation {generation.number} is damaged: its sha256 is "
                f"{copy.sha256[:12]}…, {file.sha256[:12]}… was written. It was not exported; "
                "promote its model again."
            )
        copies.append(target / file.name)
    manifest = generation.manifest.model_copy(update={"model_path": str(copies[0])})
    write_durably(target / MANIFEST_NAME, manifest.model_dump_json(indent=2).encode() + b"\n")
    fsync_folder(target)
    return copies


def scrub(generations: list[Generation], progress: Progress) -> list[Scrubbed]:
    """Hash every file of every generation and compare it with its manifest."""
    total = sum(one.size for one in generations)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(Going("hashing", done, total))

    def wrong_with(one: Generation) -> str:
        try:
            one.require_whole()
        except DeployError as problem:
            return str(problem)
        for file in one.manifest.files:
            try:
                found = hash_file(Path(one.folder) / file.name, advance)
            except OSError as problem:
                return f"{file.name} cannot be read: {problem.strerror}"
            if found != file.sha256:
                return f"{file.name} is damaged: its sha256 is {found[:12]}… now"
        return ""

    return [
        Scrubbed(one.number, one.manifest.name, one.size, wrong_with(one)) for one in generations
    ]
