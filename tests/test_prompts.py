from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from emojudge.errors import PromptFileError
from emojudge.judges.emotions import LABELS
from emojudge.prompts import bundled_prompts, choose_subset, parse_prompts

BUNDLED = parse_prompts(bundled_prompts().decode(), "bundled")
CATEGORIES = {
    "supportive reflection",
    "intimate confessions",
    "comfort in crisis",
    "lighthearted teasing",
    "compassionate dialogue",
}
COMPLEXITIES = {"simple", "moderate", "complex"}
# Those with the fewest examples in GoEmotions.
RARE = ("grief", "pride", "relief", "nervousness", "embarrassment", "remorse")


def test_the_bundled_set_is_spread_equally() -> None:
    cells = Counter((prompt.category, prompt.complexity) for prompt in BUNDLED)
    assert len(BUNDLED) >= 120
    assert set(cells) == set(itertools.product(CATEGORIES, COMPLEXITIES))
    assert len(set(cells.values())) == 1, cells
    assert sum(len(prompt.messages) > 1 for prompt in BUNDLED) >= 30


def test_ids_name_their_category_and_count_on_in_file_order() -> None:
    names = [prompt.id.split("-", 2) for prompt in BUNDLED]
    by_prefix = itertools.groupby(zip(names, BUNDLED, strict=True), lambda pair: pair[0][0])
    seen = []
    for prefix, pairs in by_prefix:
        of_category = list(pairs)
        assert len({prompt.category for _, prompt in of_category}) == 1, prefix
        numbers = [int(name[1]) for name, _ in of_category]
        assert numbers == list(range(1, len(numbers) + 1)), prefix
        seen.append(prefix)
    assert len(seen) == len(set(seen)) == len(CATEGORIES)


def test_expected_emotions_are_goemotions_labels_and_spread() -> None:
    emotions = Counter(prompt.expected_emotion for prompt in BUNDLED)
    assert set(emotions) <= set(LABELS)
    assert len(emotions) >= 20
    label, most = emotions.most_common(1)[0]
    assert most <= len(BUNDLED) / 6, label
    shares = np.array(list(emotions.values())) / len(BUNDLED)
    assert -np.sum(shares * np.log(shares)) / np.log(len(LABELS)) >= 0.85
    assert {label: emotions[label] for label in RARE if emotions[label] < 3} == {}


@pytest.mark.parametrize("category", sorted(CATEGORIES))
def test_each_category_asks_for_many_emotions(category: str) -> None:
    emotions = {prompt.expected_emotion for prompt in BUNDLED if prompt.category == category}
    assert len(emotions) >= 8


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
