"""Generated hostile input: whatever comes, the answer is ours."""

from __future__ import annotations

import contextlib
import unicodedata
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emojudge.candidates.gguf import read_header
from emojudge.config_file import find_problems
from emojudge.errors import ModelFileError, PromptFileError
from emojudge.prompts import parse_prompts
from emojudge.text import visible
from tests.gguf_files import language_model

WHOLE = language_model().build()
MANY = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


@MANY
@given(st.text())
def test_no_control_survives(text: str) -> None:
    shown = visible(text)
    assert all(
        character == "\n"
        or character in "\u200c\u200d\u00ad"
        or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
        for character in shown
    )
    assert visible(shown) == shown


@MANY
@given(
    place=st.integers(0, len(WHOLE) - 1),
    change=st.binary(min_size=1, max_size=12),
)
def test_a_changed_header_is_read_or_refused(tmp_path: Path, place: int, change: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(WHOLE[:place] + change + WHOLE[place + len(change) :])
    with contextlib.suppress(ModelFileError):
        header = read_header(path)
        assert all(one.offset + one.size <= header.file_size for one in header.tensors)


@MANY
@given(st.text())
def test_any_config_text_is_parsed_or_explained(text: str) -> None:
    config, _, _, problems = find_problems(text)
    assert (config is None) == bool(problems)


@MANY
@given(st.text())
def test_any_prompt_text_is_parsed_or_explained(text: str) -> None:
    with contextlib.suppress(PromptFileError):
        assert parse_prompts(text, "set")


def test_deeply_nested_json_is_explained() -> None:
    deep = "[" * 100_000
    assert find_problems(deep)[3]
    assert find_problems('{"name": ' + deep)[3]
