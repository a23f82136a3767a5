"""Writing the report files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emojudge import clock
from emojudge.errors import StoreError
from emojudge.paths import file_mode, make_private_folder, write_durably
from emojudge.report.html import render_html
from emojudge.report.json_report import build_comparisons, build_report, json_bytes
from emojudge.report.markdown import render_summary
from emojudge.sections import Section
from emojudge.view import StudyView

_REPORT = "pass2_complete_report_"


@dataclass(frozen=True)
class Written:
    """The files of one report; those that were not wanted are None."""

    report: Path
    summary: Path
    comparisons: Path | None
    html: Path | None


def newest_report(folder: Path) -> Path | None:
    """The report that was written last; None before the first."""
    return max(folder.glob(f"{_REPORT}*.json"), default=None)


def write_reports(
    view: StudyView,
    sections: Sequence[Section],
    phases_completed: Sequence[str],
    folder: Path,
    *,
    html: bool,
) -> Written:
    """Write the report, and what ``output_config`` wants beside it. Raises StoreError."""
    try:
        make_private_folder(folder)
        mode = file_mode(folder)
    except OSError as problem:
        raise StoreError(
            f"Cannot make the results folder {folder}: {problem.strerror}. Set "
            "output_config.results_dir to a writable folder."
        ) from problem
    stamp = clock.file_stamp()
    report = folder / f"{_REPORT}{stamp}.json"
    write_durably(
        report, json_bytes(build_report(view, sections, phases_completed)), exact_mode=mode
    )
    summary = folder / f"pass2_summary_{stamp}.md"
    text = render_summary(view, sections, phases_completed)
    write_durably(summary, text.encode(errors="replace"), exact_mode=mode)
    comparisons = None
    if view.config.output_config.save_comparisons:
        comparisons = folder / f"model_comparisons_{stamp}.json"
        write_durably(comparisons, json_bytes(build_comparisons(view)), exact_mode=mode)
    page = None
    if html:
        page = folder / f"{_REPORT}{stamp}.html"
        content = render_html(view, sections, phases_completed, f"{clock.now():%d %b %Y, %H:%M}")
        write_durably(page, content.encode(errors="replace"), exact_mode=mode)
    return Written(report, summary, comparisons, page)
