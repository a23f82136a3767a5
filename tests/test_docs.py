"""The documentation says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emojudge import cli
from scripts.key_page import PAGE, key_page

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_key_page_is_the_action_table() -> None:
    assert PAGE.read_text() == key_page(), "run `make keys`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_named_in_the_docs_exist(page: Path) -> None:
    known = {command.name or command.callback.__name__ for command in cli.app.registered_commands}  # type: ignore[union-attr]
    known |= {group.name for group in cli.app.registered_groups}
    for command in re.findall(r"`emojudge ([a-z-]+)", page.read_text()):
        assert command in known, command


def test_make_targets_named_in_the_docs_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"`?make ([a-z]+)\b", page.read_text()):
            if target not in {"a", "it", "sense"}:
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
