"""The HTML report: one file, nothing loaded from elsewhere, everything from a study escaped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import jinja2
from markupsafe import Markup

from emojudge import __version__
from emojudge.report.cells import cell_text, is_numeric
from emojudge.report.json_report import is_complete
from emojudge.sections import ItemList, Mark, Section, Sentence, Table, Trend
from emojudge.view import StudyView


@singledispatch
def _block(block: Any) -> Markup:
    raise TypeError(f"no HTML for {type(block).__name__}")


@_block.register
def _sentence(block: Sentence) -> Markup:
    return Markup('<p class="{}">{}</p>\n').format(block.voice.value, block.text)


@_block.register
def _trend(block: Trend) -> Markup:
    shares = " → ".join(f"{value:.0%}" for value in block.values[-12:])
    return Markup('<p class="{}"><span class="dim">{}:</span> {}</p>\n').format(
        block.voice.value, block.label, shares
    )


@_block.register
def _items(block: ItemList) -> Markup:
    if not block.items:
        return Markup('<p class="dim">{}</p>\n').format(block.empty)
    lines = Markup("").join(Markup("<li>{}</li>\n").format(line.text) for line in block.items)
    return Markup("<ol>{}</ol>\n").format(lines)


@_block.register
def _table(block: Table) -> Markup:
    kinds = ["number" if is_numeric(block, index) else "" for index in range(len(block.columns))]
    head = Markup("").join(
        Markup('<th class="{}">{}</th>').format(kind, column.title)
        for kind, column in zip(kinds, block.columns, strict=True)
    )
    rows = Markup("")
    for row in block.rows:
        cells = Markup("").join(
            Markup('<td class="{} {}">{}</td>').format(
                kind,
                column.voice.value if not isinstance(cell, Mark) else "",
                cell_text(cell, column),
            )
            for kind, column, cell in zip(kinds, block.columns, row.cells, strict=True)
        )
        rows += Markup('<tr class="{}">{}</tr>\n').format(row.voice.value, cells)
    return Markup('<div class="scroll"><table><tr>{}</tr>\n{}</table></div>\n').format(head, rows)


def render_html(
    view: StudyView, sections: Sequence[Section], phases_completed: Sequence[str], made: str
) -> str:
    """The whole page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("emojudge", "report"), autoescape=True, trim_blocks=True
    )
    return environment.get_template("report.html.j2").render(
        name=view.config.name,
        candidates=len(view.candidates),
        prompts=len(view.prompts),
        phases=phases_completed,
        complete=is_complete(phases_completed),
        made=made,
        version=__version__,
        sections=[
            {"title": section.title, "blocks": [_block(block) for block in section.blocks]}
            for section in sections
        ],
    )
