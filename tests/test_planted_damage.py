"""Damage that is planted must be found, and nothing else: real models, encoder and head.

Against the F16 baseline (8 samples): Q8_0, which is nearly lossless; a copy of F16 with some
matrices zeroed; and F16's own replies exchanged between prompts, shuffled word by word, and cut.
20 prompts × 4 samples, as in a small study.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from emojudge.config_file import load_config
from emojudge.domain import Candidate, Response
from emojudge.estimates import fixed_radius
from emojudge.judges.fidelity import (
    CandidateFidelity,
    Fidelity,
    Measure,
    _over_prompts,
    fidelity_of,
)
from emojudge.judges.likeness import PAIR, PreservationJudge, SimilarityJudge
from emojudge.pipeline.engine_plan import plan_engine
from emojudge.pipeline.study import Study
from emojudge.pipeline.workspace import Workspace
from emojudge.prompts import BUNDLED_NAME, bundled_prompts, choose_subset, parse_prompts
from emojudge.ranking.scored import scored_study
from emojudge.store.tables import RESPONSES
from emojudge.view import StudyView
from tests.gguf_files import Q8_0, language_model

pytestmark = pytest.mark.models
PROMPTS = 20
ZEROED = [
    f"blk.{layer}.{part}.weight"
    for layer in (8, 12, 16, 20)
    for part in ("attn_output", "ffn_down")
]
Texts = dict[tuple[str, int], str]


def exchanged(texts: Texts) -> Texts:
    """Each prompt gets the replies to the next one."""
    prompts = sorted({prompt for prompt, _ in texts})
    following = dict(zip(prompts, prompts[1:] + prompts[:1], strict=True))
    return {(prompt, sample): texts[following[prompt], sample] for prompt, sample in texts}


def shuffled(texts: Texts) -> Texts:
    """The words of each reply in another order."""
    draw = random.Random(5)

    def mix(text: str) -> str:
        words = text.split()
        draw.shuffle(words)
        return " ".join(words)

    return {key: mix(texts[key]) for key in sorted(texts)}


def cut(texts: Texts) -> Texts:
    """The first five words of each reply."""
    return {key: " ".join(text.split()[:5]) for key, text in texts.items()}


REPLIES: dict[str, Callable[[Texts], Texts]] = {
    "exchanged": exchanged,
    "shuffled": shuffled,
    "cut": cut,
}


def zero_matrices(path: Path) -> None:
    reader = gguf.GGUFReader(path, "r+")
    named = {tensor.name: tensor for tensor in reader.tensors}
    for name in ZEROED:
        named[name].data[:] = 0
    reader.data.flush()


def write_candidates(ladder: Path, folder: Path) -> None:
    """Models that generate, and headers that only give damaged replies a name."""
    for kind in ("F16", "Q8_0"):
        source = next(ladder.glob(f"*-{kind}/*.gguf"))
        target = folder / kind / f"{kind}.gguf"
        target.parent.mkdir(parents=True)
        os.link(source, target)
    zeroed = folder / "zeroed" / "zeroed.gguf"
    zeroed.parent.mkdir()
    shutil.copyfile(folder / "F16" / "F16.gguf", zeroed)
    zero_matrices(zeroed)
    for fill, name in enumerate(REPLIES, 1):
        language_model(Q8_0, fill=fill, rows=4096).write(folder / name / f"{name}.gguf")


def write_damaged(study: Study, by_name: dict[str, Candidate]) -> None:
    """Replies of the baseline, damaged, as the replies of candidates."""
    said = {
        (prompt.id, number): response
        for prompt in study.discovery.prompts
        for number, cell in enumerate(study.cells(study.baseline, prompt)[:4])
        if (response := study.stored(cell)) is not None
    }
    texts = {key: one.text for key, one in said.items()}
    for name, damage in REPLIES.items():
        damaged = damage(texts)
        responses: list[Response] = []
        for prompt in study.discovery.prompts:
            for cell in study.cells(by_name[name], prompt):
                like = said[prompt.id, cell.sample]
                change = {
                    "id": cell.id,
                    "candidate": cell.candidate,
                    "text": damaged[prompt.id, cell.sample],
                }
                responses.append(like.model_copy(update=change))
        study.lead().put(RESPONSES, responses)
    for prompt in study.discovery.prompts:
        study.changed(prompt.id)


async def measured(ladder: Path, folder: Path) -> Study:
    write_candidates(ladder, folder / "models")
    prompts = choose_subset(parse_prompts(bundled_prompts().decode(), BUNDLED_NAME), PROMPTS, 3)
    lines = [
        json.dumps(
            {
                "id": one.id,
                "messages": [turn.model_dump() for turn in one.messages],
                "category": one.category,
            }
        )
        for one in prompts
    ]
    (folder / "prompts.jsonl").write_text("\n".join(lines) + "\n")
    config = {
        "candidate_dir": "models",
        "evaluation_prompts": "prompts.jsonl",
        "baseline_model": "F16",
        "generation": {"max_tokens": 96, "samples_per_prompt": 4, "seed": 7},
        "performance_config": {"batch_size": 16},
    }
    (folder / "phase2_config.json").write_text(json.dumps(config))
    study = Study(load_config(folder))
    study.lead()
    await study.discover()
    by_name = {one.name: one for one in study.discovery.candidates}
    workspace = Workspace(study, await plan_engine(study, most_models=1))
    try:
        for name in ("F16", "Q8_0", "zeroed"):
            cells = [
                cell
                for prompt in study.discovery.prompts
                for cell in study.cells(by_name[name], prompt)
            ]
            await asyncio.gather(*map(workspace.responses.ensure, cells))
        write_damaged(study, by_name)
        await workspace.measurements.generate_again()
        await workspace.judging.judge(study.discovery.prompts)
        await workspace.measurements.check_baseline()
        await workspace.technical.run()
    finally:
        await workspace.close()
        study.close()
    return study


@pytest.fixture(scope="module")
def view(model_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyView:
    """Measured once for all tests; some minutes on two cores."""
    ladder = next((model_cache / "emojudge" / "ladders").glob("*/models"))
    study = asyncio.run(measured(ladder, tmp_path_factory.mktemp("planted")))
    return study.view()


@pytest.fixture(scope="module")
def fidelity(view: StudyView) -> Fidelity:
    found = fidelity_of(view)
    for one in view.candidates:
        if not one.is_baseline:
            print(one.name, _line(found.candidates[one.sha256]))
    for measure, floor in found.floors.items():
        print(measure, floor)
    print(view.baseline_check)
    return found


def _line(found: CandidateFidelity) -> str:
    return ", ".join(
        f"{measure} {loss.estimate.value:.3f} {loss.estimate.interval} {'!' * loss.found}"
        for measure, loss in found.losses.items()
    )


def named(view: StudyView, name: str) -> str:
    return next(one.sha256 for one in view.candidates if one.name == name)


DAMAGED = ("zeroed", *REPLIES)


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_lowers_the_ai_score_below_q8(view: StudyView, name: str) -> None:
    effects = scored_study(view).ai_effects
    assert effects is not None
    numbers = {one.name: number for number, one in enumerate(view.candidates)}
    difference, variance = effects.against(numbers["Q8_0"])
    place = numbers[name]
    radius = fixed_radius(variance[place], effects.prompts - 1)
    print(f"Q8_0 − {name}: {difference[place]:.3f} ± {radius:.3f}")
    assert difference[place] - radius > 0


@pytest.mark.parametrize("name", DAMAGED)
def test_a_measure_names_the_damage(view: StudyView, fidelity: Fidelity, name: str) -> None:
    losses = fidelity.candidates[named(view, name)].losses
    assert set(losses) == set(Measure)
    assert any(loss.found for loss in losses.values())


@pytest.mark.parametrize("measure", list(Measure))
def test_q8_stays_inside_the_floors(view: StudyView, fidelity: Fidelity, measure: Measure) -> None:
    """Its interval overlaps the floors, and nothing is found."""
    loss = fidelity.candidates[named(view, "Q8_0")].losses[measure]
    assert loss.floor is not None
    assert loss.estimate.interval is not None
    assert not loss.found
    assert loss.estimate.interval[1] >= -loss.floor


@pytest.mark.parametrize("measure", list(Measure))
def test_the_baseline_against_itself_scores_one(fidelity: Fidelity, measure: Measure) -> None:
    floor = fidelity.floors[measure]
    assert abs(floor.itself.value) <= 0.01
    assert floor.splits == 70
    assert floor.numeric is not None


@pytest.mark.parametrize("judge", [SimilarityJudge.name, PreservationJudge.name])
def test_intervals_hold_zero_for_the_baseline_as_its_own_candidate(
    view: StudyView, judge: str
) -> None:
    """On real replies: four of the baseline's samples against the other four, drawn anew."""
    baseline = next(one.sha256 for one in view.candidates if one.is_baseline)
    pairs: dict[str, np.ndarray[tuple[int, int], np.dtype[np.float64]]] = {}
    for one in view.judgements:
        if (one.judge, one.candidate) == (judge, baseline):
            own = pairs.setdefault(one.prompt_id, np.full((8, 8), np.nan))
            for key, value in one.figures.items():
                if key.startswith(PAIR):
                    own[one.sample, int(key.removeprefix(PAIR))] = value
    rng = np.random.default_rng(9)
    held, values = 0, []
    for _ in range(400):
        tops, bottoms = [], []
        for own in pairs.values():
            order = rng.permutation(8)
            players, reference = order[:4], order[4:]
            within = float(np.nanmean(own[np.ix_(reference, reference)]))
            tops.append(within - float(own[np.ix_(players, reference)].mean()))
            bottoms.append(within)
        found = _over_prompts(np.array(tops), np.array(bottoms))
        assert found is not None
        assert found.interval is not None
        held += found.interval[0] <= 0 <= found.interval[1]
        values.append(found.value)
    assert 360 <= held <= 396
    assert abs(float(np.mean(values))) < 0.01


