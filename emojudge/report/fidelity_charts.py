"""The report's plots of fidelity: losses with their floors, emotion profiles, size against it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from emojudge.report.figure import MOST_ROWS, Figure
from emojudge.report.scatter_text import axis_text, scatter_axes
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
from emojudge.sections import Scatter, ScatterPoint, Section, Voice
from emojudge.view import StudyView


@dataclass(frozen=True)
class _Measure:
    """A panel: its scale is at least ``least`` wide, and cut at ``furthest`` and twice that."""

    key: str
    title: str
    factor: float
    decimals: int
    least: float
    furthest: float


_MEASURES = (
    _Measure("emotional_degradation", "emotional degradation, %", 100.0, 1, 1.0, 60.0),
    _Measure("similarity_loss", "similarity loss, %", 100.0, 1, 1.0, 60.0),
    _Measure("fluency_excess", "fluency loss, −log p a token, nats", 1.0, 2, 0.05, 4.0),
)
_LABEL = 16
_ROW = 18.0
_PROFILE_ROW = 15.0
_MOST_PROFILES = 5
_MOST_BARS = 12
_NAME_WIDTH = 6.6
"""Units that a letter takes."""
_STEP = 6.0


def _label(view: StudyView, name: str) -> str:
    return next((view.labels[one.sha256] for one in view.candidates if one.name == name), name)


def _text(value: float, decimals: int) -> str:
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "−")


def _first(drawn: int, total: int) -> str:
    return f" The first {drawn} of {total} are drawn." if drawn < total else ""


def _prompts(rows: Iterable[dict[str, Any]]) -> str:
    counts = sorted({one["n"] for one in rows})
    if not counts:
        return "0"
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


# Losses


def losses(view: StudyView, section: Section) -> Figure | None:
    """Each measure's losses with intervals, over the band that the larger floor makes."""
    data = section.data
    others = [(name, own) for name, own in data["candidates"].items() if not own["is_baseline"]]
    shown = others[: MOST_ROWS // len(_MEASURES)]
    parts: list[Markup] = []
    y = 0.0
    for measure in _MEASURES:
        rows = [(name, own[measure.key]) for name, own in shown]
        known = [(name, loss) for name, loss in rows if loss is not None]
        if known:
            panel, y = _panel(view, measure, known, y)
            parts += panel
            y += 10
    if not parts:
        return None
    found = [own[one.key] for _, own in others for one in _MEASURES if own[one.key] is not None]
    base = next((_label(view, one.name) for one in view.candidates if one.is_baseline), "")
    numeric = [floor["numeric"] for floor in data["floors"].values() if floor is not None]
    missing = "" if any(numeric) else " The numeric floor is not measured yet."
    caption = (
        f"What each candidate loses against {base}, the line at 0; ! where the whole interval lies "
        f"above the floor. n = {_prompts(found)} prompts; intervals: 95% for one look, Student t "
        "over prompts left out one at a time. Band: the larger noise floor, what "
        f"{base} loses against itself, of other samples (95% of splits) or of the same seeds at "
        f"another batch width; without a band it is not known.{missing}"
        + _first(len(shown), len(others))
    )
    return Figure(drawing(y + 4, "Losses against the baseline", parts), caption)


def _panel(
    view: StudyView, measure: _Measure, rows: Sequence[tuple[str, dict[str, Any]]], top: float
) -> tuple[list[Markup], float]:
    """One measure; returns its parts, and where the next one starts."""
    factor, reach = measure.factor, measure.furthest
    floor = rows[0][1]["floor"]
    values = [0.0, factor * (floor or 0.0), -factor * (floor or 0.0)]
    for _, own in rows:
        values += [factor * own["value"], *(factor * end for end in _ends(own))]
    over = axis_over([min(max(one, -reach), 2 * reach) for one in values], measure.least)
    axis = Axis(over.low, over.high, 112.0, WIDTH - 66.0)
    start = top + 20
    bottom = start + _ROW * len(rows)
    parts = [words(6, top + 13, measure.title, "strong")]
    if floor is not None:
        left, right = axis.at(-factor * floor), axis.at(factor * floor)
        parts.append(box(left, start, right - left, bottom - start, "band"))
    parts.append(line(axis.at(0), start, axis.at(0), bottom, "level"))
    for place, (name, own) in enumerate(rows):
        y = start + _ROW * (place + 0.5)
        parts.append(words(6, y + 4, fitting(_label(view, name), _LABEL)))
        ends = [axis.at(factor * end) for end in _ends(own)]
        if ends:
            parts.append(line(ends[0], y, ends[1], y, "ai"))
            parts += [line(end, y - 4, end, y + 4, "ai") for end in ends]
        parts.append(diamond(axis.at(factor * own["value"]), y, "ai"))
        figure = _text(factor * own["value"], measure.decimals) + (" !" if own["found"] else "")
        parts.append(words(WIDTH - 6, y + 4, figure, "strong" if own["found"] else "", "end"))
    return parts + axis.drawn(bottom), bottom + 20


def _ends(own: dict[str, Any]) -> list[float]:
    ends = own["interval"] or ()
    return [one for one in ends if one is not None] if None not in ends else []


# Profiles


def profiles(view: StudyView, section: Section) -> Figure | None:
    """Bars of each candidate's emotions, each over the baseline's own."""
    baseline = next((one for one in view.candidates if one.is_baseline), None)
    reference = section.data.get(baseline.name) if baseline is not None else None
    if baseline is None or reference is None:
        return None
    others = [(name, own) for name, own in section.data.items() if name != baseline.name]
    if not others:
        return None
    titles = _bars_of([reference, *(own for _, own in others)])
    shown = others[:_MOST_PROFILES]
    axis = Axis(0, 1, 112, WIDTH - 90)
    parts: list[Markup] = []
    y = 0.0
    for name, own in shown:
        parts.append(words(6, y + 13, fitting(_label(view, name), 40), "strong"))
        y += 18
        for title in titles:
            value, base = _bar(own, title), _bar(reference, title)
            parts.append(words(6, y + 10, fitting(title, _LABEL)))
            parts.append(line(axis.left, y + 7, axis.right, y + 7, "rule"))
            parts.append(box(axis.left, y + 2, axis.at(value) - axis.left, 6, "ai"))
            parts.append(box(axis.left, y + 9, axis.at(base) - axis.left, 3, "dim"))
            parts.append(words(WIDTH - 48, y + 10, f"{value:.2f}", "ai", "end"))
            parts.append(words(WIDTH - 6, y + 10, f"{base:.2f}", "dim", "end"))
            y += _PROFILE_ROW
        y += 8
    counts = [own["responses"] for own in section.data.values()]
    low, high = min(counts), max(counts)
    base_name = view.labels[baseline.sha256]
    caption = (
        f"How probable each emotion is in a reply, 0 to 1: thick bars and left figures the "
        f"candidate's, thin bars and right figures {base_name}'s. Means over replies to a prompt, "
        f"then over prompts; n = {low if low == high else f'{low} to {high}'} replies that say "
        f"something. Without intervals.{_first(len(shown), len(others))}"
    )
    return Figure(drawing(y, "Emotions of each candidate's replies", parts), caption)


def _bars_of(known: Sequence[dict[str, Any]]) -> list[str]:
    """Ekman's groups and intensity, or the most probable labels where groups are not known."""
    if all(one["groups"] is not None for one in known):
        return [*known[0]["groups"], "intensity"]
    names = {label for one in known for label in one["labels"]}
    most = {label: max(one["labels"].get(label, 0.0) for one in known) for label in names}
    return sorted(names, key=lambda label: (-most[label], label))[:_MOST_BARS]


def _bar(own: dict[str, Any], title: str) -> float:
    if own["groups"] is None:
        return float(own["labels"].get(title, 0.0))
    return float(own["intensity"] if title == "intensity" else own["groups"][title])


# Size against fidelity


def frontier(view: StudyView, section: Section) -> Figure | None:
    """The section's plot, with the frontier's line and intervals."""
    scatter = next((one for one in section.blocks if isinstance(one, Scatter)), None)
    if scatter is None:
        return None
    across, upward = scatter_axes(scatter)
    axis = Axis(across.low, across.high, 44, WIDTH - 12)
    bottom = 190.0

    def y(value: float) -> float:
        return bottom - upward.at(value) * (bottom - 12)

    parts = [words(6, 9, scatter.y.title, "dim")]
    for tick in upward.ticks():
        parts.append(line(axis.left, y(tick), axis.right, y(tick), "rule"))
        text = axis_text(tick, scatter.y)
        parts.append(words(axis.left - 5, y(tick) + 4, text, "dim", "end"))
    for tick in axis.ticks():
        parts.append(line(axis.at(tick), bottom, axis.at(tick), bottom + 3, "rule"))
        text = axis_text(tick, scatter.x)
        parts.append(words(axis.at(tick), bottom + 14, text, "dim", "middle"))
    parts.append(line(axis.left, bottom, axis.right, bottom, "rule"))
    parts.append(words(axis.right, bottom + 28, scatter.x.title, "dim", "end"))
    places = [(axis.at(one.x), y(one.y)) for one in scatter.points]
    together = zip(scatter.points, places, strict=True)
    trend = sorted(place for one, place in together if one.marked)
    strokes = list(pairwise(trend))
    if strokes:
        parts.append(path_through(trend, "trend ai"))
    for (at, height), one in zip(places, scatter.points, strict=True):
        if one.low is not None and one.high is not None:
            strokes.append(((at, y(one.low)), (at, y(one.high))))
            parts.append(line(at, y(one.low), at, y(one.high), "ai"))
        parts.append(dot(at, height, "ai") if one.marked else diamond(at, height, "dim"))
    names, unnamed = _names(scatter.points, places, strokes)
    caption = _frontier_caption(section, scatter, unnamed)
    return Figure(drawing(bottom + 34, "Size against the AI score", [*parts, *names]), caption)


def _frontier_caption(section: Section, scatter: Scatter, unnamed: int) -> str:
    counts = [one["minus_baseline"] for one in section.data if one["minus_baseline"] is not None]
    beyond = f" {unnamed} stand too close to others to be named." if unnamed else ""
    return (
        "AI score, the mean over prompts, against the file's size. ● and the line, "
        f"{scatter.meaning}; ◆, the others. Vertical lines: 95% for one look of the difference "
        f"from the baseline, Student t over n = {_prompts(counts)} prompts left out one at a time. "
        f"Likeness to the baseline, not quality.{beyond}"
    )


_Place = tuple[float, float]


def _along(strokes: Sequence[tuple[_Place, _Place]]) -> Iterator[tuple[float, ...]]:
    """Small areas on the way of lines, so that no name stands on one."""
    for (x1, y1), (x2, y2) in strokes:
        steps = max(1, round(math.hypot(x2 - x1, y2 - y1) / _STEP))
        for step in range(steps + 1):
            x, y = x1 + (x2 - x1) * step / steps, y1 + (y2 - y1) * step / steps
            yield x - 1, y - 1, x + 1, y + 1


def _names(
    points: Sequence[ScatterPoint],
    places: Sequence[_Place],
    strokes: Sequence[tuple[_Place, _Place]],
) -> tuple[list[Markup], int]:
    """Each name where it covers nothing, frontier first; and how many found no such place."""
    taken: list[tuple[float, ...]] = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    taken += _along(strokes)
    names: list[Markup] = []
    order = sorted(zip(points, places, strict=True), key=lambda one: not one[0].marked)
    unnamed = 0
    for point, (x, y) in order:
        text = fitting(point.label, _LABEL)
        wide = _NAME_WIDTH * len(text)
        sides = (x + 8, x - 8 - wide, x - wide / 2)
        choices = [(sides[0], y + 4), (sides[1], y + 4)]
        choices += [(side, y + rise) for rise in (-9, 17, -20, 28, 40) for side in sides]
        for left, base in choices:
            area = (left, base - 10, left + wide, base + 4)
            inside = area[0] >= 46 and area[2] <= WIDTH and area[1] >= 0 and area[3] <= 190
            if inside and not any(_overlap(area, other) for other in taken):
                kind = "dim" if point.voice is Voice.BASELINE else "strong" if point.marked else ""
                names.append(words(left, base, text, kind))
                taken.append(area)
                break
        else:
            unnamed += 1
    return names, unnamed


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
