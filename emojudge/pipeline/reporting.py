"""What is complete, and the report of it: for the headless run, the screens and `report`."""

from __future__ import annotations

from emojudge.pipeline.results import build_sections, results_view
from emojudge.pipeline.state import Phase
from emojudge.pipeline.study import Study
from emojudge.ranking.standing import rank_candidates
from emojudge.report.write import Written, write_reports
from emojudge.view import StudyView


def people_done(view: StudyView) -> bool:
    """Whether every candidate has the wanted number of rated items, and at least one."""
    wanted = max(1, view.config.judging_config.minimum_human_samples)
    return all(score.rated_items >= wanted for score in rank_candidates(view))


def all_judged(study: Study) -> bool:
    """Whether every wanted response is stored and judged by every judge that is asked."""
    judges = study.judges
    for prompt in study.discovery.prompts:
        wanted = (
            study.stored(cell)
            for candidate in study.discovery.candidates
            for cell in study.cells(candidate, prompt)
        )
        if None in wanted:
            return False
        group = study.group(prompt)
        for judge in judges:
            found = study.judgements_of(judge, group)
            if not found or None in found:
                return False
    return True


def phases_completed(study: Study) -> list[str]:
    """The phases whose results are whole, judged from what is stored."""
    view = results_view(study)
    completed = [Phase.DISCOVER]
    if all_judged(study):
        completed.append(Phase.AI_JUDGE)
    if people_done(view):
        completed.append(Phase.HUMAN_JUDGE)
    if all(score.ai is not None for score in rank_candidates(view)):
        completed.append(Phase.RANK)
    promoted = (
        {change.sha256 for change in view.core.changes if change.action == "promote"}
        if (view.core)
        else set()
    )
    if promoted & {file.sha256 for one in view.candidates for file in one.files}:
        completed.append(Phase.DEPLOY)
    return [phase.value for phase in completed]


def write_report(study: Study, *, html: bool | None = None) -> Written:
    """Phase 4's files, from what is stored. Raises StoreError."""
    view = results_view(study)
    wanted = view.config.output_config.detailed_reports if html is None else html
    return write_reports(
        view,
        build_sections(view),
        phases_completed(study),
        study.loaded.results_dir,
        html=wanted,
    )
