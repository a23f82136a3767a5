"""Reading ``phase2_config.json``: positions in errors, near names, older keys, paths resolved."""

from __future__ import annotations

import copy
import dataclasses
import difflib
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import json_source_map
from pydantic import BaseModel, ValidationError

from emojudge.config import Config
from emojudge.config_older import LOG_LEVEL_KEY, take_older_keys
from emojudge.errors import ConfigError, Problem, UnsoundConfig
from emojudge.paths import CONFIG_NAME

_LEVELS = {"debug", "info", "warning", "error", "critical"}


@dataclass(frozen=True)
class LoadedConfig:
    """A config with the folder that its relative paths start from."""

    config: Config
    file: Path
    log_level: int = logging.INFO
    warnings: tuple[str, ...] = ()

    def with_prompts(self, prompts: int | None) -> LoadedConfig:
        """The same with at most so many prompts; None leaves it as it is."""
        if prompts is None:
            return self
        changed = self.config.performance_config.model_copy(update={"max_prompts": prompts})
        config = self.config.model_copy(update={"performance_config": changed})
        return dataclasses.replace(self, config=config)

    def resolve(self, path: str) -> Path:
        """An absolute path; relative ones start at the config file's folder."""
        return Path(os.path.normpath((self.file.parent / Path(path).expanduser()).absolute()))

    def at(self, folder: Path) -> LoadedConfig:
        """The same config, as if its file stood in ``folder``."""
        return dataclasses.replace(self, file=folder / self.file.name)

    def shown(self, path: Path) -> str:
        """A path as people like to read it: relative where it lies beside the config."""
        folder = self.file.parent
        return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)

    @property
    def study_dir(self) -> Path:
        """The study folder."""
        return self.resolve(self.config.study_dir)

    @property
    def results_dir(self) -> Path:
        """Where reports go."""
        return self.resolve(self.config.output_config.results_dir)


def _pointer(path: list[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _position(positions: dict[str, Any], path: list[str | int], at_key: bool) -> tuple[int, int]:
    """Line and column of the longest part of ``path`` that the file has."""
    for length in range(len(path), 0, -1):
        entry = positions.get(_pointer(path[:length]))
        if entry is None:
            continue
        key_start = getattr(entry, "key_start", None)
        start = key_start if at_key and key_start is not None else entry.value_start
        return start.line + 1, start.column + 1
    return 0, 0


def _fields_at(path: list[str | int]) -> list[str]:
    """The valid key names of the config object at ``path``."""
    model: type[BaseModel] = Config
    for part in path:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return [field.alias or name for name, field in model.model_fields.items()]


def _explain(error: Any) -> str:
    location: list[str | int] = list(error["loc"])
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(location[-1]), _fields_at(location[:-1]), n=1)
        hint = f"; the nearest is {near[0]!r}" if near else ""
        return f"there is no such key{hint}"
    message = str(error["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    shown = json.dumps(error["input"], ensure_ascii=False, default=str)
    if error["type"] == "value_error" or len(shown) > 60:
        return message
    return f"{message}, not {shown}"


_HERE = ("localhost", "127.0.0.1", "::1")


def doubtful_settings(config: Config) -> list[str]:
    """Warnings about settings that do what they say, which may not be what was meant."""
    named = []
    if config.human_judging.show_ai_scores == "after_item":
        named.append(
            "human_judging.show_ai_scores is after_item: raters who see what the AI says of their "
            "items learn to say the same."
        )
    for judge in config.judging_config.judges:
        url = urlsplit(judge.url or "")
        if judge.api_key_env and url.scheme == "http" and url.hostname not in _HERE:
            named.append(
                f"judge {judge.name} sends its key to {url.hostname} over http, where anybody "
                "between can read it; use https."
            )
    return named


def find_problems(text: str) -> tuple[Config | None, str | None, list[str], list[Problem]]:
    """Parse config ``text``: the config if it is sound, log level, warnings, problems."""
    try:
        data = json.loads(text)
    except RecursionError:
        return None, None, [], [Problem("", "the JSON is nested too deeply")]
    except json.JSONDecodeError as error:
        return (
            None,
            None,
            [],
            [Problem("", f"not valid JSON: {error.msg.lower()}", error.lineno, error.colno)],
        )
    if not isinstance(data, dict):
        return None, None, [], [Problem("", "the file must hold one JSON object", 1, 1)]
    positions = json_source_map.calculate(text)
    data = copy.deepcopy(data)
    moved, level, warnings = take_older_keys(data)
    problems: list[Problem] = []
    if level is not None and str(level).lower() not in _LEVELS:
        at = _position(positions, list(LOG_LEVEL_KEY.split(".")), at_key=False)
        problems.append(
            Problem(LOG_LEVEL_KEY, f"expected one of {', '.join(sorted(_LEVELS))}", *at)
        )
    config: Config | None = None
    try:
        config = Config.model_validate(data)
    except ValidationError as invalid:
        for detail in invalid.errors():
            location: list[str | int] = list(detail["loc"])
            dotted = ".".join(str(part) for part in location)
            dotted = moved.get(dotted, dotted)
            unknown = detail["type"] == "extra_forbidden"
            at = _position(positions, list(dotted.split(".")), at_key=unknown)
            problems.append(Problem(dotted, _explain(detail), *at))
    if config is not None:
        warnings += doubtful_settings(config)
    return (None if problems else config), level, warnings, problems


def load_config(file: Path) -> LoadedConfig:
    """Read and check ``file`` (a config, or a folder that holds one).

    Raises ConfigError naming every problem with its key, line and column.
    """
    if file.is_dir():
        file = file / CONFIG_NAME
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as missing:
        raise ConfigError(
            f"There is no config at {file}. Run `emojudge init` in your study's folder to write "
            "one, or name the folder of one."
        ) from missing
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(f"Cannot read the config {file}: {problem}.") from problem
    config, level, warnings, problems = find_problems(text)
    if config is None:
        raise UnsoundConfig(
            file, sorted(problems, key=lambda one: (one.line, one.column, one.path))
        )
    return LoadedConfig(
        config=config,
        file=file.absolute(),
        log_level=getattr(logging, str(level or "info").upper()),
        warnings=tuple(warnings),
    )
