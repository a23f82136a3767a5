"""What each candidate is like as a model on this machine: an explanation, never a judgement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from emojudge.domain import Candidate, TechnicalMetrics
from emojudge.judges.frontier import smallest_within_floors
from emojudge.judges.section_parts import (
    baseline_first,
    baseline_of,
    finite,
    listed,
    number_text,
    percent_text,
    voice_of,
)
from emojudge.sections import Cell, Column, ReportKey, Row, Section, Sentence, Table, Voice
from emojudge.text import human_bytes
from emojudge.view import StudyView

_SAME = 0.005


def technical_section(view: StudyView, chosen: Candidate | None = None) -> Section | None:
    """Speed, memory, perplexity and nearness to the baseline; None before anything is measured.

    ``chosen`` is the candidate that the sentence on top is about; without one, the smallest on the
    frontier whose losses are within the floors.
    """
    baseline = baseline_of(view)
    if baseline is None or not view.technical:
        return None
    about = chosen or smallest_within_floors(view)
    if about is not None and not about.is_baseline:
        headline = _essential(view, about, baseline)
    else:
        headline = "no smaller candidate stands out: none on the frontier keeps within the floors"
    missing = [
        view.labels[one.sha256] for one in view.candidates if one.sha256 not in view.technical
    ]
    notes = [_how(view)]
    if missing:
        notes.append(f"not measured yet: {listed(missing)}")
    problems = [
        Sentence(f"{view.labels[one.sha256]}: {view.technical[one.sha256].problem}", Voice.BAD)
        for one in baseline_first(view)
        if one.sha256 in view.technical and view.technical[one.sha256].problem
    ]
    return Section(
        "technical",
        "as models",
        ReportKey.AI,
        (
            Sentence(headline),
            _table(view),
            *(Sentence(one, Voice.DIM) for one in notes),
            *problems,
        ),
        _data(view) if view.config.output_config.export_metrics else None,
    )


def _essential(view: StudyView, candidate: Candidate, baseline: Candidate) -> str:
    """Size, speed and the share of same next words, as far as they are known."""
    own, reference = view.technical.get(candidate.sha256), view.technical.get(baseline.sha256)
    base = view.labels[baseline.sha256]
    parts = [f"is {_size(candidate, baseline)} {base}"]
    if own is not None and reference is not None and reference.tokens_per_second > 0:
        times = own.tokens_per_second / reference.tokens_per_second
        parts.append(f"{number_text(times, 1)} times as fast")
    if own is not None and (same := finite(own.same_top)) is not None:
        parts.append(f"chooses the same next word {percent_text(same, 0)} of the time")
    said = f"{', '.join(parts[:-1])}, and {parts[-1]}" if len(parts) > 1 else parts[0]
    return f"{view.labels[candidate.sha256]} {said}"


def _size(candidate: Candidate, baseline: Candidate) -> str:
    less = 1 - candidate.size / baseline.size
    if abs(less) < _SAME:
        return "as large as"
    return f"{abs(less):.0%} " + ("smaller" if less > 0 else "larger") + " than"


_Of = Callable[[Candidate, "TechnicalMetrics | None"], Cell]


def _figure(name: str, factor: float = 1.0) -> _Of:
    def value(candidate: Candidate, metrics: TechnicalMetrics | None) -> Cell:
        known = finite(getattr(metrics, name)) if metrics is not None else None
        return None if known is None else factor * known

    return value


def _peak(candidate: Candidate, metrics: TechnicalMetrics | None) -> Cell:
    return None if metrics is None else human_bytes(metrics.peak_bytes)


def _vram(candidate: Candidate, metrics: TechnicalMetrics | None) -> Cell:
    known = metrics is not None and metrics.vram_bytes is not None
    return human_bytes(metrics.vram_bytes or 0) if known and metrics is not None else None


def _divergence(candidate: Candidate, metrics: TechnicalMetrics | None) -> Cell:
    if metrics is None or not metrics.replies:
        return None
    first = finite(metrics.first_divergence)
    return "never" if first is None else first


_COLUMNS: tuple[tuple[Column, _Of], ...] = (
    (Column("size", right=True), lambda one, _: human_bytes(one.size)),
    (Column("tokens/s", decimals=0), _figure("tokens_per_second")),
    (Column("peak memory", decimals=0), _peak),
    (Column("first token s", decimals=3), _figure("first_token_seconds")),
    (Column("load s", decimals=2), _figure("load_seconds")),
    (Column("same top %", decimals=1), _figure("same_top", 100.0)),
    (Column("perplexity", decimals=2), _figure("perplexity")),
    (Column("±", Voice.DIM, decimals=2), _figure("perplexity_error")),
    (Column("KL", decimals=4), _figure("mean_kl")),
    (Column("±", Voice.DIM, decimals=4), _figure("kl_error")),
    (Column("parts at token", decimals=0), _divergence),
    (Column("bits/weight", decimals=2), lambda one, _: one.specs.bits_per_weight),
    (Column("× smaller", decimals=2), lambda one, _: one.compression_ratio),
)


def _table(view: StudyView) -> Table:
    """The most important columns first: narrow terminals leave the last ones out."""
    columns = list(_COLUMNS)
    if any(one.vram_bytes is not None for one in view.technical.values()):
        place = next(at for at, (one, _) in enumerate(columns) if one.title == "peak memory")
        columns.insert(place + 1, (Column("GPU memory", decimals=0), _vram))
    rows = tuple(
        Row(
            (
                view.labels[one.sha256],
                *(cell(one, view.technical.get(one.sha256)) for _, cell in columns),
            ),
            voice_of(one),
        )
        for one in baseline_first(view)
    )
    return Table((Column(""), *(column for column, _ in columns)), rows)


def _how(view: StudyView) -> str:
    """How it was measured, from the figures' own record."""
    known = list(view.technical.values())
    where = "with the GPU" if any(one.gpu_offload for one in known) else "on the CPU"
    threads = _each(sorted({one.threads for one in known}))
    modes = listed(sorted({one.load_mode for one in known}))
    said = [
        f"one text at a time, {where}, {threads} {'thread' if threads == '1' else 'threads'}",
        f"peak memory: main memory with the weights {modes}",
    ]
    words = sorted({one.scored_tokens for one in known if one.perplexity is not None})
    if words:
        said.append(f"perplexity: the bundled prompts' own words, {_each(words)} tokens")
    compared = [one for one in known if one.mean_kl is not None]
    if compared:
        positions = _each(sorted({one.kl_positions for one in compared}))
        everywhere = _each(sorted({one.all_positions for one in compared}))
        replies = _each(sorted({one.replies for one in compared}))
        said.append(
            f"KL (nats): {positions} sampled positions of {replies} of the baseline's own replies; "
            f"same top: all {everywhere}; parts at token: where half of the replies would part"
        )
    said.append("KL explains, it decides nothing")
    return "; ".join(said)


def _each(values: Iterable[int]) -> str:
    known: Sequence[int] = list(values)
    return str(known[0]) if len(known) == 1 else f"{known[0]} to {known[-1]}"


def _data(view: StudyView) -> dict[str, Any]:
    return {
        one.name: {
            "size_bytes": one.size,
            "bits_per_weight": finite(one.specs.bits_per_weight),
            "compression_ratio": finite(one.compression_ratio),
            **_metrics(view.technical[one.sha256]),
        }
        for one in view.candidates
        if one.sha256 in view.technical
    }


def _metrics(metrics: TechnicalMetrics) -> dict[str, Any]:
    left_out = {"id", "candidate", "created"}
    return {
        name: finite(value) if isinstance(value, float) else value
        for name, value in metrics.model_dump(exclude=left_out).items()
    }
