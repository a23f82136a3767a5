"""The one exception tree.

Every message is a single paragraph that says what was wrong, where, and what to do next; the
command line prints it as it is and exits with ``exit_code``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a config; line and column count from 1, 0 where unknown."""

    path: str
    message: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}: " if self.line else ""
        return f"{where}{self.path}: {self.message}" if self.path else f"{where}{self.message}"


class EmojudgeError(Exception):
    """Base of everything emojudge raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(EmojudgeError):
    """The call, the config or the input files are wrong; nothing was started."""

    exit_code = 2


class ConfigError(UsageError):
    """``phase2_config.json`` or ``settings.toml`` cannot be used."""


class UnsoundConfig(ConfigError):
    """A config with something wrong in it; ``problems`` say what and where, in order of lines."""

    def __init__(self, file: Path, problems: Sequence[Problem]) -> None:
        self.file, self.problems = file, tuple(problems)
        listed = "; ".join(str(problem) for problem in problems)
        super().__init__(
            f"{file} cannot be used: {listed}. `emojudge config check` shows each on its line."
        )


class PromptFileError(UsageError):
    """The evaluation prompts cannot be read."""


class TableFileError(UsageError):
    """A file of rows (CSV, JSONL) cannot be used; says file, line and column where it can."""


class NeedsPerson(EmojudgeError):
    """The next step is a person's: a rating, or a reason for overriding a gate."""

    exit_code = 3


class CandidateError(EmojudgeError):
    """A candidate cannot be used."""


class NoCandidates(CandidateError, UsageError):
    """The candidate folder holds nothing to compare."""

    exit_code = 2


class ModelFileError(CandidateError):
    """A model file is not sound; ``offset`` is the byte at which that showed, if it was read."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message if offset is None else f"{message} (at byte {offset})")
        self.offset = offset


class StoreError(EmojudgeError):
    """The study folder cannot be read or written."""


class StudyTooNew(StoreError):
    """The study was written by a newer emojudge."""


class LockHeld(StoreError):
    """Another process holds the lock that this step needs."""


class EngineError(EmojudgeError):
    """A model could not be run."""


class WorkerDied(EngineError):
    """A child process ended, hung or talked nonsense; ``stderr`` holds its last lines."""

    def __init__(self, message: str, stderr: tuple[str, ...] = ()) -> None:
        tail = f" Its last words: {' / '.join(stderr[-3:])}" if stderr else ""
        super().__init__(message + tail)
        self.stderr = stderr


class DeployError(EmojudgeError):
    """A core was not replaced; the one in use is untouched."""


class DeployUsageError(DeployError, UsageError):
    """A generation, a backup or a place was named that is not there, or is taken."""

    exit_code = 2


class AlreadyTheCore(DeployError):
    """What was wanted is so already; nothing had to be done."""

    exit_code = 0

    def __init__(self, message: str, generation: int) -> None:
        """``generation`` is the number of the core that is wanted and there."""
        super().__init__(message)
        self.generation = generation


class GateRefused(DeployError, NeedsPerson):
    """A judgement gate did not pass and nobody gave a reason to override it."""

    exit_code = 3


class Interrupted(EmojudgeError):
    """A signal ended the run; what was finished is stored."""
