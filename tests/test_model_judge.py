"""ModelJudge: figures per response, from vectors and likelihoods that the tests choose."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from emojudge.domain import Judgement, Message, Response
from emojudge.errors import EngineError
from emojudge.judges.fluency import FluencyJudge, excess_of, fluency_score
from emojudge.judges.judge import JudgeTools, Likelihood, PromptResponses, Vectors
from emojudge.judges.likeness import (
    CROSS,
    OWN,
    PAIR,
    SELF,
    PreservationJudge,
    SimilarityJudge,
    cosine,
    figures_of,
    likeness_scores,
    same_emotions,
)
from emojudge.judges.model_judge import MeasuredBy, ModelJudge
from emojudge.judges.questions import Answer, NoAnswer, Question
from emojudge.judges.sentences import says_something, sentences
from emojudge.view import mean_over_prompts
from tests.test_ranking import response

NOBODY: frozenset[str] = frozenset()


def unit(*values: float) -> Vectors:
    row = np.asarray(values, dtype=np.float32)
    length = np.linalg.norm(row)
    return row / np.float32(length) if length > 0 else row


def rows_of(vectors: Mapping[str, Vectors]) -> Any:
    async def rows(texts: Sequence[str]) -> Vectors:
        return np.stack([vectors[text] for text in texts])

    return rows


async def no_likelihoods(responses: Sequence[Response]) -> list[Likelihood]:
    raise AssertionError("not asked for")


def tools(vectors: Mapping[str, Vectors]) -> JudgeTools:
    return JudgeTools(
        rows_of(vectors), rows_of(vectors), no_likelihoods, no_questions, no_situation, print
    )


async def no_questions(title: str, questions: Sequence[Question]) -> list[Answer | NoAnswer]:
    raise AssertionError("not asked for")


def no_situation(prompt_id: str) -> tuple[Message, ...]:
    raise AssertionError("not asked for")


def named(group: PromptResponses) -> PromptResponses:
    """Responses' texts are their ids here."""

    def texts(part: tuple[Response, ...]) -> tuple[Response, ...]:
        return tuple(one.model_copy(update={"text": one.id}) for one in part)

    return PromptResponses(
        group.prompt_id, texts(group.baseline), texts(group.others), texts(group.again)
    )


async def judged(group: PromptResponses, vectors: Mapping[str, Vectors]) -> list[Judgement]:
    judge = SimilarityJudge(lambda: "enc")
    return await judge.judge([named(group)], tools(vectors), NOBODY)


def samples_of(sha: str, prompt: str, count: int) -> tuple[Response, ...]:
    return tuple(response(sha, prompt, sample) for sample in range(count))


def test_figures_are_the_means_they_claim_to_be() -> None:
    baseline, others = samples_of("a", "p", 3), samples_of("b", "p", 2)
    rng = np.random.default_rng(5)
    vectors = {one.id: unit(*rng.normal(size=4)) for one in (*baseline, *others)}
    figures = figures_of(PromptResponses("p", baseline, others), vectors, cosine)

    def like(one: Response, two: Response) -> float:
        return float(vectors[one.id] @ vectors[two.id])

    pairs = [like(x, y) for x in baseline for y in baseline if x is not y]
    first = figures[baseline[0].id]
    assert first[SELF] == pytest.approx(np.mean(pairs), abs=1e-6)
    assert first[CROSS] == first[OWN] == pytest.approx(np.mean(pairs[:2]), abs=1e-6)
    assert first[f"{PAIR}1"] == pytest.approx(like(baseline[0], baseline[1]), abs=1e-6)
    assert f"{PAIR}0" not in first
    # The pair of equal seeds is never counted.
    other = figures[others[1].id]
    without_own_seed = [like(others[1], baseline[0]), like(others[1], baseline[2])]
    assert other[CROSS] == pytest.approx(np.mean(without_own_seed), abs=1e-6)
    assert other[OWN] == pytest.approx(like(*others), abs=1e-6)
    assert not any(key.startswith(PAIR) for key in other)


def test_a_single_sample_has_no_likeness_of_its_own() -> None:
    group = PromptResponses("p", samples_of("a", "p", 2), samples_of("b", "p", 1))
    vectors = {one.id: unit(1, 0) for one in group.all}
    assert OWN not in figures_of(group, vectors, cosine)["b/p/0"]


async def test_the_baseline_scores_exactly_one_against_itself() -> None:
    rng = np.random.default_rng(7)
    judgements: list[Judgement] = []
    for prompt in ("p", "q", "r"):
        baseline = samples_of("a", prompt, 4)
        vectors = {one.id: unit(*(rng.normal(size=8) + 1)) for one in baseline}
        judgements += await judged(PromptResponses(prompt, baseline, ()), vectors)
    scores = likeness_scores(judgements)
    assert mean_over_prompts((one.prompt_id, scores[one.response_id]) for one in judgements) == (
        pytest.approx(1.0, abs=1e-6)
    )


