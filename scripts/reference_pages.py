"""Writes the reference pages from the code; ``make reference``.

Keys from the action table, commands from the command line itself, the config's keys and the
report's parts from their JSON Schemas, exit codes from the exception tree.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer.main

from emojudge import cli, errors
from emojudge.actions import APP, SCREENS, actions_of, key_label
from emojudge.config import json_schema
from emojudge.errors import EmojudgeError
from emojudge.report.schema import report_schema

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
_WIDTH = 92
_GENERATED = "<!-- Written by `make reference` from the code. -->"
Schema = dict[str, Any]


def key_page() -> str:
    """Every key by screen."""
    lines = [
        "# Keys",
        "",
        "Every key can be changed in `settings.toml` by its id (see [the guide](guide.md)).",
    ]
    for scope in (*SCREENS, APP):
        lines += ["", f"## {'everywhere' if scope == APP else scope}", "", "| keys | what | id |"]
        lines += ["|---|---|---|"]
        for action in actions_of(scope):
            keys = " ".join(f"`{key_label(key)}`" for key in action.keys)
            lines.append(f"| {keys} | {action.tooltip} | `{action.id}` |")
    return "\n".join(lines) + "\n"


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A command and those in it; typer brings its own kind of click."""
    yield name, command
    for child in getattr(command, "commands", {}).values():
        yield from _walk(child, f"{name} {child.name}")


