"""``emojudge bench --ui``: the workstation on a pseudo-terminal, timed from the other end."""

from __future__ import annotations

import asyncio
import functools
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from emojudge.config_file import load_config
from emojudge.errors import EngineError
from emojudge.pipeline.bench.figures import BenchFigures, Figure
from emojudge.pipeline.bench.terminal import TimedTerminal
from emojudge.pipeline.planted_study import store_planted_study
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.setup import demo_ladder
from emojudge.pipeline.study import Study
from emojudge.ranking.simulate.planted import Design
from emojudge.ranking.simulate.planted_view import planted_view
from emojudge.ranking.simulate.walk import one_leader

_PACE_VARIABLE = "EMOJUDGE_PACE"
_PACE = 100
_STARTS = 5
_STREAMED_ITEMS = 12
_STREAM_SECONDS = 1.3
_KEYS_WHILE_STREAMING = 6
_MEMORY_ITEMS = 1000
_MARKS = (100, 250, 500, 750, _MEMORY_ITEMS)
_RATED = 10_000
_SAVED_ITEMS = 60
_RUN_PROMPTS = 10
_PATIENCE = 120.0
_RUN_PATIENCE = 900.0
_LINK_BYTES = 50_000
_PANES = 4
_PAIR = 2
_CRITERIA = 4
Progress = Callable[[str, int, int], None]


def run_ui_benchmark(repetitions: int, progress: Progress) -> BenchFigures:
    """Time everything in temporary folders (some minutes). Raises EmojudgeError."""
    models = asyncio.run(demo_ladder(lambda text: None))
    steps: Sequence[tuple[str, Callable[[Path], list[Figure]]]] = (
        ("first paint", lambda folder: _first_paint(folder, models)),
        ("rating while four panes stream", lambda folder: _streaming(folder, models)),
        ("saving at 10,000 ratings", _saving),
        ("memory over 1,000 items", _memory),
        ("a real run beside Candidates", lambda folder: _real_run(folder, models, repetitions)),
    )
    figures: list[Figure] = []
    for number, (what, measure) in enumerate(steps):
        progress(what, number, len(steps))
        with tempfile.TemporaryDirectory(prefix="emojudge-bench-") as folder:
            figures += measure(Path(folder))
    progress("done", len(steps), len(steps))
    return BenchFigures(tuple(figures))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _situations(count: int) -> list[tuple[str, str]]:
    return [
        (f"p{number}", f"The house is so quiet since Sunday. It is day {number} now.")
        for number in range(count)
    ]


def _write_study(
    folder: Path, models: Path, prompts: Sequence[tuple[str, str]], settings: str, **config: object
) -> dict[str, str]:
    """A study of these models and (id, text) prompts, and the environment to open it in."""
    lines = [
        json.dumps({"id": name, "prompt": text, "category": "comfort in crisis"})
        for name, text in prompts
    ]
    (folder / "prompts.jsonl").write_text("\n".join(lines))
    values = {
        "name": "bench",
        "candidate_dir": str(models),
        "evaluation_prompts": "prompts.jsonl",
        **config,
    }
    (folder / "phase2_config.json").write_text(json.dumps(values))
    settings_file = folder / "config" / "emojudge" / "settings.toml"
    settings_file.parent.mkdir(parents=True)
    settings_file.write_text(settings)
    return {"XDG_CONFIG_HOME": str(folder / "config")}


def _done(items: int) -> str:
    """The top line's count of items, as it comes behind a change of style."""
    return f"m{items}/"


def _paced(folder: Path) -> list[str]:
    return [sys.executable, "-m", "emojudge.paced_workstation", str(folder)]


def _first_paint(folder: Path, models: Path) -> list[Figure]:
    environment = _write_study(
        folder, models, _situations(8), "", generation={"samples_per_prompt": 1}
    )
    first, study = [], []
    for _ in range(_STARTS):
        with TimedTerminal(_paced(folder), folder, environment) as terminal:
            first.append(terminal.wait_for("opening the study", _PATIENCE) - terminal.began)
            study.append(terminal.wait_for("study ", _PATIENCE) - terminal.began)
    return [
        Figure(
            "first paint",
            statistics.median(first),
            "s",
            0.5,
            f"median of {_STARTS} starts; the study itself after {statistics.median(study):.2f} s",
        )
    ]


