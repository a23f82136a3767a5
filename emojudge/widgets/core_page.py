"""The Deploy screen's page: the core, what could replace it, gates, plan, history, log."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from textual.content import Content

from emojudge.deploy.gates import Gate, GateStatus
from emojudge.deploy.hooks import Hooks
from emojudge.deploy.plan import Plan
from emojudge.deploy.status import Status
from emojudge.deploy.words import change_in_words
from emojudge.domain import Candidate
from emojudge.text import human_bytes, human_seconds, visible_line

_GATE_STYLE = {
    GateStatus.PASS: "$passed",
    GateStatus.FAIL: "$failed",
    GateStatus.UNKNOWN: "$quiet",
}
_LABEL_WIDTH = 11
_TALL = 30
_LOG_LINES = 3
_LOG_LINES_TALL = 8
_HISTORY_LINES = 5
_BACKUPS_SHOWN = 2


def hooks_in_words(hooks: Hooks) -> list[str]:
    """What happens around the switch, in order."""
    words = []
    if hooks.pre_command:
        words.append(f"first `{hooks.pre_command}`")
    words.append("switch")
    if hooks.restart_command:
        words.append(f"`{hooks.restart_command}`")
    if hooks.health_check:
        words.append(f"check {hooks.health_check} within {human_seconds(hooks.health_seconds)}")
    return words


def _about(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f", about {human_seconds(seconds)}" if seconds >= 1 else ", less than a second"


@dataclass(frozen=True)
class CorePage:
    """All that the page shows. ``labels`` are the candidates' short names by name.

    ``told`` is what a start found and mended, ``activity`` what is going on now.
    """

    status: Status
    candidates: tuple[Candidate, ...]
    labels: dict[str, str]
    chosen: Candidate | None
    gates: tuple[Gate, ...]
    plan: Plan | None
    hooks: Hooks
    marked: int
    activity: str
    told: str
    width: int
    height: int

    def content(self) -> Content:
        """The whole page."""
        lines = [*self._notes_above(), self._core(), *self._candidate()]
        if self.activity:
            lines += [Content(""), Content.styled(self.activity, "bold"), Content("")]
        else:
            lines += [*self._gates(), *self._plan()]
        return Content("\n").join([*lines, *self._history(), *self._log()])

    def _row(self, label: str, *parts: str | Content | tuple[str, str]) -> Content:
        return Content.assemble((f"{label:{_LABEL_WIDTH}}", "$quiet"), *parts)

    def _wrapped(self, label: str, words: str, style: str) -> Iterable[Content]:
        """A text on as many rows as it takes, because its end may be what matters."""
        lines = textwrap.wrap(words, max(20, self.width - _LABEL_WIDTH - 3))
        for place, line in enumerate(lines):
            yield self._row("" if place else label, (line, style))

    def _short(self, name: str) -> str:
        return self.labels.get(name, visible_line(name))

    def _notes_above(self) -> Iterable[Content]:
        # What is interrupted while this screen changes the core is its own change.
        interrupted = self.status.interrupted if not self.activity else None
        notes = (self.told, interrupted, *self.status.problems, self.status.read_only)
        for note in dict.fromkeys(notes):
            if note:
                yield from self._wrapped("!", visible_line(note), "bold")

    def _core(self) -> Content:
        core = self.status.current
        if core is None and self.status.lost is not None:
            return self._row("core now", ("none: see above", "$quiet"))
        if core is None:
            advice = (
                "none yet: promote makes the chosen candidate the first one,",
                "`emojudge deploy adopt PATH` takes over one that is in use",
            )
            return Content("\n").join(
                self._row("" if line else "core now", (text, "$quiet"))
                for line, text in enumerate(advice)
            )
        entry = self.status.since
        since = f" · since {entry.time[:16].replace('T', ' ')}, by {entry.who}" if entry else ""
        return self._row(
            "core now",
            (f"generation {core.number} · {self._short(core.manifest.name)}", "bold"),
            f" · {human_bytes(core.size)}",
            (visible_line(since), "$quiet"),
        )

    def _candidate(self) -> Iterable[Content]:
        if self.chosen is None:
            yield self._row("promote", ("no candidate can be promoted", "$quiet"))
            return
        change = ""
        if self.status.current is not None:
            saved = self.status.current.size - self.chosen.size
            change = f" · saves {human_bytes(saved)}" if saved > 0 else ""
            change = f" · takes {human_bytes(-saved)} more" if saved < 0 else change
        core = self.status.current
        yield self._row(
            "promote",
            *(
                (f"▸ {label}  ", "bold") if one is self.chosen else (f"  {label}  ", "$quiet")
                for one in self.candidates
                for is_core in [core is not None and core.holds(one.files)]
                for label in [f"{self._short(one.name)}{' (core)' if is_core else ''}"]
            ),
            human_bytes(self.chosen.size),
            (change, "$quiet"),
        )

    def _gates(self) -> Iterable[Content]:
        """Each with its reason; in a low terminal those that hold share a line."""
        if self.chosen is None:
            return
        yield Content("")
        holding = [gate for gate in self.gates if gate.status is GateStatus.PASS]
        rows: list[tuple[GateStatus, str, str]] = []
        if self.height < _TALL and holding:
            names = "  ".join(f"{gate.status.mark} {gate.name}" for gate in holding)
            rows.append((GateStatus.PASS, names, ""))
        alone = [gate for gate in self.gates if self.height >= _TALL or gate not in holding]
        width = max((len(gate.name) for gate in alone), default=0)
        rows += [
            (
                gate.status,
                f"{gate.status.mark} {gate.name:{width}}",
                f"  {visible_line(gate.reason)}",
            )
            for gate in alone
        ]
        for place, (status, names, reason) in enumerate(rows):
            yield self._row(
                "" if place else "gates", (names, _GATE_STYLE[status]), (reason, "$quiet")
            )

    def _plan(self) -> Iterable[Content]:
        plan = self.plan
        if plan is None:
            return
        if plan.kept is not None:
            parts = [f"no copy: generation {plan.kept} holds this model", "try it in the sandbox"]
        else:
            room = "" if plan.fits else ": TOO LITTLE"
            parts = [
                f"copy {human_bytes(plan.copied)} ({human_bytes(plan.free)} free{room})"
                f"{_about(plan.seconds)}",
                "try it in the sandbox",
            ]
        words = visible_line("; ".join([*parts, *hooks_in_words(self.hooks)]))
        if self.height >= _TALL:
            yield Content("")
        yield from self._wrapped("plan", words, "$quiet" if plan.fits else "$failed")

    def _notes(self, number: int) -> str:
        current = self.status.current is not None and self.status.current.number == number
        back = self.status.predecessor is not None and self.status.predecessor.number == number
        notes = ["now"] if current else ["r goes here"] if back else []
        backups = sorted(self.status.backups_of(number), key=lambda one: one.automatic)
        notes += [
            f"{'backup' if one.automatic else 'pinned'} “{self._label(one.label)}”"
            for one in backups[:_BACKUPS_SHOWN]
        ]
        more = len(backups) - _BACKUPS_SHOWN
        notes += [f"{more} more"] if more > 0 else []
        return f" · {' · '.join(notes)}" if notes else ""

    def _label(self, label: str) -> str:
        """A backup's label; the long name of the candidate that it was made before is shortened."""
        before = label.removeprefix("before ")
        return f"before {self._short(before)}" if before in self.labels else visible_line(label)

    def _history(self) -> Iterable[Content]:
        """A window around the marked generation."""
        generations = self.status.generations
        if not generations:
            return
        current = self.status.current.number if self.status.current else None
        marked = self.marked % len(generations)
        first = max(0, min(marked - _HISTORY_LINES // 2, len(generations) - _HISTORY_LINES))
        shown = generations[first : first + _HISTORY_LINES]
        yield Content("")
        for place, one in enumerate(shown, start=first):
            yield self._row(
                "history" if place == first else "",
                ("▸ " if place == marked else "  ", "bold"),
                (
                    f"{one.number} {self._short(one.manifest.name)}",
                    "bold" if one.number == current else "",
                ),
                (
                    f" · {human_bytes(one.size)} · {one.manifest.last_updated[:10]}"
                    f"{self._notes(one.number)}",
                    "$quiet",
                ),
            )
        hidden = len(generations) - len(shown)
        if hidden:
            yield self._row("", (f"  {hidden} more, ↑ ↓", "$quiet"))

    def _log(self) -> Iterable[Content]:
        most = _LOG_LINES if self.height < _TALL else _LOG_LINES_TALL
        entries = self.status.audit[-most:]
        if entries:
            yield Content("")
        for place, entry in enumerate(reversed(entries)):
            yield self._row("" if place else "audit", (change_in_words(entry), "$quiet"))
