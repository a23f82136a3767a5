"""From a model file to a generation: staged, checked as a copy, and renamed into place."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
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
from emojudge.deploy.export import scrub
from emojudge.deploy.gates import GateStatus, require_integrity
from emojudge.deploy.generation import MANIFEST_NAME, CoreFile, Generation, Manifest
from emojudge.deploy.layout import CoreLayout
from emojudge.deploy.places import MODEL_MODE, mode_in
from emojudge.deploy.progress import Going, Progress
from emojudge.deploy.staging import shards_of, stage
from emojudge.domain import Specs
from emojudge.errors import DeployError
from emojudge.paths import write_durably

_MEGABYTE = 1_000_000


def _never(sha256: tuple[str, ...]) -> Generation | None:
    """No generation holds it."""
    return None


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
    """A generation that holds a model, and what it took to have it.

    ``untested`` are integrity gates that the config leaves out, for the audit.
    """

    generation: Generation
    staged_bytes: int = 0
    staged_seconds: float = 0.0
    untested: tuple[str, ...] = ()


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

    def again(self, kept: Generation, progress: Progress) -> Built | None:
        """A kept generation once more, through all its gates; None when it is not what it was.

        Raises DeployError when it is, and does not pass them.
        """
        if any(one.wrong for one in scrub([kept], progress)):
            return None
        _, untested = self._check(kept.manifest.files, Path(kept.folder), None, progress)
        return Built(kept, untested=untested)

    def build(
        self,
        incoming: Incoming,
        template: str | None,
        progress: Progress,
        kept_with: Callable[[tuple[str, ...]], Generation | None] = _never,
    ) -> Built:
        """Stage, check the staged files, and rename them into a generation.

        ``template`` is the chat template that was seen before; ``kept_with`` finds a generation
        that holds files of these hashes already, which is used instead. Raises DeployError, or
        OSError; then nothing of it is left but what a crash leaves for the next clean-up.
        """
        shards = shards_of(incoming.path)
        transaction = self._layout.begin_staging()
        try:
            started = time.monotonic()
            files = stage(shards, transaction, progress)
            seconds = time.monotonic() - started
            same = kept_with(tuple(file.sha256 for file in files))
            again = self.again(same, progress) if same is not None else None
            if again is not None:
                return again
            specs, untested = self._check(files, transaction, incoming.expected_sha256, progress)
            if specs.chat_template != template:
                raise DeployError(
                    f"{incoming.path} changed while it was looked at. Wait until it is complete, "
                    "then try again; the core in use is untouched."
                )
            progress(Going("putting it in place"))
            generation = self._seal(transaction, incoming, files, specs)
            size = sum(file.size for file in files)
            return Built(generation, size, seconds, untested)
        finally:
            shutil.rmtree(transaction, ignore_errors=True)

    def _check(
        self,
        files: tuple[CoreFile, ...],
        folder: Path,
        expected: tuple[str, ...] | None,
        progress: Progress,
    ) -> tuple[Specs, tuple[str, ...]]:
        """The integrity gates, on files in the store; which of them were left out.

        Raises DeployError.
        """
        progress(Going("checking the copy"))
        staged = [folder / file.name for file in files]
        size = sum(file.size for file in files)
        require_integrity([hash_gate(files, expected)])
        structure, specs = structure_gate(staged)
        require_integrity([structure, size_gate(size, self._minimum_size)])
        assert specs is not None
        progress(Going("loading it in the sandbox"))
        trial = trial_gates(staged, specs, size, self._try_model)
        require_integrity(trial)
        untested = (gate.name for gate in trial if gate.status is GateStatus.UNKNOWN)
        return specs, tuple(f"{name} (not tried)" for name in untested)

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
