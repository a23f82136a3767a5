"""Walking through a simulated study: what was declared when, and what the intervals held."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from emojudge.estimates import fixed_radius
from emojudge.ranking.decision import Decision, Evidence, Kind, decide
from emojudge.ranking.evidence import MIN_PROMPTS, deciding_radius
from emojudge.ranking.forecast import forecast
from emojudge.ranking.simulate.planted import Design, Truth
from emojudge.ranking.simulate.study import Chooser, SimulatedStudy


class Until(Enum):
    """When a walk ends, if the items do not end it."""

    WINNER = "winner"
    END = "end"


@dataclass(frozen=True)
class Task:
    """One study to walk through. ``forecast_at``: ratings after which its length is forecast."""

    truth: Truth
    design: Design
    seed: int
    chooser: Chooser = "balanced"
    until: Until = Until.END
    ai_weight: float = 0.4
    forecast_at: int | None = None


@dataclass(frozen=True)
class Seen:
    """What was declared first, and after how many ratings; None where it never was.

    ``winners`` were ever declared, ``passed`` are the rungs that ever passed, verdict or not.

    ``covered_once`` says whether the last fixed-n interval of the first two candidates' difference
    holds the truth, ``covered_always`` whether every deciding interval did; None without one.
    ``quoted`` is the number of items forecast, ``in_time`` whether a verdict came by then.
    """

    ratings: int
    winners: frozenset[int] = frozenset()
    passed: frozenset[int] = frozenset()
    winner: int | None = None
    winner_at: int | None = None
    as_good: int | None = None
    as_good_at: int | None = None
    ever_in_dispute: bool = False
    ends_in_dispute: bool = False
    covered_once: bool | None = None
    covered_always: bool | None = None
    quoted: int | None = None
    in_time: bool | None = None


class _Log:
    def __init__(self, task: Task, study: SimulatedStudy) -> None:
        self.task = task
        self.study = study
        self.seen: dict[str, int | bool | None] = {}
        self.winners: set[int] = set()
        self.passed: set[int] = set()
        self.due: int | None = None
        weight = task.ai_weight
        people, ai = task.truth.people, task.truth.ai
        self.true_difference = (1 - weight) * (people[0] - people[1]) + weight * (ai[0] - ai[1])

    def note(self, evidence: Evidence, decision: Decision) -> None:
        seen, ratings = self.seen, self.study.ratings
        self.passed.update(decision.passed)
        if decision.kind is Kind.WINNER:
            self.winners.add(decision.leader)
        if decision.kind is Kind.WINNER and "winner" not in seen:
            seen["winner"], seen["winner_at"] = decision.recommended, ratings
        if decision.kind is Kind.AS_GOOD and "as_good" not in seen:
            seen["as_good"], seen["as_good_at"] = decision.recommended, ratings
        seen["ends_in_dispute"] = decision.kind is Kind.DISPUTE
        if decision.kind is Kind.DISPUTE:
            seen["ever_in_dispute"] = True

    def intervals(self, evidence: Evidence) -> None:
        final = evidence.final
        if final.prompts < MIN_PROMPTS:
            return
        difference, variance = final.against(0)
        off = abs(difference[1] - self.true_difference)
        degrees = final.prompts - 1
        self.seen["covered_once"] = bool(off <= fixed_radius(variance, degrees)[1])
        held = bool(off <= deciding_radius(variance[[1]], degrees)[0])
        self.seen["covered_always"] = held and self.seen.get("covered_always", True) is True

    def forecast(self, evidence: Evidence, decision: Decision) -> None:
        study, wanted = self.study, self.task.forecast_at
        reached = decision.kind in (Kind.WINNER, Kind.AS_GOOD)
        if wanted is None or study.ratings < wanted or "in_time" in self.seen:
            return
        if self.due is None:
            if reached:
                self.seen["quoted"], self.seen["in_time"] = 0, True
                return
            left = [prompt for _, prompt, _ in study.visits[study.items :]]
            ahead = forecast(
                evidence,
                decision,
                study.people,
                study.rules,
                left,
                ai_weight=self.task.ai_weight,
                panes=study.design.panes,
                seed=self.task.seed,
            )
            self.seen["quoted"] = quoted = ahead.items if ahead else None
            if quoted is None:
                self.seen["in_time"] = None
                return
            self.due = study.items + quoted
        elif reached or study.items >= self.due:
            self.seen["in_time"] = reached

    @property
    def over(self) -> bool:
        until, seen = self.task.until, self.seen
        if self.task.forecast_at is not None:
            return "in_time" in seen
        return until is Until.WINNER and "winner" in seen


def walk(task: Task) -> Seen:
    """Rate item after item, asking after each."""
    study = SimulatedStudy(
        task.truth, task.design, task.seed, chooser=task.chooser, ai_weight=task.ai_weight
    )
    log = _Log(task, study)
    for evidence in study:
        decision = decide(evidence, study.rules)
        log.note(evidence, decision)
        if task.until is Until.END:
            log.intervals(evidence)
        log.forecast(evidence, decision)
        if log.over:
            break
    return Seen(
        ratings=study.ratings,
        winners=frozenset(log.winners),
        passed=frozenset(log.passed),
        **log.seen,  # type: ignore[arg-type]
    )


def equal(candidates: int, level: float = 0.6) -> Truth:
    """All candidates the same, with people and AI."""
    return strengths((level,) * candidates)


def one_leader(candidates: int, ahead: float, level: float = 0.6) -> Truth:
    """The first candidate ahead of all others."""
    return strengths((level, *(level - ahead,) * (candidates - 1)))


def two_tied(candidates: int, ahead: float, level: float = 0.6) -> Truth:
    """The first two the same, the others behind."""
    return strengths((level, level, *(level - ahead,) * (candidates - 2)))


def strengths(values: tuple[float, ...]) -> Truth:
    """The same strengths with people and AI, and the usual noise."""
    return Truth(people=values, ai=values)
