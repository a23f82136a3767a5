"""What a study's exam is made of: sixty prompts, and the baseline's replies to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from emojudge.domain import Prompt, Response, stable_hash
from emojudge.judges.damage import EXAM_PROMPTS, ExamPrompt, Genuine, exam_prompts
from emojudge.prompts import BUNDLED_NAME, bundled_prompts, parse_prompts
from emojudge.text import without_thinking

_VERSION = 1


@dataclass(frozen=True)
class ExamMaterial:
    """An exam's genuine replies; ``content`` stands for all of its texts.

    ``bundled`` says that the prompts are those that ship, and not the study's own.
    """

    genuine: tuple[Genuine, ...]
    content: str
    bundled: bool

    def prompts(self) -> list[ExamPrompt]:
        """With the damaged replies (some milliseconds)."""
        return exam_prompts(self.genuine, _VERSION)


def ordered_prompts(prompts: Sequence[Prompt], seed: int) -> tuple[Prompt, ...]:
    """In a seeded order, the same whatever order they come in; none of fewer than sixty."""
    if len(prompts) < EXAM_PROMPTS:
        return ()
    return tuple(sorted(prompts, key=lambda one: stable_hash([seed, "exam", one.id])))


@lru_cache(maxsize=4)
def bundled_exam_prompts(seed: int) -> tuple[Prompt, ...]:
    """The prompts that ship, for studies that have fewer than sixty."""
    return ordered_prompts(parse_prompts(bundled_prompts().decode(), BUNDLED_NAME), seed)


def material(
    prompts: Sequence[Prompt], replies: Sequence[Sequence[Response]], *, bundled: bool
) -> ExamMaterial:
    """From each prompt's stored replies."""
    genuine = tuple(
        Genuine(prompt.id, prompt.messages, tuple(without_thinking(one.text) for one in own))
        for prompt, own in zip(prompts, replies, strict=True)
    )
    ids = [[one.id for one in own] for own in replies]
    return ExamMaterial(genuine, stable_hash([_VERSION, ids]), bundled)