def command_page() -> str:
    """The help of every command, as the program prints it."""
    lines = [
        "# Commands",
        "",
        _GENERATED,
        "",
        "What `--help` prints. Results go to stdout and messages to stderr, so that `--json` is",
        "clean in a pipe.",
        "[Exit codes](exit-codes.md) have a page of their own.",
    ]
    root = typer.main.get_command(cli.app)
    for name, command in _walk(root, "emojudge"):
        context = command.context_class(
            command, info_name=name, terminal_width=_WIDTH, max_content_width=_WIDTH
        )
        lines += ["", f"## {name}", "", "```text", command.get_help(context).rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _kind(schema: Schema) -> str:
    """A type in a word or two."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        kinds = [_kind(one) for one in schema["anyOf"]]
        return " or ".join(dict.fromkeys(kinds))
    if schema.get("type") == "array":
        items = schema.get("items")
        return f"list of {_kind(items)}" if items else "list"
    extra = schema.get("additionalProperties")
    if schema.get("type") == "object" and isinstance(extra, dict):
        return f"object of {_kind(extra)}"
    kind = schema.get("type", "anything")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _bounds(schema: Schema) -> str:
    """A range, where there is one."""
    names = {
        "minimum": "≥ {}",
        "exclusiveMinimum": "> {}",
        "maximum": "≤ {}",
        "exclusiveMaximum": "< {}",
    }
    options = [schema, *schema.get("anyOf", [])]
    found = [text.format(one[key]) for one in options for key, text in names.items() if key in one]
    return f", {', '.join(found)}" if found else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _key_table(schema: Schema) -> list[str]:
    lines = ["| key | type | default | what |", "|---|---|---|---|"]
    for key, value in schema["properties"].items():
        default = (
            f"`{json.dumps(value['default'], ensure_ascii=False)}`" if "default" in value else ""
        )
        # An object's keys have a table of their own.
        default = "" if default == "`null`" or default.startswith("`{") else default
        kind = f"{_kind(value)}{_bounds(value)}"
        said = value.get("description", "")
        lines.append(f"| `{key}` | {_cell(kind)} | {_cell(default)} | {_cell(said)} |")
    return lines


def config_page() -> str:
    """The keys of ``phase2_config.json``."""
    schema = json_schema()
    lines = [
        "# The config",
        "",
        _GENERATED,
        "",
        "`phase2_config.json`. Unknown keys and wrong values are refused with line, column and",
        "the nearest valid name (`emojudge config check`); paths are relative to the file.",
        "`emojudge config schema` prints the JSON Schema, and `emojudge init` writes it beside the",
        "config, so that an editor completes and checks keys. Older files load as they are:",
        "[older configs](../guide.md#older-configs).",
        "",
        *_key_table(schema),
    ]
    for name, part in schema["$defs"].items():
        if "properties" in part:
            lines += ["", f"## {name}", "", part.get("description", ""), "", *_key_table(part)]
        elif "enum" in part:
            values = ", ".join(f"`{one}`" for one in part["enum"])
            lines += ["", f"## {name}", "", f"{part.get('description', '')} One of {values}."]
    return "\n".join(lines) + "\n"


def report_page() -> str:
    """The parts of the JSON report."""
    schema = report_schema()
    lines = [
        "# The report's schema",
        "",
        _GENERATED,
        "",
        f"{schema['description']} `emojudge report --schema` prints it as JSON Schema, and",
        "[the reports](../report.md) shows what they look like.",
    ]
    for key, value in schema["properties"].items():
        lines += ["", f"## {key}", ""]
        part = value
        if "$ref" in value:
            part = schema["$defs"][str(value["$ref"]).rpartition("/")[2]]
        lines += _part(part)
    lines += ["", "# Parts of it"]
    for name, part in schema["$defs"].items():
        lines += ["", f"## {name}", "", *_part(part)]
    return "\n".join(lines) + "\n"


def _part(part: Schema) -> list[str]:
    said = [part["description"], ""] if "description" in part else []
    if "properties" not in part:
        return [*said, f"{_kind(part)}{_bounds(part)}"]
    rows = ["| key | type | what |", "|---|---|---|"]
    required = set(part.get("required", ()))
    for key, value in part["properties"].items():
        kind = _kind(value) + _bounds(value) + ("" if key in required else ", not always there")
        rows.append(f"| `{key}` | {_cell(kind)} | {_cell(value.get('description', ''))} |")
    return [*said, *rows]


def exit_code_page() -> str:
    """Exit codes, with the errors that end with each."""
    kinds = [
        one
        for _, one in inspect.getmembers(errors, inspect.isclass)
        if issubclass(one, EmojudgeError)
    ]
    meanings = {
        0: "done",
        1: "failed, or a check found something (doctor; deploy audit, scrub, validate; judges "
        "--exam; simulate --acceptance)",
        2: "wrong usage, config or input files; nothing was started",
        3: "the next step is a person's: ratings, or a reason for overriding a gate",
    }
    lines = ["# Exit codes", "", _GENERATED, "", "| status | meaning | errors |", "|---|---|---|"]
    for status, meaning in meanings.items():
        names = [f"`{one.__name__}`" for one in kinds if one.exit_code == status and status]
        lines.append(f"| {status} | {meaning} | {', '.join(names)} |")
    lines += [
        "",
        "Every error is one paragraph on stderr: what was wrong, where, and what to do next.",
        "`--verbose` adds the traceback. In Python all are `emojudge.errors.EmojudgeError`.",
        "",
        "| error | when |",
        "|---|---|",
        *(f"| `{one.__name__}` | {_cell(inspect.getdoc(one) or '')} |" for one in kinds),
    ]
    return "\n".join(lines) + "\n"


def emotion_head_page() -> str:
    """What the package says of its emotion classifier."""
    return (ROOT / "emojudge" / "data" / "emotion_head.md").read_text()


PAGES: dict[Path, Callable[[], str]] = {
    DOCS / "keys.md": key_page,
    DOCS / "reference" / "commands.md": command_page,
    DOCS / "reference" / "config.md": config_page,
    DOCS / "reference" / "report-schema.md": report_page,
    DOCS / "reference" / "exit-codes.md": exit_code_page,
    DOCS / "reference" / "emotion-head.md": emotion_head_page,
}


if __name__ == "__main__":
    for page, write in PAGES.items():
        page.write_text(write())
