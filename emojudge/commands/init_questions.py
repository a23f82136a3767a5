"""What ``emojudge init`` asks at a terminal: three questions at most, each with an answer ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from emojudge.candidates.nearby import Nearby, models_in
from emojudge.errors import UsageError
from emojudge.pipeline.setup import CORE_DIR, PASS1_MODELS, Start
from emojudge.say import say

Ask = Callable[[str, str], str]
"""A question and the answer that enter gives."""
_AUTOMATIC = "most bits per weight"


def ask_start(nearby: Sequence[Nearby], ask: Ask) -> Start:
    """Which models, which of them is the baseline, where the core lives."""
    models = _ask_models(nearby, ask)
    baseline = _ask_baseline(models, ask) if models and len(models.models) > 1 else None
    core = ask("Where does the companion's core live?", CORE_DIR)
    return Start(models, baseline, core)


def _ask_models(nearby: Sequence[Nearby], ask: Ask) -> Nearby | None:
    if not nearby:
        return _named_folder(ask("Where are your GGUF files?", PASS1_MODELS))
    for number, one in enumerate(nearby, start=1):
        say(f"  {number}  {one.title}  {one}")
    say(f"  0  none of these: {PASS1_MODELS}, or what you write into the config")
    return chosen(nearby, ask("Which models?", "1"))


def _named_folder(answer: str) -> Nearby | None:
    """The models of a folder that somebody named; Pass 1's may be made later. Raises UsageError."""
    if answer == PASS1_MODELS:
        return None
    folder = Path(answer).expanduser()
    found = models_in(folder) if folder.is_dir() else None
    if found is None or not found.models:
        raise UsageError(
            f"There is no GGUF file in {folder}; nothing was written. Start `emojudge init` again, "
            "or with --yes to name the folder later in the config."
        )
    return found


def chosen(nearby: Sequence[Nearby], answer: str) -> Nearby | None:
    """The models of an answer: a number from the list. Raises UsageError."""
    if not answer.strip().isdecimal() or int(answer) > len(nearby):
        raise UsageError(
            f"{answer!r} is none of 0 to {len(nearby)}; nothing was written. Start `emojudge init` "
            "again, or name a folder: emojudge init --models DIR."
        )
    return nearby[int(answer) - 1] if int(answer) else None


def _ask_baseline(models: Nearby, ask: Ask) -> str | None:
    names = [one.name for one in models.models]
    answer = ask(f"Which is the baseline ({', '.join(names)})?", _AUTOMATIC)
    if answer != _AUTOMATIC and answer not in names:
        raise UsageError(
            f"There is no model {answer!r} among them; nothing was written. Start `emojudge init` "
            "again."
        )
    return None if answer == _AUTOMATIC else answer
