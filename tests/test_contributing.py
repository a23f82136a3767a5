"""CONTRIBUTING says how to add a judge, a metric, a deploy target and a screen; here it is done."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import indent
from types import ModuleType
from typing import Any

import pytest

from emojudge.deploy import targets
from emojudge.judges import plugins
from emojudge.pipeline.results import build_sections
from emojudge.pipeline.study import Study
from tests.core_stores import current_model, promote, replacer, write_models
from tests.studies import well_rated_study, write_study
from tests.test_ensemble import ai_judge, standing

PAGE = Path(__file__).parent.parent / "CONTRIBUTING.md"


def taught(title: str) -> dict[str, Any]:
    """What the Python under a heading of the page defines."""
    section = PAGE.read_text().split(f"### {title}\n", 1)[1].split("\n#", 1)[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    found: dict[str, Any] = {}
    exec(compile(code, f"{PAGE.name}: {title}", "exec"), found)
    return found


def install(
    monkeypatch: pytest.MonkeyPatch, room: ModuleType, group: str, name: str, made: object
) -> None:
    """Let a group have one entry point, as a package's pyproject would."""
    module = ModuleType(f"taught_{name}")
    module.made = made  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, module.__name__, module)
    entry = EntryPoint(name, f"{module.__name__}:made", group)
    others = room.entry_points

    def entry_points(group: str = "", **options: Any) -> Any:
        return [entry] if group == entry.group else others(group=group, **options)

    monkeypatch.setattr(room, "entry_points", entry_points)


async def test_a_judge_and_a_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, plugins, plugins.JUDGES, "calm", taught("A judge")["Calm"])
    install(monkeypatch, plugins, plugins.METRICS, "words", taught("A metric")["Words"])
    judging = {"judges": [{"name": "calm", "plugin": "calm"}], "metrics": ["words"]}
    study = Study(write_study(tmp_path, judging_config=judging))
    await ai_judge(study)
    view = study.view()
    assert standing(study, "calm").model == "plug-in calm"
    assert set(view.judge_scores["calm"]) == {one.id for one in view.responses}
    section = next(one for one in build_sections(view) if one.name == "own_metrics")
    assert set(section.data) == {"words.words"}
    study.close()


def test_a_deploy_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    install(
        monkeypatch,
        targets,
        "emojudge.deploy_targets",
        "pointer",
        taught("A deploy target")["Pointer"],
    )
    models = write_models(tmp_path)
    core = replacer(tmp_path, targets=("pointer",))
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    said = Path("core.path").read_text().strip()
    assert Path(said).read_bytes() == models["Q8"].read_bytes()
    core.rollback()
    assert Path(Path("core.path").read_text().strip()).read_bytes() == models["F16"].read_bytes()
    assert current_model(tmp_path)


_LOOK = """
import asyncio, sys
from pathlib import Path
from emojudge.config_file import load_config
from emojudge.pipeline.study import Study
from tests.test_screens import make_app, screen_text, until

async def main():
    study = Study(load_config(Path(sys.argv[1])))
    app = make_app(study)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.study_is_up)
        await pilot.press("f6")
        await until(pilot, lambda: "raters" in screen_text(app))
        await pilot.pause(0.3)
        print(screen_text(app))
    study.close()

asyncio.run(main())
"""


async def test_a_screen(tmp_path: Path) -> None:
    """The steps that the page names, in a copy of the package."""
    (tmp_path / "study").mkdir()
    study = await well_rated_study(tmp_path / "study")
    study.close()
    root = PAGE.parent
    for name in ("emojudge", "tests"):
        skipped = shutil.ignore_patterns("__pycache__", "__snapshots__")
        shutil.copytree(root / name, tmp_path / "copy" / name, ignore=skipped)
    package = tmp_path / "copy" / "emojudge"
    section = PAGE.read_text().split("### A screen\n", 1)[1].split("\n## ", 1)[0]
    key, up = re.findall(r"```\n(.*?)```", section, re.DOTALL)[:2]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (package / "screens" / "raters.py").write_text(code)

    def edit(file: str, anchor: str, text: str) -> None:
        content = (package / file).read_text()
        assert content.count(anchor) == 1, anchor
        (package / file).write_text(content.replace(anchor, text))

    edit("actions.py", "RESULTS, DEPLOY)", 'RESULTS, DEPLOY, "raters")')
    edit(
        "actions.py",
        "ACTIONS: tuple[Action, ...] = (\n",
        f"ACTIONS: tuple[Action, ...] = (\n    {key}",
    )
    anchor = '        self.add_mode("deploy", lambda: DeployScreen(desk, keymap))\n'
    edit("app.py", anchor, anchor + indent(up, " " * 8))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _LOOK, str(tmp_path / "study")],
        capture_output=True,
        text=True,
        cwd=tmp_path / "copy",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "copy")},
    )
    assert done.returncode == 0, done.stderr[-800:]
    assert "ana: " in done.stdout
