"""What `emojudge` shows in a folder without a study."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from emojudge.candidates.nearby import Nearby, find_nearby
from emojudge.settings import Settings
from emojudge.theme import ThemedApp

_PURPOSE = (
    "You quantized your companion's model and have a ladder of smaller files. Which one still "
    "feels right? Here people rate their replies blind, AI judges compare them, and the best one "
    "becomes the core, with the way back one key away."
)
_START = ("⏎", "start a study here with the models at ▸")
_KEYS = (
    ("i", "start one without models yet: writes a config and the prompts"),
    ("d", "see a whole study on small real models first"),
    ("q", "leave"),
)
_NONE_NEARBY = (
    "No GGUF files lie in this folder, in ../quant_pass1/models, or in the stores of Hugging Face, "
    "LM Studio and Ollama. Leave, and say where they are: `emojudge init --models FOLDER`. "
    "`emojudge quantize` makes a ladder of any GGUF."
)


@dataclass(frozen=True)
class Choice:
    """What was chosen: a study of models that lie nearby (None: of none yet), or the demo."""

    what: Literal["init", "demo"]
    models: Nearby | None = None


class FirstRunApp(ThemedApp[Choice]):
    """Says what emojudge is for and what lies nearby; None when somebody only left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("i", "init", "start a study"),
        ("d", "demo", "demo"),
        ("q,escape", "quit", "leave"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, settings: Settings, here: Path = Path()) -> None:
        super().__init__(settings.theme)
        self._here = here
        self._nearby: list[Nearby] = []
        self.looked = False

    def compose(self) -> ComposeResult:
        """What it is for, what lies nearby, and the keys."""
        with Vertical(classes="page", id="first-run"):
            yield Static(Content.styled("There is no study in this folder yet.", "bold"))
            yield Static(Content.styled(_PURPOSE, "$quiet"), classes="paragraph")
            yield Static(Content.styled("looking for GGUF files nearby …", "$quiet"), id="found")
            yield OptionList(id="nearby")
            yield Static(_keys(*_KEYS), classes="paragraph", id="keys")

    async def on_mount(self) -> None:
        """The list is empty until the stores were looked at."""
        self.title = "emojudge"
        self.query_one(OptionList).display = False
        self.run_worker(self._look(), exclusive=True)

    async def _look(self) -> None:
        self._nearby = await asyncio.to_thread(find_nearby, self._here)
        self.looked = True
        said = self.query_one("#found", Static)
        if not self._nearby:
            said.update(Content.styled(_NONE_NEARBY, "$quiet"))
            return
        said.update(Content.styled("models to start from", "$quiet"))
        self.query_one("#keys", Static).update(_keys(_START, *_KEYS))
        options = self.query_one(OptionList)
        options.add_options(Option(self._row(place)) for place in range(len(self._nearby)))
        options.display = True
        options.highlighted = 0
        options.focus()

    def _row(self, place: int, *, marked: bool = False) -> Content:
        """One offer; the marked one has a sign beside its colour."""
        width = max(len(one.title) for one in self._nearby)
        one = self._nearby[place]
        return Content.assemble(
            ("▸ " if marked else "  ", ""),
            (f"{one.title:{width}}  ", ""),
            (str(one), "" if marked else "$quiet"),
        )

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Move the sign."""
        options = event.option_list
        for place in range(len(self._nearby)):
            row = self._row(place, marked=place == event.option_index)
            options.replace_option_prompt_at_index(place, row)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter, or a click."""
        self.exit(Choice("init", self._nearby[event.option_index]))

    def action_init(self) -> None:
        """A study whose models are named later."""
        self.exit(Choice("init"))

    def action_demo(self) -> None:
        """The demo's study."""
        self.exit(Choice("demo"))


def _keys(*keys: tuple[str, str]) -> Content:
    return Content("\n").join(Content.assemble((f"  {key}  ", "bold"), text) for key, text in keys)
