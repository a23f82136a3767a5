"""Real models whose structure is sound and whose content is hostile: one thing changed in place."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from tests.gguf_files import text

Attack = Callable[[bytearray], None]
_STRING = 8


def _value_at(content: bytearray, key: str) -> int:
    """Where a key's type stands."""
    name = text(key)
    assert content.count(name, 0, 1 << 24) == 1, key
    return content.index(name) + len(name)


def number(key: str, value: int) -> Attack:
    """A 32-bit number of the metadata becomes ``value``."""

    def change(content: bytearray) -> None:
        at = _value_at(content, key)
        assert struct.unpack_from("<I", content, at)[0] in (4, 5, 6)
        struct.pack_into("<I", content, at + 4, value)

    return change


def real(key: str, value: float) -> Attack:
    return number(key, struct.unpack("<I", struct.pack("<f", value))[0])


def renamed(key: str) -> Attack:
    """A key goes missing: another one of the same length takes its place."""

    def change(content: bytearray) -> None:
        at = _value_at(content, key)
        content[at - 1 : at] = b"?"

    return change


def array_strings(key: str, replace: Callable[[int, bytes], bytes]) -> Attack:
    """Each string of an array is replaced by one of as many bytes."""

    def change(content: bytearray) -> None:
        at = _value_at(content, key)
        count = struct.unpack_from("<Q", content, at + 8)[0]
        at += 16
        for place in range(count):
            (length,) = struct.unpack_from("<Q", content, at)
            old = bytes(content[at + 8 : at + 8 + length])
            new = replace(place, old)
            assert len(new) == length
            content[at + 8 : at + 8 + length] = new
            at += 8 + length

    return change


def array_numbers(key: str, value: int) -> Attack:
    """Every 32-bit number of an array becomes ``value``."""

    def change(content: bytearray) -> None:
        at = _value_at(content, key)
        count = struct.unpack_from("<Q", content, at + 8)[0]
        content[at + 16 : at + 16 + 4 * count] = struct.pack("<I", value) * count

    return change


def template(program: bytes) -> Attack:
    """The chat template begins with a program of its own."""

    def change(content: bytearray) -> None:
        at = _value_at(content, "tokenizer.chat_template") + 4
        (length,) = struct.unpack_from("<Q", content, at)
        assert len(program) <= length
        content[at + 8 : at + 8 + length] = program.ljust(length)

    return change


ATTACKS: dict[str, Attack] = {
    "no layers": number("llama.block_count", 0),
    "a billion layers": number("llama.block_count", 1 << 30),
    "no heads": number("llama.attention.head_count", 0),
    "no key heads": number("llama.attention.head_count_kv", 0),
    "rope of a billion": number("llama.rope.dimension_count", 1 << 30),
    "a vocabulary of four billion": number("llama.vocab_size", 0xFFFFFFFF),
    "an end that is no token": number("tokenizer.ggml.eos_token_id", 0x7FFFFFFF),
    "a begin below zero": number("tokenizer.ggml.bos_token_id", 0xFFFFFFFE),
    "an epsilon that is no number": real("llama.attention.layer_norm_rms_epsilon", float("nan")),
    "rope's base is no number": real("llama.rope.freq_base", float("nan")),
    "no merges": renamed("tokenizer.ggml.merges"),
    "merges of one sign": array_strings("tokenizer.ggml.merges", lambda _, old: b"x" * len(old)),
    "tokens that are all the same": array_strings(
        "tokenizer.ggml.tokens", lambda _, old: b"a" * len(old)
    ),
    "tokens that are not text": array_strings(
        "tokenizer.ggml.tokens", lambda _, old: b"\xff" * len(old)
    ),
    "tokens of terminal escapes": array_strings(
        "tokenizer.ggml.tokens", lambda _, old: (b"\x1b[2J" * len(old))[: len(old)]
    ),
    "every token a control token": array_numbers("tokenizer.ggml.token_type", 3),
    "token types that do not exist": array_numbers("tokenizer.ggml.token_type", 0x7FFFFFFF),
    "a template that never ends": template(
        b"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    ),
    "a template that fills the memory": template(b"{{ ('x' * 999999999) * 99 }}"),
    "a template that reaches for Python": template(
        b"{{ ''.__class__.__mro__[1].__subclasses__() }}"
    ),
    "a template that calls itself": template(b"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
}


def attacked(source: Path, target: Path, attack: str) -> Path:
    """A copy of a real model with one attack in it; its length and its tensors stay."""
    content = bytearray(source.read_bytes())
    ATTACKS[attack](content)
    target.write_bytes(content)
    return target
