"""Fidelity on the screen and in the report: what the sections say, draw and put into the JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from emojudge.columns import display_width
from emojudge.config import Config
from emojudge.domain import (
    BaselineCheck,
    Candidate,
    CellFailure,
    Judgement,
    Pass1,
    Response,
    TechnicalMetrics,
)
from emojudge.estimates import Estimate
from emojudge.judges.baseline_health import BaselineFault, baseline_findings
from emojudge.judges.emotions import GROUPS, LABELS
from emojudge.judges.fidelity import (
    CandidateFidelity,
    Fidelity,
    Floor,
    Loss,
    Measure,
    fidelity_of,
)
from emojudge.judges.fluency import TOKENS, TOTAL, FluencyJudge, excess_of, fluency_score
from emojudge.judges.frontier import frontier_of
from emojudge.judges.judge import PromptResponses, combine_scores, judgement_of, shares_of
from emojudge.judges.likeness import (
    EMOTION,
    PreservationJudge,
    SimilarityJudge,
    cosine,
    likeness_scores,
    same_emotions,
)
from emojudge.judges.likeness import (
    figures_of as likeness_figures,
)
from emojudge.judges.own_metrics import OWN_METRIC
from emojudge.judges.profiles import CandidateProfile
from emojudge.judges.section_parts import ai_in_words
from emojudge.judges.technical_sections import technical_section
from emojudge.pipeline.results import build_sections
from emojudge.ranking.simulate.planted import Design, Truth
from emojudge.ranking.simulate.planted_view import planted_view
from emojudge.report.charts import figures_of
from emojudge.report.html import render_html
from emojudge.report.json_report import build_report, json_bytes
from emojudge.report.scatter_text import scatter_text
from emojudge.report.schema import report_schema
from emojudge.sections import (
    Mark,
    PlotAxis,
    Scatter,
    ScatterPoint,
    Section,
    Sentence,
    Table,
    Voice,
)
from emojudge.view import Fluency, StudyView
from emojudge.widgets.section_view import SectionView, block_content
from tests.test_report import HOSTILE, PLAIN_NAMES, Page, study_view

SIZES = (("model-F16", 271), ("model-Q8_0", 145), ("model-Q5_0", 101), ("model-Q4_0", 88))
NAMES = tuple(name for name, _ in SIZES)
LOST = (0.0, 0.02, 0.05, 0.9)
"""How far each candidate's vectors are from the baseline's, in standard deviations."""


def measured_view(
    sizes: Sequence[tuple[str, int]] = SIZES,
    lost: Sequence[float] = LOST,
    *,
    prompts: int = 16,
    samples: int = 4,
    labels: tuple[str, ...] = LABELS,
    again: bool = True,
    seed: int = 3,
) -> StudyView:
    """A study whose responses are judged on made-up vectors; nobody has rated."""
    level = tuple(0.7 for _ in sizes)
    view = planted_view(
        Truth(people=level, ai=level), Design(prompts, 1, samples=samples), sizes, items=0
    )
    rng = np.random.default_rng(seed)
    judgements: list[Judgement] = []
    judgements_again: list[Judgement] = []
    repeated: list[Response] = []
    for prompt in view.prompts:
        own = [one for one in view.responses if one.prompt_id == prompt.id]
        baseline = tuple(one for one in own if one.candidate == view.candidates[0].sha256)
        others = tuple(one for one in own if one not in baseline)
        repeat = tuple(one.model_copy(update={"id": f"{one.id}/again"}) for one in baseline)
        repeat = repeat if again else ()
        repeated += repeat
        group = PromptResponses(prompt.id, baseline, others, repeat)
        topic, mood = rng.normal(size=16), rng.normal(size=len(labels)) - 2.5
        far = {one.sha256: amount for one, amount in zip(view.candidates, lost, strict=True)}
        places, moods, nats = {}, {}, {}
        for one in group.all:
            off = far[one.candidate]
            vector = topic + 0.5 * rng.normal(size=16) + off * rng.normal(size=16)
            places[one.id] = (vector / np.linalg.norm(vector)).astype(np.float32)
            feeling = mood + 0.5 * rng.normal(size=len(labels)) + off
            moods[one.id] = (1 / (1 + np.exp(-feeling))).astype(np.float32)
            nats[one.id] = 2.0 + 0.2 * rng.normal() + off
        similar = likeness_figures(group, places, cosine)
        kept = likeness_figures(group, moods, same_emotions)
        for one in group.all:
            profile = {
                f"{EMOTION}{label}": float(value)
                for label, value in zip(labels, moods[one.id], strict=True)
            }
            found = {
                SimilarityJudge.name: similar[one.id],
                PreservationJudge.name: {**kept[one.id], **profile},
                FluencyJudge.name: {TOKENS: 30.0, TOTAL: -30.0 * nats[one.id]},
            }
            for judge, figures in found.items():
                made = judgement_of(judge, f"{judge}/{one.id}", one, figures)
                (judgements_again if one in repeat else judgements).append(made)
    return scored(
        dataclasses.replace(
            view,
            judgements=tuple(judgements),
            again=tuple(repeated),
            again_judgements=tuple(judgements_again),
            memo={},
        )
    )


def scored(view: StudyView) -> StudyView:
    """The AI scores that a view's judgements give, as the store computes them."""

    def of(judge: str) -> list[Judgement]:
        return [one for one in view.judgements if one.judge == judge]

    excess = excess_of(of(FluencyJudge.name), view.candidates[0].sha256)
    parts: dict[str, dict[str, float]] = {
        "similarity": likeness_scores(of(SimilarityJudge.name)),
        "preservation": likeness_scores(of(PreservationJudge.name)),
        "fluency": {
            one.response_id: fluency_score(list(excess[one.candidate].values()))
            for one in of(FluencyJudge.name)
        },
    }
    weights = view.config.ai_scoring
    return dataclasses.replace(
        view,
        ai_scores=combine_scores(parts, weights),
        part_scores=parts,
        fluency=Fluency(shares_of(parts, weights).get("fluency", 0.0), excess),
        memo={},
    )


