"""The emotion profile of each candidate beside the baseline's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emojudge.domain import Candidate
from emojudge.judges.emotions import EKMAN
from emojudge.judges.profiles import CandidateProfile, profiles_of
from emojudge.judges.section_parts import baseline_first, baseline_of, number_text, voice_of
from emojudge.sections import Bar, Cell, Column, ReportKey, Row, Section, Sentence, Table, Voice
from emojudge.view import StudyView

MOST_LABELS = 12
_MOST_BESIDE = 7
"""More candidates than this stand under each other, without bars."""
_MOST_SENTENCES = 8
_MOST_DIFFERENT = 4
_LEAST_DIFFERENT = 0.01
_BAR_CELLS = 13
_VALENCE, _INTENSITY = "valence", "intensity"


def emotions_section(view: StudyView) -> Section | None:
    """Mean probabilities of emotions, per candidate; None before anything is judged."""
    profiles = profiles_of(view)
    baseline = baseline_of(view)
    order = [one for one in baseline_first(view) if one.sha256 in profiles]
    if baseline is None or not order:
        return None
    titles = _titles([profiles[one.sha256] for one in order])
    table = _beside if len(order) <= _MOST_BESIDE else _under
    base = view.labels[baseline.sha256]
    notes = [
        "how probable each emotion is in a reply: means over replies to a prompt, then over "
        f"prompts, without intervals{_definitions(profiles[order[0].sha256])}"
    ]
    differences = _differences(view, order, profiles) if baseline in order else []
    if differences:
        notes.append(f"single labels that differ most from {base}:")
    return Section(
        "emotions",
        "emotions",
        ReportKey.AI,
        (
            table(view, order, profiles, titles),
            *(Sentence(one, Voice.DIM) for one in notes),
            *(Sentence(one) for one in differences),
        ),
        {one.name: _data(profiles[one.sha256]) for one in order},
    )


def _definitions(profile: CandidateProfile) -> str:
    if profile.groups is None:
        return ""
    return (
        ". Valence: from −1, all negative, to +1; intensity: how much of it is emotion, not neutral"
    )


def shown_labels(profiles: Sequence[CandidateProfile]) -> list[str]:
    """Labels that some profile makes probable, most probable first."""
    names = {label for one in profiles for label in one.labels}
    most = {label: max(one.labels.get(label, 0.0) for one in profiles) for label in names}
    return sorted(names, key=lambda label: (-most[label], label))[:MOST_LABELS]


def _titles(profiles: Sequence[CandidateProfile]) -> list[str]:
    if any(one.groups is None for one in profiles):
        return shown_labels(profiles)
    return [*EKMAN, _VALENCE, _INTENSITY]


def _value(profile: CandidateProfile, title: str) -> float | None:
    if profile.groups is None:
        return profile.labels.get(title, 0.0)
    return {**profile.groups, _VALENCE: profile.valence, _INTENSITY: profile.intensity}[title]


def _beside(
    view: StudyView,
    order: Sequence[Candidate],
    profiles: dict[str, CandidateProfile],
    titles: Sequence[str],
) -> Table:
    """A column of bars for each candidate."""

    def cell(profile: CandidateProfile, title: str) -> Cell:
        value = _value(profile, title)
        if value is None:
            return None
        signed = title == _VALENCE and profile.groups is not None
        return number_text(value, 2, signed=True).rjust(_BAR_CELLS) if signed else Bar(value)

    columns = [
        Column(view.labels[one.sha256], Voice.BASELINE if one.is_baseline else Voice.AI)
        for one in order
    ]
    rows = [Row((title, *(cell(profiles[one.sha256], title) for one in order))) for title in titles]
    return Table((Column(""), *columns), tuple(rows))


def _under(
    view: StudyView,
    order: Sequence[Candidate],
    profiles: dict[str, CandidateProfile],
    titles: Sequence[str],
) -> Table:
    """A row of numbers for each candidate."""
    columns = [Column(title, Voice.AI, decimals=2, signed=title == _VALENCE) for title in titles]
    rows = [
        Row(
            (view.labels[one.sha256], *(_value(profiles[one.sha256], title) for title in titles)),
            voice_of(one),
        )
        for one in order
    ]
    return Table((Column(""), *columns), tuple(rows))


def _differences(
    view: StudyView, order: Sequence[Candidate], profiles: dict[str, CandidateProfile]
) -> list[str]:
    reference = next(profiles[one.sha256] for one in order if one.is_baseline)
    lines = []
    for candidate in [one for one in order if not one.is_baseline][:_MOST_SENTENCES]:
        own = profiles[candidate.sha256]
        changes = {
            label: own.labels.get(label, 0.0) - reference.labels.get(label, 0.0)
            for label in {*own.labels, *reference.labels}
        }
        ordered = sorted(changes.items(), key=lambda pair: (-abs(pair[1]), pair[0]))
        named = [
            f"{label} {number_text(change, 2, signed=True)}"
            for label, change in ordered[:_MOST_DIFFERENT]
            if abs(change) >= _LEAST_DIFFERENT
        ]
        said = ", ".join(named) or f"none by {_LEAST_DIFFERENT:g} or more"
        lines.append(f"{view.labels[candidate.sha256]}: {said}")
    return lines


def _data(profile: CandidateProfile) -> dict[str, Any]:
    return {
        "labels": dict(profile.labels),
        "groups": dict(profile.groups) if profile.groups is not None else None,
        "valence": profile.valence,
        "intensity": profile.intensity,
        "responses": profile.responses,
    }
