"""Chat templates, rendered in Jinja's immutable sandbox.

A template comes with a model file, so it is hostile text: the sandbox keeps it from Python's
insides, and :mod:`emojudge.engine.template_process` runs it where time and memory are limited.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from emojudge.errors import EngineError

Turn = dict[str, str]
"""A message as templates see it: ``role`` and ``content``."""


class _Refused(Exception):
    """A template called ``raise_exception``."""


def _raise_exception(message: str) -> str:
    raise _Refused(message)


def _tojson(value: Any, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=options.get("indent"))


def _without_system(turns: Sequence[Turn]) -> list[Turn]:
    """The system text in front of the first user turn, for templates without a system role."""
    system, *rest = turns
    first = next(index for index, one in enumerate(rest) if one["role"] == "user")
    joined = f"{system['content']}\n\n{rest[first]['content']}"
    rest[first] = {"role": "user", "content": joined}
    return rest


def render(template: str, turns: Sequence[Turn], bos: str, eos: str) -> str:
    """Render a conversation up to where the assistant begins. Raises EngineError."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson

    def attempt(messages: Sequence[Turn]) -> str:
        return environment.from_string(template).render(
            messages=messages,
            bos_token=bos,
            eos_token=eos,
            add_generation_prompt=True,
            raise_exception=_raise_exception,
        )

    try:
        try:
            return attempt(turns)
        except _Refused:
            if turns[0]["role"] != "system":
                raise
            return attempt(_without_system(turns))
    except RecursionError as endless:
        raise _cannot("it calls itself without end") from endless
    except (_Refused, jinja2.TemplateError) as problem:
        raise _cannot(str(problem)) from problem
    except Exception as problem:
        raise _cannot(f"{type(problem).__name__} {problem}".strip()) from problem


def _cannot(why: str) -> EngineError:
    return EngineError(
        f"The chat template cannot render this conversation: {why.rstrip('.')}. Set "
        "generation.chat_template in the config to one that can."
    )
