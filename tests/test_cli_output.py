"""What commands print, wherever it goes: pipes, full disks, old locales, other programs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.core_stores import replacer, write_models
from tests.gguf_files import language_model
from tests.studies import judged_study, write_study
from tests.test_cli import PROGRAM, emojudge

OLD_LOCALES = (
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
)


def run(
    *arguments: str | Path, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [PROGRAM, *map(str, arguments)],
        capture_output=True,
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study with a core, and a file of scores."""
    write_study(tmp_path, replacement_config={"active_dir": "core"})
    core = replacer(tmp_path)
    core.adopt(write_models(tmp_path / "files")["F16"], "F16 größer")
    (tmp_path / "scores.csv").write_text("ana,ben\n1,2\n2,2\n3,4\n5,4\n")
    (tmp_path / "votes.csv").write_text("left,right,winner\nnäe,b,left\nb,näe,tie\n")
    return tmp_path


@pytest.mark.parametrize("locale", OLD_LOCALES, ids=["C", "ascii", "latin-1"])
def test_a_locale_without_utf_8_gets_stand_ins(study: Path, locale: dict[str, str]) -> None:
    for arguments in (
        ("agree", "scores.csv", "--columns", "ana,ben"),
        ("doctor",),
        ("deploy", "status"),
        ("deploy", "audit"),
        ("--help",),
    ):
        done = run(*arguments, cwd=study, **locale)
        assert done.returncode == 0, (arguments, done.stderr[-300:])
        assert b"Traceback" not in done.stderr
    agree = run("agree", "scores.csv", "--columns", "ana,ben", cwd=study, **locale).stdout
    assert b"alpha" in agree
    ranked = run("rank", "votes.csv", "--json", cwd=study, **locale)
    names = {one["name"] for one in json.loads(ranked.stdout.decode("latin-1"))["items"]}
    assert "näe" in names


def test_utf_8_stays_as_it_is(study: Path) -> None:
    done = run("agree", "scores.csv", "--columns", "ana,ben", cwd=study)
    assert "Krippendorff's α" in done.stdout.decode()


def test_a_full_disk_behind_stdout_is_one_paragraph(study: Path) -> None:
    for arguments in (("deploy", "status"), ("export",), ("deploy", "status", "--json")):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, cwd=study, text=True
            )
        assert done.returncode == 1, arguments
        assert done.stderr.strip() == (
            "emojudge: Cannot write to standard output: no space left on device."
        )


def test_a_reader_that_has_left_is_no_error(study: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [PROGRAM, "config", "schema"], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_closed_standard_output_is_one_paragraph(study: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{PROGRAM} config schema >&-"], stderr=subprocess.PIPE, text=True
    )
    assert done.returncode == 1
    assert done.stderr.strip() == "emojudge: Cannot write to standard output: it is closed."


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_there_for_each_shell(study: Path, shell: str) -> None:
    script = run(cwd=study, _EMOJUDGE_COMPLETE=f"source_{shell}").stdout.decode()
    assert "emojudge" in script
    assert "_EMOJUDGE_COMPLETE" in script


def test_completion_knows_phases_and_backups(study: Path) -> None:
    replacer(study).backup("kept")

    def completed(words: str) -> str:
        count = len(words.split()) if words.endswith(" ") else len(words.split()) - 1
        environment = {"_EMOJUDGE_COMPLETE": "complete_bash"}
        environment |= {"COMP_WORDS": words, "COMP_CWORD": str(count)}
        return run(cwd=study, **environment).stdout.decode()

    assert "ai-judge" in completed("emojudge run --phase ")
    assert "ordinal" in completed("emojudge agree --level ")
    assert "backup_" in completed("emojudge deploy restore b")
    assert completed("emojudge deploy restore ").split()[0] == "1"


async def test_a_run_prints_its_result_on_stdout(tmp_path: Path) -> None:
    opened = await judged_study(tmp_path)
    opened.close()
    done = emojudge("run", "--phase", "rank", "--json", "--config", tmp_path)
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert [one["name"] for one in found["candidates"]] == ["tiny-F16", "tiny-Q8_0", "tiny-Q4_0"]
    assert len(found["ranking"]) == 3
    assert found["verdict"]["kind"] is None
    assert Path(found["report"]).is_file()
    plain = emojudge("run", "--phase", "rank", "--config", tmp_path)
    assert "verdict: " in plain.stdout
    discovered = emojudge("run", "--phase", "discover", "--config", tmp_path)
    assert "bits/weight" in discovered.stdout


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    write_study(tmp_path)
    for arguments in (
        ("quantize", "no.gguf", "--types", "Q8_0", "--out", "x"),
        ("bench", "--model", "no.gguf"),
        ("deploy", "validate", "no.gguf"),
        ("deploy", "adopt", "no.gguf"),
        ("deploy", "replace", "no.gguf"),
        ("agree", "no.csv", "--columns", "a,b"),
        ("export", "--config", "nowhere"),
    ):
        done = emojudge(*arguments, cwd=tmp_path)
        assert done.returncode == 2, (arguments, done.stderr)
        assert "no.gguf" in done.stderr or "no.csv" in done.stderr or "nowhere" in done.stderr


def test_what_is_the_core_already_is_no_failure(study: Path) -> None:
    done = emojudge("deploy", "restore", "1", cwd=study)
    assert done.returncode == 0
    assert done.stdout.startswith("The core is already generation 1, ")
    done = emojudge("deploy", "restore", "1", "--json", cwd=study)
    already = json.loads(done.stdout)
    assert (already["changed"], already["generation"]) == (False, 1)
    done = emojudge("deploy", "restore", "7", cwd=study)
    assert done.returncode == 2
    assert "There is no generation 7" in done.stderr
    assert emojudge("deploy", "remove-backup", "nothing", cwd=study).returncode == 2


def test_verbose_is_understood_anywhere(tmp_path: Path) -> None:
    language_model().write(tmp_path / "models" / "one.gguf")
    for arguments in (("--verbose", "cache"), ("cache", "--verbose")):
        done = emojudge(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert "Traceback" in done.stderr


def test_a_dumb_terminal_gets_no_first_run_screen(tmp_path: Path) -> None:
    import pty

    parent, child = pty.openpty()
    done = subprocess.run(
        [PROGRAM],
        stdin=child,
        stdout=child,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "TERM": "dumb"},
    )
    os.close(child)
    os.close(parent)
    assert done.returncode == 2
    assert b"TERM=dumb" in done.stderr


def test_short_helps_are_whole() -> None:
    for group in ((), ("deploy",), ("config",)):
        said = emojudge(*group, "--help").stdout
        commands = said.partition("Commands:")[2]
        assert commands
        assert "..." not in commands
