from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from emojudge.actions import ACTIONS, check_keymap
from emojudge.config import Config, json_schema
from emojudge.config_file import find_problems, load_config
from emojudge.config_older import _MOVED, _WITHOUT_EFFECT, LOG_LEVEL_KEY
from emojudge.errors import ConfigError, UsageError
from emojudge.settings import load_settings, rater_name
from tests.studies import write_study
from tests.test_cli import emojudge

OLDER = Path(__file__).with_name("older_phase2_config.json")


def problems_of(value: Any) -> list[str]:
    return [str(problem) for problem in find_problems(json.dumps(value, indent=1))[3]]


def test_an_empty_config_is_the_defaults() -> None:
    config, _, warnings, problems = find_problems("{}")
    assert config == Config()
    assert not problems
    assert not warnings
    assert config is not None
    assert config.candidate_dir == "../quant_pass1/models"
    assert config.judging_config.human_judge_weight == 0.6


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"candidat_dir": "x"}, "line 2, column 2: candidat_dir: there is no such key; the "
         "nearest is 'candidate_dir'"),
        ({"generation": {"max_token": 3}}, "generation.max_token: there is no such key; the "
         "nearest is 'max_tokens'"),
        ({"generation": {"max_tokens": "many"}}, "generation.max_tokens: input should be a valid "
         'integer, unable to parse string as an integer, not "many"'),
        ({"judging_config": {"ai_judge_weight": 0.5}}, "must sum to 1, but ai_judge_weight 0.5, "
         "human_judge_weight 0.6 sum to 1.1"),
        ({"human_judging": {"criteria_weights": {"believability": 1}}}, "missing: connection"),
        ({"human_judging": {"panes": 5}}, "less than or equal to 4, not 5"),
        ({"directories": {"candidate_dir": 3}}, "line 3, column 20: directories.candidate_dir: "
         "input should be a valid string, not 3"),
        ({"logging_config": {"level": "loud"}}, "logging_config.level: expected one of"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_place(value: Any, expected: str) -> None:
    assert any(expected in problem for problem in problems_of(value)), problems_of(value)


def test_broken_json_says_where() -> None:
    problem = find_problems('{\n "name": \n}')[3][0]
    assert (problem.line, problem.column) == (3, 1)


def test_older_keys_are_mapped_and_the_rest_is_named() -> None:
    """The file holds every older key."""
    older = {key.rpartition(".")[2] for key in (*_MOVED, *_WITHOUT_EFFECT, LOG_LEVEL_KEY)}
    assert older <= set(re.findall(r'"(\w+)":', OLDER.read_text()))
    config, level, warnings, problems = find_problems(OLDER.read_text())
    assert not problems
    assert config is not None
    assert (config.candidate_dir, config.evaluation_prompts) == ("models", "prompts.jsonl")
    assert config.output_config.results_dir == "reports"
    assert config.replacement_config.backup_dir == "earlier"
    performance = config.performance_config
    assert (performance.max_prompts, performance.parallel_models, performance.batch_size) == (
        7,
        3,
        8,
    )
    assert config.judging_config.encoder == "all-MiniLM-L6-v2"
    assert level == "DEBUG"
    named = " ".join(warnings)
    for key in (
        "ai_judging.similarity_threshold",
        "ai_judging.emotional_dimensions",
        "human_judging.require_comments",
        "human_judging.show_technical_specs",
        "replacement_config.safety_checks",
        "output_config.report_format",
        "output_config.include_raw_responses",
        "performance_config.memory_limit_gb",
        "logging_config.file",
    ):
        assert key in named


def test_an_older_file_checks_with_a_warning_for_each_key_without_effect(tmp_path: Path) -> None:
    write_study(tmp_path)
    shutil.copy(OLDER, tmp_path / "phase2_config.json")
    done = emojudge("config", "check", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "is sound" in done.stdout
    assert "warning: nothing is decided before 8 prompts, and this study has 3" in done.stderr
    assert done.stderr.count("warning: ") == len(_WITHOUT_EFFECT) + 2


def test_a_newer_key_wins_over_its_older_form() -> None:
    config, _, warnings, _ = find_problems(
        json.dumps({"candidate_dir": "new", "directories": {"candidate_dir": "old"}})
    )
    assert config is not None
    assert config.candidate_dir == "new"
    assert "directories.candidate_dir is ignored" in warnings[0]


def test_relative_paths_start_at_the_config(tmp_path: Path) -> None:
    (tmp_path / "phase2_config.json").write_text('{"candidate_dir": "../models"}')
    loaded = load_config(tmp_path)
    assert loaded.resolve(loaded.config.candidate_dir).resolve() == tmp_path.parent / "models"
    assert loaded.log_level == logging.INFO


def test_every_field_has_its_docstring() -> None:
    def undocumented(node: Any, path: str) -> list[str]:
        missing = []
        for name, value in node.get("properties", {}).items():
            if "description" not in value and "$ref" not in value:
                missing.append(f"{path}.{name}")
        return missing

    schema = json_schema()
    missing = undocumented(schema, "Config")
    for name, definition in schema["$defs"].items():
        missing += undocumented(definition, name)
    assert not missing


def test_no_config_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="emojudge init"):
        load_config(tmp_path)


def test_settings_are_read_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    assert load_settings(file).rater is None
    file.write_text('rater = "ana"\n[keymap]\n"rate.submit" = "ctrl+j"\n')
    settings = load_settings(file)
    assert settings.rater == "ana"
    check_keymap(settings.keymap)
    file.write_text("ratr = 'ana'\n")
    with pytest.raises(ConfigError, match="Did you mean 'rater'"):
        load_settings(file)


@pytest.mark.parametrize("name", ["../ana", "a/b", "", ".hidden", "a" * 65, "a\n"])
def test_a_rater_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--rater NAME"):
        rater_name(name or " ", load_settings(Path("/nonexistent/settings.toml")))


def test_keymap_conflicts_name_both_actions() -> None:
    with pytest.raises(ConfigError, match=r"both rate\.\S+ and rate\.\S+"):
        check_keymap({"rate.comment": "s"})
    with pytest.raises(ConfigError, match=r"Did you mean 'rate\.submit'"):
        check_keymap({"rate.submitt": "x"})


def test_the_shipped_keys_do_not_conflict() -> None:
    check_keymap({})
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)
