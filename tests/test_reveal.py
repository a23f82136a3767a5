"""The reveal tells nothing of speed: same texts, other timings, same frames."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from emojudge.pipeline.named_models import named_models, telling_words
from emojudge.pipeline.reveal import Lockstep, PaneText

Trace = Callable[[float], int]
"""Words that a candidate would have written by a time, had it that much to say."""

_STEP = 1 / 12
_FRAMES = 900
_TOLERANCE = 0.7
"""Seconds, of some nine to twenty that such an item takes."""


def steady(words_per_second: float, delay: float = 0.0) -> Trace:
    """A candidate of one speed that takes a while to begin."""
    return lambda now: max(0, int((now - delay) * words_per_second))


def at_once(now: float) -> int:
    """A candidate whose responses are stored already."""
    return 10_000


def words(count: int, letter: str) -> list[str]:
    return [f"{letter}{number}" for number in range(count)]


def frames(texts: Sequence[list[str]], traces: Sequence[Trace], speed: float) -> list[list[int]]:
    """How many words each pane shows at each paint."""
    step = Lockstep(speed)
    seen = []
    for frame in range(_FRAMES):
        now = frame * _STEP
        states = []
        for own, trace in zip(texts, traces, strict=True):
            there = min(len(own), trace(now))
            states.append(PaneText(" ".join(own[:there]), there == len(own)))
        seen.append([len(shown.split()) for shown in step.shown(states, now)])
    return seen


def shown_when(seen: list[list[int]], count: int) -> float:
    """The time of the first paint that shows so many words."""
    return next(place for place, counts in enumerate(seen) if max(counts) >= count) * _STEP


def word_by_word(seen: list[list[int]], texts: Sequence[list[str]]) -> bool:
    """Whether at every moment all panes show the same count, or all they have."""
    return all(
        counts == [min(max(counts), len(own)) for own, _ in zip(texts, counts, strict=True)]
        for counts in seen
    )


@pytest.mark.parametrize("speed", [6, 18, 1000])
@pytest.mark.parametrize(
    ("fast", "slow"),
    [
        (steady(40), steady(4)),
        (steady(12), steady(12, delay=5)),
        (steady(100, delay=3), steady(5, delay=1)),
        (at_once, steady(7)),
        (at_once, steady(50, delay=6)),
    ],
)
@pytest.mark.parametrize("lengths", [(60, 60), (12, 90), (90, 12), (4, 60)])
def test_swapped_timings_give_the_same_frames(
    fast: Trace, slow: Trace, speed: float, lengths: tuple[int, int]
) -> None:
    texts = [words(lengths[0], "a"), words(lengths[1], "b")]
    one, other = frames(texts, [fast, slow], speed), frames(texts, [slow, fast], speed)
    # Every frame is one of the same row of frames: so many words of each text, in every pane.
    assert word_by_word(one, texts)
    assert word_by_word(other, texts)
    assert one[-1] == other[-1] == list(lengths), "everything is shown in the end"
    if lengths[0] == lengths[1]:
        assert one == other
    # The pace of a text that ended is known as well as paints tell it.
    counts = range(1, max(lengths) + 1)
    late = max(abs(shown_when(one, count) - shown_when(other, count)) for count in counts)
    assert late <= _TOLERANCE


def test_equal_lengths_give_the_same_frames_at_every_paint_whatever_the_timing() -> None:
    texts = [words(60, "a"), words(60, "b"), words(60, "c")]
    draw = random.Random(4)
    for _ in range(40):
        steps = [sorted(draw.uniform(0, 20) for _ in range(60)) for _ in range(3)]

        def trace(times: list[float]) -> Trace:
            return lambda now: sum(one <= now for one in times)

        traces = [trace(times) for times in steps]
        seen = frames(texts, traces, 18)
        draw.shuffle(traces)
        assert frames(texts, traces, 18) == seen
        assert all(len(set(counts)) == 1 for counts in seen)


def test_a_short_response_that_ended_holds_a_long_one_to_its_pace() -> None:
    """Else the long one's own speed would be seen behind it."""
    texts = [words(6, "a"), words(60, "b")]
    seen = frames(texts, [steady(3), steady(60)], 1000)
    when = next(place for place, counts in enumerate(seen) if counts[1] == 60) * _STEP
    assert when == pytest.approx(60 / 3, rel=0.1)


