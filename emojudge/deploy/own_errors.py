"""The system's errors as ours, at the edge of the core store."""

from __future__ import annotations

import contextlib
from types import TracebackType

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
