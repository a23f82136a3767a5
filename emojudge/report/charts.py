"""The report's plots, drawn from the same data that stands in the JSON report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from emojudge.domain import Criterion
from emojudge.report.fidelity_charts import frontier, losses, profiles
from emojudge.report.figure import MOST_ROWS, Figure
from emojudge.report.svg import (
    WIDTH,
    Axis,
    axis_over,
    box,
    diamond,
    dot,
    drawing,
    fitting,
    line,
    path_through,
    words,
)
from emojudge.sections import Section
from emojudge.text import counted
from emojudge.view import StudyView

_LABEL = 32
_SHORT_LABEL = 20
_SHORTEST_LABEL = 16
_FURTHEST = 0.5


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".replace("-", "−")


def _percent(estimate: dict[str, Any]) -> str:
    value, interval = f"{estimate['value']:.0%}", estimate["interval"]
    if interval is None:
        return value
    return f"{value} [{100 * interval[0]:.0f}, {100 * interval[1]:.0f}]"


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _left_out(total: int) -> str:
    return f" The first {MOST_ROWS} of {total} are drawn." if total > MOST_ROWS else ""


def _kind(row: dict[str, Any]) -> str:
    return "dim" if row["is_baseline"] else ""


def _whisker(axis: Axis, y: float, level: float, difference: dict[str, Any]) -> list[Markup]:
    """The deciding interval at the baseline's level, with the fixed-n interval's ends on it."""
    low, high = difference["deciding_interval"]
    if low is None or high is None:
        return [line(axis.left, y, axis.right, y, "open")]
    parts = [line(axis.at(level + low), y, axis.at(level + high), y, "deciding")]
    for end in difference["fixed_n_interval"]:
        if end is not None:
            x = axis.at(level + end)
            parts.append(line(x, y - 5, x, y + 5, "fixed"))
    return parts


def _forest_axis(rows: Sequence[dict[str, Any]], level: float, margin: float) -> Axis:
    """Intervals that reach far beyond are cut, so that the others stay readable."""
    shown = [level - margin, level + margin, *(row["final_score"] for row in rows)]
    for row in rows:
        for end in (row["minus_baseline"] or {}).get("deciding_interval", ()):
            if end is not None:
                shown.append(level + min(max(end, -_FURTHEST), _FURTHEST))
    return axis_over(shown)


def forest(view: StudyView, section: Section) -> Figure | None:
    """Final scores with their deciding and fixed-n intervals, over the band of no difference."""
    rows = [row for row in section.data["ranking"] if row["final_score"] is not None]
    baseline = next((row for row in rows if row["is_baseline"]), None)
    if baseline is None:
        return None
    judging, base = view.config.judging_config, view.labels[baseline["sha256"]]
    level, margin = baseline["final_score"], judging.equivalence_margin
    drawn = rows[:MOST_ROWS]
    axis = _forest_axis(drawn, level, margin)
    bottom = 8 + 34.0 * len(drawn)
    left, right = axis.at(level - margin), axis.at(level + margin)
    parts = [
        box(left, 0, right - left, bottom, "band"),
        line(axis.at(level), 0, axis.at(level), bottom, "level"),
    ]
    for place, row in enumerate(drawn):
        top = 4 + 34.0 * place
        kind = _kind(row)
        parts.append(words(6, top + 11, fitting(view.labels[row["sha256"]], _LABEL), kind))
        figures = f"{_score(row['final_score'])} · n {row['rated_items']}"
        parts.append(words(WIDTH - 6, top + 11, figures, kind, "end"))
        if row["minus_baseline"] is not None:
            parts += _whisker(axis, top + 22, level, row["minus_baseline"])
        parts.append(dot(axis.at(row["final_score"]), top + 22, f"mark {kind}"))
    parts += axis.drawn(bottom)
    prompts = {row["minus_baseline"]["prompts"] for row in rows if row["minus_baseline"]}
    behind = f", from {counted(max(prompts), 'prompt')}" if prompts else ""
    caption = (
        f"Final score ({judging.human_judge_weight:g} people, {judging.ai_judge_weight:g} AI), "
        f"n = rated items. Thick line: deciding interval, 95% at every look, of the difference "
        f"from {base}{behind}; ticks on it: fixed-n interval, 95% for one look; dotted from end "
        f"to end: nothing bounds it yet. Band: within {margin:g} of {base}, the dashed line."
        + _left_out(len(rows))
    )
    return Figure(drawing(bottom + 20, "Final score of each candidate", parts), caption)


def two_voices(view: StudyView, section: Section) -> Figure | None:
    """People's score and the AI's for each candidate, on one scale."""
    rows = section.data["ranking"]
    known = [
        row[voice]
        for row in rows
        for voice in ("human_score", "ai_score")
        if row[voice] is not None
    ]
    if not known:
        return None
    drawn = rows[:MOST_ROWS]
    axis = axis_over(known)
    bottom = 8 + 34.0 * len(drawn)
    parts = []
    for place, row in enumerate(drawn):
        top = 4 + 34.0 * place
        y, people, ai = top + 23, row["human_score"], row["ai_score"]
        label = fitting(view.labels[row["sha256"]], _SHORT_LABEL)
        parts.append(words(6, top + 11, label, _kind(row)))
        of_people = f"● {_score(people)} · n {row['rated_items']}"
        parts.append(words(WIDTH - 110, top + 11, of_people, "people", "end"))
        of_ai = f"◆ {_score(ai)} · n {row['judged_responses']}"
        parts.append(words(WIDTH - 6, top + 11, of_ai, "ai", "end"))
        parts.append(line(axis.left, y, axis.right, y, "rule"))
        if people is not None:
            parts.append(dot(axis.at(people), y, "people"))
        if ai is not None:
            parts.append(diamond(axis.at(ai), y, "ai"))
    parts += axis.drawn(bottom)
    caption = (
        "● people, n = rated items; ◆ AI, n = judged responses. Levels, each from a least-squares "
        "fit over prompts, and without intervals of their own: how easy the prompts are moves all "
        "of them together. What differs, and how surely, is in the plot of final scores."
        + _left_out(len(rows))
    )
    return Figure(drawing(bottom + 20, "People's and the AI's score", parts), caption)


def agreement_over_time(view: StudyView, section: Section) -> Figure | None:
    """Order agreement after each item, between chance and its ceiling."""
    share, ceiling = section.data["order_agreement"], section.data["ceiling"]
    values, items = section.data["after_each_item"], section.data["items"]
    if share is None or len(values) < 2:
        return None
    first = items - len(values) + 1
    axis = Axis(first, items, 36, WIDTH - 12)
    bottom = 150.0

    def y(value: float) -> float:
        return bottom - value * (bottom - 10)

    parts = []
    for value in (0.0, 0.5, 1.0):
        kind = "level" if value == 0.5 else "rule"
        parts.append(line(axis.left, y(value), axis.right, y(value), kind))
        parts.append(words(axis.left - 5, y(value) + 4, f"{value:.0%}", "dim", "end"))
    parts.append(words(axis.left + 3, y(0.5) + 13, "chance", "dim"))
    if ceiling is not None:
        if ceiling["interval"] is not None:
            low, high = (y(end) for end in ceiling["interval"])
            parts.append(box(axis.left, high, axis.right - axis.left, low - high, "band people"))
        top = y(ceiling["value"])
        parts.append(line(axis.left, top, axis.right, top, "ceiling"))
        parts.append(words(axis.left + 3, top - 4, f"ceiling {ceiling['value']:.0%}", "people"))
    points = [(axis.at(first + place), y(value)) for place, value in enumerate(values)]
    if share["interval"] is not None:
        low, high = share["interval"]
        parts.append(line(axis.right, y(low), axis.right, y(high), "deciding ai"))
    parts.append(path_through(points, "trend ai"))
    parts.append(dot(*points[-1], "ai"))
    parts.append(words(axis.left, bottom + 14, f"item {first}", "dim"))
    parts.append(words(axis.right, bottom + 14, f"item {items}", "dim", "end"))
    of_most = (
        f"Ceiling {_percent(ceiling)}, what people's own agreement allows, from "
        f"{counted(ceiling['n'], 'pair')} that were rated twice. "
        if ceiling is not None
        else "The ceiling is not known before 20 pairs are rated twice. "
    )
    caption = (
        f"Share of within-item pairs that AI and people put in the same order, ties half: "
        f"{_percent(share)} now, n = {counted(section.data['pairs'], 'pair')} from "
        f"{counted(items, 'item')} with balanced choice. {of_most}Intervals: 95%, Student t over "
        "prompts left out one at a time. Chance is 50%."
    )
    return Figure(drawing(bottom + 20, "Order agreement after each item", parts), caption)


def criteria_bars(view: StudyView, section: Section) -> Figure | None:
    """People's level of each candidate, criterion by criterion."""
    names = {one.name: one for one in view.candidates}
    rows = [(names[name], own) for name, own in section.data.items() if own["rated_items"]]
    if not rows:
        return None
    drawn = rows[: MOST_ROWS // len(Criterion)]
    axis = Axis(0, 1, 120, WIDTH - 48)
    parts, y = [], 0.0
    for criterion in Criterion:
        weight = view.criteria_weights[criterion]
        parts.append(words(6, y + 14, f"{criterion.label}  × {weight:g}", "strong"))
        y += 20
        for candidate, own in drawn:
            value = own[criterion.value]
            kind = "dim" if candidate.is_baseline else "people"
            label = fitting(view.labels[candidate.sha256], _SHORTEST_LABEL)
            parts.append(words(6, y + 11, label, "dim" if candidate.is_baseline else ""))
            parts.append(line(axis.left, y + 7, axis.right, y + 7, "rule"))
            if value is not None:
                parts.append(box(axis.left, y + 2, axis.at(value) - axis.left, 10, kind))
            parts.append(words(WIDTH - 6, y + 11, _score(value), kind, "end"))
            y += 16
        y += 6
    more = f" The first {len(drawn)} of {len(rows)} are drawn." if len(drawn) < len(rows) else ""
    caption = (
        "People's level on each criterion from 0 (all ones) to 1 (all fives), and the criterion's "
        f"weight; n = {_range([own['rated_items'] for _, own in rows])} rated items of each "
        f"candidate. Levels, without intervals of their own.{more}"
    )
    return Figure(drawing(y, "People's level on each criterion", parts), caption)


Chart = Callable[[StudyView, Section], "Figure | None"]
CHARTS: dict[str, tuple[Chart, ...]] = {
    "ranking": (forest, two_voices),
    "fidelity": (losses,),
    "emotions": (profiles,),
    "frontier": (frontier,),
    "criteria": (criteria_bars,),
    "agreement": (agreement_over_time,),
}
"""The plots of each section, by its name."""


def figures_of(view: StudyView, section: Section) -> list[Figure]:
    """The plots that a section has enough for."""
    drawn = (chart(view, section) for chart in CHARTS.get(section.name, ()))
    return [figure for figure in drawn if figure is not None]
