"""``emojudge simulate``: from options to a question, and its answer with progress."""

from __future__ import annotations

import math
from pathlib import Path

from emojudge.errors import StoreError, UsageError
from emojudge.paths import write_durably
from emojudge.ranking.simulate.acceptance import (
    PUBLISHED_STUDIES,
    Acceptance,
    all_measurements,
    measure,
)
from emojudge.ranking.simulate.summary import Question, Summary, summarise
from emojudge.report.simulation_plot import Curve, simulation_plot
from emojudge.say import say, say_progress


def numbers(option: str, text: str) -> tuple[float, ...]:
    """Comma-separated numbers of an option. Raises UsageError."""
    try:
        values = tuple(float(one) for one in text.split(","))
    except ValueError as problem:
        raise UsageError(
            f"{option}: {text!r} is not a list of numbers; give for example 0.6,0.6,0.5."
        ) from problem
    if not all(map(math.isfinite, values)):
        raise UsageError(f"{option}: {text!r} holds a number that is not finite.")
    return values


def _progress(done: int, total: int) -> None:
    say_progress(f"{done} of {total} studies", last=done == total)


def run_acceptance(studies: int | None) -> Acceptance:
    """Every promise, measured on so many studies (unset: as many as are published)."""
    count = studies or PUBLISHED_STUDIES
    say(f"{count} studies for each figure; 2000 take some 50 minutes on two cores")
    return Acceptance(count, tuple(measure(all_measurements(), count, progress=_progress)))


def run_simulation(question: Question, plot: Path | None) -> Summary:
    """The answer to a question; its plot goes to a file. Raises UsageError and StoreError."""
    summary = summarise(question, progress=_progress)
    if plot is not None:
        try:
            write_durably(plot, _plot(summary).encode())
        except OSError as problem:
            raise StoreError(
                f"Cannot write the plot {plot}: {problem.strerror}. Name a file in a folder that "
                "exists and is writable."
            ) from problem
        say(f"Wrote {plot}.")
    return summary


def _plot(summary: Summary) -> str:
    question = summary.question
    title = (
        f"studies with a verdict · {len(question.final)} candidates, {question.design.prompts} × "
        f"{question.design.raters}"
    )
    curves = [Curve(one.chooser, one.ratings_until, one.studies) for one in summary.outcomes]
    return simulation_plot(title, curves)
