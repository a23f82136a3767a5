"""Models that lie nearby, and studies that begin with them."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from emojudge.candidates.discover import discover
from emojudge.candidates.nearby import Nearby, find_nearby, models_in
from emojudge.commands.init_questions import ask_start
from emojudge.config_file import load_config
from emojudge.errors import UsageError
from emojudge.pipeline import setup
from emojudge.pipeline.study import Study
from tests.gguf_files import F16, Q8_0, language_model, write_ladder
from tests.test_cli import emojudge
from tests.test_deploy_places import ANA, TEAM, as_user, needs_root, shared

__all__ = ["shared"]


def near(home: Path, here: Path) -> list[Nearby]:
    here.mkdir(exist_ok=True)
    return find_nearby(here, {"HOME": str(home)})


def titles(found: list[Nearby]) -> list[str]:
    return [f"{one.title} {len(one.models)}" for one in found]


def test_ladders_come_first_and_folders_of_one_model_are_one_ladder(tmp_path: Path) -> None:
    here = tmp_path / "here"
    language_model().write(here / "alone.gguf")
    write_ladder(here / "models")
    write_ladder(tmp_path / "quant_pass1" / "models")
    # Another program's environment, a core store and hidden folders hold nothing to compare.
    for place in (".venv/a.gguf", "core/generations/1/core.gguf", "a/site-packages/b.gguf"):
        language_model().write(here / place)
    (here / "link.gguf").symlink_to(here / "alone.gguf")
    assert titles(near(tmp_path, here)) == ["this folder: models 3", "Pass 1 3", "this folder 1"]


def test_split_sets_are_one_model(tmp_path: Path) -> None:
    for number in (1, 2):
        language_model(fill=number).write(tmp_path / f"here/big-0000{number}-of-00002.gguf")
    (found,) = near(tmp_path, tmp_path / "here")
    assert [one.name for one in found.models] == ["big"]
    assert len(found.models[0].files) == 2


def other_stores(home: Path) -> None:
    """A model each in the stores of Hugging Face, LM Studio and Ollama."""
    language_model(Q8_0).write(home / ".lmstudio/models/ana/iris/iris-Q8_0.gguf")
    repository = home / ".cache/huggingface/hub/models--ben--iris-GGUF"
    for number, kind in enumerate((F16, Q8_0)):
        language_model(kind).write(repository / f"blobs/{number}abc.gguf")
        (repository / f"blobs/{number}abc.gguf").rename(repository / f"blobs/{number}abc")
        link = repository / f"snapshots/1/iris-{number}.gguf"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(repository / f"blobs/{number}abc")
    ollama = home / ".ollama/models"
    for tag, kind in (("q8_0", Q8_0), ("f16", F16)):
        manifest = ollama / f"manifests/registry.ollama.ai/library/iris/{tag}"
        manifest.parent.mkdir(parents=True, exist_ok=True)
        digest = f"sha256:{tag}"
        layer = {"mediaType": "application/vnd.ollama.image.model", "digest": digest}
        manifest.write_text(json.dumps({"layers": [{"mediaType": "x", "digest": "y"}, layer]}))
        model = ollama / "blobs" / digest.replace(":", "-")
        language_model(kind).write(model)
    (ollama / "manifests/registry.ollama.ai/library/iris/broken").write_text("{")
    evil = {"mediaType": "application/vnd.ollama.image.model", "digest": "../../x"}
    (ollama / "manifests/registry.ollama.ai/library/iris/evil").write_text(
        json.dumps({"layers": [evil]})
    )


def test_other_programs_stores_are_offered(tmp_path: Path) -> None:
    other_stores(tmp_path)
    assert titles(near(tmp_path, tmp_path / "here")) == [
        "Hugging Face: ben/iris-GGUF 2",
        "Ollama: iris 2",
        "LM Studio: ana/iris 1",
    ]


def test_what_another_program_keeps_becomes_candidates_without_a_copy(tmp_path: Path) -> None:
    other_stores(tmp_path)
    here = tmp_path / "here"
    for number, wanted in enumerate(near(tmp_path, here)[:2]):
        folder = here / str(number)
        file = setup.init(folder, setup.Start(wanted))
        loaded = load_config(file)
        linked = sorted((folder / "models").iterdir())
        assert {one.stat().st_ino for one in linked} == {
            model.files[0].stat().st_ino for model in wanted.models
        }
        study = Study(loaded)
        assert len(models_in(loaded.resolve(loaded.config.candidate_dir)).models) == 2
        study.close()
    assert sorted(one.name for one in linked) == ["iris-f16.gguf", "iris-q8_0.gguf"]


def test_one_model_of_another_program_is_linked_and_a_ladder_made_of_the_link(
    tmp_path: Path,
) -> None:
    other_stores(tmp_path)
    here = tmp_path / "here"
    wanted = near(tmp_path, here)[2]
    said = setup.how_to_go_on(setup.init(here, setup.Start(wanted)), wanted)
    source = here / "models" / "iris-Q8_0.gguf"
    assert source.is_file()
    assert f"emojudge quantize {source} --types" in said
    assert f"--out {here / 'models'}" in said


def test_pass_1_folders_are_named_as_discovery_names_them(tmp_path: Path) -> None:
    for number, name in enumerate(("calm-Q8_0", "calm-F16", "calm-Q4_0")):
        language_model(fill=number).write(tmp_path / "here" / "models" / name / "model.gguf")
    (found,) = near(tmp_path, tmp_path / "here")
    assert [one.name for one in found.models] == ["calm-F16", "calm-Q4_0", "calm-Q8_0"]
    discovered = discover(tmp_path / "here" / "models").candidates
    assert {one.name for one in discovered} == {one.name for one in found.models}


def test_projectors_are_no_rungs(tmp_path: Path) -> None:
    store = tmp_path / ".lmstudio/models/ana/iris"
    language_model().write(store / "iris-Q8_0.gguf")
    language_model(fill=1).write(store / "mmproj-iris-F16.gguf")
    language_model(fill=2).write(tmp_path / "here" / "mmproj.gguf")
    assert titles(near(tmp_path, tmp_path / "here")) == ["LM Studio: ana/iris 1"]


@needs_root
def test_stores_that_may_not_be_read_have_nothing_to_offer(shared: Path) -> None:
    other_stores(shared)
    (shared / ".ollama/models").chmod(0o700)
    (shared / ".cache").chmod(0o700)
    (shared / "here").mkdir(mode=0o755)
    (shared / ".lmstudio").chmod(0o755)

    def look() -> None:
        found = find_nearby(shared / "here", {"HOME": str(shared)})
        assert titles(found) == ["LM Studio: ana/iris 1"]

    assert as_user(ANA, TEAM, look) == ""


def test_links_that_cannot_be_made_name_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_stores(tmp_path)

    def elsewhere(source: object, target: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", elsewhere)
    with pytest.raises(
        UsageError,
        match=r"Copy them: cp --reflink=auto .*0abc .*iris-0.*1abc .*emojudge init --models",
    ):
        setup.init(tmp_path / "here", setup.Start(near(tmp_path, tmp_path / "here")[0]))


def test_three_questions_with_answers_ready(tmp_path: Path) -> None:
    write_ladder(tmp_path / "here" / "models")
    found = near(tmp_path, tmp_path / "here")
    asked: list[str] = []

    def enter(question: str, default: str) -> str:
        asked.append(question)
        return default

    start = ask_start(found, enter)
    assert len(asked) == 3
    assert start == setup.Start(found[0], None, "core")
    answers = iter(["1", "tiny-F16", "/srv/core"])
    start = ask_start(found, lambda question, default: next(answers))
    assert (start.baseline, start.core) == ("tiny-F16", "/srv/core")
    with pytest.raises(UsageError, match="none of 0 to 1"):
        ask_start(found, lambda question, default: "7")
    answers = iter(["1", "tiny-F17"])
    with pytest.raises(UsageError, match="no model 'tiny-F17'"):
        ask_start(found, lambda question, default: next(answers))
    assert ask_start([], enter).models is None
    answers = iter([str(tmp_path / "here" / "models"), "most bits per weight", "core"])
    named = ask_start([], lambda question, default: next(answers))
    assert named.models is not None
    assert len(named.models.models) == 3
    with pytest.raises(UsageError, match="no GGUF file in /nowhere"):
        ask_start([], lambda question, default: "/nowhere")
    with pytest.raises(UsageError, match="none of 0 to 1"):
        ask_start(found, lambda question, default: "²")


def test_init_without_a_terminal_takes_the_ladder_that_lies_in_the_folder(tmp_path: Path) -> None:
    write_ladder(tmp_path / "models")
    done = emojudge("init", tmp_path)
    assert done.returncode == 0
    assert "3 models" in done.stderr
    config = json.loads((tmp_path / "phase2_config.json").read_text())
    assert config["candidate_dir"] == "models"
    assert config["$schema"] == "./phase2_config.schema.json"
    assert emojudge("config", "check", tmp_path).returncode == 0


def test_init_with_options_asks_nothing_and_names_the_next_step_of_one_model(
    tmp_path: Path,
) -> None:
    language_model().write(tmp_path / "m" / "one.gguf")
    done = emojudge("init", tmp_path / "s", "--models", tmp_path / "m", "--core", "/srv/core")
    assert "emojudge quantize" in done.stderr
    config = json.loads((tmp_path / "s" / "phase2_config.json").read_text())
    assert config["replacement_config"]["active_dir"] == "/srv/core"
    done = emojudge("init", tmp_path / "t", "--models", tmp_path / "nowhere")
    assert done.returncode == 2
    (tmp_path / "none").mkdir()
    done = emojudge("init", tmp_path / "t", "--models", tmp_path / "none")
    assert done.returncode == 2
    assert "There is no GGUF file in" in done.stderr
    write_ladder(tmp_path / "ladder")
    given = ("--models", tmp_path / "ladder", "--baseline", "tiny-F17")
    done = emojudge("init", tmp_path / "t", *given)
    assert done.returncode == 2
    assert "The nearest is 'tiny-F16'" in done.stderr
    assert not (tmp_path / "t").exists()


def test_a_new_study_is_private_and_a_teams_is_the_teams(tmp_path: Path) -> None:
    file = setup.init(tmp_path / "own")
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    team = tmp_path / "team"
    team.mkdir()
    team.chmod(0o2770)
    file = setup.init(team / "study")
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o2770
    assert stat.S_IMODE(file.stat().st_mode) & 0o660 == 0o660
