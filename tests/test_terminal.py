"""A person's evening with emojudge: the installed program, a real terminal, real models."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import termios
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import require_tool
from tests.studies import judged_study, write_study
from tests.terminal import F3, F4, F5, Terminal
from tests.test_cli import PROGRAM

pytestmark = pytest.mark.terminal
_AGREEMENT = re.compile(r"same order (\d+%)")


def no_process_is_left(folder: Path) -> bool:
    """Whether every process that works in this folder ends; workers inherit it from the app."""

    def ours(process: psutil.Process) -> bool:
        try:
            return bool(process.cwd() == str(folder))
        except psutil.Error:
            return False

    alive = [process for process in psutil.process_iter() if ours(process)]
    return not psutil.wait_procs(alive, timeout=20)[1]


def pane_letters(text: str) -> list[str]:
    return re.findall(r"╭─ ([A-D]) ─", text)


def rate_item(terminal: Terminal, scores: str, number: int) -> str:
    """Wait for the item's text, score all four panes, submit; returns the agreement figure."""
    terminal.wait_for(f"{number - 1}/12", "believability", "╭─ A")
    terminal.press(" ")
    terminal.press(scores)
    terminal.wait_for("●")
    # The responses may still be on their way: a person presses enter again when they are there.
    end = time.monotonic() + 120
    while time.monotonic() < end:
        terminal.press("\r")
        try:
            terminal.wait_for(f"{number}/12", patience=2)
        except AssertionError:
            continue
        break
    text = terminal.wait_for(f"{number} item", "same order")
    found = _AGREEMENT.search(text)
    assert found is not None
    return found[1]


def test_rate_quit_return_promote_and_roll_back(ladder: Path, tmp_path: Path) -> None:
    """At 80×24, and from the results on at 120×40."""
    store = tmp_path / "emojudge-demo" / "companion" / "core"

    def core() -> str:
        return str(json.loads((store / "current" / "manifest.json").read_text())["name"])

    with Terminal("demo", cwd=tmp_path) as terminal:
        terminal.wait_for("candidates", "F16", "Q8_0")
        terminal.press(F3)
        figures = [
            rate_item(terminal, "5555111133332222", 1),
            rate_item(terminal, "3333333333333333", 2),
            rate_item(terminal, "5432154321543215", 3),
        ]
        assert len(set(figures)) > 1, figures
        before = terminal.wait_for("3/12", "believability")
        terminal.press("24")
        text = terminal.wait_for("●●●●○", "●●○○○")
        terminal.press("q")
        assert terminal.wait_for_end() == 0
    prompt = re.findall(r"│ (.+?) +│", before)[0]
    with Terminal("demo", cwd=tmp_path) as terminal:
        terminal.wait_for("candidates", "F16", "Q8_0")
        terminal.press(F3)
        again = terminal.wait_for("3/12", "●●●●○", "●●○○○", prompt)
        assert pane_letters(again) == pane_letters(text)
        terminal.resize(120, 40)
        terminal.wait_for("3/12", "●●●●○", "╭─ D")
        terminal.press(F4)
        terminal.wait_for("No verdict yet", "ranking", "people")
        terminal.press(F5)
        terminal.wait_for("generation 1", "history")
        first = core()
        # The best that is not the core already is chosen.
        terminal.press("p")
        terminal.wait_for("your reason")
        terminal.press("I want to hear it for a week\r")
        terminal.press("promote\r")
        terminal.wait_for("generation 2")
        assert core() != first
        terminal.press("r")
        terminal.wait_for("Back to generation 1")
        terminal.press("rollback\r")
        terminal.wait_for("core now   generation 1")
        assert core() == first
        terminal.press("q")
        assert terminal.wait_for_end() == 0
    audit = [json.loads(line) for line in (store / "audit.jsonl").read_text().splitlines()]
    assert [entry["action"] for entry in audit] == ["adopt", "promote", "rollback"]
    assert audit[1]["reason"] == "I want to hear it for a week"


