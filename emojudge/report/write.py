"""Writing the report files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emojudge import clock
from emojudge.errors import StoreError
from emojudge.paths import write_durably
from emojudge.report.html import render_html
from emojudge.report.json_report import build_comparisons, build_report
from emojudge.sections import Section
from emojudge.view import StudyView


@dataclass(frozen=True)
class Written:
    """The files of one report; those that were not wanted are None."""

    report: Path
    comparisons: Path | None
    html: Path | None


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
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StoreError(
            f"Cannot make the results folder {folder}: {problem.strerror}. Set "
            "output_config.results_dir to a writable folder."
        ) from problem
    stamp = clock.file_stamp()

    def as_json(value: object) -> bytes:
        return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()

    report = folder / f"pass2_complete_report_{stamp}.json"
    write_durably(report, as_json(build_report(view, sections, phases_completed)))
    comparisons = None
    if view.config.output_config.save_comparisons:
        comparisons = folder / f"model_comparisons_{stamp}.json"
        write_durably(comparisons, as_json(build_comparisons(view)))
    page = None
    if html:
        page = folder / f"pass2_complete_report_{stamp}.html"
        content = render_html(view, sections, phases_completed, f"{clock.now():%d %b %Y, %H:%M}")
        write_durably(page, content.encode())
    return Written(report, comparisons, page)
