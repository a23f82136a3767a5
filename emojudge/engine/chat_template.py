"""Chat templates, rendered in Jinja's immutable sandbox inside the worker."""

from __future__ import annotations

import json
from typing import Any

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from emojudge.domain import Message
from emojudge.errors import EngineError


class _Refused(Exception):
    """A template called ``raise_exception``."""


def _raise_exception(message: str) -> str:
    raise _Refused(message)


def _tojson(value: Any, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=options.get("indent"))


def _without_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The system text in front of the first user turn, for templates without a system role."""
    system, *rest = messages
    first = next(index for index, one in enumerate(rest) if one.role == "user")
    joined = f"{system.content}\n\n{rest[first].content}"
    rest[first] = Message(role="user", content=joined)
    return tuple(rest)


def render(template: str, messages: tuple[Message, ...], bos: str, eos: str) -> str:
    """Render a conversation up to where the assistant begins. Raises EngineError."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson

    def attempt(turns: tuple[Message, ...]) -> str:
        return environment.from_string(template).render(
            messages=[turn.model_dump() for turn in turns],
            bos_token=bos,
            eos_token=eos,
            add_generation_prompt=True,
            raise_exception=_raise_exception,
        )

    try:
        try:
            return attempt(messages)
        except _Refused:
            if messages[0].role != "system":
                raise
            return attempt(_without_system(messages))
    except (_Refused, jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as problem:
        raise EngineError(
            f"The chat template cannot render this conversation: {problem}. Set "
            "generation.chat_template in the config to one that can."
        ) from problem