async def test_a_reply_to_something_else_scores_lower_and_nothing_is_clipped() -> None:
    baseline = samples_of("a", "p", 2)
    near, far, opposite = (response(sha, "p") for sha in "bcd")
    vectors = {
        baseline[0].id: unit(1, 0.1, 0),
        baseline[1].id: unit(1, -0.1, 0),
        near.id: unit(1, 0, 0.05),
        far.id: unit(0, 0, 1),
        opposite.id: unit(-1, 0, 0),
    }
    group = PromptResponses("p", baseline, (near, far, opposite))
    scores = likeness_scores(await judged(group, vectors))
    assert scores[near.id] > 0.9
    assert abs(scores[far.id]) < 0.1
    assert scores[opposite.id] < -0.9


async def test_a_lossless_copy_with_the_same_seeds_scores_like_the_baseline() -> None:
    """It says word for word the same: counting the pair of equal seeds would favour it."""
    rng = np.random.default_rng(11)
    judgements: list[Judgement] = []
    for prompt in ("p", "q", "r"):
        baseline, copies = samples_of("a", prompt, 4), samples_of("b", prompt, 2)
        vectors = {one.id: unit(*(rng.normal(size=8) + 0.5)) for one in baseline}
        vectors |= {copy.id: vectors[same.id] for copy, same in zip(copies, baseline, strict=False)}
        judgements += await judged(PromptResponses(prompt, baseline, copies), vectors)
    scores = likeness_scores(judgements)
    for one in judgements:
        if one.candidate == "b":
            assert scores[one.response_id] == scores[one.response_id.replace("b/", "a/")]


async def test_silence_is_like_nothing_but_silence() -> None:
    baseline = samples_of("a", "p", 3)
    silent, speaking = response("b", "p"), response("c", "p")
    vectors = {one.id: unit(0, 0) for one in (baseline[0], baseline[1], silent)}
    vectors |= {baseline[2].id: unit(1, 0), speaking.id: unit(1, 0)}
    for likeness in (cosine, same_emotions):
        figures = figures_of(PromptResponses("p", baseline, (silent, speaking)), vectors, likeness)
        assert figures[baseline[0].id][f"{PAIR}1"] == pytest.approx(1)
        assert figures[baseline[0].id][f"{PAIR}2"] == pytest.approx(0)
        assert figures[silent.id][CROSS] == pytest.approx(0.5)
        assert figures[speaking.id][CROSS] == pytest.approx(0.5)


def test_one_baseline_sample_is_not_enough() -> None:
    group = PromptResponses("p", (response("a", "p"),), ())
    with pytest.raises(ValueError, match="two baseline samples"):
        figures_of(group, {}, cosine)
    assert SimilarityJudge(lambda: "enc").ids(group) == []
    assert FluencyJudge(lambda: "a", lambda: "t").ids(group) == []


def test_judgement_ids_cover_what_decides_them() -> None:
    def ids(*, enc: str = "enc", samples: int = 2, others: int = 1, turned: bool = False) -> Any:
        baseline = samples_of("a", "p", samples)[:: -1 if turned else 1]
        group = PromptResponses("p", baseline, samples_of("b", "p", others))
        return SimilarityJudge(lambda: enc).ids(group)

    assert ids()[:2] == ids(turned=True)[:2][::-1]
    assert set(ids()).isdisjoint(ids(enc="other"))
    assert set(ids()).isdisjoint(ids(samples=3))
    # Another candidate changes nothing; another sample of the same candidate does.
    assert ids(others=0) == ids()[:2]
    assert ids(others=2)[2] != ids()[2]


async def test_what_is_known_is_not_judged_again() -> None:
    group = named(PromptResponses("p", samples_of("a", "p", 2), samples_of("b", "p", 1)))
    judge = SimilarityJudge(lambda: "enc")
    vectors = {one.id: unit(1, 0) for one in group.all}
    known = judge.ids(group)[:2]
    new = await judge.judge([group], tools(vectors), known)
    assert [one.response_id for one in new] == ["b/p/0"]

    asked: list[str] = []

    async def likelihoods(responses: Sequence[Response]) -> list[Likelihood]:
        asked.extend(one.id for one in responses)
        return [Likelihood(3, -6.0) for _ in responses]

    fluency = FluencyJudge(lambda: "a", lambda: "template")
    await fluency.judge(
        [group],
        dataclasses.replace(tools({}), likelihoods=likelihoods),
        fluency.ids(group)[:2],
    )
    assert asked == ["b/p/0"]


profile = st.lists(st.floats(0.001, 1), min_size=5, max_size=5)


@given(st.lists(profile, min_size=1, max_size=4), st.lists(profile, min_size=1, max_size=4))
def test_emotional_likeness_is_one_minus_the_jensen_shannon_distance(
    one: list[list[float]], other: list[list[float]]
) -> None:
    left, right = np.array(one, dtype=np.float32), np.array(other, dtype=np.float32)
    found = same_emotions(left, right)
    for i, j in np.ndindex(found.shape):
        expected = 1 - jensenshannon(left[i].astype(float), right[j].astype(float), base=2)
        assert found[i, j] == pytest.approx(expected, abs=1e-5)
    assert found.min() >= 0
    assert np.diag(same_emotions(left, left)) == pytest.approx(np.ones(len(left)), abs=1e-5)


