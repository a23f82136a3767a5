"""What the verdict promises, each figure measured on planted truth and held against its bound."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binom, binomtest

from emojudge.columns import aligned
from emojudge.ranking.simulate import mutants
from emojudge.ranking.simulate.planted import Design, Truth
from emojudge.ranking.simulate.run import Progress, run_all
from emojudge.ranking.simulate.study import Chooser
from emojudge.ranking.simulate.walk import (
    Seen,
    Task,
    Until,
    equal,
    one_leader,
    two_tied,
    walk,
)

PUBLISHED_STUDIES = 2000
_LIMIT = 0.99
_SLOW_SHARE = 5
_NEVER = 10**9
MARGIN = 0.075
_CHOOSERS: tuple[Chooser, ...] = ("balanced", "adaptive")


@dataclass(frozen=True)
class Figure:
    """One measured figure beside its bounds (either may be None).

    ``strict`` bounds are those that were wanted; ``low`` and ``high`` are the same or, in a short
    run, widened by what chance does to so few studies.
    """

    group: str
    name: str
    value: float
    low: float | None
    high: float | None
    studies: int
    note: str = ""

    @property
    def reached(self) -> bool:
        """Whether the figure is within its bounds."""
        above = self.low is None or self.value >= self.low
        return above and (self.high is None or self.value <= self.high)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {**dataclasses.asdict(self), "reached": self.reached}


@dataclass(frozen=True)
class Measurement:
    """Studies to run, and how figures are read off what they saw; ``slow`` ones run on fewer."""

    walk: Callable[[Task], Any]
    tasks: Callable[[int], Iterable[Task]]
    read: Callable[[Sequence[Any]], list[Figure]]
    slow: bool = False


def widened(bound: float, studies: int, *, high: bool) -> float:
    """A proportion's bound, moved by the binomial 99 % limit in runs shorter than published."""
    if studies >= PUBLISHED_STUDIES:
        return bound
    if high:
        return float(binom.ppf(_LIMIT, studies, bound)) / studies
    return float(binom.ppf(1 - _LIMIT, studies, bound)) / studies


def _surely_above(bound: float, studies: int) -> float:
    """The smallest share whose exact 95 % interval lies above the bound."""
    hits = next(
        (
            hits
            for hits in range(studies)
            if binomtest(hits, studies).proportion_ci(0.95, "exact").low > bound
        ),
        studies,
    )
    return hits / studies


def _at_most(group: str, name: str, hits: int, studies: int, bound: float) -> Figure:
    high = widened(bound, studies, high=True)
    return Figure(group, name, hits / max(studies, 1), None, high, studies)


def _at_least(group: str, name: str, hits: int, studies: int, bound: float) -> Figure:
    low = widened(bound, studies, high=False)
    return Figure(group, name, hits / max(studies, 1), low, None, studies)


def _times(truth: Truth, design: Design, **settings: Any) -> Callable[[int], Iterable[Task]]:
    def tasks(studies: int) -> Iterable[Task]:
        return (Task(truth, design, seed, **settings) for seed in range(studies))

    return tasks


def false_winner(candidates: int, prompts: int, raters: int, chooser: Chooser) -> Measurement:
    """Two tied on top, the rest .15 lower: how often a winner is ever declared."""
    name = f"K={candidates}, {prompts}×{raters}, {chooser}"

    def read(seen: Sequence[Seen]) -> list[Figure]:
        hits = sum(one.winner is not None for one in seen)
        return [_at_most("false winner ever", name, hits, len(seen), 0.05)]

    design = Design(prompts, raters)
    truth = two_tied(candidates, 0.15)
    return Measurement(walk, _times(truth, design, chooser=chooser, until=Until.WINNER), read)


def _mutant(
    name: str, run: Callable[[Task], bool], truth: Truth, design: Design, above: float
) -> Measurement:
    def read(declared: Sequence[bool]) -> list[Figure]:
        count = len(declared)
        # In a short run too, chance must not make an error of 5 % look like a mutant.
        low = max(widened(above, count, high=False), _surely_above(0.05, count))
        share = sum(declared) / count
        return [Figure("mutants found out", name, share, low, None, count)]

    return Measurement(run, _times(truth, design), read)