def metrics(candidate: Candidate, number: int, **changes: Any) -> TechnicalMetrics:
    known: dict[str, Any] = {
        "id": f"technical/{number}",
        "candidate": candidate.sha256,
        "load_seconds": 0.31 - 0.05 * number,
        "load_mode": "read into memory",
        "gpu_offload": False,
        "threads": 4,
        "first_token_seconds": 0.042,
        "tokens_per_second": 52.0 * (1 + 0.45 * number),
        "peak_bytes": candidate.size + 60_000_000,
        "perplexity": 21.4 + 0.3 * number,
        "perplexity_error": 0.6,
        "scored_tokens": 4080,
        "created": "2026-11-03T12:00:00+00:00",
    }
    if not candidate.is_baseline:
        known |= {
            "mean_kl": 0.002 * 4**number,
            "kl_error": 0.0004,
            "kl_positions": 1024,
            "same_top": 0.99 - 0.03 * number,
            "all_positions": 1630,
            "first_divergence": None if number == 1 else 20.0 / number,
            "replies": 16,
        }
    return TechnicalMetrics(**{**known, **changes})


def with_technical(view: StudyView) -> StudyView:
    technical = {one.sha256: metrics(one, number) for number, one in enumerate(view.candidates)}
    return dataclasses.replace(view, technical=technical, memo={})


def sections_of(view: StudyView) -> dict[str, Section]:
    return {one.name: one for one in build_sections(view)}


def lines_of(section: Section, width: int = 78) -> list[str]:
    """What stands on the screen."""
    text = "\n".join(block_content(one, width).plain for one in section.blocks)
    return text.split("\n")


def text_of(section: Section, width: int = 118) -> str:
    return "\n".join(lines_of(section, width))


def row_of(section: Section, name: str, width: int = 118) -> str:
    return next(one for one in lines_of(section, width) if one.startswith(name))


def renamed(view: StudyView, names: Sequence[str]) -> StudyView:
    candidates = tuple(
        one.model_copy(update={"name": name})
        for one, name in zip(view.candidates, names, strict=True)
    )
    return dataclasses.replace(view, candidates=candidates, memo={})


def report_problems(view: StudyView) -> list[str]:
    report = json.loads(json_bytes(build_report(view, build_sections(view), ["discover"])))
    found = Draft202012Validator(report_schema()).iter_errors(report)
    return [f"{one.json_path}: {one.message}" for one in found]


@pytest.fixture(scope="module")
def whole() -> StudyView:
    """Everything is measured; Q4_0 is damaged."""
    return with_technical(measured_view())


@pytest.fixture(scope="module")
def many() -> StudyView:
    sizes = [("model-F16", 300), *((f"model-Q{n}", 200 - 3 * n) for n in range(11))]
    lost = [0.0, *np.linspace(0.0, 0.6, 11)]
    return with_technical(measured_view(sizes, lost, prompts=9))


NOTHING: dict[str, Any] = {"ai_scores": {}, "responses": (), "memo": {}}
VIEWS = {
    "everything": lambda: with_technical(measured_view()),
    "no numeric floor": lambda: measured_view(again=False),
    "one prompt": lambda: measured_view(prompts=1),
    "two samples": lambda: measured_view(samples=2),
    "one candidate": lambda: with_technical(measured_view(SIZES[:1], LOST[:1])),
    "other labels": lambda: measured_view(labels=("warm", "cold", "odd")),
    "scores alone": lambda: dataclasses.replace(measured_view(), judgements=(), memo={}),
    "nothing": lambda: dataclasses.replace(measured_view(), judgements=(), **NOTHING),
}


def numbers_in(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict):
        for own in value.values():
            yield from numbers_in(own)
    elif isinstance(value, list | tuple):
        for own in value:
            yield from numbers_in(own)


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_can_be_shown_and_written(name: str) -> None:
    view = VIEWS[name]()
    sections = build_sections(view)
    assert report_problems(view) == []
    for section in sections:
        assert all(math.isfinite(one) for one in numbers_in(section.data)), section.name
        for width in (40, 78, 118):
            lines_of(section, width)
    Page(render_html(view, sections, ("discover",), "now"))


def test_what_is_not_there_yet_has_no_section() -> None:
    sections = sections_of(VIEWS["nothing"]())
    assert not sections.keys() & {
        "fidelity", "emotions", "frontier", "technical", "pairs", "own_metrics"
    }  # fmt: skip
    assert "technical" not in sections_of(measured_view())


def test_scores_without_judgements_say_what_to_do() -> None:
    section = sections_of(VIEWS["scores alone"]())["fidelity"]
    assert "not measured yet: s on the Candidates screen" in text_of(section)
    assert section.data["candidates"]["model-Q4_0"]["emotional_degradation"] is None
    assert section.data["candidates"]["model-Q4_0"]["ai_score"] < 0.9
    assert "wider terminal" not in text_of(section)


# Fidelity


