"""Draws the README's and the guide's pictures from the real program on the real demo models.

Run ``make pictures``. Writes SVG files to docs/pictures, and looks the same on every machine but
for what the models say.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from emojudge.app import EmojudgeApp
from emojudge.commands.studies import load_for_command
from emojudge.first_run import FirstRunApp
from emojudge.paths import CONFIG_NAME, cache_dir
from emojudge.pipeline.headless import HeadlessRun
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.setup import prepare_demo
from emojudge.pipeline.study import Study
from emojudge.screens.rate import RateScreen
from emojudge.settings import Settings

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
SIZE = (112, 32)
PROMPTS = 14
ITEMS = 13
SHOTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("rate", "rate", tuple("4534" + "22")),
    ("candidates", "candidates", ()),
    ("results", "results", ()),
    ("results", "fidelity", ("n", "n")),
    ("deploy", "deploy", ("right",)),
)
"""Screen, file name, and the keys that are pressed before it is drawn."""
SETTINGS = Settings(reveal_words_per_second=1000)


async def until(pilot: Pilot[Any], condition: Callable[[], bool]) -> None:
    """Let the app run until ``condition`` holds."""
    while not condition():
        await pilot.pause(0.05)


def rate_some(study: Study) -> None:
    """Rate by a made-up taste for short replies, so that the pictures have figures on them."""
    for rater, patience in (("ana", 9), ("ben", 11)):
        session = RaterSession(study, rater)
        for _ in range(ITEMS):
            item = session.next_item()
            assert item is not None
            texts = {one.id: one.text for one in study.view().responses}
            for response in item.responses:
                liked = 5 - len(texts[response].split()) // patience
                for offset in (0, -1, 0, 1):
                    session.score(min(5, max(1, liked + offset)))
            session.submit()
        session.close()


async def draw(study: Study, screen: str, name: str, *keys: str) -> None:
    """One screen as an SVG file."""
    app = EmojudgeApp(study, SETTINGS, rater="ana", first_screen=screen)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.study_is_up)
        shown = app.screen
        if isinstance(shown, RateScreen):
            await until(pilot, lambda: bool(app.desk.panes()))
            while not shown.all_shown:
                await pilot.press("space")
                await pilot.pause(0.05)
        await until(pilot, lambda: app.desk.insights.current)
        await pilot.press(*keys)
        await pilot.pause(0.5)
        save(name, app.export_screenshot(title="emojudge"))


def save(name: str, svg: str) -> None:
    """Write a screenshot."""
    # The screenshot's own web font would be fetched by whoever opens the picture.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono")
    (PICTURES / f"{name}.svg").write_text(svg)
    print(PICTURES / f"{name}.svg")


def without_judges(config: Path) -> None:
    """The demo's judges take longer than all the rest, and are on none of the pictures."""
    content = json.loads(config.read_text())
    content["judging_config"]["judges"] = []
    config.write_text(json.dumps(content))


async def draw_first_run() -> None:
    """The screen of a folder without a study, beside a ladder and what another program keeps."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        models = next((cache_dir() / "ladders").glob("*/models"))
        (home / "here").mkdir()
        store = home / ".lmstudio" / "models" / "HuggingFaceTB" / "SmolLM2-135M-Instruct-GGUF"
        store.mkdir(parents=True)
        os.link(next(models.glob("*F16/*.gguf")), store / "SmolLM2-135M-Instruct-F16.gguf")
        shutil.copytree(models, home / "here" / "models", copy_function=os.link)
        before = os.environ["HOME"]
        os.environ["HOME"] = name
        try:
            app = FirstRunApp(SETTINGS, home / "here")
            async with app.run_test(size=(96, 20)) as pilot:
                await until(pilot, lambda: app.looked)
                await pilot.pause(0.5)
                save("first-run", app.export_screenshot(title="emojudge"))
        finally:
            os.environ["HOME"] = before


async def main() -> None:
    """Make a judged, partly rated demo study and draw its screens."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(folder) / "demo"
        await prepare_demo(demo, print)
        without_judges(demo / CONFIG_NAME)
        loaded = load_for_command(demo, PROMPTS)
        study = Study(loaded)
        study.lead()
        run = HeadlessRun(study)
        await run.discover()
        await run.ai_judge()
        rate_some(study)
        study.close()
        for screen, name, keys in SHOTS:
            fresh = Study(loaded)
            await draw(fresh, screen, name, *keys)
            fresh.close()
    await draw_first_run()


if __name__ == "__main__":
    asyncio.run(main())
