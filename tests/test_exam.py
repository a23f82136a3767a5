"""The exam: damages, bounds, and judges of known ability."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from emojudge.domain import DamageCount, Exam, Message, Quality
from emojudge.judges.controls import CONTROLS, control_exam
from emojudge.judges.damage import (
    EXAM_PROMPTS,
    LENGTH_TOLERANCE,
    Damage,
    ExamPrompt,
    Genuine,
    exam_prompts,
)
from emojudge.judges.ensemble_member import PersonaJudge, Reading
from emojudge.judges.exam import Grade, Sat, grade_of, lower_bound, qualities_passed, sit
from emojudge.judges.judge import JudgeTools
from emojudge.judges.off_topic import OFF_TOPIC
from emojudge.judges.questions import Answer, Figures, NoAnswer, Question
from emojudge.judges.rubric import COUNTED, PERSONAS
from tests.fakes import scripted_minds
from tests.test_model_judge import tools as measuring_tools

ALL = {one.value: 60 for one in Damage}


def genuine(seed: int, prompts: int = EXAM_PROMPTS) -> list[Genuine]:
    return [
        Genuine(
            f"p{number}",
            (Message(role="user", content=situation),),
            tuple(
                scripted_minds.reply_to(situation, f"{seed}/{number}/{sample}")
                for sample in range(4)
            ),
        )
        for number in range(prompts)
        for situation in [scripted_minds.situation_of(number)]
    ]


def exam(**wins: int) -> Exam:
    counts = tuple(
        DamageCount(damage=name, wins=count, prompts=60) for name, count in {**ALL, **wins}.items()
    )
    return Exam(
        id="e", judge="j", key="k", bundled=False, counts=counts, valid=1, unanswered=0, created=""
    )


# Bounds and what follows


def test_forty_four_of_sixty_pass_and_forty_three_do_not() -> None:
    assert lower_bound(44, 60) == pytest.approx(0.60339, abs=1e-5)
    assert lower_bound(43, 60) == pytest.approx(0.58556, abs=1e-5)
    # The bound's own definition: so many wins or more have 2.5 % probability under it.
    assert binom.sf(43, 60, lower_bound(44, 60)) == pytest.approx(0.025, abs=1e-6)
    assert lower_bound(0, 60) == 0


@pytest.mark.parametrize(
    ("wins", "grade", "qualities"),
    [
        ({}, Grade.PASSED, set(COUNTED)),
        ({"exchanged": 43}, Grade.FAILED, set()),
        ({"exchanged": 44}, Grade.PASSED, set(COUNTED)),
        ({"shuffled": 30}, Grade.PARTIAL, set(COUNTED) - {Quality.BELIEVABILITY}),
        ({"cut": 30}, Grade.PARTIAL, set(COUNTED) - {Quality.EXPRESSIVE_STRENGTH}),
        ({"padded": 43}, Grade.PARTIAL, set(COUNTED) - {Quality.EXPRESSIVE_STRENGTH}),
        (
            {"shuffled": 0, "cut": 0, "padded": 0},
            Grade.PARTIAL,
            {Quality.APPROPRIATENESS, Quality.CONNECTION},
        ),
    ],
)
def test_only_what_was_passed_counts(
    wins: dict[str, int], grade: Grade, qualities: set[Quality]
) -> None:
    found = exam(**wins)
    assert grade_of(found) is grade
    assert set(qualities_passed(found)) == qualities


def test_without_an_exam_nothing_counts() -> None:
    assert grade_of(None) is Grade.NOT_EXAMINED
    assert qualities_passed(None) == ()


# Damages


def test_damages_do_what_they_say() -> None:
    replies = genuine(1)
    prompts = exam_prompts(replies, 1)
    assert prompts == exam_prompts(replies, 1)
    texts = {one.prompt_id: one.replies for one in replies}
    everything = sorted(text for own in texts.values() for text in own)
    for one in prompts:
        assert one.genuine == texts[one.prompt_id]
        for whole, shuffled in zip(one.genuine, one.damaged[Damage.SHUFFLED], strict=True):
            assert shuffled is not None
            assert sorted(shuffled.split()) == sorted(whole.split())
            assert shuffled != whole
        for whole, cut in zip(one.genuine, one.damaged[Damage.CUT], strict=True):
            assert cut == " ".join(whole.split()[:5])
        for whole, padded in zip(one.genuine, one.damaged[Damage.PADDED], strict=True):
            assert padded is not None
            assert padded.startswith(whole)
            assert sum(sentence in padded for sentence in OFF_TOPIC) == 3
    taken = [text for one in prompts for text in one.damaged[Damage.EXCHANGED]]
    # Nearly all have a partner, and no text is used twice.
    assert sum(text is not None for text in taken) >= 0.95 * len(everything)
    there = [text for text in taken if text is not None]
    assert all(there.count(text) <= everything.count(text) for text in there)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 400), min_size=1, max_size=4), min_size=2, max_size=8))
def test_exchanged_replies_are_another_prompts_and_about_as_long(sizes: list[list[int]]) -> None:
    replies = [
        Genuine(f"p{number}", (), tuple(f"{number:03d}" + "x" * size for size in own))
        for number, own in enumerate(sizes)
    ]
    for number, one in enumerate(exam_prompts(replies, 1)):
        for whole, exchanged in zip(one.genuine, one.damaged[Damage.EXCHANGED], strict=True):
            if exchanged is not None:
                assert not exchanged.startswith(f"{number:03d}")
                assert abs(len(exchanged) - len(whole)) <= LENGTH_TOLERANCE * len(whole)


# Judges of known ability


async def examine(mind: str, seed: int) -> tuple[Sat, tuple[Quality, ...]]:
    async def ask(title: str, questions: Sequence[Question]) -> list[Answer | NoAnswer]:
        return [
            Answer(
                tuple(
                    map(
                        tuple,
                        scripted_minds.answer(
                            mind, one.messages, one.texts, one.suffixes, one.options
                        ),
                    )
                )
            )
            for one in questions
        ]

    judge = PersonaJudge(
        "j", 1.0, persona="empathic", voice=PERSONAS["empathic"], model="m", model_key=lambda: "k"
    )
    bare = measuring_tools({})
    tools = JudgeTools(
        bare.embed, bare.emotions, bare.likelihoods, ask, bare.situation, bare.unanswered
    )

    async def read(
        readings: Sequence[Reading], qualities: tuple[Quality, ...]
    ) -> list[Figures | NoAnswer]:
        return await judge.read_each_once(readings, qualities, tools)

    sat = await sit(read, exam_prompts(genuine(seed), seed))
    return sat, qualities_passed(exam(**{one.damage: one.wins for one in sat.counts}))


@pytest.mark.parametrize(
    ("mind", "exams"), [("longest", 40), ("shortest", 40), ("constant", 40), ("random", 80)]
)
def test_judges_that_know_nothing_have_weight_0(mind: str, exams: int) -> None:
    """In at least 97.5 % of exams; the same judge on other texts each time."""

    async def failures() -> int:
        name = "{}-{}" if mind == "random" else "{}"
        found = [(await examine(name.format(mind, seed), seed))[1] for seed in range(exams)]
        return sum(not one for one in found)

    assert asyncio.run(failures()) >= 0.975 * exams


def test_a_judge_that_is_right_in_85_percent_passes_everything() -> None:
    """In at least 95 % of exams; by its distribution in 97.6 %."""
    exams = 80

    async def passes() -> int:
        found = [(await examine(f"right-85-{seed}", seed))[1] for seed in range(exams)]
        return sum(len(one) == len(COUNTED) for one in found)

    assert binom.sf(43, 60, 0.85) ** 4 > 0.97
    assert asyncio.run(passes()) >= 0.95 * exams


async def test_a_judge_that_mumbles_or_says_one_thing_only_fails() -> None:
    for mind in ("mumbles", "five"):
        sat, qualities = await examine(mind, 1)
        assert qualities == ()
        assert all(one.wins == 0 for one in sat.counts)
        assert sat.valid == (0.0 if mind == "mumbles" else 1.0)


async def test_a_text_without_an_answer_loses_its_prompt() -> None:
    async def read(
        readings: Sequence[Reading], qualities: tuple[Quality, ...]
    ) -> list[Figures | NoAnswer]:
        return [NoAnswer("gone") for _ in readings]

    sat = await sit(read, exam_prompts(genuine(1, 4), 1))
    assert all((one.wins, one.prompts) == (0, 4) for one in sat.counts)
    assert sat.unanswered > 0
    assert sat.reason == "gone"


def test_controls_sit_it_too_and_fail_where_they_must() -> None:
    prompts: list[ExamPrompt] = exam_prompts(genuine(2), 2)
    found = {name: {one.damage: one for one in control_exam(name, prompts)} for name in CONTROLS}
    for name, counts in found.items():
        assert lower_bound(counts["exchanged"].wins, 60) < 0.6, name
    assert found["longest"]["cut"].wins == 60
    assert found["longest"]["padded"].wins == 0
    assert found["shortest"]["padded"].wins == 60
    assert all(one.wins == 0 for one in found["constant"].values())
