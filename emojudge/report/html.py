"""The HTML report: one file, nothing loaded from elsewhere, everything from a study escaped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import jinja2
from markupsafe import Markup

from emojudge import __version__
from emojudge.provenance import provenance_of
from emojudge.report.cells import cell_text, is_numeric
from emojudge.report.charts import figures_of
from emojudge.report.json_report import is_complete
from emojudge.report.scatter_text import MARKED, UNMARKED, axis_text
from emojudge.report.verdict_part import verdict_part
from emojudge.sections import (
    Column,
    ItemList,
    Mark,
    Row,
    Scatter,
    Section,
    Sentence,
    Table,
    Trend,
    Voice,
)
from emojudge.text import visible, visible_line
from emojudge.view import StudyView


@singledispatch
def _block(block: Any) -> Markup:
    raise TypeError(f"no HTML for {type(block).__name__}")


@_block.register
def _sentence(block: Sentence) -> Markup:
    return Markup('<p class="{}">{}</p>\n').format(block.voice.value, visible(block.text))


@_block.register
def _trend(block: Trend) -> Markup:
    shares = " → ".join(f"{value:.0%}" for value in block.values[-12:])
    return Markup('<p class="{}"><span class="dim">{}:</span> {}</p>\n').format(
        block.voice.value, visible_line(block.label), shares
    )


@_block.register
def _scatter(block: Scatter) -> Markup:
    lines = Markup("").join(
        Markup("<li>{} {}: {}, {}</li>\n").format(
            MARKED if one.marked else UNMARKED,
            visible_line(one.label),
            axis_text(one.x, block.x),
            axis_text(one.y, block.y),
        )
        for one in block.points
    )
    return Markup("<ul>\n{}</ul>\n").format(lines)


@_block.register
def _items(block: ItemList) -> Markup:
    if not block.items:
        return Markup('<p class="dim">{}</p>\n').format(block.empty)
    lines = Markup("").join(
        Markup("<li>{}</li>\n").format(visible_line(line.text)) for line in block.items
    )
    return Markup("<ol>\n{}</ol>\n").format(lines)


def _cell(row: Row, place: int, column: Column, kind: str) -> Markup:
    cell = row.cells[place]
    text = visible_line(cell_text(cell, column))
    if isinstance(cell, Mark):
        return Markup('<td class="dim" aria-hidden="true">{}</td>').format(text)
    voice = column.voice.value if cell is not None else "dim"
    if place == 0:
        voice = row.voice.value if row.voice is not Voice.PLAIN else voice
        return Markup('<th scope="row" class="{} {}">{}</th>').format(kind, voice, text)
    return Markup('<td class="{} {}">{}</td>').format(kind, voice, text)


@_block.register
def _table(block: Table) -> Markup:
    kinds = ["number" if is_numeric(block, index) else "" for index in range(len(block.columns))]
    head = Markup("").join(
        Markup('<th scope="col" class="{}">{}</th>').format(kind, visible_line(column.title))
        if column.title
        else Markup("<td></td>")
        for kind, column in zip(kinds, block.columns, strict=True)
    )
    rows = Markup("").join(
        Markup("<tr>{}</tr>\n").format(
            Markup("").join(
                _cell(row, place, column, kind)
                for place, (column, kind) in enumerate(zip(block.columns, kinds, strict=True))
            )
        )
        for row in block.rows
    )
    return Markup(
        '<div class="scroll" role="region" aria-label="table" tabindex="0"><table>\n'
        "<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody></table></div>\n"
    ).format(head, rows)


def _section(view: StudyView, section: Section) -> dict[str, Any]:
    figures = figures_of(view, section)
    # A trend or points that are drawn need not be told in figures too.
    blocks = [one for one in section.blocks if not (figures and isinstance(one, Trend | Scatter))]
    return {
        "title": visible_line(section.title),
        "figures": figures,
        "blocks": [_block(one) for one in blocks],
    }


def render_html(
    view: StudyView, sections: Sequence[Section], phases_completed: Sequence[str], made: str
) -> str:
    """The whole page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("emojudge", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible_line
    verdict = next((one for one in sections if one.name == "verdict"), None)
    return environment.get_template("report.html.j2").render(
        name=view.config.name,
        description=view.config.description,
        candidates=len(view.candidates),
        prompts=len(view.prompts),
        phases=phases_completed,
        complete=is_complete(phases_completed),
        made=made,
        version=__version__,
        verdict=verdict_part(verdict) if verdict is not None else None,
        sections=[_section(view, one) for one in sections if one is not verdict],
        provenance=provenance_of(view),
        generation=view.config.generation,
    )