def test_losses_stand_with_intervals_and_signs(whole: StudyView) -> None:
    section = sections_of(whole)["fidelity"]
    assert section.title == "fidelity to F16"
    data = section.data["candidates"]["model-Q4_0"]
    loss = data["similarity_loss"]
    assert loss["found"]
    low, high = loss["interval"]
    shown = f"{100 * loss['value']:.1f} ±{50 * (high - low):.1f}% !"
    assert shown in row_of(section, "Q4_0")
    measured = fidelity_of(whole).candidates[whole.candidates[3].sha256]
    assert loss["value"] == measured.losses[Measure.SIMILARITY].estimate.value
    assert "!" not in row_of(section, "Q8_0")
    assert "(!), similarity loss: Q4_0; fluency loss: Q4_0" in text_of(section)
    assert section.data["candidates"]["model-F16"]["similarity_loss"] is None


def test_a_calm_study_says_that_nothing_is_found() -> None:
    section = sections_of(measured_view(lost=(0.0, 0.0, 0.0, 0.0)))["fidelity"]
    assert "no candidate is found to lose more than F16 loses against itself" in text_of(section)
    assert not any(" !" in one for one in lines_of(section, 118) if one.startswith("Q"))


def test_the_baseline_comes_first_and_dim(whole: StudyView) -> None:
    turned = dataclasses.replace(whole, candidates=whole.candidates[::-1], memo={})
    for name in ("fidelity", "technical"):
        table = next(one for one in sections_of(turned)[name].blocks if isinstance(one, Table))
        assert table.rows[0].cells[0] == "F16"
        assert table.rows[0].voice is Voice.BASELINE
        assert table.rows[1].voice is Voice.PLAIN


def test_marks_share_a_scale_whose_band_is_the_floor(whole: StudyView) -> None:
    section = sections_of(whole)["fidelity"]
    table = next(one for one in section.blocks if isinstance(one, Table))
    column = table.columns[-1]
    floor = section.data["floors"]["emotional_degradation"]
    largest = max(floor["sampling"], abs(floor["numeric"]["value"]))
    assert column.scale.band == (-largest, largest)
    marks = [row.cells[-1] for row in table.rows]
    values = [section.data["candidates"][one]["emotional_degradation"] for one in NAMES[1:]]
    assert [one.value for one in marks[1:] if isinstance(one, Mark)] == [
        one["value"] for one in values
    ]
    for one in marks:
        assert isinstance(one, Mark)
        assert one.low is not None
        assert one.high is not None
        assert column.scale.low < one.low <= one.high < column.scale.high


def known_of(view: StudyView, **computed: object) -> StudyView:
    """The view with what follows from its judgements made up."""
    of = (view.judgements, view.again_judgements)
    memo = {name: (*of, value) for name, value in computed.items()}
    return dataclasses.replace(view, memo={}, judged_memo=memo)


def test_the_larger_of_both_floors_counts(whole: StudyView) -> None:
    """Made-up: the numeric floor is the larger, and negative; the middle rung sees least."""
    kinds = {1: 0.05, 2: 0.03, 3: 0.04}
    floor = Floor(0.01, Estimate(0.0, None, 16), 6, Estimate(-0.02, (-0.03, -0.01), 16))
    candidates = {
        whole.candidates[number].sha256: CandidateFidelity(
            whole.candidates[number].sha256,
            {Measure.DEGRADATION: Loss(Estimate(0.01, (0.0, 0.02), 16), floor.largest, seen)},
            None, None, None, {}, 16,
        )
        for number, seen in kinds.items()
    }  # fmt: skip
    known = Fidelity(candidates, {Measure.DEGRADATION: floor})
    view = known_of(whole, fidelity=known)
    section = sections_of(view)["fidelity"]
    table = next(one for one in section.blocks if isinstance(one, Table))
    assert table.columns[-1].scale.band == (-0.02, 0.02)
    assert section.data["smallest_seen"]["emotional_degradation"] == [0.03, 0.05]
    line = next(one for one in lines_of(section) if one.startswith("emotional"))
    parts = re.split(r"\s{2,}", line.rstrip())
    assert parts == ["emotional degradation", "1.0%", "−2.0%", "3.0 to 5.0%"]
    assert "similarity loss" not in lines_of(section)[0]
    assert report_problems(view) == []


def test_both_floors_and_the_smallest_loss_are_said(whole: StudyView) -> None:
    section = sections_of(whole)["fidelity"]
    floors = section.data["floors"]
    line = next(one for one in lines_of(section) if one.startswith("similarity loss "))
    assert f"{100 * floors['similarity_loss']['sampling']:.1f}%" in line
    assert f"{100 * floors['similarity_loss']['numeric']['value']:.1f}%".replace("-", "−") in line
    low, high = section.data["smallest_seen"]["similarity_loss"]
    seen = [
        own["similarity_loss"]["smallest_seen"]
        for own in section.data["candidates"].values()
        if own["similarity_loss"] is not None
    ]
    assert (low, high) == (min(seen), max(seen))
    assert f"{100 * low:.1f} to {100 * high:.1f}%" in line


def test_a_missing_numeric_floor_is_said() -> None:
    section = sections_of(measured_view(again=False))["fidelity"]
    lines = [one for one in lines_of(section) if one.startswith(("emotional", "similarity loss "))]
    assert all("not measured yet" in one for one in lines)
    assert all(floor["numeric"] is None for floor in section.data["floors"].values())


