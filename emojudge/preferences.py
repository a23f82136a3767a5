"""The settings that people change while they work, and the file that keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tomlkit
import tomlkit.exceptions

from emojudge import paths
from emojudge.errors import ConfigError
from emojudge.settings import Settings


@dataclass(frozen=True)
class Choice:
    """One setting that people change while they work, and what it may be."""

    field: str
    label: str
    choices: tuple[str | int | float, ...]
    explanation: str


PREFERENCES = (
    Choice(
        "theme",
        "colours",
        ("auto", "emojudge-dark", "emojudge-light", "ansi-dark", "ansi-light"),
        "auto is dark, or the terminal's own 16 colours where it has no more",
    ),
    Choice(
        "reveal_words_per_second",
        "words per second",
        (4.0, 6.0, 9.0, 12.0, 18.0, 27.0, 40.0, 80.0, 1000.0),
        "how fast responses appear, in all panes alike; 1000 is at once",
    ),
    Choice(
        "break_minutes",
        "minutes before a break is suggested",
        (0, 20, 30, 45, 60, 90),
        "0 is never; a break is only suggested",
    ),
    Choice(
        "paints_per_second",
        "paints per second",
        (2, 5, 8, 12, 15),
        "fewer where the connection is slow",
    ),
)


def next_choice(preference: Choice, now: str | int | float, step: int) -> str | int | float:
    """The choice after or before the present one, ends included; values between are passed over."""
    choices = preference.choices
    if isinstance(now, str):
        place = choices.index(now) if now in choices else 0
        return choices[(place + step) % len(choices)]
    beyond = [one for one in choices if isinstance(one, int | float) and (one - now) * step > 0]
    return (min if step > 0 else max)(beyond, default=now)


class PersonalSettings:
    """The settings in use, and the file that keeps them; what people wrote there stays as it is."""

    def __init__(self, now: Settings, file: Path | None = None) -> None:
        self.now = now
        self.file = file or paths.settings_file()

    def change(self, field: str, value: str | int | float) -> None:
        """Use another value from now on, and write it down. Raises ConfigError; it is used then."""
        self.now = self.now.model_copy(update={field: value})
        try:
            document = tomlkit.parse(self.file.read_text()) if self.file.exists() else None
            if document is None:
                document = tomlkit.document()
            document[field] = value
            paths.make_private_folder(self.file.parent)
            paths.write_durably(self.file, tomlkit.dumps(document).encode())
        except (OSError, tomlkit.exceptions.ParseError) as problem:
            raise ConfigError(
                f"Cannot write {self.file}: {problem}. It holds for now, and is not kept."
            ) from problem
