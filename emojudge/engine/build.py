"""Which llama.cpp is installed, told from its files: nothing of it is loaded."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

LLAMA_CPP_PYTHON = "llama-cpp-python"
_PINNED = f"{LLAMA_CPP_PYTHON}==0.3.36"
INSTALL = f"pip install {_PINNED}"
REBUILD = f"pip install --force-reinstall --no-cache-dir --no-deps {_PINNED}"
_LIBRARY = re.compile(r"libggml-(?P<backend>[a-z]+)(?:-[a-z0-9]+)?\.(?:so|dylib|dll)")
_VERSION = re.compile(r"libggml-base\.(?:so\.)?(?P<version>\d+\.\d+\.\d+)")


@dataclass(frozen=True)
class LlamaBuild:
    """``version`` is the Python package's, ``ggml`` the library's; ``backends`` as in ``CPU``."""

    version: str
    ggml: str | None
    backends: tuple[str, ...]

    def __str__(self) -> str:
        ggml = f", ggml {self.ggml}" if self.ggml else ""
        return f"{LLAMA_CPP_PYTHON} {self.version}{ggml}, {' and '.join(self.backends) or 'static'}"


def llama_build() -> LlamaBuild | None:
    """The installed build, or None when there is none."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or not spec.submodule_search_locations:
        return None
    try:
        version = importlib.metadata.version(LLAMA_CPP_PYTHON)
    except importlib.metadata.PackageNotFoundError:
        version = "of unknown version"
    folder = Path(spec.submodule_search_locations[0]) / "lib"
    return build_of(version, [file.name for file in folder.glob("*")])


def build_of(version: str, names: list[str]) -> LlamaBuild:
    """A build from the names of its libraries."""
    matches = (_LIBRARY.match(name) for name in sorted(names))
    backends = {match["backend"].upper() for match in matches if match} - {"BASE"}
    versions = [match["version"] for name in names if (match := _VERSION.match(name))]
    return LlamaBuild(version, versions[0] if versions else None, tuple(sorted(backends)))