def test_without_floors_and_intervals_losses_still_stand() -> None:
    section = sections_of(measured_view(prompts=1))["fidelity"]
    loss = section.data["candidates"]["model-Q4_0"]["similarity_loss"]
    assert (loss["interval"], loss["floor"], loss["found"]) == (None, None, False)
    assert loss["smallest_seen"] is None
    assert section.data["floors"]["similarity_loss"] is None
    line = next(one for one in lines_of(section) if one.startswith("similarity loss "))
    assert line.split("  ")[1].strip() == "" or "not measured yet" in line
    table = next(one for one in section.blocks if isinstance(one, Table))
    assert table.columns[-1].scale.band is None


def test_the_parts_of_the_score_and_their_shares_are_named(whole: StudyView) -> None:
    section = sections_of(whole)["fidelity"]
    weights = whole.config.ai_scoring
    total = weights.similarity + weights.preservation + weights.fluency
    assert section.data["shares"]["preservation"] == pytest.approx(weights.preservation / total)
    assert f"preservation {100 * weights.preservation / total:.0f}%" in text_of(section)
    assert "ensemble not there" in text_of(section)
    own = section.data["candidates"]["model-Q4_0"]
    mean = sum(share * own["parts"][part] for part, share in section.data["shares"].items())
    assert own["ai_score"] == pytest.approx(mean)


def test_what_became_of_responses_is_counted(whole: StudyView) -> None:
    sha = whole.candidates[2].sha256
    mine = [one for one in whole.responses if one.candidate == sha][:3]
    silent = {one.id for one in mine}
    responses = tuple(
        one.model_copy(update={"text": "<think>hm</think> …"}) if one.id in silent else one
        for one in whole.responses
    )
    failure = failed(mine[0])
    view = dataclasses.replace(whole, responses=responses, failures=(failure,), memo={})
    own = sections_of(view)["fidelity"].data["candidates"]["model-Q5_0"]
    assert (own["judged_responses"], own["failed_responses"], own["silent_responses"]) == (64, 1, 3)


def test_pass1_stands_beside_what_was_measured(whole: StudyView) -> None:
    assert "Pass 1" not in text_of(sections_of(whole)["fidelity"])
    said = [None, Pass1(emotional_degradation=0.031), Pass1(emotional_degradation=math.nan), None]
    candidates = tuple(
        one.model_copy(update={"pass1": own})
        for one, own in zip(whole.candidates, said, strict=True)
    )
    view = dataclasses.replace(whole, candidates=candidates, memo={})
    section = sections_of(view)["fidelity"]
    assert "3.1%" in row_of(section, "Q8_0", 78)
    assert section.data["candidates"]["model-Q8_0"]["pass1_emotional_degradation"] == 0.031
    assert section.data["candidates"]["model-Q5_0"]["pass1_emotional_degradation"] is None
    assert "nan" not in text_of(section)


def test_own_metrics_stand_beside_the_baselines() -> None:
    view = measured_view()
    assert "own_metrics" not in sections_of(view)
    custom = [
        judgement_of(OWN_METRIC, f"custom/{one.id}", one, {"<b>length\x1b": 10.0 + 2.0 * number})
        for number, owner in enumerate(view.candidates[:2])
        for one in view.responses
        if one.candidate == owner.sha256
    ]
    view = dataclasses.replace(view, judgements=(*view.judgements, *custom), memo={})
    section = sections_of(view)["own_metrics"]
    data = section.data["<b>length\x1b"]
    assert data["model-F16"] == {"mean": 10.0, "minus_baseline": None}
    assert data["model-Q8_0"]["minus_baseline"]["value"] == pytest.approx(2.0)
    assert data["model-Q4_0"] == {"mean": None, "minus_baseline": None}
    assert "12.000  +2.000  [+2.000, +2.000]" in text_of(section)
    assert "\x1b" not in text_of(section)
    assert report_problems(view) == []


# A broken baseline


def failed(response: Response) -> CellFailure:
    return CellFailure(
        id=response.id,
        candidate=response.candidate,
        prompt_id=response.prompt_id,
        sample=response.sample,
        reason="crashed",
        created="",
    )


def faults(view: StudyView) -> set[BaselineFault]:
    return {one.fault for one in baseline_findings(view)}


def silenced(view: StudyView, count: int, number: int = 0) -> StudyView:
    """So many of one candidate's responses say nothing."""
    mine = [one for one in view.responses if one.candidate == view.candidates[number].sha256]
    quiet = {one.id for one in mine[:count]}
    responses = tuple(
        one.model_copy(update={"text": " … "}) if one.id in quiet else one for one in view.responses
    )
    return dataclasses.replace(view, responses=responses, memo={})


def checked(view: StudyView, above: tuple[float, float] | None) -> StudyView:
    check = BaselineCheck(id="c", within=0.4, between=-0.1, above=above, silent=0, responses=64)
    return dataclasses.replace(view, baseline_check=check, memo={})


def test_a_sound_baseline_has_no_faults(whole: StudyView) -> None:
    assert faults(whole) == set()
    assert faults(checked(whole, (0.01, 0.3))) == set()
    assert faults(dataclasses.replace(whole, candidates=(), memo={})) == set()


def test_a_silent_baseline_is_a_fault(whole: StudyView) -> None:
    assert faults(silenced(whole, 6)) == set()
    assert faults(silenced(whole, 7)) == {BaselineFault.SILENT}
    assert faults(silenced(whole, 60, number=1)) == set()
    (found,) = baseline_findings(silenced(whole, 16))
    assert found.sentence == (
        "F16, the baseline, said nothing in 16 of 64 responses (25%); everything is measured "
        "against it."
    )