def _streaming(folder: Path, models: Path) -> list[Figure]:
    """Keys, CPU and bytes while four panes show 100 words a second each."""
    environment = _write_study(
        folder,
        models,
        _situations(_STREAMED_ITEMS + 4),
        f"reveal_words_per_second = {_PACE}\nbreak_minutes = 0\npaints_per_second = 15\n",
        human_judging={"panes": _PANES, "repeat_share": 0},
        generation={"samples_per_prompt": 1, "max_tokens": 160},
    )
    environment[_PACE_VARIABLE] = str(_PACE)
    delays: list[float] = []
    cpu = seconds = written = 0.0
    busiest = 0
    with TimedTerminal(_paced(folder), folder, environment) as terminal:
        for number in range(_STREAMED_ITEMS):
            terminal.wait_for(_done(number), _PATIENCE)
            terminal.forget()
            # The first words of the item: before them nothing streams.
            terminal.wait_for("with", _PATIENCE)
            before = terminal.sample()
            delays += _press_while_streaming(terminal, before.at + _STREAM_SECONDS)
            after = terminal.sample()
            cpu += after.cpu - before.cpu
            seconds += after.at - before.at
            written += after.written - before.written
            busiest = max(busiest, terminal.busiest_second(before.at))
            _finish_item(terminal, number + 1)
    return [
        Figure(
            "key to paint, p95",
            1000 * percentile(delays, 0.95),
            "ms",
            50,
            f"{len(delays)} keys while streaming; median {1000 * statistics.median(delays):.1f} ms",
        ),
        Figure("UI process in Rate, of one core", cpu / seconds, "share", 0.25, "while streaming"),
        Figure(
            "bytes to the terminal",
            written / seconds,
            "bytes/s",
            _LINK_BYTES,
            f"while streaming; at most {busiest / 1000:.0f} kB in one second",
        ),
    ]


def _press_while_streaming(terminal: TimedTerminal, until: float) -> list[float]:
    """Seconds from each of some keys to the paint that shows its score."""
    delays = []
    for key in range(_KEYS_WHILE_STREAMING):
        # What an earlier key had painted must not be taken for this one's.
        terminal.read_for(max(0.0, (until - time.perf_counter()) / (_KEYS_WHILE_STREAMING - key)))
        value = 1 + key % _CRITERIA
        terminal.forget()
        pressed = time.perf_counter()
        terminal.press(str(value))
        shown = terminal.wait_for("●" * value + "○" * (5 - value), _PATIENCE)
        delays.append(shown - pressed)
    return delays


def _finish_item(terminal: TimedTerminal, done: int) -> None:
    """Score what is left and submit, as soon as everything is shown."""
    terminal.forget()
    terminal.press("3" * (_PANES * _CRITERIA - _KEYS_WHILE_STREAMING))
    _submit(terminal, done, 0.3)


def _submit(terminal: TimedTerminal, done: int, rest: float) -> None:
    """Press enter until the item counts; ``rest`` is the time between two tries, in seconds."""
    for _ in range(int(_PATIENCE / rest)):
        terminal.press("\r")
        terminal.read_for(rest)
        if terminal.has_seen(_done(done)):
            return
    raise EngineError("An item was never submitted.")


