from __future__ import annotations

from collections import Counter

import pytest

from emojudge.errors import PromptFileError
from emojudge.prompts import bundled_prompts, choose_subset, parse_prompts

BUNDLED = parse_prompts(bundled_prompts().decode(), "bundled")
CATEGORIES = {
    "supportive reflection",
    "intimate confessions",
    "comfort in crisis",
    "lighthearted teasing",
    "compassionate dialogue",
}


def test_the_bundled_set_covers_what_it_promises() -> None:
    assert len(BUNDLED) >= 120
    assert {prompt.category for prompt in BUNDLED} == CATEGORIES
    assert {prompt.complexity for prompt in BUNDLED} == {"simple", "moderate", "complex"}
    assert all(prompt.expected_emotion for prompt in BUNDLED)
    assert sum(len(prompt.messages) > 1 for prompt in BUNDLED) >= 12


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"prompt": "a", "category"', "line 2: not valid JSON"),
        ("[1]", "line 2: not a JSON object"),
        ('{"category": "x"}', "needs either 'prompt' or 'messages'"),
        ('{"prompt": ""}', "the prompt is empty"),
        ('{"messages": [{"role": "assistant", "content": "x"}]}', "last message must be the user"),
        ('{"messages": [{"role": "boss", "content": "x"}]}', "messages.0.role"),
    ],
)
def test_a_broken_line_is_named(line: str, message: str) -> None:
    with pytest.raises(PromptFileError, match=message):
        parse_prompts('{"prompt": "fine"}\n' + line + "\n", "set.jsonl")


def test_the_same_id_twice_is_refused() -> None:
    with pytest.raises(PromptFileError, match="line 2"):
        parse_prompts('{"id": "a", "prompt": "x"}\n{"id": "a", "prompt": "y"}\n', "set.jsonl")


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(PromptFileError, match="holds no prompts"):
        parse_prompts("\n\n", "set.jsonl")


def test_pass_1_lines_get_stable_ids_and_keep_unknown_keys_out() -> None:
    line = '{"prompt": "hi", "category": "c", "complexity": 2, "source": "elsewhere"}'
    first, again = (parse_prompts(line, "a")[0], parse_prompts(line, "b")[0])
    assert first == again
    assert first.complexity == "2"


def test_a_subset_spreads_over_categories_and_grows_by_adding() -> None:
    five = choose_subset(BUNDLED, 5, seed=1)
    ten = choose_subset(BUNDLED, 10, seed=1)
    assert len({prompt.category for prompt in five}) == 5
    assert ten[:5] == five
    assert set(Counter(prompt.category for prompt in ten).values()) == {2}
    assert choose_subset(BUNDLED, 5, seed=2) != five
