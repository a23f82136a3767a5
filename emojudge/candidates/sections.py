"""The section that discovery contributes to the Results screen and the report."""

from __future__ import annotations

from emojudge.domain import Candidate
from emojudge.sections import Column, ReportKey, Row, Section, Sentence, Table, Voice
from emojudge.text import human_bytes, visible_line
from emojudge.view import StudyView

_MILLION = 1_000_000


def _specs(candidate: Candidate) -> dict[str, object]:
    specs = candidate.specs
    return {
        "name": candidate.name,
        "files": [file.path for file in candidate.files],
        "sha256": candidate.sha256,
        "is_baseline": candidate.is_baseline,
        "architecture": specs.architecture,
        "model_name": specs.model_name,
        "parameters": specs.parameters,
        "quantization": specs.quantization,
        "bits_per_weight": specs.bits_per_weight,
        "tensor_types": specs.tensor_types,
        "size_bytes": candidate.size,
        "compression_ratio": candidate.compression_ratio,
        "context_length": specs.context_length,
        "template_differs": candidate.template_differs,
        "pass1": candidate.pass1.model_dump() if candidate.pass1 else None,
        "problems": [*candidate.problems, *([candidate.gone] if candidate.gone else [])],
    }


def discovery_section(view: StudyView) -> Section | None:
    """Specs of every candidate, and what could not be compared."""
    columns = (
        Column("candidate"),
        Column("type", Voice.DIM),
        Column("bits/weight", decimals=2),
        Column("size", right=True),
        Column("× smaller", decimals=2),
        Column("parameters", right=True),
        Column("context", right=True),
        Column("template"),
    )
    rows = tuple(
        Row(
            (
                view.labels[one.sha256],
                visible_line(one.specs.quantization),
                one.specs.bits_per_weight,
                human_bytes(one.size),
                one.compression_ratio,
                f"{one.specs.parameters / _MILLION:.0f} M",
                one.specs.context_length,
                "none"
                if one.specs.chat_template is None
                else "differs"
                if one.template_differs
                else "same",
            ),
            Voice.BASELINE if one.is_baseline else Voice.PLAIN,
        )
        for one in view.candidates
    )
    left_out = tuple(
        Sentence(f"not compared: {one.name}: {one.reason}; {one.remedy}", Voice.BAD)
        for one in view.unusable
    )
    gone = tuple(
        Sentence(f"{view.labels[one.sha256]}: {one.gone}", Voice.BAD)
        for one in view.candidates
        if one.gone
    )
    damaged = tuple(Sentence(f"set aside: {one}", Voice.BAD) for one in view.damage)
    return Section(
        name="candidates",
        title="candidates",
        report_key=ReportKey.DISCOVERY,
        blocks=(Table(columns, rows), *gone, *left_out, *damaged),
        data={
            "found": [_specs(one) for one in view.candidates],
            "not_runnable": [one.model_dump() for one in view.unusable],
            "prompts": len(view.prompts),
            "prompts_by_category": {
                category: sum(prompt.category == category for prompt in view.prompts)
                for category in sorted({prompt.category for prompt in view.prompts})
            },
        },
    )
