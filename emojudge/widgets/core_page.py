"""The Deploy screen's page: the core, what could replace it, the gates, the history, the log."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content

from emojudge.deploy.gates import Gate, GateStatus
from emojudge.deploy.replacer import Status
from emojudge.domain import Candidate
from emojudge.text import human_bytes, visible_line

_GATE_STYLE = {
    GateStatus.PASS: "$passed",
    GateStatus.FAIL: "$failed",
    GateStatus.UNKNOWN: "$quiet",
}
_LABEL_WIDTH = 11
_LOG_LINES = 4
_BACKUPS_SHOWN = 2


@dataclass(frozen=True)
class CorePage:
    """All that the page shows. ``labels`` are the candidates' short names by name."""

    status: Status
    candidates: tuple[Candidate, ...]
    labels: dict[str, str]
    chosen: Candidate
    gates: tuple[Gate, ...]
    marked: int
    activity: str

    def content(self) -> Content:
        """The whole page."""
        lines = [self._core(), *self._candidate(), *self._gates(), *self._history(), *self._log()]
        if self.activity:
            lines += [Content(""), Content.styled(self.activity, "bold")]
        return Content("\n").join(lines)

    def _row(self, label: str, *parts: str | Content | tuple[str, str]) -> Content:
        return Content.assemble((f"{label:{_LABEL_WIDTH}}", "$quiet"), *parts)

    def _short(self, name: str) -> str:
        return self.labels.get(name, visible_line(name))

    def _core(self) -> Content:
        core = self.status.current
        if core is None:
            advice = (
                "none yet: promote makes the chosen candidate the first one,",
                "`emojudge deploy adopt PATH` takes over one that is in use",
            )
            return Content("\n").join(
                self._row("" if line else "core now", (text, "$quiet"))
                for line, text in enumerate(advice)
            )
        entries = reversed(self.status.audit)
        entry = next((one for one in entries if one.after == core.number), None)
        since = f" · since {entry.time[:16].replace('T', ' ')}, by {entry.who}" if entry else ""
        return self._row(
            "core now",
            (f"generation {core.number} · {self._short(core.manifest.name)}", "bold"),
            f" · {human_bytes(core.size)}",
            (visible_line(since), "$quiet"),
        )

    def _candidate(self) -> list[Content]:
        names = [
            (f"▸ {label}  ", "bold") if one is self.chosen else (f"  {label}  ", "$quiet")
            for one in self.candidates
            for label in [self._short(one.name)]
        ]
        change = ""
        if self.status.current is not None:
            saved = self.status.current.size - self.chosen.size
            change = f" · saves {human_bytes(saved)}" if saved > 0 else ""
            change = f" · takes {human_bytes(-saved)} more" if saved < 0 else change
        return [
            Content(""),
            self._row("promote", *names),
            self._row("", human_bytes(self.chosen.size), (change, "$quiet")),
        ]

    def _gates(self) -> list[Content]:
        rows = [
            self._row(
                "" if position else "gates",
                (f"{gate.status.mark} {gate.name}", _GATE_STYLE[gate.status]),
                (f"  {visible_line(gate.reason)}", "$quiet"),
            )
            for position, gate in enumerate(self.gates)
        ]
        return [Content(""), *rows]

    def _notes(self, number: int) -> str:
        current = self.status.current is not None and self.status.current.number == number
        back = self.status.predecessor is not None and self.status.predecessor.number == number
        notes = ["now"] if current else ["r goes here"] if back else []
        notes += [
            f"backup “{visible_line(backup.label)}”"
            for backup in self.status.backups
            if backup.generation == number
        ][:_BACKUPS_SHOWN]
        return f" · {' · '.join(notes)}" if notes else ""

    def _history(self) -> list[Content]:
        generations = self.status.generations
        current = self.status.current.number if self.status.current else None
        rows = [
            self._row(
                "" if position else "history",
                ("▸ " if position == self.marked % len(generations) else "  ", "bold"),
                (
                    f"{one.number} {self._short(one.manifest.name)}",
                    "bold" if one.number == current else "",
                ),
                (f" · {human_bytes(one.size)}{self._notes(one.number)}", "$quiet"),
            )
            for position, one in enumerate(generations)
        ]
        return [Content(""), *rows]

    def _log(self) -> list[Content]:
        rows: list[Content] = []
        for entry in reversed(self.status.audit[-_LOG_LINES:]):
            origin = f"from {entry.before} " if entry.before is not None else ""
            reason = f" “{entry.reason}”" if entry.reason else ""
            who = f"{entry.time[11:19]} {entry.who}"
            text = f"{who}: {entry.action} {origin}to {entry.after}{reason}"
            rows.append(self._row("" if rows else "log", (visible_line(text), "$quiet")))
        return rows
