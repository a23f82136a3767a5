"""Whatever models, names and people say, the terminal does only what emojudge tells it to do."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emojudge.config_file import load_config
from emojudge.domain import Unusable
from emojudge.pipeline.planted_study import store_planted_study
from emojudge.pipeline.study import Study
from emojudge.ranking.simulate.planted import Design
from emojudge.ranking.simulate.planted_view import planted_view
from emojudge.ranking.simulate.walk import one_leader
from emojudge.store.tables import DISCOVERY, RESPONSES
from emojudge.text import visible_line
from tests.terminal import F2, F4, F5, PROGRAM, Terminal

_SEQUENCES = 200
_PER_RESPONSE = 5
_CANDIDATES = 3
_PROMPTS = -(-_SEQUENCES // (_PER_RESPONSE * _CANDIDATES))

# ruff: noqa: E501
_KNOWN = [
    "\x1b]0;stolen title\x07", "\x1b]2;stolen\x1b\\", "\x1b]1;icon\x07", "\x1b]4;1;#ff0000\x07",
    "\x1b]10;#00ff00\x07", "\x1b]11;?\x07", "\x1b]52;c;c3RvbGVu\x07", "\x1b]8;;http://x\x07link\x1b]8;;\x07",
    "\x1b]104\x07", "\x1b]22;wait\x07", "\x1b]777;notify;a;b\x07", "\x1bP$q\"p\x1b\\", "\x1bPtmux;\x1b\x1b]0;t\x07\x1b\\",
    "\x1b_apc\x1b\\", "\x1b^pm\x1b\\", "\x1bXsos\x1b\\", "\x1b[?1049l", "\x1b[?25h", "\x1b[?2004h", "\x1b[?1000l",
    "\x1b[?7l", "\x1b[?5h", "\x1b[4h", "\x1b[2J", "\x1b[3J", "\x1b[H", "\x1b[1;3r", "\x1b[10S", "\x1b[6n", "\x1b[c",
    "\x1b[21t", "\x1b[8;10;10t", "\x1b[!p", "\x1bc", "\x1b7\x1b[99B", "\x1b(0lqqk", "\x1b#8", "\x1bD", "\x1bM", "\x1bE",
    "\x9b2J", "\x9d0;c1 title\x9c", "\x90q\x9c", "\x9bH", "\x85next", "\x0e", "\x0f", "\x07", "\x08\x08\x08", "\x7f",
    "over\rwritten", "\x0b", "\x0c", "\x00", "\x05", "\x1b", "\x1b[", "\x1b]", "\x1b[31", "\u202etxet\u202c",
    "\u2066iso\u2069", "\u200e\u200f", "\u2028line\u2029", "\ufeff", "\U000e0041\U000e0042", "\ue000", "\ud7ff",
    "[bold red]markup[/]", "[@click=app.quit]x[/]", "[link=http://x]y[/link]", "$people", "\\[", "\t\t",
]  # fmt: skip


def sequences() -> list[str]:
    """Two hundred: those that are known to do harm, and random ones."""
    draw = random.Random(5)
    pieces = [
        "\x1b",
        "[",
        "]",
        "?",
        ";",
        "0",
        "5",
        "2",
        "h",
        "l",
        "m",
        "\x07",
        "\x9b",
        "\x9d",
        "P",
        "\\",
        "é",
        "\x0e",
    ]
    while len(_KNOWN) < _SEQUENCES:
        if draw.random() < 0.5:
            _KNOWN.append("".join(draw.choice(pieces) for _ in range(draw.randint(2, 12))))
        else:
            _KNOWN.append(bytes(draw.randrange(256) for _ in range(8)).decode("latin-1"))
    return _KNOWN[:_SEQUENCES]


def hostile_study(folder: Path, hostile: list[str] | None) -> Path:
    """A stored study of which every text comes from ``hostile``, or is harmless where it is None."""
    sizes = [(f"rung-{number}", 300 - 20 * number) for number in range(_CANDIDATES)]
    view = planted_view(one_leader(_CANDIDATES, 0.03), Design(_PROMPTS, 1), sizes, items=0)
    store_planted_study(folder, view)

    def some(place: int) -> str:
        return "" if hostile is None else hostile[place % len(hostile)]

    lines = [
        json.dumps(
            {
                "id": one.id,
                "prompt": f"Situation {some(number)} number {number}",
                "category": f"category {some(number + 40)}",
            }
        )
        for number, one in enumerate(view.prompts)
    ]
    (folder / "prompts.jsonl").write_text("\n".join(lines))
    config = {
        "name": f"name {some(0)}",
        "evaluation_prompts": "prompts.jsonl",
        "candidate_dir": "/models",
        "human_judging": {"panes": _CANDIDATES, "repeat_share": 0},
        "generation": {"samples_per_prompt": 1},
    }
    (folder / "phase2_config.json").write_text(json.dumps(config))
    study = Study(load_config(folder))
    leader = study.lead()
    found = study.discovery
    named = tuple(
        one.model_copy(
            update={
                # Names are made harmless where they are read, in discover.
                "name": visible_line(f"rung-{number} {some(number + 20)}"),
                "specs": one.specs.model_copy(
                    update={"quantization": f"Q {some(number + 30)}", "model_name": some(number)}
                ),
            }
        )
        for number, one in enumerate(found.candidates)
    )
    unusable = (Unusable(name=visible_line(some(2)), reason=visible_line(some(3)), remedy="none"),)
    prompts = study.load_prompts()
    leader.put(
        DISCOVERY,
        [found.model_copy(update={"candidates": named, "unusable": unusable, "prompts": prompts})],
    )
    texts = responses(hostile)
    study.forget_discovery()
    cells = [study.cell(one, prompt, 0) for prompt in prompts for one in named]
    stored = {one.id: one for one in study.store.all(RESPONSES)}
    like = next(iter(stored.values()))
    leader.put(
        RESPONSES,
        [
            like.model_copy(
                update={
                    "id": cell.id,
                    "candidate": cell.candidate,
                    "prompt_id": cell.prompt_id,
                    "text": next(texts),
                }
            )
            for cell in cells
        ],
    )
    study.close()
    return folder


def responses(hostile: list[str] | None) -> Iterator[str]:
    """All sequences, some in each response; then harmless words."""
    left = list(hostile or [])
    while True:
        own, left = left[:_PER_RESPONSE], left[_PER_RESPONSE:]
        yield "Begin. " + " and ".join(own) + " end."


class Recorded(Terminal):
    """Keeps every byte that came."""

    raw = b""

    def _read(self) -> bool:
        before = self.child.read_nonblocking

        def read(size: int, timeout: float) -> bytes:
            chunk: bytes = before(size, timeout=timeout)
            self.raw += chunk
            return chunk

        self.child.read_nonblocking = read
        try:
            return super()._read()
        finally:
            self.child.read_nonblocking = before


_CSI = re.compile(rb"\x1b\[([<-?]*)([0-9;:]*)([ -/]*)([@-~])")
_STRING = re.compile(rb"\x1b([\]PX^_])([^\x07\x1b]*)")
_OTHER = re.compile(rb"\x1b([^\[\]PX^_])")
_STATELESS = b"mHABCDGdKJ"


def controls(raw: bytes) -> set[bytes]:
    """What a program told its terminal to do beside moving, colouring and clearing.

    Modes are kept with their numbers, strings (titles, palettes, clipboards) and single controls
    as they are.
    """
    found = set()
    for prefix, numbers, middle, final in _CSI.findall(raw):
        if final not in _STATELESS or prefix:
            found.add(prefix + numbers + middle + final)
        elif final == b"J":
            found.add(b"clear " + numbers)
    found |= {b"string " + kind + said for kind, said in _STRING.findall(raw)}
    found |= {b"escape " + one for one in _OTHER.findall(raw)}
    found |= {bytes([one]) for one in raw if one < 0x20 and one not in b"\x1b\r\n\x08"}
    found |= {one.encode() for one in raw.decode("utf-8", "replace") if "\x7f" <= one <= "\x9f"}
    return found


def walk(folder: Path) -> tuple[bytes, str, set[int]]:
    """Rate every item, look at every screen, leave; the bytes, the title and the modes then."""
    with Recorded("rate", cwd=folder, columns=120, rows=40) as terminal:
        for number in range(_PROMPTS):
            terminal.wait_for(f"{number}/{_PROMPTS}", "end.", "╭─ A")
            if number == 0:
                terminal.press("c")
                terminal.wait_for("comment on A")
                terminal.press("fine\r")
            # Comments come back on Results and in reports.
            terminal.press("432143214321")
            terminal.wait_for("●○○○○")
            terminal.press("\r")
        terminal.wait_for("rated every prompt")
        for key, text in ((F2, "discover"), (F4, "ranking"), (F5, "gates")):
            terminal.press(key)
            terminal.wait_for(text)
        terminal.press("?")
        terminal.wait_for("Leave; nothing is lost")
        # Escape and a key right behind it would be one chord.
        terminal.press("?")
        terminal.wait_for("gates", without="Leave; nothing is lost")
        modes, title = set(terminal.screen.mode), terminal.screen.title
        terminal.press("q")
        terminal.wait_for_end()
        return terminal.raw, title, modes


@pytest.mark.terminal
def test_two_hundred_hostile_sequences_change_nothing_of_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Title, modes, palette, clipboard, character sets: as with harmless texts."""
    settings = tmp_path / "config" / "emojudge" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("reveal_words_per_second = 1000\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "harmless").mkdir()
    (tmp_path / "hostile").mkdir()
    harmless, title, modes = walk(hostile_study(tmp_path / "harmless", None))
    hostile, same_title, same_modes = walk(hostile_study(tmp_path / "hostile", sequences()))
    assert controls(hostile) <= controls(harmless)
    assert (same_title, same_modes) == (title, modes)
    # Of all strings Textual sends only the shape of the mouse's pointer.
    strings = {one for one in controls(harmless) if one.startswith(b"string")}
    assert all(one.startswith(b"string ]22;") for one in strings)
    # The sequences were on the screen, each control with a sign of its own.
    shown = hostile.decode("utf-8", "replace")
    for sign in ("␛", "␇", "⟨U+202E⟩", "⟨U+009B⟩", "red]markup[/]", "␀", "␡"):
        assert sign in shown


def test_the_check_itself_sees_what_it_looks_for() -> None:
    for sequence in (
        "\x1b]0;x\x07",
        "\x1b[?1049l",
        "\x1b]52;c;eA==\x07",
        "\x9b2J",
        "\x1bc",
        "\x0e",
    ):
        assert controls(sequence.encode()), sequence
    assert not controls(b"\x1b[31mred\x1b[0m\x1b[2;3Hmoved")


def test_lines_are_as_harmless_as_screens(tmp_path: Path) -> None:
    folder = hostile_study(tmp_path, sequences())
    done = subprocess.run(
        [PROGRAM, "rate", "--plain", "--rater", "zoe"],
        cwd=folder,
        input="s odd\n" * _PROMPTS + "t\nq\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "everything is rated" in done.stdout
    both = done.stdout + done.stderr
    assert not [one for one in both if (one < " " and one != "\n") or "\x7f" <= one <= "\x9f"]
    for sign in ("␛", "⟨U+202E⟩", "⟨U+009B⟩"):
        assert sign in done.stdout
