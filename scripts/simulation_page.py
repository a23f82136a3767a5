"""Writes docs/simulation.md from a published run, and its two plots.

emojudge simulate --acceptance --json > figures.json
python scripts/simulation_page.py figures.json
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from emojudge import clock
from emojudge.commands.simulate import run_simulation
from emojudge.ranking.simulate.planted import Design
from emojudge.ranking.simulate.summary import Question
from emojudge.ranking.simulate.walk import equal, one_leader

_DOCS = Path(__file__).parent.parent / "docs"
_PICTURES = _DOCS / "pictures"
_STUDIES = 200
_QUESTIONS = (
    (
        "simulated-equal",
        "Five that are equal",
        Question(equal(5), Design(100, 3), studies=_STUDIES),
    ),
    (
        "simulated-leader",
        "Eight, one ahead by .10",
        Question(one_leader(8, 0.10), Design(100, 6), studies=_STUDIES),
    ),
)

_INTRODUCTION = """# What the verdict promises, measured

Made by `scripts/simulation_page.py`; do not edit. Studies of planted truth go through the analysis
item by item, and it is asked after every one: `emojudge simulate --acceptance`. The truth is
planted in `emojudge/ranking/simulate/planted.py`; the analysis sees only the scores. One rating's
standard deviation is .25 (text .10, prompt × candidate .05, the rest the rating itself), prompts
.10, raters .08, AI correlation .5, weights .4 and .6, margin .075, at least 10 rated items of each
candidate. *Adaptive over balanced* at 20 candidates runs on a fifth of the studies.
"""


def _figure(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.0f}"


def _bound(figure: dict[str, Any]) -> str:
    low, high = figure["low"], figure["high"]
    if low is not None and high is not None:
        return f"{_figure(low)} to {_figure(high)}"
    return f"≥ {_figure(low)}" if low is not None else f"≤ {_figure(high)}"


def _table(figures: list[dict[str, Any]]) -> list[str]:
    lines = ["| | figure | measured | bound | studies | |", "|---|---|---|---|---|---|"]
    group = ""
    for figure in figures:
        shown = figure["group"] if figure["group"] != group else ""
        group = figure["group"]
        mark = "" if figure["reached"] else " **missed**"
        lines.append(
            f"| {shown} | {figure['name']} | {_figure(figure['value'])}{mark} | {_bound(figure)} "
            f"| {figure['studies']} | {figure['note']} |"
        )
    return lines


def _plots() -> list[str]:
    lines = []
    for name, title, question in _QUESTIONS:
        summary = run_simulation(question, _PICTURES / f"{name}.svg")
        lines += [f"### {title}", "", "```"]
        lines += [line.rstrip() for line in summary.lines()]
        lines += ["```", "", f"![{title}: studies with a verdict](pictures/{name}.svg)", ""]
    return lines


def main() -> None:
    """Read the figures, run the plots' questions, write the page."""
    found = json.loads(Path(sys.argv[1]).read_text())
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "scipy", "emojudge")
    )
    missed = sum(not one["reached"] for one in found["figures"])
    verdict = "Every figure is within its bound." if not missed else f"{missed} figures are missed."
    lines = [
        _INTRODUCTION,
        f"{clock.now():%d %B %Y}, {found['studies']} studies a figure, seeds {found['seeds']}, "
        f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}, "
        f"{versions}. {verdict}",
        "",
        *_table(found["figures"]),
        "",
        "Validity under the adaptive choice is by this simulation, not by proof.",
        "",
        "## What to expect of a study like yours",
        "",
        "`emojudge simulate` answers that for any strengths, noise and design; two examples:",
        "",
        *_plots(),
    ]
    (_DOCS / "simulation.md").write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
