"""A fixed world for every test: home, time, terminal; real models built once a session."""

from __future__ import annotations

import asyncio
import datetime
import os
import shutil
from pathlib import Path

import pytest

from emojudge import clock
from emojudge.pipeline import setup
from tests.settling import settle

_REPOSITORY = Path(__file__).parent.parent
NOON = datetime.datetime(2026, 11, 3, 12, 0, tzinfo=datetime.UTC)


@pytest.fixture(autouse=True)
def fixed_world(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the person who runs the tests is read or written."""
    home = tmp_path_factory.mktemp("home")
    for name in ("CONFIG", "CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USER", "ana")
    monkeypatch.setenv("LOGNAME", "ana")
    monkeypatch.setenv("TERM", "xterm-256color")
    # Textual reads its own environment when it is imported, which was before this.
    monkeypatch.setattr("textual.constants.TEXTUAL_ANIMATIONS", "none")
    for module in ("app", "pilot"):
        monkeypatch.setattr(f"textual.{module}.wait_for_idle", settle)
    monkeypatch.setenv("PYTHONPATH", str(_REPOSITORY))
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is always noon on 3 November 2026."""
    monkeypatch.setattr(clock, "now", lambda: NOON)


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that holds the demo's ladder, made once for all tests."""
    cache = tmp_path_factory.mktemp("cache")
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(cache)
    try:
        asyncio.run(setup.demo_ladder(lambda text: None))
    finally:
        if before is None:
            del os.environ["XDG_CACHE_HOME"]
        else:
            os.environ["XDG_CACHE_HOME"] = before
    return cache


@pytest.fixture
def ladder(model_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of five real candidates."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(model_cache))
    return next((model_cache / "emojudge" / "ladders").glob("*/models"))


def require_tool(name: str) -> str:
    """The path of a program; without it the test skips, and in CI it fails."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("EMOJUDGE_NO_SKIPS"):
            pytest.fail(f"{name} is not installed, and nothing may skip here")
        pytest.skip(f"{name} is not installed")
    return path