def test_a_hang_up_while_rating_loses_nothing(ladder: Path, tmp_path: Path) -> None:
    with Terminal("demo", "--prompts", "2", cwd=tmp_path) as terminal:
        terminal.wait_for("candidates", "Q8_0")
        terminal.press(F3)
        terminal.wait_for("believability", "╭─ A")
        terminal.press("43")
        terminal.wait_for("●●●●○", "●●●○○")
        terminal.child.kill(signal.SIGHUP)
        assert terminal.wait_for_end() == 1
    with Terminal("demo", "--prompts", "2", cwd=tmp_path) as terminal:
        terminal.wait_for("candidates", "Q8_0")
        terminal.press(F3)
        terminal.wait_for("●●●●○", "●●●○○")
    assert no_process_is_left(tmp_path)


@pytest.mark.parametrize(
    ("moment", "with_signal"), [(0.0, True), (0.15, True), (0.4, True), (1.0, True), (0.4, False)]
)
def test_a_terminal_that_vanishes_while_it_is_painted_to(
    tmp_path: Path, moment: float, with_signal: bool
) -> None:
    """The pty is closed for good: nothing takes the output any more, and the app still ends.

    Without a controlling terminal there is not even a signal.
    """
    write_study(tmp_path)
    main, side = pty.openpty()
    child = subprocess.Popen(
        [PROGRAM, "rate"],
        cwd=tmp_path,
        stdin=side,
        stdout=side,
        stderr=side,
        start_new_session=True,
        preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if with_signal else None,
    )
    os.close(side)
    seen = b""
    while b"believability" not in seen:
        seen += os.read(main, 65536)
    os.write(main, b"54321 ")
    time.sleep(moment)
    os.close(main)
    assert child.wait(timeout=30) != 0
    assert no_process_is_left(tmp_path)
    with Terminal("rate", cwd=tmp_path) as terminal:
        terminal.wait_for("rater ana", without="in use by")
        terminal.press("q")
        assert terminal.wait_for_end() == 0


def test_a_headless_run_on_a_terminal_shows_a_bar_below_its_log(
    ladder: Path, tmp_path: Path
) -> None:
    with Terminal("demo", "--headless", "--prompts", "3", cwd=tmp_path, columns=120) as terminal:
        text = terminal.wait_for("tokens/s", " left", "━")
        bar = next(line for line in text.splitlines() if "━" in line)
        assert re.search(r"\d+/(24|12)", bar)
        terminal.press("\x03")
        assert terminal.wait_for_end() == 1
        assert "━" not in terminal.text
        assert "Stopped by SIGINT" in terminal.text
    assert no_process_is_left(tmp_path)


def test_the_first_screen_in_an_empty_folder(tmp_path: Path) -> None:
    with Terminal(cwd=tmp_path) as terminal:
        terminal.wait_for("no study in this folder")
        terminal.press("i")
        assert terminal.wait_for_end() == 0
    assert (tmp_path / "phase2_config.json").is_file()


def test_an_error_at_start_is_read_after_the_screen_is_gone(tmp_path: Path) -> None:
    write_study(tmp_path, candidate_dir="nowhere")
    with Terminal("run", "--phase", "human-judge", cwd=tmp_path) as terminal:
        terminal.wait_for("does not exist")
        assert terminal.wait_for_end() == 2


def test_in_tmux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and drawing survive a multiplexer."""
    tmux = require_tool("tmux")
    asyncio.run(judged_study(tmp_path))
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    # What a parent left behind; the window has another size.
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")

    def run(*arguments: str) -> str:
        done = subprocess.run([tmux, "-L", "trial", *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait_for(text: str) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if text in run("capture-pane", "-p"):
                return
            time.sleep(0.1)
        raise AssertionError(run("capture-pane", "-p"))

    run("new-session", "-d", "-x", "100", "-y", "30", "-c", str(tmp_path), f"{PROGRAM}; sleep 60")
    try:
        wait_for("against which likeness is measured")
        run("send-keys", "F5")
        wait_for("none yet: promote makes the chosen candidate the first one")
        run("send-keys", "Tab")
        wait_for("against which likeness is measured")
        run("send-keys", "F1")
        wait_for("Leave; nothing is lost")
        run("send-keys", "?")
        run("send-keys", "F3")
        wait_for("believability")
        run("send-keys", "5", "2")
        wait_for("●●●●●")
        wait_for("●●○○○")
        run("resize-window", "-x", "40", "-y", "10")
        wait_for("emojudge rate --plain")
        run("resize-window", "-x", "90", "-y", "28")
        wait_for("●●●●●")
    finally:
        run("kill-server")
