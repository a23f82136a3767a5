"""``settings.toml``: what belongs to a person and not to a study."""

from __future__ import annotations

import difflib
import getpass
import os
import re
import tomllib
import unicodedata
from pathlib import Path

from pydantic import Field, ValidationError

from emojudge import paths
from emojudge.errors import ConfigError, UsageError
from emojudge.frozen import Frozen

_RATER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


class Settings(Frozen):
    """One person's preferences.

    ``break_minutes`` is the time of rating after which a break is suggested, 0 for never; ``theme``
    is ``auto`` or a theme's name; words are shown at most so fast in every pane.
    """

    rater: str | None = None
    theme: str = "auto"
    paints_per_second: int = Field(default=12, ge=1, le=15)
    reveal_words_per_second: float = Field(default=18.0, gt=0, le=1000)
    break_minutes: int = Field(default=45, ge=0, le=600)
    keymap: dict[str, str] = Field(default_factory=dict)


def load_settings(file: Path | None = None) -> Settings:
    """Read ``settings.toml``; a missing file means the defaults."""
    file = file or paths.settings_file()
    try:
        with file.open("rb") as stream:
            return Settings.model_validate(tomllib.load(stream))
    except FileNotFoundError:
        return Settings()
    except (OSError, tomllib.TOMLDecodeError) as problem:
        raise ConfigError(f"Cannot read {file}: {problem}. Mend or remove it.") from problem
    except ValidationError as invalid:
        error = invalid.errors()[0]
        key = ".".join(str(part) for part in error["loc"])
        near = difflib.get_close_matches(key, list(Settings.model_fields), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{file}: {key}: {error['msg'].lower()}.{hint}") from invalid


def login_name() -> str:
    """Who is at the keyboard, as a name that can name a file; containers may know none."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid{os.getuid()}"
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_.@-]", "-", plain).lstrip("-_.@")[:64] or f"uid{os.getuid()}"


def rater_name(asked: str | None, settings: Settings) -> str:
    """The rater's name: as asked, else from the settings, else the login name.

    It names a file, so it is letters, digits, ``_ . @ -`` and at most 64 characters long.
    """
    name = asked or settings.rater or login_name()
    if not _RATER_NAME.fullmatch(name):
        raise UsageError(
            f"The rater name {name!r} cannot be used: it names a file, so it takes letters, "
            "digits, and _ . @ - only, at most 64 of them. Give another with --rater NAME, or as "
            "`rater` in settings.toml."
        )
    return name
