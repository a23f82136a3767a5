"""Technical metrics on scripted workers: what is missing, what fails, what is measured again."""

from __future__ import annotations

from pathlib import Path

import pytest

from emojudge.pipeline.study import Study
from emojudge.pipeline.technical import median_divergence
from emojudge.store.tables import TECHNICAL
from emojudge.view import StudyView
from tests.gguf_files import Q8_0, language_model, write_ladder
from tests.studies import judged_study, situations


@pytest.mark.parametrize(
    ("first", "median"),
    [
        ([3, 1, 2], 2),
        ([1, 2, 3, 8], 2.5),
        ([4, None, 2], 4),
        ([None, 2, None], None),
        ([1, None], None),
        ([], None),
    ],
)
def test_replies_that_never_part_count_as_the_latest(
    first: list[int | None], median: float | None
) -> None:
    assert median_divergence(first) == median


def by_name(study: Study) -> dict[str, object]:
    view: StudyView = study.view()
    return {view.by_sha[sha].name: found for sha, found in view.technical.items()}


async def test_each_candidate_is_measured_once(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    assert set(by_name(study)) == {"tiny-F16", "tiny-Q8_0", "tiny-Q4_0"}
    again = await judged_study(tmp_path)
    assert by_name(again) == by_name(study)
    assert len(again.store.all(TECHNICAL)) == 3


async def test_other_replies_mean_other_figures(tmp_path: Path) -> None:
    study = await judged_study(tmp_path, prompts=situations(3))
    more = await judged_study(tmp_path, prompts=situations(4))
    assert by_name(more).keys() == by_name(study).keys()
    assert by_name(more) != by_name(study)


async def test_what_cannot_be_compared_is_said_and_the_rest_measured(tmp_path: Path) -> None:
    folder = write_ladder(tmp_path / "models") / "tiny-other-vocabulary"
    language_model(Q8_0, fill=9, rows=2048).write(folder / "tiny-other-vocabulary.gguf")
    study = await judged_study(tmp_path)
    view = study.view()
    odd = next(one for one in view.candidates if one.name == "tiny-other-vocabulary")
    found = view.technical[odd.sha256]
    assert found.mean_kl is None
    assert found.perplexity is not None
    assert found.problem is not None
    assert "there is nothing to compare" in found.problem


async def test_a_model_that_cannot_be_loaded_stops_no_other(tmp_path: Path) -> None:
    folder = write_ladder(tmp_path / "models") / "tiny-unloadable"
    language_model(Q8_0, fill=9, rows=2048).write(folder / "tiny-unloadable.gguf")
    study = await judged_study(tmp_path)
    assert len(study.view().technical) == len(study.discovery.candidates) - 1
    problem = study.state.status.problem
    assert problem is not None
    assert "unknown model architecture" in problem
