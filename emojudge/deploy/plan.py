"""What a promotion would cost: bytes, free space, time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emojudge.deploy.audit import AuditEntry
from emojudge.deploy.staging import SPACE_MARGIN


@dataclass(frozen=True)
class Plan:
    """``copied`` bytes are staged, 0 where a kept generation already holds the model.

    ``seconds`` of copying are by the rate of the last change that copied, None before the first.
    """

    copied: int
    free: int
    seconds: float | None
    kept: int | None

    @property
    def fits(self) -> bool:
        """Whether there is room for the copy and a margin."""
        return self.copied == 0 or self.free >= self.copied + SPACE_MARGIN


def bytes_per_second(audit: Sequence[AuditEntry]) -> float | None:
    """The rate of the last change that copied and hashed a model; None before the first."""
    for entry in reversed(audit):
        if entry.staged_bytes and entry.staged_seconds > 0:
            return entry.staged_bytes / entry.staged_seconds
    return None


def plan_for(size: int, kept: int | None, free: int, audit: Sequence[AuditEntry]) -> Plan:
    """The plan for a model of ``size`` bytes that generation ``kept`` may hold already."""
    if kept is not None:
        return Plan(0, free, 0.0, kept)
    rate = bytes_per_second(audit)
    return Plan(size, free, size / rate if rate else None, None)
