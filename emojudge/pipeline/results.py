"""The sections of the results, in the order in which screens and reports show them.

A room that has something to say adds its section function here; nothing else needs to change.
"""

from __future__ import annotations

import dataclasses

from emojudge.candidates.sections import discovery_section
from emojudge.deploy.sections import replacement_section
from emojudge.judges.sections import similarity_section
from emojudge.pipeline.deploying import core_summary
from emojudge.pipeline.study import Study
from emojudge.ranking.agreement_sections import (
    agreement_section,
    disagreement_section,
    people_section,
)
from emojudge.ranking.sections import criteria_section, ranking_section, verdict_section
from emojudge.sections import Section, SectionSource
from emojudge.view import StudyView

SECTION_SOURCES: tuple[SectionSource, ...] = (
    verdict_section,
    ranking_section,
    criteria_section,
    disagreement_section,
    agreement_section,
    people_section,
    similarity_section,
    discovery_section,
    replacement_section,
)


def results_view(study: Study) -> StudyView:
    """The study's view with what the core store says."""
    return dataclasses.replace(study.view(), core=core_summary(study.loaded))


def build_sections(
    view: StudyView, sources: tuple[SectionSource, ...] = SECTION_SOURCES
) -> list[Section]:
    """All sections that have something to say."""
    return [section for source in sources if (section := source(view)) is not None]
