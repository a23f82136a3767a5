"""What plug-ins and subclasses of ModelJudge measure beside."""

from __future__ import annotations

from emojudge.judges.fidelity import fidelity_of
from emojudge.judges.own_metrics import OWN_METRIC
from emojudge.judges.section_parts import (
    baseline_first,
    baseline_of,
    estimate_data,
    finite,
    interval_cell,
    rounded,
)
from emojudge.sections import Column, ReportKey, Row, Section, Sentence, Table, Voice
from emojudge.view import StudyView, mean_over_prompts


def custom_section(view: StudyView) -> Section | None:
    """Figures of somebody's own, per candidate and as a difference."""
    baseline = baseline_of(view)
    levels = _custom_levels(view)
    if baseline is None or not levels:
        return None
    differences = {
        sha: dict(one.custom) for sha, one in fidelity_of(view).candidates.items() if one.custom
    }
    names = sorted({name for own in levels.values() for name in own})
    rows = []
    for name in names:
        for number, candidate in enumerate(baseline_first(view)):
            less = differences.get(candidate.sha256, {}).get(name)
            rows.append(
                Row(
                    (
                        name if number == 0 else "",
                        view.labels[candidate.sha256],
                        levels.get(candidate.sha256, {}).get(name),
                        rounded(less.value, 3) if less is not None else None,
                        interval_cell(less, 1.0, 3) if less is not None else None,
                    )
                )
            )
    columns = (
        Column(""),
        Column("candidate"),
        Column("mean", Voice.AI, decimals=3),
        Column(f"− {view.labels[baseline.sha256]}", Voice.AI, decimals=3, signed=True),
        Column("[95%]", Voice.DIM, signed=True),
    )
    note = Sentence("figures of your own, means over prompts; they are part of no score", Voice.DIM)
    data = {
        name: {
            one.name: {
                "mean": levels.get(one.sha256, {}).get(name),
                "minus_baseline": estimate_data(differences.get(one.sha256, {}).get(name)),
            }
            for one in view.candidates
        }
        for name in names
    }
    blocks = (Table(columns, tuple(rows)), note)
    return Section("own_metrics", "own metrics", ReportKey.AI, blocks, data)


def _custom_levels(view: StudyView) -> dict[str, dict[str, float]]:
    """Means over prompts of each figure, by candidate sha256 and name."""
    values: dict[str, dict[str, list[tuple[str, float]]]] = {}
    for one in view.judgements:
        if one.judge.startswith(OWN_METRIC):
            for name, value in one.figures.items():
                own = values.setdefault(one.candidate, {})
                own.setdefault(name, []).append((one.prompt_id, value))
    levels: dict[str, dict[str, float]] = {}
    for sha, by_name in values.items():
        for name, known in by_name.items():
            mean = finite(mean_over_prompts(known))
            if mean is not None:
                levels.setdefault(sha, {})[name] = mean
    return levels
