"""The system's errors as ours, at the edge of the core store."""

from __future__ import annotations

import contextlib
from types import TracebackType

from pydantic import ValidationError

from emojudge.errors import DeployError


class OwnErrors(contextlib.ContextDecorator):
    """Turns the system's errors into ours, so that callers have one kind to show."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(problem, OSError):
            where = f" ({problem.filename})" if problem.filename else ""
            raise DeployError(
                f"The core store cannot be used: {problem.strerror or problem}{where}. Check "
                "permissions and free space; the core in use is untouched."
            ) from problem


def in_words(problem: OSError | ValueError) -> str:
    """Why a file cannot be read, in a few words: a validation error says it in several lines."""
    if isinstance(problem, ValidationError):
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}" if where else first["msg"]
    return getattr(problem, "strerror", None) or str(problem)
