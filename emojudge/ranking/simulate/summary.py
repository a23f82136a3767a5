"""What to expect of a study like the one described: errors, power, ratings until a verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest

from emojudge.columns import aligned
from emojudge.errors import UsageError
from emojudge.ranking.simulate.planted import Design, Truth
from emojudge.ranking.simulate.run import Progress, run_all
from emojudge.ranking.simulate.study import Chooser
from emojudge.ranking.simulate.walk import Seen, Task, walk

MARGIN = 0.075
CHOOSERS: tuple[Chooser, ...] = ("balanced", "adaptive")
_MOST_STRENGTHS = 64
_MOST_SCORE = 10.0
_MOST_PROMPTS = 5000
_MOST_CELLS = 500_000


@dataclass(frozen=True)
class Question:
    """A truth and a design to ask about; ``studies`` of each chooser, seeds from ``seed`` on."""

    truth: Truth
    design: Design
    ai_weight: float = 0.4
    studies: int = 200
    seed: int = 0

    @property
    def final(self) -> tuple[float, ...]:
        """The candidates' true final scores."""
        return tuple(
            self.ai_weight * ai + (1 - self.ai_weight) * people
            for people, ai in zip(self.truth.people, self.truth.ai, strict=True)
        )


@dataclass(frozen=True)
class Share:
    """A share of studies with its exact 95 % interval (Clopper-Pearson)."""

    value: float
    interval: tuple[float, float]


def share_of(hits: int, studies: int) -> Share:
    """``hits`` of ``studies``."""
    found = binomtest(hits, studies).proportion_ci(0.95, "exact")
    return Share(hits / studies, (float(found.low), float(found.high)))


def share_of_known(values: Sequence[bool | None]) -> Share | None:
    """The share of True; None when nothing is known of any."""
    known = [one for one in values if one is not None]
    return share_of(sum(known), len(known)) if known else None


@dataclass(frozen=True)
class Outcome:
    """What studies of one chooser came to; ``ratings_until`` are those of decided ones, sorted."""

    chooser: Chooser
    studies: int
    right_winner: Share
    false_winner: Share
    as_good: Share
    false_as_good: Share
    in_dispute: Share
    undecided: Share
    covered_once: Share | None
    covered_always: Share | None
    ratings_until: tuple[int, ...]

    def ratings_for(self, share: float) -> int | None:
        """Ratings by which this share of all studies had a verdict; None: not all that many had."""
        place = int(np.ceil(share * self.studies)) - 1
        return self.ratings_until[place] if place < len(self.ratings_until) else None


@dataclass(frozen=True)
class Summary:
    """The answer, chooser by chooser."""

    question: Question
    outcomes: tuple[Outcome, ...]

    def as_json(self) -> dict[str, Any]:
        """For ``--json``; every setting that decides the figures is in it."""
        return {
            "question": dataclasses.asdict(self.question),
            "true_final_scores": list(self.question.final),
            "rating_sd": self.question.truth.rating_sd,
            "equivalence_margin": MARGIN,
            "outcomes": {
                one.chooser: {
                    **dataclasses.asdict(one),
                    "ratings_for_half": one.ratings_for(0.5),
                    "ratings_for_eight_in_ten": one.ratings_for(0.8),
                }
                for one in self.outcomes
            },
        }

    def lines(self) -> list[str]:
        """For a terminal."""
        question, truth, design = self.question, self.question.truth, self.question.design
        listed = ", ".join(f"{value:.3f}" for value in question.final[:8])
        more = ", …" if len(question.final) > 8 else ""
        head = [
            f"{len(question.final)} candidates of true final score {listed}{more}; the first is "
            "the baseline",
            f"{design.prompts} prompts × {design.raters} raters, {design.panes} panes; one "
            f"rating's sd {truth.rating_sd:.2f}; AI correlation {truth.correlation:g}, weight "
            f"{question.ai_weight:g}; {question.studies} studies each, seeds from {question.seed}",
            "",
        ]
        return head + aligned(self._rows(), right=())

    def _rows(self) -> list[list[str]]:
        def row(name: str, cell: Callable[[Outcome], str]) -> list[str]:
            return [name, *(cell(one) for one in self.outcomes)]

        def share(name: str, of: Callable[[Outcome], Share | None]) -> list[str]:
            def cell(one: Outcome) -> str:
                found = of(one)
                if found is None:
                    return "– (fewer than 8 prompts)"
                low, high = found.interval
                return f"{found.value:6.1%} [{100 * low:.1f}, {100 * high:.1f}]"

            return row(name, cell)

        def ratings(name: str, part: float) -> list[str]:
            return row(name, lambda one: str(one.ratings_for(part) or "not reached"))

        return [
            row("", lambda one: one.chooser),
            share("right winner declared", lambda one: one.right_winner),
            share("false winner ever", lambda one: one.false_winner),
            share("as good declared", lambda one: one.as_good),
            share("false as-good ever", lambda one: one.false_as_good),
            share("ever in dispute", lambda one: one.in_dispute),
            share("no verdict in the end", lambda one: one.undecided),
            ratings("ratings to a verdict, half", 0.5),
            ratings("… 8 of 10 studies", 0.8),
            share("fixed-n interval covers", lambda one: one.covered_once),
            share("deciding one, at every look", lambda one: one.covered_always),
        ]


