"""What the doctor finds, for people and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from emojudge.text import counted, visible_line


class Level(StrEnum):
    """How much a finding matters: a failure stops a run, a warning makes it worse."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"

    @property
    def mark(self) -> str:
        """One character for the screen."""
        return {"ok": "✓", "warning": "!", "failure": "✗"}[self.value]


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was found, and the command or step that mends it."""

    name: str
    level: Level
    text: str
    mend: str | None = None


def well(name: str, text: str, hint: str | None = None) -> Finding:
    """Nothing is wrong; ``hint`` is a step that somebody may want."""
    return Finding(name, Level.OK, text, hint)


def warning(name: str, text: str, mend: str) -> Finding:
    """A run works, but worse than it could."""
    return Finding(name, Level.WARNING, text, mend)


def failure(name: str, text: str, mend: str) -> Finding:
    """A run would stop here."""
    return Finding(name, Level.FAILURE, text, mend)


@dataclass(frozen=True)
class Checkup:
    """All findings, in the order in which they are shown."""

    findings: tuple[Finding, ...]

    def count(self, level: Level) -> int:
        """How many findings are of a level."""
        return sum(one.level is level for one in self.findings)

    @property
    def failed(self) -> bool:
        """Whether anything would stop a run."""
        return self.count(Level.FAILURE) > 0

    def as_json(self) -> dict[str, Any]:
        """The form of ``--json``."""
        return {
            "ok": not self.failed,
            "warnings": self.count(Level.WARNING),
            "failures": self.count(Level.FAILURE),
            "checks": [
                {"name": one.name, "level": one.level.value, "text": one.text, "mend": one.mend}
                for one in self.findings
            ],
        }

    def lines(self) -> list[str]:
        """The form for people."""
        width = max(len(one.name) for one in self.findings)
        lines = []
        for one in self.findings:
            lines.append(f"{one.level.mark} {one.name:{width}}  {visible_line(one.text)}")
            if one.mend is not None:
                lines.append(f"  {'':{width}}  → {visible_line(one.mend)}")
        failures, warnings = self.count(Level.FAILURE), self.count(Level.WARNING)
        if not failures and not warnings:
            return [*lines, "nothing stands in the way of a run"]
        return [*lines, f"{counted(failures, 'failure')}, {counted(warnings, 'warning')}"]
