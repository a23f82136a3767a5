"""``emojudge judges``: who judges, what they count for, and how they compare with people."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from emojudge.candidates.discover import check_judge_model
from emojudge.config_file import LoadedConfig
from emojudge.errors import UsageError
from emojudge.judges import plugins
from emojudge.judges.controls import CONTROLS
from emojudge.judges.exam_lines import (
    control_data,
    exam_sentences,
    standing_data,
    table_lines,
)
from emojudge.pipeline.study import Study
from emojudge.ranking.agreement_sections import calibration_section
from emojudge.view import StudyView

_EXAMPLE = (
    '{"name": "warm", "model": "judge.gguf", "persona": "empathic"}, or for one behind an endpoint '
    '{"name": "warm", "model": "NAME", "url": "http://127.0.0.1:8080/v1", "persona": "empathic"}'
)


@dataclass(frozen=True)
class JudgesFound:
    """The ensemble of a view."""

    view: StudyView

    @property
    def all_examined(self) -> bool:
        """Whether each judge has sat its exam, whatever came out."""
        return all(one.exam is not None for one in self.view.judges)

    def as_json(self) -> dict[str, Any]:
        """The form of ``--json``."""
        calibration = calibration_section(self.view)
        return {
            "judges": [standing_data(one) for one in self.view.judges],
            "controls": [
                control_data(name, self.view.control_exams.get(name)) for name in CONTROLS
            ],
            "calibration": calibration.data if calibration is not None else {},
            "notes": exam_sentences(self.view),
        }

    def lines(self) -> list[str]:
        """The form for people."""
        if not self.view.judges:
            return [
                "no judges are configured, so the AI score is fidelity alone",
                f"judging_config.judges takes some, for example {_EXAMPLE}",
            ]
        lines = table_lines(self.view)
        calibration = calibration_section(self.view)
        if calibration is not None:
            lines.append("people have rated: the Results screen holds each judge against them")
        return lines


def require_judges(loaded: LoadedConfig) -> None:
    """Raises UsageError when there is nobody to examine."""
    if not loaded.config.judging_config.judges:
        raise UsageError(
            f"{loaded.file} names no judges to examine. judging_config.judges takes some, for "
            f"example {_EXAMPLE}."
        )


def check_judges(loaded: LoadedConfig) -> None:
    """Look at what judges need, without asking any. Raises UsageError naming the judge."""
    judging = loaded.config.judging_config
    for name in judging.metrics:
        plugins.metric(name)
    for one in judging.judges:
        if one.plugin is not None:
            plugins.judge(one.name, one.weight, one.plugin)
        elif one.api_key_env is not None and not os.environ.get(one.api_key_env):
            raise UsageError(
                f"Judge {one.name} needs a key, and the environment variable {one.api_key_env} "
                "that should hold it is not set."
            )
        elif one.model is not None and one.url is None:
            check_judge_model(one.name, loaded.resolve(one.model))


def judges_found(study: Study) -> JudgesFound:
    """From what is stored. Raises StoreError before the first discover."""
    return JudgesFound(study.view())
