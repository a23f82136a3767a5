"""What a run was made of, as hashes and versions: by them a reader can tell a repeat of it."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from emojudge import __version__
from emojudge.config import Config
from emojudge.domain import Candidate, Prompt, RatedItem, stable_hash
from emojudge.view import StudyView

DECIDING_PACKAGES = (
    "llama-cpp-python",
    "numpy",
    "scipy",
    "scikit-learn",
    "evalica",
    "krippendorff",
    "sentence-transformers",
    "transformers",
    "tokenizers",
    "torch",
)
"""Packages whose version can change a figure."""
_SHA256_DIGITS = 64


def fingerprint(value: Any) -> str:
    """The sha256 (64 hex digits) of a JSON value in canonical form.

    Canonical is UTF-8 without spaces, keys in order: Python's ``json.dumps`` with
    ``sort_keys=True, ensure_ascii=False, separators=(",", ":")``.
    """
    return stable_hash(value, _SHA256_DIGITS)


def fingerprint_of_all(values: Iterable[Any]) -> str:
    """The fingerprint of the sorted list of the values' fingerprints: their order is no matter."""
    return fingerprint(sorted(fingerprint(value) for value in values))


def config_sha256(config: Config) -> str:
    """Of the effective config: what the file says, and the defaults for the rest."""
    return fingerprint(config.model_dump(mode="json", by_alias=True))


def prompts_sha256(prompts: Sequence[Prompt]) -> str:
    """Of the prompts that are used, whatever their order in the file."""
    return fingerprint_of_all(prompt.model_dump(mode="json") for prompt in prompts)


def ratings_sha256(rated: Sequence[RatedItem]) -> str:
    """Of submitted and skipped items with everything that was said in them."""
    return fingerprint_of_all(item.model_dump(mode="json") for item in rated)


@lru_cache(maxsize=1)
def package_versions() -> dict[str, str | None]:
    """The installed versions of :data:`DECIDING_PACKAGES`; None where one is not installed."""

    def version(name: str) -> str | None:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    return {name: version(name) for name in DECIDING_PACKAGES}


def _identity(candidate: Candidate) -> dict[str, Any]:
    files = [
        {"name": Path(file.path).name, "size_bytes": file.size, "sha256": file.sha256}
        for file in candidate.files
    ]
    return {
        "name": candidate.name,
        "sha256": candidate.sha256,
        "size_bytes": candidate.size,
        "is_baseline": candidate.is_baseline,
        "files": files,
    }


def provenance_of(view: StudyView) -> dict[str, Any]:
    """Everything that a repeat of the run needs to be compared by, as JSON; computed once a view.

    ``responses_sha256`` covers ids and texts, not times: a repeat on another machine can have it.
    An id covers the model, the prompt, the sampling settings, the seed and the engine's version.
    """
    kept = view.memo.get("provenance")
    if not isinstance(kept, dict):
        kept = view.memo["provenance"] = _provenance(view)
    return kept


def _provenance(view: StudyView) -> dict[str, Any]:
    return {
        "emojudge": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": package_versions(),
        "seed": view.seed,
        "engines": sorted({one.engine for one in view.responses}),
        "batch_widths": sorted({one.batch_width for one in view.responses}),
        "config_sha256": config_sha256(view.config),
        "prompts": len(view.prompts),
        "prompts_sha256": prompts_sha256(view.prompts),
        "candidates": [_identity(one) for one in view.candidates],
        "responses": len(view.responses),
        "responses_sha256": fingerprint_of_all([one.id, one.text] for one in view.responses),
        "judgements": len(view.judgements),
        "judgements_sha256": fingerprint_of_all([one.id, one.figures] for one in view.judgements),
        "rated_items": len(view.rated),
        "ratings": sum(len(one.ratings) for one in view.rated),
        "ratings_sha256": ratings_sha256(view.rated),
    }