async def test_a_profile_is_kept_label_by_label() -> None:
    judge = PreservationJudge(lambda: "head", lambda: ("joy", "fear"))
    group = named(PromptResponses("p", samples_of("a", "p", 2), ()))
    vectors = {one.id: np.array([0.25, 0.5], dtype=np.float32) for one in group.all}
    for one in await judge.judge([group], tools(vectors), NOBODY):
        assert (one.figures["emotion.joy"], one.figures["emotion.fear"]) == (0.25, 0.5)


# Fluency


def likelihood(sha: str, prompt: str, sample: int, per_token: float, tokens: int = 10) -> Judgement:
    figures = {"tokens": float(tokens), "log_likelihood": per_token * tokens}
    return Judgement(
        id=f"{sha}{prompt}{sample}",
        judge=FluencyJudge.name,
        response_id=f"{sha}/{prompt}/{sample}",
        candidate=sha,
        prompt_id=prompt,
        sample=sample,
        figures=figures,
    )


def test_fluency_is_one_value_a_candidate_clipped_after_averaging() -> None:
    judgements = [
        *(likelihood("a", prompt, sample, -2.0) for prompt in "pq" for sample in range(2)),
        # Better than the baseline on one prompt, worse on the other: .25 nats in the mean.
        likelihood("b", "p", 0, -1.5),
        likelihood("b", "q", 0, -3.0),
        likelihood("c", "p", 0, -1.0),
    ]
    scores = FluencyJudge(lambda: "a", lambda: "t").scores(judgements)
    assert scores["b/p/0"] == scores["b/q/0"] == pytest.approx(math.exp(-0.25))
    assert scores["a/p/0"] == scores["c/p/0"] == 1.0
    assert excess_of(judgements, "a")["b"] == pytest.approx({"p": -0.5, "q": 1.0})


def test_a_candidate_that_never_speaks_has_no_fluency() -> None:
    judgements = [
        *(likelihood("a", "p", sample, -2.0) for sample in range(2)),
        likelihood("b", "p", 0, 0.0, tokens=0),
    ]
    assert FluencyJudge(lambda: "a", lambda: "t").scores(judgements)["b/p/0"] == 0.0
    assert fluency_score([]) == 0.0


# Figures of one's own


class Shouting(ModelJudge):
    """How many letters are capitals."""

    def custom_metric(self, responses: Sequence[Response]) -> Mapping[str, float]:
        letters = [c for one in responses for c in one.text if c.isalpha()]
        return {"capitals": sum(map(str.isupper, letters)) / len(letters)}


class Broken(ModelJudge):
    """Divides by nothing."""

    def custom_metric(self, responses: Sequence[Response]) -> Mapping[str, float]:
        return {"share": math.nan}


BY = MeasuredBy(lambda: "e", lambda: "m", lambda: (), lambda: "a", lambda: "t")


async def test_a_subclass_adds_a_metric_per_candidate_and_prompt() -> None:
    assert len(ModelJudge(BY).judges) == 3
    judge = Shouting(BY).judges[-1]
    group = named(PromptResponses("p", samples_of("a", "p", 2), samples_of("b", "p", 1)))
    loud = group.others[0].model_copy(update={"text": "NO no"})
    group = PromptResponses("p", group.baseline, (loud,))
    found = await judge.judge([group], tools({}), NOBODY)
    assert [one.figures["capitals"] for one in found] == [0.0, 0.0, 0.5]
    assert (judge.part, judge.scores(found)) == (None, {})
    assert await judge.judge([group], tools({}), judge.ids(group)) == []
    with pytest.raises(EngineError, match=r"Broken\.custom_metric gave share = nan for p"):
        await Broken(BY).judges[-1].judge([group], tools({}), NOBODY)


# Sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I'm so sorry. Tell me about him!", ["I'm so sorry.", "Tell me about him!"]),
        ("Mr. Biscuit is gone... really gone.", ["Mr. Biscuit is gone... really gone."]),
        ("悲しいです。 話してください。", ["悲しいです。", "話してください。"]),
        ("मैं ठीक हूँ। आप कैसे हैं?", ["मैं ठीक हूँ।", "आप कैसे हैं?"]),
        ("1. First\n\n2. Second", ["First", "Second"]),
        ("😭💔", ["😭💔"]),
        ("", []),
        (" \n\t…", []),
        ("\x00\x1b\u202e", []),
    ],
)
def test_sentences_in_any_language(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected
    assert says_something(text) == bool(expected)


@given(st.text())
def test_no_text_breaks_the_splitter_and_no_letter_is_lost(text: str) -> None:
    kept = "".join(sentences(text))
    assert [c for c in kept if c.isalpha()] == [c for c in text if c.isalpha()]
