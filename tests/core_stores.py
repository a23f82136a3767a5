"""Core stores on tiny models for tests, and a checker that knows only the contract on disk."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from emojudge.deploy.building import Incoming
from emojudge.deploy.gates import Gate, passed
from emojudge.deploy.replacer import CoreModelReplacer
from emojudge.engine.trial import Trial
from tests.gguf_files import F16, Q4_0, Q8_0, language_model

PASSED: tuple[Gate, ...] = (passed("ratings", "12 of 10"),)


def speaks(path: Path, *, has_template: bool, size: int) -> Trial:
    """The trial of a model that is well; these files have no weights that llama.cpp could load."""
    return Trial("Hello.", 2, 0.01, 0.01, network_cut=True)


def replacer(folder: Path, **options: object) -> CoreModelReplacer:
    """A replacer of the store ``folder/core``."""
    settings: dict[str, object] = {"who": "ana", "minimum_size_mb": 0, "try_model": speaks}
    return CoreModelReplacer(
        folder / "core",
        folder / "backups",
        **{**settings, **options},  # type: ignore[arg-type]
    )


def write_models(folder: Path) -> dict[str, Path]:
    """Three different tiny models."""
    return {
        name: language_model(kind, fill=fill, rows=4096).write(folder / f"{name}.gguf")
        for fill, (name, kind) in enumerate({"F16": F16, "Q8": Q8_0, "Q4": Q4_0}.items())
    }


def promote(core: CoreModelReplacer, path: Path, **options: object) -> int:
    """Promote a model that passed all gates; returns its generation."""
    incoming = Incoming(path=path, name=path.stem)
    return core.replace(incoming, judgements=PASSED, **options).number  # type: ignore[arg-type]


def current_model(folder: Path) -> bytes:
    """What a companion opens: it knows only the contract, not our code."""
    manifest = json.loads((folder / "core" / "current" / "manifest.json").read_text())
    return Path(manifest["model_path"]).read_bytes()


def check_contract(folder: Path, companion: Path | None = None) -> str:
    """The sha256 of the whole core that ``current`` holds; raises AssertionError otherwise.

    With ``companion``, that manifest must name the same core.
    """
    current = folder / "core" / "current"
    manifest = json.loads((current / "manifest.json").read_text())
    model = Path(manifest["model_path"])
    assert model.resolve().parent == current.resolve()
    found = hashlib.sha256(model.read_bytes()).hexdigest()
    assert found == manifest["replacement_checksum"]
    assert [one["sha256"] for one in manifest["files"]] == [found]
    if companion is not None:
        info = json.loads(companion.read_text())["model_info"]
        assert info["replacement_checksum"] == found
        assert info["model_path"] == manifest["model_path"]
    return found
