"""The section that the core store contributes to the Results screen and the report."""

from __future__ import annotations

import dataclasses

from emojudge.deploy.words import change_in_words
from emojudge.sections import ReportKey, Section, Sentence, Voice
from emojudge.text import visible_line
from emojudge.view import StudyView

_SHOWN = 5


def replacement_section(view: StudyView) -> Section | None:
    """The core in use and the last changes."""
    core = view.core
    if core is None:
        return None
    if core.generation is None:
        blocks = [Sentence("no core is known here yet", Voice.DIM)]
    else:
        blocks = [Sentence(f"generation {core.generation}: {visible_line(core.name or '')}")]
    for change in reversed(core.changes[-_SHOWN:]):
        blocks.append(Sentence(change_in_words(change), Voice.DIM))
    return Section(
        name="core",
        title="core",
        report_key=ReportKey.REPLACEMENT,
        blocks=tuple(blocks),
        data=dataclasses.asdict(core),
    )