def test_broken_words_are_not_forgiven_by_likelihood(view: StudyView, fidelity: Fidelity) -> None:
    """Embeddings forgive shuffled words nearly; only likelihood says how broken they are."""
    losses = fidelity.candidates[named(view, "shuffled")].losses
    assert losses[Measure.FLUENCY].estimate.value > 2
    assert losses[Measure.FLUENCY].found


def test_a_healthy_baseline_answers_what_it_is_asked(view: StudyView) -> None:
    check = view.baseline_check
    assert check is not None
    assert check.above is not None
    assert check.above[0] > 0
    assert check.silent == 0


def test_the_models_themselves_are_measured(view: StudyView) -> None:
    """The three that can be loaded; what has no weights is left out and stops nobody."""
    known = {view.by_sha[sha].name: found for sha, found in view.technical.items()}
    assert set(known) == {"F16", "Q8_0", "zeroed"}
    for one in known.values():
        assert one.problem is None
        assert 0 < one.first_token_seconds < 60
        assert one.tokens_per_second > 1
        assert one.load_seconds > 0
        assert one.peak_bytes > view.by_sha[one.candidate].size
        assert one.scored_tokens > 1000
    base, near, far = known["F16"], known["Q8_0"], known["zeroed"]
    assert base.mean_kl is None
    assert near.mean_kl is not None
    assert far.mean_kl is not None
    assert 0 < near.mean_kl < 0.05 < 0.5 < far.mean_kl
    assert near.same_top is not None
    assert far.same_top is not None
    assert near.same_top > 0.9 > far.same_top
    assert near.kl_positions == 1024
    assert near.replies == PROMPTS
    assert near.peak_bytes < base.peak_bytes
    assert base.perplexity is not None
    assert near.perplexity is not None
    assert far.perplexity is not None
    assert abs(near.perplexity / base.perplexity - 1) < 0.05
    assert far.perplexity > 1.5 * base.perplexity


def test_taking_fluency_for_known_would_understate_the_variance(view: StudyView) -> None:
    whole = scored_study(view).ai_effects
    known = dataclasses.replace(view.fluency, share=0.0)
    fixed = scored_study(dataclasses.replace(view, fluency=known, memo={})).ai_effects
    assert whole is not None
    assert fixed is not None
    assert whole.values == pytest.approx(fixed.values)
    number = [one.name for one in view.candidates].index("exchanged")
    (_, with_it), (_, without) = whole.against(number), fixed.against(number)
    q8 = [one.name for one in view.candidates].index("Q8_0")
    assert with_it[q8] > without[q8]