@pytest.mark.parametrize("above", [None, (-0.01, 0.2), (0.0, 0.1)])
def test_a_baseline_that_answers_anything_the_same_is_a_fault(
    whole: StudyView, above: tuple[float, float] | None
) -> None:
    assert faults(checked(whole, above)) == {BaselineFault.UNRELATED}
    assert faults(checked(measured_view(prompts=8), above)) == {BaselineFault.UNRELATED}
    assert faults(checked(measured_view(prompts=7), above)) == set()


def test_a_worse_language_model_than_its_candidates_is_a_fault(whole: StudyView) -> None:
    def against(perplexity: float, error: float = 0.3, vocabulary: int = 49152) -> StudyView:
        baseline, other = whole.candidates[0], whole.candidates[1]
        specs = other.specs.model_copy(update={"vocabulary_size": vocabulary})
        other = other.model_copy(update={"specs": specs})
        technical = {
            baseline.sha256: metrics(baseline, 0, perplexity=20.0, perplexity_error=0.4),
            other.sha256: metrics(other, 1, perplexity=perplexity, perplexity_error=error),
        }
        candidates = (baseline, other, *whole.candidates[2:])
        return dataclasses.replace(whole, candidates=candidates, technical=technical, memo={})

    # The combined standard error is .5.
    assert faults(against(18.4)) == {BaselineFault.SURPASSED}
    assert faults(against(18.6)) == set()
    assert faults(against(18.4, error=0.6)) == set()
    assert faults(against(18.4, vocabulary=32000)) == set()
    assert faults(against(30.0)) == set()
    assert "20.0, that of Q8_0 18.4" in baseline_findings(against(18.4))[0].sentence


def test_failures_of_the_baseline_are_a_fault_and_of_others_are_not(whole: StudyView) -> None:
    def with_failure_of(number: int) -> StudyView:
        sha = whole.candidates[number].sha256
        mine = next(one for one in whole.responses if one.candidate == sha)
        return dataclasses.replace(whole, failures=(failed(mine),), memo={})

    assert faults(with_failure_of(0)) == {BaselineFault.FAILED}
    assert faults(with_failure_of(1)) == set()


def test_faults_stand_on_top_in_full_sentences(whole: StudyView) -> None:
    view = checked(silenced(whole, 20), None)
    section = sections_of(view)["fidelity"]
    first, second = section.blocks[:2]
    for block in (first, second):
        assert isinstance(block, Sentence)
        assert block.voice is Voice.BAD
        assert block.text.endswith("everything is measured against it.")
    assert [one["fault"] for one in section.data["baseline_warnings"]] == ["silent", "unrelated"]
    assert report_problems(view) == []


def test_faults_are_told_before_anything_is_judged() -> None:
    view = dataclasses.replace(measured_view(), judgements=(), ai_scores={}, part_scores={})
    section = sections_of(silenced(view, 30))["fidelity"]
    assert "said nothing in 30 of 64" in text_of(section)
    assert "s on the Candidates screen" in text_of(section)


def test_the_ai_score_is_called_likeness_only_where_no_judge_counts() -> None:
    view = measured_view()
    said = dict.fromkeys(view.ai_scores, 0.5)
    assert ai_in_words(view).startswith("likeness to the baseline")
    judged = dataclasses.replace(view, part_scores={**view.part_scores, "ensemble": said})
    assert " what judges say (0 to 1), the rest likeness" in ai_in_words(judged)
    alone = dataclasses.replace(view, part_scores={"ensemble": said})
    assert ai_in_words(alone) == "what judges say of the responses, from 0 to 1"


# Emotions


def test_profiles_stand_beside_the_baselines_at_80_columns(whole: StudyView) -> None:
    section = sections_of(whole)["emotions"]
    lines = lines_of(section, 78)
    assert lines[0].split() == ["F16", "Q8_0", "Q5_0", "Q4_0"]
    assert [one.split()[0] for one in lines[1:10]] == [*GROUPS, "valence", "intensity"]
    assert all(len(one) <= 78 for one in lines[:10])
    assert not any("wider terminal" in one for one in lines)
    values = [section.data[name]["groups"]["joy"] for name in NAMES]
    joy = next(one for one in lines if one.startswith("joy"))
    assert re.findall(r"\d\.\d\d", joy) == [f"{one:.2f}" for one in values]
    # The numbers of valence, which has no bar, end where the others' do.
    at = [[found.end() for found in re.finditer(r"\d\.\d\d", one)] for one in lines[1:10]]
    assert all(one == at[0] for one in at)


def test_labels_that_differ_most_are_named_with_their_sign(whole: StudyView) -> None:
    section = sections_of(whole)["emotions"]
    own, base = (section.data[name]["labels"] for name in ("model-Q4_0", "model-F16"))
    label, change = max(
        ((label, own[label] - base[label]) for label in own), key=lambda one: abs(one[1])
    )
    line = next(one for one in lines_of(section) if one.startswith("Q4_0: "))
    assert line.startswith(f"Q4_0: {label} {change:+.2f}".replace("-", "−"))
    assert line.count(",") == 3


def test_what_became_rarer_counts_as_much_as_what_became_more_frequent(whole: StudyView) -> None:
    def profile(**labels: float) -> CandidateProfile:
        return CandidateProfile(labels, None, None, None, 64)

    profiles = {
        whole.candidates[0].sha256: profile(love=0.5, joy=0.2, fear=0.1),
        whole.candidates[1].sha256: profile(love=0.2, joy=0.25, fear=0.104),
        whole.candidates[2].sha256: profile(love=0.5, joy=0.2, fear=0.1),
    }
    view = known_of(whole, profiles=profiles)
    text = text_of(sections_of(view)["emotions"])
    assert "Q8_0: love −0.30, joy +0.05\n" in text
    assert text.endswith("Q5_0: none by 0.01 or more")


