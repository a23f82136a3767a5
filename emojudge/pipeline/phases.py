"""How far each of the five phases is, in a few words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum

from emojudge.pipeline.insights import Insight
from emojudge.pipeline.state import Phase, Status
from emojudge.ranking.decision import Kind
from emojudge.ranking.verdict import ahead_line
from emojudge.store.tables import Discovery
from emojudge.text import counted, human_seconds
from emojudge.view import StudyView


class Mark(Enum):
    """Whether a phase is done, under way, or still to come."""

    DONE = "✓"
    GOING = "▸"
    AHEAD = "·"


@dataclass(frozen=True)
class PhaseLine:
    """One phase and how far it is."""

    phase: Phase
    mark: Mark
    words: str


def phase_lines(
    status: Status, found: Discovery | None, insight: Insight | None, core: str
) -> tuple[PhaseLine, ...]:
    """All five; ``found`` is None before discover, ``core`` says what is deployed."""
    if found is None:
        going = PhaseLine(Phase.DISCOVER, Mark.GOING, status.activity or "looking for candidates")
        rest = tuple(PhaseLine(one, Mark.AHEAD, "") for one in Phase if one is not Phase.DISCOVER)
        return going, *rest
    return (
        PhaseLine(
            Phase.DISCOVER,
            Mark.DONE,
            f"{counted(len(found.candidates), 'candidate')}, "
            f"{counted(len(found.prompts), 'prompt')}",
        ),
        _ai_judge(status),
        # The view that is there already: building one for each response of a run takes the
        # screens' time.
        PhaseLine(Phase.HUMAN_JUDGE, Mark.AHEAD, "")
        if insight is None
        else _human_judge(insight.view),
        _rank(insight),
        _deploy(core),
    )


def _deploy(core: str) -> PhaseLine:
    """What is wrong with a core begins with ``!``."""
    if not core:
        return PhaseLine(Phase.DEPLOY, Mark.AHEAD, "no core yet")
    return PhaseLine(Phase.DEPLOY, Mark.GOING if core.startswith("!") else Mark.DONE, core)


def _ai_judge(status: Status) -> PhaseLine:
    progress = status.progress.values()
    total = sum(one.total for one in progress)
    done = sum(one.done + one.failed for one in progress)
    judged = f"{status.judged} of {counted(status.to_judge, 'prompt')} judged"
    complete = bool(total) and done >= total and status.judged >= status.to_judge
    if complete and not status.running:
        return PhaseLine(Phase.AI_JUDGE, Mark.DONE, judged)
    left = [one.seconds_left for one in progress if one.seconds_left]
    # Models that share the machine end about together.
    ahead = f" ({human_seconds(max(left))} left)" if status.running and left else ""
    words = f"{done / total:.0%} generated{ahead}, {judged}" if total else judged
    return PhaseLine(Phase.AI_JUDGE, Mark.GOING if status.running else Mark.AHEAD, words)


def _human_judge(view: StudyView) -> PhaseLine:
    items = view.counted_items
    wanted = view.config.judging_config.minimum_human_samples
    rated = Counter(rating.candidate for item in items for rating in item.ratings)
    least = min((rated[one.sha256] for one in view.candidates), default=0)
    if not items:
        return PhaseLine(Phase.HUMAN_JUDGE, Mark.AHEAD, "nobody has rated yet")
    raters = len({item.rater for item in items})
    words = f"{counted(len(items), 'item')} by {raters} {'person' if raters == 1 else 'people'}"
    if least >= wanted:
        return PhaseLine(Phase.HUMAN_JUDGE, Mark.DONE, words)
    words += f"; the least rated candidate has {least} of {wanted}"
    return PhaseLine(Phase.HUMAN_JUDGE, Mark.GOING, words)


def _rank(insight: Insight | None) -> PhaseLine:
    verdict = insight.verdict if insight is not None else None
    if verdict is None or verdict.kind is None:
        return PhaseLine(Phase.RANK, Mark.AHEAD, "nothing to rank yet")
    decided = verdict.kind is not Kind.INCONCLUSIVE
    words = verdict.sentence if decided else "no verdict yet"
    assert insight is not None
    ahead = ahead_line(insight.standing) if insight.standing is not None else ""
    if ahead and not decided:
        words += f"; {ahead}"
    return PhaseLine(Phase.RANK, Mark.DONE if decided else Mark.GOING, words)
