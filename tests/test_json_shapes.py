"""The page of JSON shapes says what the commands print."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.core_stores import write_models
from tests.studies import well_rated_study
from tests.test_cli import emojudge

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "json.md"
CALLS: tuple[tuple[str, ...], ...] = (
    ("run", "--phase", "rank"),
    ("report",),
    ("agree", "scores.csv", "--columns", "ana,ben"),
    ("rank", "votes.csv"),
    ("simulate", "--studies", "1", "--prompts", "8"),
    ("import", "ratings.csv", "--dry-run"),
    ("judges",),
    ("cache", "--prune"),
    ("doctor",),
    ("config", "check"),
    ("deploy", "validate", "files/F16.gguf"),
    ("deploy", "adopt", "files/F16.gguf"),
    ("deploy", "replace", "files/Q8.gguf", "--force", "to hear it"),
    ("deploy", "backup", "--label", "kept"),
    ("deploy", "list-backups"),
    ("deploy", "rollback"),
    ("deploy", "restore", "2"),
    ("deploy", "recover"),
    ("deploy", "export", "current", "copy"),
    ("deploy", "scrub"),
    ("deploy", "audit"),
    ("deploy", "status"),
    ("deploy", "remove-backup", "kept"),
)


def documented() -> dict[str, tuple[str, set[str]]]:
    """(kind of value, its keys) by command; what stands in brackets is a level below."""
    found = {}
    for command, kind, said in re.findall(
        r"^\| `([^`]+)` \| (object|list) \| (.*) \|$", PAGE.read_text(), re.MULTILINE
    ):
        top = re.sub(r"\([^()]*\)", "", said)
        found[command] = (kind, set(re.findall(r"`([a-z_0-9]+)`", top)))
    return found


@pytest.fixture
async def study(tmp_path: Path) -> Path:
    opened = await well_rated_study(tmp_path)
    opened.close()
    write_models(tmp_path / "files")
    (tmp_path / "scores.csv").write_text("ana,ben\n1,2\n2,2\n3,4\n5,4\n")
    (tmp_path / "votes.csv").write_text("left,right,winner\na,b,left\nb,a,tie\n")
    assert emojudge("export", "--out", "ratings.csv", cwd=tmp_path).returncode == 0
    return tmp_path


async def test_every_documented_shape_is_what_is_printed(study: Path) -> None:
    shapes = documented()
    seen = set()
    for call in CALLS:
        command = " ".join(call[:2]) if call[0] in ("deploy", "config") else call[0]
        kind, keys = shapes[command]
        done = emojudge(*call, "--json", cwd=study)
        assert done.returncode == 0, (call, done.stderr)
        value = json.loads(done.stdout)
        assert type(value).__name__ == {"object": "dict", "list": "list"}[kind], call
        assert set(value if kind == "object" else value[0]) == keys, call
        seen.add(command)
    # These take minutes; what they print is in their own tests.
    assert set(shapes) - seen == {"demo", "quantize", "bench"}
