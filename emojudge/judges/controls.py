"""Judges that know nothing: what a real one must be better than.

They always run, and never count. A judge that scores like *longest* prefers length, one that
scores like *random* has not looked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from emojudge.domain import DamageCount, stable_hash
from emojudge.judges.damage import Damage, ExamPrompt
from emojudge.judges.exam import counts_of
from emojudge.text import without_thinking
from emojudge.view import StudyView

_HEX_DIGITS = 12

CONTROLS: Mapping[str, Callable[[str], float]] = MappingProxyType(
    {
        "longest": lambda text: float(len(text)),
        "shortest": lambda text: -float(len(text)),
        "random": lambda text: (
            int(stable_hash(["random", text], _HEX_DIGITS), 16) / 16.0**_HEX_DIGITS
        ),
        "constant": lambda text: 0.0,
    }
)
"""The score that each control gives a reply."""


def control_scores(view: StudyView) -> dict[str, dict[str, float]]:
    """Scores by response id, by control."""
    texts = {one.id: without_thinking(one.text) for one in view.responses}
    return {
        name: {response: score(text) for response, text in texts.items()}
        for name, score in CONTROLS.items()
    }


def control_exam(name: str, prompts: list[ExamPrompt]) -> tuple[DamageCount, ...]:
    """The exam of a control, on the same texts as everybody's."""
    score = CONTROLS[name]

    def levels(prompt: ExamPrompt, text: str, damage: Damage) -> float:
        return score(text)

    return counts_of(prompts, levels)
