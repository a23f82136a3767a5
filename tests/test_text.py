from __future__ import annotations

import pytest

from emojudge.text import (
    human_bytes,
    human_seconds,
    short_names,
    visible,
    visible_line,
    without_thinking,
)


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2J", "␛[2J"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("a\x9b31mb", "a⟨U+009B⟩31mb"),
        ("x\u202ey", "x⟨U+202E⟩y"),
        ("x\u2066y\u2069", "x⟨U+2066⟩y⟨U+2069⟩"),
        ("a\rb", "a␍b"),
        ("a\r\nb", "a\nb"),
        ("\ufeff\u200b", "⟨U+FEFF⟩⟨U+200B⟩"),
        ("\x00\x7f", "␀␡"),
        ("tab\there", "tab    here"),
        ("\U000e0041", "⟨U+E0041⟩"),
    ],
)
def test_every_control_becomes_visible(hostile: str, shown: str) -> None:
    assert visible(hostile) == shown


@pytest.mark.parametrize("fine", ["Grüße, 日本語, 👩‍👩‍👧", "line\nline", "naïve “quotes” – dash"])
def test_ordinary_text_stays(fine: str) -> None:
    assert visible(fine) == fine


def test_one_line_stays_one_line() -> None:
    assert "\n" not in visible_line("a\nb")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("hello", "hello"),
        ("<", ""),
        ("<thin", ""),
        ("<think>hm", ""),
        ("<think>hm</think>\n\nhello", "hello"),
        ("<thing>", "<thing>"),
        ("a <think>b", "a <think>b"),
    ],
)
def test_thinking_is_hidden_while_it_streams(raw: str, shown: str) -> None:
    assert without_thinking(raw) == shown


def test_short_names_drop_what_all_share() -> None:
    assert short_names(["m-1B-Q8_0", "m-1B-Q4_0"]) == {"m-1B-Q8_0": "Q8_0", "m-1B-Q4_0": "Q4_0"}
    assert short_names(["alone"]) == {"alone": "alone"}
    assert short_names(["a", "a-b"]) == {"a": "a", "a-b": "a-b"}


def test_sizes_and_times_read_well() -> None:
    assert human_bytes(144_811_072) == "145 MB"
    assert human_bytes(1_500_000_000) == "1.5 GB"
    assert human_seconds(0.32) == "0.3 s"
    assert human_seconds(75) == "1 min 15 s"
    assert human_seconds(7320) == "2 h 2 min"
