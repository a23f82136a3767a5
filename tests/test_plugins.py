"""Judges and metrics of other packages: an example that is installed and run, and broken ones."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from emojudge.domain import Message, Quality
from emojudge.errors import ConfigError
from emojudge.judges import plugins
from emojudge.judges.ensemble_member import Reading
from emojudge.judges.judge_figures import ensemble_figures
from emojudge.judges.questions import NoAnswer
from emojudge.pipeline.results import build_sections
from emojudge.pipeline.study import Study
from tests.studies import PROMPTS, write_study
from tests.test_ensemble import ai_judge, standing
from tests.test_model_judge import tools

EXAMPLE = Path(__file__).parent.parent / "examples" / "emojudge-patience"

LONGER = (
    "My dog died this morning and the house is so quiet. Nobody rang, nobody wrote, and evening "
    "came early over empty garden chairs, while neighbours laughed behind their hedge."
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, installed by pip into a folder of its own."""
    source = tmp_path_factory.mktemp("source") / "package"
    target = tmp_path_factory.mktemp("site")
    subprocess.run(["cp", "-r", str(EXAMPLE), str(source)], check=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", "--target", str(target), str(source)],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    return target


async def test_the_example_judges_and_measures_a_study(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    importlib.invalidate_caches()
    study = Study(
        write_study(
            tmp_path,
            # A scripted reply takes up the first twelve words of what was said.
            prompts=[*PROMPTS, {**PROMPTS[0], "id": "longer", "prompt": LONGER}],
            judging_config={
                "judges": [{"name": "patient", "plugin": "patience", "weight": 2}],
                "metrics": ["questions"],
            },
        )
    )
    await ai_judge(study)
    view = study.view()
    own = standing(study, "patient")
    assert (own.model, own.configured, own.weight) == ("plug-in patience", 2.0, 0.0)
    scores = view.judge_scores["patient"]
    assert set(scores) == {one.id for one in view.responses}
    longer = {one.id for one in view.responses if one.prompt_id == "longer"}
    assert all((scores[one] < 0.7) == (one in longer) for one in scores)
    assert ensemble_figures(view).judges["patient"].valid == len(view.responses)
    section = next(one for one in build_sections(view) if one.name == "own_metrics")
    assert set(section.data) == {"questions.per_reply"}
    # The same versions are never asked again.
    assert await ai_judge(Study(study.loaded)) == 0


def test_what_is_not_installed_is_named(tmp_path: Path) -> None:
    loaded = write_study(tmp_path, judging_config={"judges": [{"name": "a", "plugin": "nobody"}]})
    with pytest.raises(ConfigError, match=r"'nobody' of emojudge\.judges"):
        Study(loaded)
    metrics = write_study(tmp_path, judging_config={"judges": [], "metrics": ["nothing"]})
    with pytest.raises(ConfigError, match=r"'nothing' of emojudge\.metrics"):
        Study(metrics)


class Raises:
    version = "1"

    def rate(self, situation: Sequence[Message], reply: str) -> Mapping[str, float]:
        raise KeyError("boom")


class TooMuch:
    version = "1"

    def rate(self, situation: Sequence[Message], reply: str) -> Mapping[str, float]:
        return {"connection": 11.0}


class Partly:
    version = "1"

    def rate(self, situation: Sequence[Message], reply: str) -> Mapping[str, float]:
        return {"connection": 4.0}


@pytest.mark.parametrize(
    ("plugin", "words"), [(Raises(), "KeyError"), (TooMuch(), "connection = 11.0")]
)
async def test_a_broken_judge_fails_its_item_only(plugin: Any, words: str) -> None:
    judge = plugins.PluginJudge("j", 1.0, plugin, "p")
    (found,) = await judge.read([Reading((), "I am here.")], tuple(Quality), tools({}))
    assert isinstance(found, NoAnswer)
    assert words in found.reason


async def test_qualities_that_are_left_out_are_not_scored() -> None:
    judge = plugins.PluginJudge("j", 1.0, Partly(), "p")
    (found,) = await judge.read([Reading((), "I am here.")], tuple(Quality), tools({}))
    assert not isinstance(found, NoAnswer)
    assert found["connection"] == 4.0
    assert "believability" not in found


def test_a_class_that_is_no_judge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("odd", "builtins:dict", plugins.JUDGES)
    monkeypatch.setattr(plugins, "installed", lambda group: {"odd": point})
    with pytest.raises(ConfigError, match="`version` and a method `rate`"):
        plugins.judge("a", 1.0, "odd")
    broken = EntryPoint("odd", "nowhere:Nothing", plugins.JUDGES)
    monkeypatch.setattr(plugins, "installed", lambda group: {"odd": broken})
    with pytest.raises(ConfigError, match="cannot be made: ModuleNotFoundError"):
        plugins.judge("a", 1.0, "odd")