def test_what_is_stored_is_shown_at_the_readers_speed() -> None:
    texts = [words(6, "a"), words(60, "b")]
    seen = frames(texts, [at_once, at_once], 20)
    when = next(place for place, counts in enumerate(seen) if counts[1] == 60) * _STEP
    assert when == pytest.approx(60 / 20, abs=2 * _STEP)


def test_skipping_shows_what_is_there_and_no_more() -> None:
    step = Lockstep(4)
    step.shown([PaneText("a b c d", False), PaneText("e f", False)], 0.0)
    step.skip()
    shown = step.shown([PaneText("a b c d e f", False), PaneText("e f g h", False)], 0.1)
    assert shown == ["a b c", "e f g"]
    assert not step.complete


def test_a_response_that_is_written_again_stays_where_it_was() -> None:
    """Its worker died: the pane must not say so."""
    step = Lockstep(1000)
    other = "u v w x y z"
    step.shown([PaneText("a b c d e f", False), PaneText(other, False)], 0.0)
    before = step.shown([PaneText("a b c d e f", False), PaneText(other, False)], 1.0)
    assert before == ["a b c d e", "u v w x y"]
    for now, text in ((2.0, ""), (3.0, "a"), (4.0, "a b c")):
        assert step.shown([PaneText(text, False), PaneText(other, False)], now) == before
    whole = [PaneText("a b c d e f g", True), PaneText(other, True)]
    assert step.shown(whole, 9.0)[0].startswith("a b c d e f")


def test_a_reply_of_a_few_words_takes_the_slowest_pace_of_the_items_before() -> None:
    step = Lockstep(1000)
    for frame in range(300):
        there = min(60, frame)
        text = " ".join(words(60, "a")[:there])
        step.shown([PaneText(text, there == 60)] * 2, frame / 10)
    step.restart()
    long = " ".join(words(60, "b"))
    step.shown([PaneText("", False), PaneText("", False)], 100.0)
    step.shown([PaneText("yes", True), PaneText(long, True)], 100.1)
    seconds = next(
        frame / 10
        for frame in range(1, 200)
        if step.shown([PaneText("yes", True), PaneText(long, True)], 100.1 + frame / 10)[1] == long
    )
    assert seconds == pytest.approx(6, rel=0.1), "ten words a second, as before"


# Names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("I'm ChatGPT, made by OpenAI.", ("ChatGPT", "OpenAI")),
        ("I am Claude, and I am here for you.", ("Claude",)),
        ("My aunt Claude makes the best soup.", ()),
        ("The llama at the zoo spat at me.", ()),
        ("I am a language model trained by Google", ("Google",)),
        ("You could google it, or ask at the bank.", ()),
        ("Gemini season always makes me restless.", ()),
        ("I was created by Meta", ("Meta",)),
        ("As qwen2.5, I cannot feel", ("qwen2.5",)),
        ("gpt-4o says hi, GPT-4o says hi again", ("gpt-4o",)),
        ("That sounds so hard. Tell me more.", ()),
    ],
)
def test_names_of_models_are_found_and_ordinary_words_are_not(
    text: str, names: tuple[str, ...]
) -> None:
    assert named_models(text) == names


def test_the_candidates_own_family_name_would_tell_too() -> None:
    own = telling_words(["SmolLM2-135M-Q4_0", "companion-Q8_0", "dolphin3/Q8_0", "F16"])
    assert own == {"SmolLM2", "dolphin3"}
    assert named_models("hello from Dolphin3!", own) == ("Dolphin3",)
