"""Evaluation prompts: one JSON object a line."""

from __future__ import annotations

import json
import random
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from emojudge.domain import Message, Prompt, stable_hash
from emojudge.errors import PromptFileError
from emojudge.frozen import Frozen

BUNDLED_NAME = "emotional_eval_set.jsonl"
_UNCATEGORISED = "uncategorised"


class _Line(Frozen):
    """The line format of Pass 1 and of the bundled set."""

    id: str | None = None
    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    category: str = _UNCATEGORISED
    complexity: str | int | None = None
    expected_emotion: str | None = None


def bundled_prompts() -> bytes:
    """The shipped prompt set, as a file's content."""
    return resources.files("emojudge").joinpath("data", BUNDLED_NAME).read_bytes()


def _parse_line(text: str) -> Prompt:
    """Raises ValueError saying what is wrong with the line."""
    try:
        data: Any = json.loads(text)
    except json.JSONDecodeError as problem:
        raise ValueError(
            f"not valid JSON ({problem.msg.lower()} at column {problem.colno})"
        ) from problem
    except RecursionError as problem:
        raise ValueError("nested too deeply") from problem
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    known = {key: value for key, value in data.items() if key in _Line.model_fields}
    try:
        line = _Line.model_validate(known)
    except ValidationError as invalid:
        error = invalid.errors()[0]
        key = ".".join(str(part) for part in error["loc"])
        raise ValueError(f"{key}: {error['msg'].lower()}") from invalid
    if (line.prompt is None) == (line.messages is None):
        raise ValueError("it needs either 'prompt' or 'messages'")
    messages = line.messages or (Message(role="user", content=line.prompt or ""),)
    if messages[-1].role != "user":
        raise ValueError("the last message must be the user's")
    if not messages[-1].content.strip():
        raise ValueError("the prompt is empty")
    complexity = None if line.complexity is None else str(line.complexity)
    content = [message.model_dump() for message in messages]
    return Prompt(
        id=line.id or f"p-{stable_hash(content, 12)}",
        messages=messages,
        category=line.category,
        complexity=complexity,
        expected_emotion=line.expected_emotion,
    )


def parse_prompts(content: str, source: str) -> tuple[Prompt, ...]:
    """Parse a whole JSONL text. Raises PromptFileError naming the first broken line."""
    prompts: dict[str, Prompt] = {}
    for number, text in enumerate(content.splitlines(), start=1):
        if not text.strip():
            continue
        try:
            prompt = _parse_line(text)
        except ValueError as problem:
            raise PromptFileError(
                f"{source}, line {number}: {problem}. Each line is one JSON object with 'prompt' "
                "or 'messages', and 'category'; mend or remove the line."
            ) from problem
        if prompt.id in prompts and prompts[prompt.id] != prompt:
            raise PromptFileError(
                f"{source}, line {number}: the id {prompt.id!r} stands on an earlier line too. "
                "Give each prompt an id of its own, or none."
            )
        prompts[prompt.id] = prompt
    if not prompts:
        raise PromptFileError(
            f"{source} holds no prompts. Write one JSON object a line, or run `emojudge init` for "
            "the bundled set."
        )
    return tuple(prompts.values())


def load_prompts(file: Path) -> tuple[Prompt, ...]:
    """Read the prompts of ``file``. Raises PromptFileError."""
    try:
        content = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as missing:
        raise PromptFileError(
            f"The evaluation prompts {file} do not exist. Set evaluation_prompts in the config, "
            "or run `emojudge init` for the bundled set."
        ) from missing
    except (OSError, UnicodeDecodeError) as problem:
        raise PromptFileError(f"Cannot read the evaluation prompts {file}: {problem}.") from problem
    return parse_prompts(content, str(file))


def choose_subset(prompts: tuple[Prompt, ...], count: int | None, seed: int) -> tuple[Prompt, ...]:
    """At most ``count`` prompts, taken in turn from each category, reproducibly from ``seed``.

    A larger count always contains the smaller one's choice, so raising it reuses what is stored.
    """
    if count is None or count >= len(prompts):
        return prompts
    draw = random.Random(f"prompts:{seed}")
    by_category: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        by_category.setdefault(prompt.category, []).append(prompt)
    for own in by_category.values():
        draw.shuffle(own)
    queues = list(by_category.values())
    chosen: list[Prompt] = []
    while len(chosen) < count:
        for queue in queues:
            if queue and len(chosen) < count:
                chosen.append(queue.pop(0))
    return tuple(chosen)