def test_unknown_labels_are_shown_as_they_are() -> None:
    labels = tuple(f"label-{number:02d}" for number in range(20))
    section = sections_of(measured_view(labels=labels))["emotions"]
    shown = [one.split()[0] for one in lines_of(section)[1:13]]
    most = {label: max(section.data[name]["labels"][label] for name in NAMES) for label in labels}
    assert shown == sorted(labels, key=lambda one: -most[one])[:12]
    assert "valence" not in text_of(section)
    assert section.data["model-F16"]["groups"] is None


def test_many_profiles_stand_under_each_other(many: StudyView) -> None:
    section = sections_of(many)["emotions"]
    lines = lines_of(section, 118)
    assert lines[0].split() == [*GROUPS, "valence", "intensity"]
    assert [one.split()[0] for one in lines[1:13]] == [
        many.labels[x.sha256] for x in many.candidates
    ]
    assert sum((": " in one and "+" in one) or "−" in one for one in lines[14:]) <= 9


# Pairs


def test_all_pairs_of_a_few_are_shown(whole: StudyView) -> None:
    section = sections_of(whole)["pairs"]
    assert len(section.data) == 6
    row = next(one for one in section.data if one["right"] == "model-Q4_0")
    assert row == {"left": "model-F16", "right": "model-Q4_0", "wins": 16, "ties": 0, "losses": 0}
    assert sum(one.startswith(("F16", "Q8_0", "Q5_0")) for one in lines_of(section)) == 6
    assert "within 0.075 of each other is a tie" in text_of(section)


def test_of_many_only_what_is_asked_for_is_shown(many: StudyView) -> None:
    section = sections_of(many)["pairs"]
    assert len(section.data) == 66
    table = next(one for one in section.blocks if isinstance(one, Table))
    # Eleven with the baseline, and ten neighbours; F16 and Q0 are both.
    assert len(table.rows) == 11 + 10
    ladder = {("F16", f"Q{n}") for n in range(11)} | {(f"Q{n}", f"Q{n + 1}") for n in range(10)}
    assert {(row.cells[0], row.cells[1]) for row in table.rows} == ladder
    assert "21 of 66 pairs" in text_of(section)


# Technical


def test_the_sentence_says_size_speed_and_same_words(whole: StudyView) -> None:
    first = sections_of(whole)["technical"].blocks[0]
    assert isinstance(first, Sentence)
    # Q4_0 is smaller, but its losses are above the floors.
    assert first.text == (
        "Q5_0 is 63% smaller than F16, 1.9 times as fast, and chooses the same next word 93% of "
        "the time"
    )


def test_the_sentence_is_about_what_the_verdict_recommends(whole: StudyView) -> None:
    section = technical_section(whole, whole.candidates[1])
    assert section is not None
    assert text_of(section).startswith("Q8_0 is 46% smaller than F16, 1.4 times as fast, and ")


def test_the_verdict_reaches_the_sentence() -> None:
    view = with_technical(study_view(loss=0.0, names=PLAIN_NAMES[:3], items=120))
    sections = sections_of(view)
    assert sections["verdict"].data["recommended"] == "model-Q5_0"
    assert text_of(sections["technical"]).startswith("Q5_0 is 2% smaller than F16, ")
    alone = technical_section(view)
    assert alone is not None
    assert "no smaller candidate stands out" in text_of(alone)


def test_the_sentence_leaves_out_what_is_not_known(whole: StudyView) -> None:
    about = whole.candidates[2]
    alone = dataclasses.replace(whole, technical={about.sha256: metrics(about, 2)}, memo={})
    text = text_of(sections_of(alone)["technical"])
    assert text.startswith(
        "Q5_0 is 63% smaller than F16, and chooses the same next word 93% of the time\n"
    )
    assert "not measured yet: F16, Q8_0 and Q4_0" in text
    broken = measured_view(lost=(0.0, 0.9, 0.9, 0.9))
    assert "no smaller candidate stands out" in text_of(
        sections_of(with_technical(broken))["technical"]
    )


def test_the_technical_table_and_how_it_was_measured(whole: StudyView) -> None:
    section = sections_of(whole)["technical"]
    text = "\n".join(lines_of(section, 200))
    for said in (
        "never", "0.0080", "0.0004", "4 threads", "read into memory", "1024 sampled positions",
        "the bundled prompts' own words, 4080 tokens", "KL explains, it decides nothing",
    ):  # fmt: skip
        assert said in text, said
    assert "331 MB" in row_of(section, "F16", 78)
    assert section.data["model-Q8_0"]["first_divergence"] is None
    assert section.data["model-Q5_0"]["first_divergence"] == 10.0
    assert section.data["model-F16"]["mean_kl"] is None
    assert "id" not in section.data["model-F16"]


def test_problems_of_measuring_are_told(whole: StudyView) -> None:
    sha = whole.candidates[1].sha256
    technical = {
        **whole.technical,
        sha: metrics(
            whole.candidates[1], 1, problem="other vocabulary\x1b[2J", perplexity=math.inf
        ),
    }
    view = dataclasses.replace(whole, technical=technical, memo={})
    section = sections_of(view)["technical"]
    assert Sentence("Q8_0: other vocabulary\x1b[2J", Voice.BAD) in section.blocks
    assert "\x1b" not in text_of(section)
    assert section.data["model-Q8_0"]["perplexity"] is None
    assert report_problems(view) == []


