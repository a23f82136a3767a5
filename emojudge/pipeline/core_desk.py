"""The Deploy screen's side without Textual: the store as it was shown, gates, plan, changes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from emojudge.deploy.gates import Gate, failed, unknown
from emojudge.deploy.generation import Generation
from emojudge.deploy.plan import Plan
from emojudge.deploy.progress import Progress
from emojudge.deploy.replacer import CoreModelReplacer
from emojudge.deploy.status import Status
from emojudge.domain import Candidate
from emojudge.errors import EmojudgeError
from emojudge.pipeline.deploying import incoming, judgement_gates, origin_of
from emojudge.pipeline.insights import Insights
from emojudge.pipeline.study import Study
from emojudge.ranking.standing import rank_candidates

Mark = tuple[int, int, int] | None


def _mark(file: Path) -> Mark:
    try:
        state = os.lstat(file)
    except OSError:
        return None
    return state.st_ino, state.st_mtime_ns, state.st_size


@dataclass(frozen=True)
class Seen:
    """The store as it was read, with the candidates in the order of the ranking."""

    status: Status
    candidates: tuple[Candidate, ...]
    chosen: Candidate | None
    marks: tuple[Mark, ...]

    @property
    def expected(self) -> int | None:
        """The generation that was seen to be current; None: no core."""
        return self.status.current.number if self.status.current is not None else None


class CoreDesk:
    """What the screen shows is kept, and every change names it: a stale screen changes nothing."""

    def __init__(self, study: Study, replacer: CoreModelReplacer, insights: Insights) -> None:
        self._study = study
        self._insights = insights
        self.replacer = replacer
        self.chosen: str | None = None
        """The sha256 of the candidate that a person chose; None: the best that is not the core."""
        self.seen: Seen | None = None
        self._looked: dict[tuple[str, int | None], tuple[Gate, ...]] = {}

    # Looking

    def _marks(self) -> tuple[Mark, ...]:
        layout = self.replacer.layout
        files = (layout.current, layout.audit_log.file, layout.journal.file)
        return tuple(_mark(file) for file in (*files, self.replacer.backup_dir))

    def changed_meanwhile(self) -> bool:
        """Whether somebody changed the store since it was read."""
        return self.seen is not None and self._marks() != self.seen.marks

    def look(self) -> Seen:
        """Read the store. Raises DeployError."""
        marks = self._marks()
        status = self.replacer.status()
        candidates = tuple(score.candidate for score in rank_candidates(self._study.view()))
        chosen = self._chosen(candidates, status.current)
        self.seen = Seen(status, candidates, chosen, marks)
        return self.seen

    def _chosen(
        self, candidates: tuple[Candidate, ...], core: Generation | None
    ) -> Candidate | None:
        own = next((one for one in candidates if one.sha256 == self.chosen), None)
        if own is not None:
            return own
        other = (one for one in candidates if core is None or not core.holds(one.files))
        return next(other, candidates[0] if candidates else None)

    def choose(self, step: int) -> None:
        """The candidate so many places on, round and round."""
        seen = self.seen or self.look()
        if seen.chosen is not None:
            place = seen.candidates.index(seen.chosen)
            self.chosen = seen.candidates[(place + step) % len(seen.candidates)].sha256

    def _key(self, candidate: Candidate) -> tuple[str, int | None]:
        return candidate.sha256, self.seen.expected if self.seen is not None else None

    def to_look_at(self) -> Candidate | None:
        """The chosen candidate, while its file was not looked at yet."""
        chosen = self.seen.chosen if self.seen is not None else None
        return chosen if chosen is not None and self._key(chosen) not in self._looked else None

    def look_at(self, candidate: Candidate) -> None:
        """Read a candidate's header (for a thread); what is wrong becomes a gate that failed."""
        key = self._key(candidate)
        try:
            if candidate.gone:
                gates: tuple[Gate, ...] = (failed("structure", candidate.gone, integrity=True),)
            else:
                gates = self.replacer.look_at(candidate.path)
        except EmojudgeError as problem:
            gates = (failed("structure", str(problem), integrity=True),)
        self._looked[key] = gates

    def gates(self, candidate: Candidate) -> tuple[Gate, ...]:
        """What is known for and against a candidate; its copy is looked at once more later."""
        reading = (unknown("structure", "being read…", integrity=True),)
        latest = self._insights.latest
        standing = latest.standing if latest is not None else None
        return self._looked.get(self._key(candidate), reading) + judgement_gates(
            self._study.view(), candidate, standing
        )

    def plan(self, candidate: Candidate) -> Plan:
        """What promoting it would cost. Raises DeployError."""
        hashes = tuple(file.sha256 for file in candidate.files)
        return self.replacer.plan(candidate.size, hashes)

    # Changing, in a thread

    def promote(
        self,
        seen: Seen,
        candidate: Candidate,
        gates: tuple[Gate, ...],
        reason: str | None,
        progress: Progress,
    ) -> Generation:
        """Make a candidate the core, if the store is still as it was seen."""
        judgements = tuple(gate for gate in gates if not gate.integrity and gate.name != "template")
        return self.replacer.replace(
            incoming(self._study.loaded, self._study.view(), candidate),
            expected=seen.expected,
            seen=seen.status.head,
            judgements=judgements,
            force=reason,
            progress=progress,
        )

    def roll_back(self, seen: Seen, reason: str | None) -> Generation:
        """Go back to the predecessor that was shown."""
        origin = origin_of(self._study.loaded, self._study.view())
        return self.replacer.rollback(
            expected=seen.expected, seen=seen.status.head, origin=origin, reason=reason
        )

    def restore(self, seen: Seen, number: int, reason: str | None) -> Generation:
        """Make an earlier generation current, if the store is still as it was seen."""
        origin = origin_of(self._study.loaded, self._study.view())
        return self.replacer.restore(
            number, expected=seen.expected, seen=seen.status.head, origin=origin, reason=reason
        )
