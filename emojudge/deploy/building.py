"""From a model file to a generation: staged, checked as a copy, and renamed into place."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from emojudge import clock
from emojudge.deploy.audit import Origin
from emojudge.deploy.candidate_gates import (
    TryModel,
    hash_gate,
    size_gate,
    structure_gate,
    trial_gates,
)
from emojudge.deploy.gates import require_integrity
from emojudge.deploy.generation import MANIFEST_NAME, CoreFile, Generation, Manifest
from emojudge.deploy.layout import CoreLayout
from emojudge.deploy.places import MODEL_MODE, mode_in
from emojudge.deploy.progress import Going, Progress
from emojudge.deploy.staging import shards_of, stage
from emojudge.domain import Specs
from emojudge.errors import DeployError
from emojudge.paths import write_durably

_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Incoming:
    """A model that is to become a generation. ``expected_sha256`` None: whatever it is."""

    path: Path
    name: str
    expected_sha256: tuple[str, ...] | None = None
    emotional_degradation: float | None = None
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True)
class Built:
    """A generation that holds a model, and what it took to have it."""

    generation: Generation
    staged_bytes: int = 0
    staged_seconds: float = 0.0


class Builder:
    """Builds generations. Needs the store's lock."""

    def __init__(
        self, layout: CoreLayout, *, who: str, minimum_size: float, try_model: TryModel | None
    ) -> None:
        """``minimum_size`` in bytes; ``try_model`` None leaves weights and smoke unknown."""
        self._layout = layout
        self._who = who
        self._minimum_size = minimum_size
        self._try_model = try_model

    def build(self, incoming: Incoming, template: str | None, progress: Progress) -> Built:
        """Stage, check the staged files, and rename them into a generation.

        ``template`` is the chat template that was seen before. Raises DeployError, or OSError;
        then nothing of it is left but what a crash leaves for the next clean-up.
        """
        shards = shards_of(incoming.path)
        transaction = self._layout.begin_staging()
        try:
            started = time.monotonic()
            files = stage(shards, transaction, progress)
            seconds = time.monotonic() - started
            specs = self._check(files, transaction, incoming, progress)
            if specs.chat_template != template:
                raise DeployError(
                    f"{incoming.path} changed while it was looked at. Wait until it is complete, "
                    "then try again; the core in use is untouched."
                )
            progress(Going("putting it in place"))
            generation = self._seal(transaction, incoming, files, specs)
            return Built(generation, sum(file.size for file in files), seconds)
        finally:
            shutil.rmtree(transaction, ignore_errors=True)

    def _check(
        self,
        files: tuple[CoreFile, ...],
        transaction: Path,
        incoming: Incoming,
        progress: Progress,
    ) -> Specs:
        """The integrity gates, on the staged files. Raises DeployError."""
        progress(Going("checking what was copied"))
        staged = [transaction / file.name for file in files]
        size = sum(file.size for file in files)
        require_integrity([hash_gate(files, incoming.expected_sha256)])
        structure, specs = structure_gate(staged)
        require_integrity([structure, size_gate(size, self._minimum_size)])
        assert specs is not None
        progress(Going("loading it in the sandbox"))
        require_integrity(trial_gates(staged, specs, size, self._try_model))
        return specs

    def _seal(
        self, transaction: Path, incoming: Incoming, files: tuple[CoreFile, ...], specs: Specs
    ) -> Generation:
        number = self._layout.next_number()
        folder = self._layout.new_folder(number, files[0].sha256)
        manifest = Manifest(
            generation=number,
            name=incoming.name,
            model_path=str(folder.absolute() / files[0].name),
            quantization_method=specs.quantization,
            size_mb=round(sum(file.size for file in files) / _MEGABYTE, 3),
            emotional_degradation=incoming.emotional_degradation,
            last_updated=clock.stamp(),
            replacement_checksum=files[0].sha256,
            files=files,
            by=self._who,
        )
        content = manifest.model_dump_json(indent=2).encode() + b"\n"
        mode = mode_in(MODEL_MODE, self._layout.root)
        write_durably(transaction / MANIFEST_NAME, content, exact_mode=mode)
        return self._layout.seal(transaction, folder)
