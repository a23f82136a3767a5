"""The sections of the results, in the order in which screens and reports show them.

A room that has something to say adds its section function here; nothing else needs to change.
"""

from __future__ import annotations

import dataclasses

from emojudge.candidates.sections import discovery_section
from emojudge.deploy.sections import replacement_section
from emojudge.judges.controls import control_scores
from emojudge.judges.custom_sections import custom_section
from emojudge.judges.emotion_sections import emotions_section
from emojudge.judges.frontier import frontier_section
from emojudge.judges.judge_sections import differing_section, judges_section, rubric_section
from emojudge.judges.pair_sections import pairs_section
from emojudge.judges.sections import fidelity_section
from emojudge.judges.technical_sections import technical_section
from emojudge.judges.vote_sections import votes_section
from emojudge.pipeline.deploying import core_summary
from emojudge.pipeline.study import Study
from emojudge.ranking.agreement import same_order
from emojudge.ranking.agreement_sections import (
    agreement_section,
    calibration_section,
    disagreement_section,
    may_be_read,
    people_section,
)
from emojudge.ranking.noticed import noticed_section
from emojudge.ranking.sections import criteria_section, ranking_section, verdict_section
from emojudge.ranking.standing import standing_of
from emojudge.sections import Section, SectionSource
from emojudge.view import StudyView


def recommended_technical_section(view: StudyView) -> Section | None:
    """The technical section about the candidate that the verdict recommends, if there is one."""
    decision = standing_of(view).decision
    number = decision.recommended if decision is not None else None
    return technical_section(view, view.candidates[number] if number is not None else None)


def compared_judges_section(view: StudyView) -> Section | None:
    """The judges' section with how far each judge and control orders replies as people do."""
    scores = {**view.judge_scores, **control_scores(view)}
    return judges_section(view, same_order(view, scores))


def readable_differences(view: StudyView) -> Section | None:
    """Where judges differ, held back as long as other things are that the AI says."""
    return differing_section(view, may_be_read=may_be_read(view))


SECTION_SOURCES: tuple[SectionSource, ...] = (
    verdict_section,
    ranking_section,
    fidelity_section,
    emotions_section,
    frontier_section,
    recommended_technical_section,
    pairs_section,
    compared_judges_section,
    rubric_section,
    votes_section,
    readable_differences,
    custom_section,
    criteria_section,
    disagreement_section,
    agreement_section,
    calibration_section,
    people_section,
    noticed_section,
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