def test_technical_metrics_can_be_kept_out_of_the_report(whole: StudyView) -> None:
    output = whole.config.output_config.model_copy(update={"export_metrics": False})
    config = whole.config.model_copy(update={"output_config": output})
    view = dataclasses.replace(whole, config=config, memo={})
    section = sections_of(view)["technical"]
    assert section.data is None
    assert "Q5_0 is 63% smaller" in text_of(section)
    assert report_problems(view) == []


# The frontier


def test_the_frontier_is_what_nobody_smaller_comes_up_to(whole: StudyView) -> None:
    def frontier(scores: Sequence[float], sizes: Sequence[int]) -> list[str]:
        candidates = tuple(
            one.model_copy(update={"files": (one.files[0].model_copy(update={"size": size}),)})
            for one, size in zip(whole.candidates, sizes, strict=True)
        )
        level = dict(zip((one.sha256 for one in candidates), scores, strict=True))
        view = dataclasses.replace(
            whole,
            candidates=candidates,
            ai_scores={one.id: level[one.candidate] for one in whole.responses},
            memo={},
        )
        return [view.labels[one.candidate.sha256] for one in frontier_of(view) if one.on_frontier]

    assert frontier((1.0, 0.9, 0.95, 0.8), (40, 30, 20, 10)) == ["F16", "Q5_0", "Q4_0"]
    assert frontier((1.0, 1.0, 0.9, 0.9), (40, 30, 20, 10)) == ["Q8_0", "Q4_0"]
    assert frontier((0.8, 0.9, 0.9, 1.0), (40, 30, 20, 10)) == ["Q4_0"]
    # Nobody is better than an equal.
    assert frontier((1.0, 0.9, 0.9, 0.8), (40, 20, 20, 10)) == ["F16", "Q8_0", "Q5_0", "Q4_0"]
    assert frontier((1.0, 0.9, 0.8, 0.7), (40, 20, 20, 20)) == ["F16", "Q8_0"]


def test_the_interval_knows_that_fluency_is_one_value() -> None:
    """By hand: the score is fluency alone, so leaving a prompt out changes exp(−mean excess)."""
    weights = Config().ai_scoring.model_copy(
        update={"ensemble": 0.0, "preservation": 0.0, "similarity": 0.0, "fluency": 1.0}
    )
    view = measured_view()
    config = view.config.model_copy(update={"ai_scoring": weights})
    view = scored(dataclasses.replace(view, config=config))
    assert view.fluency.share == 1.0
    worst = view.candidates[3].sha256
    excess = np.array(list(view.fluency.excess[worst].values()))
    without = np.exp(-(excess.sum() - excess) / (len(excess) - 1)) - 1
    spread = 15 / 16 * ((without - without.mean()) ** 2).sum()
    radius = 2.131449546 * math.sqrt(spread)
    point = next(one for one in frontier_of(view) if one.candidate.sha256 == worst)
    assert point.minus_baseline is not None
    value = math.exp(-excess.mean()) - 1
    assert point.minus_baseline.value == pytest.approx(value)
    assert point.minus_baseline.interval == pytest.approx((value - radius, value + radius))


def scatter(*points: tuple[str, float, float, bool]) -> Scatter:
    return Scatter(
        tuple(ScatterPoint(name, x, y, marked=marked) for name, x, y, marked in points),
        PlotAxis("size", in_bytes=True),
        PlotAxis("AI score"),
        "frontier",
    )


def drawn(block: Scatter, width: int = 76) -> list[str]:
    return ["".join(text for text, _ in line) for line in scatter_text(block, width)]


def marks_in(lines: Sequence[str]) -> int:
    return sum(one.count("●") + one.count("○") for one in lines[:-1])


def test_every_point_has_its_mark_and_its_name_beside_it() -> None:
    lines = drawn(
        scatter(("F16", 300e6, 1.0, True), ("Q8_0", 150e6, 0.99, False), ("Q4_0", 90e6, 0.8, True))
    )
    assert marks_in(lines) == 3
    assert any("F16 ●" in one for one in lines)
    assert any("○ Q8_0" in one for one in lines)
    assert any("● Q4_0" in one for one in lines)
    assert any("200 MB" in one for one in lines)
    assert any(one.startswith("0.90 ┤") for one in lines)
    assert lines[-1] == "● frontier   ○ the others"
    # Higher is better, and to the right is larger.
    row = {
        name: place for place, one in enumerate(lines) for name in ("F16", "Q4_0") if name in one
    }
    assert row["F16"] < row["Q4_0"]


def test_one_point_can_be_drawn() -> None:
    lines = drawn(scatter(("only", 100e6, 1.0, True)))
    assert marks_in(lines) == 1
    assert any("● only" in one for one in lines)
    assert any("100 MB" in one for one in lines)
    with pytest.raises(ValueError, match="needs a point"):
        scatter_text(scatter())


def test_equal_points_share_a_mark_and_are_both_named() -> None:
    lines = drawn(scatter(("one", 90e6, 0.5, False), ("two", 90e6, 0.5, True), ("x", 0, 0.1, True)))
    assert marks_in(lines) == 2
    assert any("one, two" in one and "●" in one for one in lines)


