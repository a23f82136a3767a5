"""The documentation says what is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from emojudge import cli
from scripts.reference_pages import PAGES as GENERATED

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", GENERATED, ids=lambda page: page.name)
def test_reference_pages_are_what_the_code_says(page: Path) -> None:
    assert page.read_text() == GENERATED[page](), "run `make reference`"


def literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def figure_names() -> set[str]:
    """Titles of sections and columns, wherever the code of a section writes one."""
    titles: set[str | None] = set()
    for file in (ROOT / "emojudge").rglob("*section*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                if node.func.id == "Column":
                    titles.add(literal(node.args[0]))
                elif node.func.id == "Section":
                    titles.add(literal(node.args[1]))
    return {one for one in titles if one and re.search("[A-Za-zα-ω]", one)}


def test_every_figure_on_the_results_is_explained() -> None:
    page = (ROOT / "docs" / "figures.md").read_text()
    names = figure_names()
    assert len(names) > 60
    assert {one for one in names if one not in page} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_named_in_the_docs_exist(page: Path) -> None:
    known = {command.name or command.callback.__name__ for command in cli.app.registered_commands}  # type: ignore[union-attr]
    known |= {group.name for group in cli.app.registered_groups}
    for command in re.findall(r"`emojudge ([a-z][a-z-]*)", page.read_text()):
        assert command in known, command


def test_make_targets_named_in_the_docs_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        said = page.read_text()
        # In code, not in prose ("you make a ladder").
        for target in re.findall(r"(?:`|^|  )make ([a-z-]+)\b", said, re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), (page.name, target)