def mutant_measurements() -> list[Measurement]:
    """Each wrong analysis on the design that shows it, and ours on the hardest of them."""
    interaction = dataclasses.replace(two_tied(2, 0.0), interaction=0.15)
    at_margin = one_leader(2, MARGIN)

    def ours(seen: Sequence[Seen]) -> list[Figure]:
        hits = sum(one.winner is not None for one in seen)
        name = "K=2, 20×8, interaction .15, people alone"
        return [_at_most("false winner ever", name, hits, len(seen), 0.05)]

    crowded = Design(20, 8)
    return [
        _mutant(
            "P(best) ≥ .95 by bootstrap, K=2, 20×6",
            mutants.bootstrap_winner,
            two_tied(2, 0.0),
            Design(20, 6),
            0.30,
        ),
        _mutant(
            "items as independent, 20×8, interaction .15",
            mutants.independent_items,
            interaction,
            crowded,
            0.10,
        ),
        _mutant(
            "non-inferiority by the fixed interval, K=2, 100×1",
            mutants.peeking_ladder,
            at_margin,
            Design(100, 1),
            0.05,
        ),
        Measurement(walk, _times(interaction, crowded, until=Until.WINNER, ai_weight=0.0), ours),
    ]


def _ratings(seen: Sequence[Seen]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([one.winner_at if one.winner == 0 else _NEVER for one in seen], dtype=float)


def power(candidates: int, bounds: dict[float, float]) -> Measurement:
    """One leader by .10: ratings until it is declared, at the given shares of studies."""

    def read(seen: Sequence[Seen]) -> list[Figure]:
        took = _ratings(seen)
        return [
            Figure(
                "ratings until the winner",
                f"K={candidates}, .10 ahead, {share:.0%} of studies",
                float(np.quantile(took, share, method="higher")),
                None,
                bound,
                len(seen),
            )
            for share, bound in bounds.items()
        ]

    truth = one_leader(candidates, 0.10)
    return Measurement(walk, _times(truth, Design(100, 4), until=Until.WINNER), read)


def adaptive_gain(candidates: int, raters: int, bound: float, *, slow: bool) -> Measurement:
    """Mean ratings until the winner, adaptive over balanced, on the same planted studies."""
    truth, design = one_leader(candidates, 0.10), Design(100, raters)

    def tasks(studies: int) -> Iterable[Task]:
        for seed in range(studies):
            for chooser in _CHOOSERS:
                yield Task(truth, design, seed, chooser, Until.WINNER)

    def read(seen: Sequence[Seen]) -> list[Figure]:
        fixed, chosen = seen[::2], seen[1::2]
        ratio = float(
            np.mean([one.ratings for one in chosen]) / np.mean([one.ratings for one in fixed])
        )
        means = [float(np.mean([one.ratings for one in part])) for part in (chosen, fixed)]
        late = sum(one.winner is None for one in seen)
        note = f"{means[0]:.0f} over {means[1]:.0f} ratings; {late} undecided counted as they ended"
        name = f"K={candidates}, .10 ahead"
        return [Figure("adaptive over balanced", name, ratio, None, bound, len(fixed), note)]

    return Measurement(walk, tasks, read, slow)


def false_as_good(candidates: int) -> Measurement:
    """All others exactly at the margin below the baseline: how often one is called as good."""

    def read(seen: Sequence[Seen]) -> list[Figure]:
        hits = sum(bool(one.passed) for one in seen)
        name = f"K={candidates}, 100×1"
        return [_at_most("false as-good ever", name, hits, len(seen), 0.05)]

    truth = one_leader(candidates, MARGIN)
    return Measurement(walk, _times(truth, Design(100, 1), until=Until.END), read)


def forecast_kept() -> Measurement:
    """Two that are equal: how often a verdict comes within the number quoted after 40 ratings."""

    def read(seen: Sequence[Seen]) -> list[Figure]:
        quoted = [one for one in seen if one.quoted is not None]
        # A false winner is no verdict that anybody was promised.
        kept = sum(bool(one.in_time) and not one.winners for one in quoted)
        silent = len(seen) - len(quoted)
        typical = np.median([one.quoted for one in quoted]) if quoted else 0
        note = (
            f"median quoted {typical:.0f} items; {silent} were told it cannot be resolved; of all "
            f"{kept / len(seen):.3f}"
        )
        low = widened(0.90, len(seen), high=False)
        share = kept / max(1, len(quoted))
        name = "K=2, equal, 120×4"
        return [Figure("forecast kept", name, share, low, None, len(quoted), note)]

    return Measurement(walk, _times(equal(2), Design(120, 4), forecast_at=40), read)


def coverage(prompts: int) -> Measurement:
    """The fixed-n interval looked at once, the deciding one at every look."""

    def read(seen: Sequence[Seen]) -> list[Figure]:
        count = len(seen)
        once = sum(bool(one.covered_once) for one in seen)
        always = sum(bool(one.covered_always) for one in seen)
        fixed = Figure(
            "coverage",
            f"fixed-n, {prompts} prompts",
            once / count,
            widened(0.93, count, high=False),
            widened(0.97, count, high=True),
            count,
        )
        return [
            fixed,
            _at_least("coverage", f"deciding, every look, {prompts} prompts", always, count, 0.95),
        ]

    return Measurement(walk, _times(one_leader(2, 0.05), Design(prompts, 1)), read)


def dispute_measurements() -> list[Measurement]:
    """A dispute where there is none, and where the AI has it the wrong way round."""

    def rarely(seen: Sequence[Seen]) -> list[Figure]:
        hits = sum(one.ever_in_dispute for one in seen)
        return [_at_most("in dispute", "equal, good AI, ever", hits, len(seen), 0.05)]

    def found(seen: Sequence[Seen]) -> list[Figure]:
        hits = sum(one.ends_in_dispute for one in seen)
        return [_at_least("in dispute", "AI reversed at .15, 600 ratings", hits, len(seen), 0.80)]

    good = dataclasses.replace(equal(2), correlation=0.8)
    reversed_ai = Truth(people=(0.6, 0.45), ai=(0.45, 0.6))
    return [
        Measurement(walk, _times(good, Design(100, 3)), rarely),
        Measurement(walk, _times(reversed_ai, Design(100, 3)), found),
    ]


def all_measurements() -> list[Measurement]:
    """The published run."""
    designs = ((20, 6), (30, 4), (100, 1))
    return [
        *(
            false_winner(candidates, prompts, raters, chooser)
            for candidates in (2, 5, 8)
            for prompts, raters in designs
            for chooser in _CHOOSERS
        ),
        *mutant_measurements(),
        power(2, {0.5: 100, 0.8: 160}),
        power(5, {0.5: 400}),
        *(false_as_good(candidates) for candidates in (2, 5)),
        forecast_kept(),
        adaptive_gain(5, 8, 1.0, slow=False),
        adaptive_gain(8, 12, 0.65, slow=False),
        adaptive_gain(20, 24, 0.40, slow=True),
        *(coverage(prompts) for prompts in (20, 50, 100)),
        *dispute_measurements(),
    ]


def short_measurements() -> list[Measurement]:
    """The part that every test run repeats: false winners at 20×6, and the mutants."""
    return [
        *(false_winner(count, 20, 6, chooser) for count in (2, 5) for chooser in _CHOOSERS),
        *mutant_measurements(),
    ]


def measure(
    measurements: Sequence[Measurement],
    studies: int,
    *,
    processes: int | None = None,
    progress: Progress | None = None,
) -> list[Figure]:
    """Run every measurement; slow ones on a fifth of the studies, which their figures say."""
    figures: list[Figure] = []
    for number, one in enumerate(measurements):
        count = max(1, math.ceil(studies / _SLOW_SHARE)) if one.slow else studies

        def step(done: int, total: int, number: int = number) -> None:
            if progress is not None:
                progress(number * total + done, len(measurements) * total)

        seen = run_all(one.walk, list(one.tasks(count)), processes=processes, progress=step)
        figures += one.read(seen)
    return figures


@dataclass(frozen=True)
class Acceptance:
    """All figures of a run of ``studies``."""

    studies: int
    figures: tuple[Figure, ...]

    @property
    def reached(self) -> bool:
        """Whether every figure is within its bounds."""
        return all(figure.reached for figure in self.figures)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "studies": self.studies,
            "seeds": f"0 to {self.studies - 1}",
            "reached": self.reached,
            "figures": [figure.as_json() for figure in self.figures],
        }

    def lines(self) -> list[str]:
        """For a terminal: every figure beside its bound."""
        rows = [["", "figure", "", "measured", "bound", "studies", ""]]
        group = ""
        for figure in self.figures:
            shown = figure.group if figure.group != group else ""
            group = figure.group
            rows.append(
                [
                    "✓" if figure.reached else "✗",
                    shown,
                    figure.name,
                    _figure_text(figure.value),
                    _bound_text(figure),
                    str(figure.studies),
                    figure.note,
                ]
            )
        missed = sum(not figure.reached for figure in self.figures)
        verdict = "every figure is reached" if not missed else f"{missed} figures are missed"
        return [*aligned(rows, right=(3, 5)), verdict]


def _figure_text(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.0f}"


def _bound_text(figure: Figure) -> str:
    if figure.low is not None and figure.high is not None:
        return f"{_figure_text(figure.low)} to {_figure_text(figure.high)}"
    if figure.low is not None:
        return f"≥ {_figure_text(figure.low)}"
    return f"≤ {_figure_text(figure.high)}" if figure.high is not None else ""