def _saving(folder: Path) -> list[Figure]:
    """What a key waits for while its score is written, with 10,000 rated items in the study."""
    sizes = [(f"rung-{number}", 300 - 20 * number) for number in range(5)]
    view = planted_view(one_leader(len(sizes), 0.03), Design(1250, 8), sizes, items=_RATED)
    study = Study(store_planted_study(folder / "study", view))
    session = RaterSession(study, view.rated[0].rater)
    keys: list[float] = []
    submits: list[float] = []
    try:
        for _ in range(_SAVED_ITEMS):
            item = session.next_item()
            if item is None:
                break
            for place in range(_CRITERIA * len(item.panes)):
                keys.append(_timed(functools.partial(session.score, 1 + place % 5)))
            submits.append(_timed(session.submit))
    finally:
        session.close()
        study.close()
    return [
        Figure(
            "saving at 10,000 rated items, p99",
            1000 * percentile([*keys, *submits], 0.99),
            "ms",
            16,
            f"{len(keys)} scores (median {1000 * statistics.median(keys):.1f} ms), {len(submits)} "
            f"submits (median {1000 * statistics.median(submits):.1f} ms), each with fsync",
        )
    ]


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _memory(folder: Path) -> list[Figure]:
    """Resident memory of the UI process after the first hundred items, and after a thousand.

    What is rated is there before: memory that a growing study takes is no leak.
    """
    sizes = [(f"rung-{number}", 300 - 20 * number) for number in range(3)]
    view = planted_view(one_leader(len(sizes), 0.03), Design(_MEMORY_ITEMS + 8, 1), sizes, items=0)
    store_planted_study(folder, view)
    environment = _write_study(
        folder,
        view.candidates[0].path.parent,
        [(prompt.id, prompt.messages[0].content) for prompt in view.prompts],
        "reveal_words_per_second = 1000\nbreak_minutes = 0\n",
        human_judging={"panes": _PAIR, "repeat_share": 0},
        generation={"samples_per_prompt": 1},
    )
    # Who leads also generates and judges, and a study that grows takes memory.
    leader = Study(load_config(folder))
    leader.lead()
    try:
        resident = _resident_while_rating(folder, environment)
    finally:
        leader.close()
    first, last = resident[_MARKS[0]], resident[_MARKS[-1]]
    steps = ", ".join(f"{size / 1e6:.0f} MB at {number}" for number, size in resident.items())
    return [Figure("memory gained from item 100 to 1,000", last / first - 1, "share", 0.1, steps)]


def _resident_while_rating(folder: Path, environment: Mapping[str, str]) -> dict[int, int]:
    """Resident bytes of the UI process after so many items."""
    resident: dict[int, int] = {}
    with TimedTerminal(_paced(folder), folder, environment) as terminal:
        terminal.wait_for(_done(0), _PATIENCE)
        for number in range(1, _MEMORY_ITEMS + 1):
            terminal.forget()
            terminal.press("43512345")
            _submit(terminal, number, 0.05)
            if number in _MARKS:
                resident[number] = terminal.sample().resident
    return resident


def _real_run(folder: Path, models: Path, repetitions: int) -> list[Figure]:
    """The ai-judge phase on real models: on the Candidates screen, and headless, by turns."""
    ratios, shares, walls = [], [], []
    for number in range(repetitions):
        # By turns, and who goes first by turns too: the machine's speed wanders.
        if number % 2:
            shown, share = _shown_seconds(folder / f"shown-{number}", models)
            headless = _headless_seconds(folder / f"headless-{number}", models)
        else:
            headless = _headless_seconds(folder / f"headless-{number}", models)
            shown, share = _shown_seconds(folder / f"shown-{number}", models)
        ratios.append(shown / headless)
        shares.append(share)
        walls.append(f"{shown:.1f}/{headless:.1f} s")
    return [
        Figure("UI process on Candidates, of one core", statistics.median(shares), "share", 0.05),
        Figure(
            "a run's wall clock, shown over headless",
            statistics.median(ratios),
            "",
            1.03,
            ", ".join(walls),
        ),
    ]


def _run_study(folder: Path, models: Path) -> dict[str, str]:
    folder.mkdir()
    return _write_study(
        folder,
        models,
        _situations(_RUN_PROMPTS),
        "",
        generation={"samples_per_prompt": 2, "max_tokens": 64},
        judging_config={"judges": []},
    )


def _headless_seconds(folder: Path, models: Path) -> float:
    _run_study(folder, models)
    began = time.perf_counter()
    command = [sys.executable, "-m", "emojudge", "run", "--phase", "ai-judge", "--headless"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EngineError(f"The headless run failed: {done.stderr[-400:]}")
    return time.perf_counter() - began


def _shown_seconds(folder: Path, models: Path) -> tuple[float, float]:
    """Seconds from the start to the end of the phase, and the UI process' share of one core."""
    environment = _run_study(folder, models)
    command = [sys.executable, "-m", "emojudge", "run", "--phase", "ai-judge"]
    with TimedTerminal(command, folder, environment) as terminal:
        terminal.wait_for("responses", _PATIENCE)
        before = terminal.sample()
        terminal.wait_for("ai-judge is complete", _RUN_PATIENCE)
        after = terminal.sample()
        terminal.press("q")
        seconds = terminal.wait_for_end(_PATIENCE)
    return seconds, (after.cpu - before.cpu) / (after.at - before.at)
