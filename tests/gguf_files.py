"""Hand-made GGUF files for tests of the reader and of discovery."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

U32, STRING, ARRAY = 4, 8, 9
F32, F16, Q4_0, Q8_0 = 0, 1, 2, 8
_TYPE_SIZES = {F32: (1, 4), F16: (1, 2), Q4_0: (32, 18), Q8_0: (32, 34)}


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def string_pair(key: str, value: str) -> bytes:
    return text(key) + struct.pack("<I", STRING) + text(value)


def u32_pair(key: str, value: int) -> bytes:
    return text(key) + struct.pack("<II", U32, value)


def strings_pair(key: str, values: list[str]) -> bytes:
    head = text(key) + struct.pack("<IIQ", ARRAY, STRING, len(values))
    return head + b"".join(text(value) for value in values)


@dataclass
class Gguf:
    """A file to be written; every part can be replaced by something wrong."""

    pairs: list[bytes] = field(default_factory=list)
    tensors: list[tuple[str, tuple[int, ...], int]] = field(default_factory=list)
    magic: bytes = b"GGUF"
    version: int = 3
    pair_count: int | None = None
    tensor_count: int | None = None
    alignment: int = 32
    offset_shift: int = 0
    fill: int = 0

    def build(self) -> bytes:
        infos = b""
        offset = 0
        sizes = []
        for name, shape, kind in self.tensors:
            infos += text(name) + struct.pack("<I", len(shape))
            infos += b"".join(struct.pack("<Q", width) for width in shape)
            infos += struct.pack("<IQ", kind, offset + self.offset_shift)
            elements = 1
            for width in shape:
                elements *= width
            block, size = _TYPE_SIZES.get(kind, (1, 1))
            sizes.append(elements // block * size)
            offset += -(-sizes[-1] // self.alignment) * self.alignment
        head = self.magic + struct.pack(
            "<IQQ",
            self.version,
            len(self.tensors) if self.tensor_count is None else self.tensor_count,
            len(self.pairs) if self.pair_count is None else self.pair_count,
        )
        head += b"".join(self.pairs) + infos
        head += bytes(-len(head) % self.alignment)
        data = b"".join(
            bytes([self.fill]) * (-(-size // self.alignment) * self.alignment) for size in sizes
        )
        return head + data

    def write(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.build())
        return path


def language_model(
    kind: int = F16, *, fill: int = 0, template: str = "{{ messages }}", rows: int = 64
) -> Gguf:
    """A sound little header of a language model; ``fill`` makes files differ."""
    file_type = {F32: 0, F16: 1, Q4_0: 2, Q8_0: 7}[kind]
    return Gguf(
        pairs=[
            string_pair("general.architecture", "llama"),
            string_pair("general.name", "Tiny"),
            u32_pair("general.file_type", file_type),
            u32_pair("llama.context_length", 2048),
            strings_pair("tokenizer.ggml.tokens", [f"t{index}" for index in range(100)]),
            string_pair("tokenizer.chat_template", template),
        ],
        tensors=[
            ("token_embd.weight", (64, 100), kind),
            ("blk.0.attn_q.weight", (64, rows), kind),
            ("blk.0.attn_norm.weight", (64,), F32),
        ],
        fill=fill,
    )


def write_ladder(folder: Path) -> Path:
    """Three candidates in the Pass 1 layout: F16, Q8_0, Q4_0 (headers only, not runnable)."""
    for fill, (name, kind) in enumerate((("F16", F16), ("Q8_0", Q8_0), ("Q4_0", Q4_0))):
        language_model(kind, fill=fill + 1, rows=4096).write(
            folder / f"tiny-{name}" / f"tiny-{name}.gguf"
        )
    return folder