def test_names_without_room_stand_below_with_a_number() -> None:
    rng = random.Random(4)
    points = [(f"candidate-{n:02d}", rng.random() * 1e8, rng.random(), False) for n in range(60)]
    lines = drawn(scatter(*points))
    text = "\n".join(lines)
    for name, *_ in points:
        assert name in text
    assert re.search(r"^\d+ candidate-\d\d.*  \d+ MB, 0\.\d\d$", text, re.M)


@pytest.mark.parametrize("width", [20, 38, 60, 76, 200])
def test_a_plot_keeps_to_its_width(width: int) -> None:
    lines = drawn(
        scatter(("日本語の模型", 300e6, 1.0, True), ("e\u0301" * 30, 90e6, 0.5, False)), width
    )
    plot = [one for one in lines if one.startswith(("     ", "0.", "1."))]
    assert len(plot) >= 14
    assert all(display_width(one) <= min(width, 76) for one in plot)
    assert "日" in "".join(lines)


def test_the_screen_draws_the_plot_within_80_columns(many: StudyView) -> None:
    section = sections_of(many)["frontier"]
    block = next(one for one in section.blocks if isinstance(one, Scatter))
    assert len(block.points) == 12
    content = block_content(block, 78)
    assert all(display_width(one) <= 78 for one in content.plain.split("\n"))
    assert marks_in(content.plain.split("\n")) >= 8


# The page


def test_losses_are_drawn_to_scale_over_their_floor(whole: StudyView) -> None:
    section = sections_of(whole)["fidelity"]
    (figure,) = figures_of(whole, section)
    bands = re.findall(r'<rect x="(\S+)" y="\S+" width="(\S+)" \S+ class="band"', figure.svg)
    assert len(bands) == 3
    # The second panel is similarity; its three intervals are the second three long lines.
    lines = [
        (float(a), float(b))
        for a, b in re.findall(
            r'<line x1="(\S+)" y1="\S+" x2="(\S+)" y2="\S+" class="ai"/>', figure.svg
        )
        if a != b
    ]
    assert len(lines) == 9
    x, width = map(float, bands[1])
    floor = section.data["floors"]["similarity_loss"]
    largest = max(floor["sampling"], abs(floor["numeric"]["value"]))
    unit, zero = width / (2 * largest), x + width / 2
    for (left, right), name in zip(lines[3:6], NAMES[1:], strict=True):
        low, high = section.data["candidates"][name]["similarity_loss"]["interval"]
        assert left == pytest.approx(zero + unit * low, abs=0.5)
        assert right == pytest.approx(zero + unit * high, abs=0.5)
    assert len(re.findall(r">\S+ !</text>", figure.svg)) == 2
    for said in ("n = 16 prompts", "95% for one look", "noise floor", "another batch width"):
        assert said in figure.caption
    assert "not measured yet" not in figure.caption


def test_the_frontier_line_goes_through_the_frontier(whole: StudyView) -> None:
    section = sections_of(whole)["frontier"]
    (figure,) = figures_of(whole, section)
    ((points),) = re.findall(r'<polyline points="([^"]+)"', figure.svg)
    dots = re.findall(r'<circle cx="(\S+)" cy="(\S+)"', figure.svg)
    assert sorted(points.split()) == sorted(f"{x},{y}" for x, y in dots)
    assert len(dots) == sum(one["on_frontier"] for one in section.data) == 3
    assert figure.svg.count("<polygon") == 1
    for label in ("F16", "Q8_0", "Q5_0", "Q4_0"):
        assert f">{label}</text>" in figure.svg


def test_profile_bars_are_as_long_as_their_values(whole: StudyView) -> None:
    section = sections_of(whole)["emotions"]
    (figure,) = figures_of(whole, section)
    own = [float(one) for one in re.findall(r'width="(\S+)" height="6" class="ai"', figure.svg)]
    base = [float(one) for one in re.findall(r'width="(\S+)" height="3" class="dim"', figure.svg)]
    assert len(own) == len(base) == 3 * 8
    groups, reference = section.data["model-Q4_0"]["groups"], section.data["model-F16"]["groups"]
    unit = own[16 + 3] / groups["joy"]
    assert own[16:23] == pytest.approx([unit * one for one in groups.values()], abs=0.1)
    assert base[16:23] == pytest.approx([unit * one for one in reference.values()], abs=0.1)


def test_the_page_draws_what_the_screen_writes(whole: StudyView) -> None:
    page = render_html(whole, build_sections(whole), ("discover",), "now")
    assert "┤" not in page.split("degradation, ░ floor")[0]
    assert "○" not in page
    section = sections_of(whole)["frontier"]
    alone = dataclasses.replace(section, name="other")
    assert "<li>● F16: 271 MB, 1.00</li>" in render_html(whole, [alone], (), "now")


def test_many_candidates_stay_readable(many: StudyView) -> None:
    page = render_html(many, build_sections(many), ("discover",), "now")
    assert "The first 5 of 11 are drawn." in page
    assert len(page) < 200_000


def test_nothing_of_a_study_is_markup_or_an_escape(whole: StudyView) -> None:
    view = renamed(whole, [f"{name}{HOSTILE}" for name in NAMES])
    sections = build_sections(view)
    page = render_html(view, sections, ("discover",), "now")
    plain = render_html(whole, build_sections(whole), ("discover",), "now")
    assert {name for name, _ in Page(page).tags} <= {name for name, _ in Page(plain).tags}
    assert "\x1b" not in page
    assert "\u202e" not in page
    for section in sections:
        text = SectionView(section).render().plain
        assert section.title.split("\n")[0].split("<")[0] in text
        assert "\x1b" not in text, section.name
        assert "\u202e" not in text, section.name
    assert report_problems(view) == []