def _outcome(question: Question, chooser: Chooser, seen: Sequence[Seen]) -> Outcome:
    final, count = question.final, len(seen)
    best = [one for one, value in enumerate(final) if value == max(final)]
    right = best[0] if len(best) == 1 else None

    def share(what: Callable[[Seen], bool]) -> Share:
        return share_of(sum(map(what, seen)), count)

    def false_as_good(one: Seen) -> bool:
        return any(final[rung] <= final[0] - MARGIN + 1e-9 for rung in one.passed)

    firsts = [
        min(at for at in (one.winner_at, one.as_good_at) if at is not None)
        for one in seen
        if one.winner_at is not None or one.as_good_at is not None
    ]
    return Outcome(
        chooser=chooser,
        studies=count,
        right_winner=share(lambda one: right is not None and one.winner == right),
        false_winner=share(lambda one: bool(one.winners - {right})),
        as_good=share(lambda one: one.as_good is not None),
        false_as_good=share(false_as_good),
        in_dispute=share(lambda one: one.ever_in_dispute),
        undecided=share_of(count - len(firsts), count),
        covered_once=share_of_known([one.covered_once for one in seen]),
        covered_always=share_of_known([one.covered_always for one in seen]),
        ratings_until=tuple(sorted(firsts)),
    )


def check(question: Question) -> None:
    """Raises UsageError for a question that no study can have."""
    count = len(question.truth.people)
    scores = (*question.truth.people, *question.truth.ai)
    if (
        not 2 <= count <= _MOST_STRENGTHS
        or len(question.truth.ai) != count
        or not all(0 <= one <= 1 for one in scores)
    ):
        raise UsageError(
            f"--strengths takes 2 to {_MOST_STRENGTHS} numbers from 0 to 1, one a candidate, and "
            "--ai-strengths, where it is given, as many."
        )
    truth, design = question.truth, question.design
    numbers = [*truth.people, *truth.ai, truth.noise, truth.text, truth.interaction, truth.taste]
    numbers += [truth.prompt, truth.rater]
    if max(map(abs, numbers)) > _MOST_SCORE:
        raise UsageError(
            f"Scores go from 0 to 1; strengths and standard deviations beyond {_MOST_SCORE:g} say "
            "nothing about any study."
        )
    if count * design.prompts * design.raters > _MOST_CELLS or design.prompts > _MOST_PROMPTS:
        raise UsageError(
            f"{design.prompts} prompts × {design.raters} raters × {count} candidates are more than "
            "can be simulated; no study of people is that large."
        )


def summarise(
    question: Question,
    choosers: Sequence[Chooser] = CHOOSERS,
    *,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Run the studies. Raises UsageError for a question that no study can have."""
    check(question)
    tasks = [
        Task(
            question.truth,
            question.design,
            question.seed + number,
            chooser,
            ai_weight=question.ai_weight,
        )
        for chooser in choosers
        for number in range(question.studies)
    ]
    seen = run_all(walk, tasks, processes=processes, progress=progress)
    outcomes = [
        _outcome(question, chooser, seen[place * question.studies : (place + 1) * question.studies])
        for place, chooser in enumerate(choosers)
    ]
    return Summary(question, tuple(outcomes))
