"""The 33 kinds of hand-made headers that llama.cpp's own test of its reader names.

Names and what makes each kind wrong: ``tests/test-gguf.cpp`` of llama.cpp, 2026. The kinds are
written here anew, each from a seed: random metadata, random tensors, and one thing wrong.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

from emojudge.candidates.ggml_types import TENSOR_TYPES, TensorType
from tests.gguf_files import text

_STRING, _ARRAY, _VALUE_TYPES = 8, 9, 13
_I8, _I64, _TENSOR_TYPE_COUNT = 24, 27, 43
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_ALL_ONES = (1 << 64) - 1
_DEFAULT_ALIGNMENT = 32

HEADERS = (
    "HEADER_BAD_MAGIC", "HEADER_BAD_VERSION_0", "HEADER_BAD_VERSION_1",
    "HEADER_BAD_VERSION_FUTURE", "HEADER_BAD_N_KV", "HEADER_BAD_N_TENSORS", "HEADER_EMPTY",
)  # fmt: skip
METADATA = (
    "KV_BAD_KEY_SIZE", "KV_EMPTY_KEY", "KV_BAD_TYPE", "KV_DUPLICATE_KEY", "KV_BAD_ALIGN",
    "KV_WRONG_TYPE_ALIGN", "KV_SUCCESS",
)  # fmt: skip
TENSORS = (
    "TENSORS_BAD_NAME_SIZE", "TENSORS_BAD_N_DIMS", "TENSORS_BAD_SHAPE", "TENSORS_ZERO_DIM",
    "TENSORS_NE_TOO_BIG", "TENSORS_NBYTES_TOO_BIG", "TENSORS_BAD_TYPE", "TENSORS_BAD_OFFSET",
    "TENSORS_DUPLICATE_NAME", "TENSORS_BAD_ALIGN", "TENSORS_INCONSISTENT_ALIGN",
    "TENSORS_SUCCESS", "TENSORS_CUSTOM_ALIGN",
)  # fmt: skip
DATA = (
    "DATA_NOT_ENOUGH_DATA", "DATA_BAD_ALIGN", "DATA_INCONSISTENT_ALIGN",
    "DATA_MEM_SIZE_OVERFLOW", "DATA_SUCCESS", "DATA_CUSTOM_ALIGN",
)  # fmt: skip
KINDS = (*HEADERS, *METADATA, *TENSORS, *DATA)

_VERSIONS = {"HEADER_BAD_VERSION_0": 0, "HEADER_BAD_VERSION_1": 1, "HEADER_BAD_VERSION_FUTURE": 4}
_ALIGNED = {
    "KV_BAD_ALIGN", "KV_WRONG_TYPE_ALIGN", "TENSORS_BAD_ALIGN", "TENSORS_CUSTOM_ALIGN",
    "DATA_BAD_ALIGN", "DATA_CUSTOM_ALIGN",
}  # fmt: skip
_TWO_WIDE = {"TENSORS_ZERO_DIM", "TENSORS_NE_TOO_BIG", "TENSORS_NBYTES_TOO_BIG"}


@dataclass(frozen=True)
class _Shaped:
    number: int
    shape: tuple[int, ...]

    @property
    def type(self) -> TensorType:
        return TENSOR_TYPES[self.number]

    @property
    def size(self) -> int:
        elements = 1
        for width in self.shape:
            elements *= width
        return elements // self.type.block * self.type.size


def _value(draw: random.Random, kind: int) -> bytes:
    """A value of a metadata type; of letters where it is text, so that only its kind is wrong."""
    if kind == _STRING:
        return text("".join(draw.choices("abcdefgh", k=draw.randrange(64))))
    if kind != _ARRAY:
        return b"\1" if kind == 7 else draw.randbytes(_SIZES[kind])
    inner = draw.choice([one for one in range(_VALUE_TYPES) if one != _ARRAY])
    count = draw.randrange(17)
    return struct.pack("<IQ", inner, count) + b"".join(_value(draw, inner) for _ in range(count))


def _metadata(draw: random.Random, kind: str) -> list[bytes]:
    pairs = []
    for number in range(draw.randint(20, 90)):
        name = text(f"my_key_{number // 2 if kind == 'KV_DUPLICATE_KEY' else number}")
        if kind == "KV_EMPTY_KEY":
            name = text("")
        if kind == "KV_BAD_KEY_SIZE":
            name = struct.pack("<Q", _ALL_ONES) + name[8:]
        value_type = draw.randrange(_VALUE_TYPES)
        if kind == "KV_BAD_TYPE":
            pairs.append(name + struct.pack("<IB", _VALUE_TYPES, 1))
        else:
            pairs.append(name + struct.pack("<I", value_type) + _value(draw, value_type))
    return pairs


def _tensors(draw: random.Random, kind: str) -> list[_Shaped]:
    if kind == "DATA_MEM_SIZE_OVERFLOW":
        return [_Shaped(_I8, (0x7FFFFFFFFFFFFFC0, 1))] * 2
    drawn = []
    for _ in range(draw.randint(20, 90)):
        number = draw.choice(list(TENSOR_TYPES))
        wide = draw.randint(1, 10) * TENSOR_TYPES[number].block
        others = (draw.randint(1, 10) for _ in range(draw.randrange(4)))
        drawn.append(_Shaped(number, (wide, *others)))
    return drawn


def _width(kind: str, one: _Shaped) -> tuple[int, ...]:
    """The shape that is written for a tensor."""
    shape = (one.shape * 2)[:2] if kind in _TWO_WIDE and len(one.shape) < 2 else one.shape
    if kind == "TENSORS_BAD_SHAPE":
        return (_ALL_ONES,) * len(shape)
    if kind == "TENSORS_ZERO_DIM":
        return (one.shape[0], 0)
    if kind == "TENSORS_NE_TOO_BIG":
        return (4 * (2**31 - 1),) * len(shape)
    if kind == "TENSORS_NBYTES_TOO_BIG":
        return (round(1.01 * (_ALL_ONES // 8) ** (1 / len(shape))) + 1,) * len(shape)
    return shape


def _entry(kind: str, number: int, one: _Shaped, offset: int) -> bytes:
    name = "my_tensor" + ("" if kind == "TENSORS_DUPLICATE_NAME" else f"_{number}")
    if kind == "TENSORS_BAD_NAME_SIZE":
        name += "_" * 64
    shape = _width(kind, one)
    stored = {"TENSORS_NBYTES_TOO_BIG": _I64, "TENSORS_BAD_TYPE": _TENSOR_TYPE_COUNT}
    return (
        text(name)
        + struct.pack("<I", 5 if kind == "TENSORS_BAD_N_DIMS" else len(shape))
        + b"".join(struct.pack("<Q", width) for width in shape)
        + struct.pack("<I", stored.get(kind, one.number))
        + struct.pack("<Q", _ALL_ONES if kind == "TENSORS_BAD_OFFSET" else offset)
    )


def handcrafted(kind: str, seed: int) -> bytes:
    """The bytes of a file of this kind."""
    draw = random.Random(f"{kind} {seed}")
    tensors = _tensors(draw, kind) if kind in (*TENSORS, *DATA) else []
    pairs = [] if kind in HEADERS else _metadata(draw, kind)
    alignment = _DEFAULT_ALIGNMENT
    if kind in _ALIGNED:
        # llama.cpp takes an alignment of 1, and refuses 13.
        alignment = 1 if kind.endswith("CUSTOM_ALIGN") else 13
        stored = 5 if kind == "KV_WRONG_TYPE_ALIGN" else 4
        pairs.append(text("general.alignment") + struct.pack("<II", stored, alignment))
    content = b"FUGG" if kind == "HEADER_BAD_MAGIC" else b"GGUF"
    content += struct.pack(
        "<IQQ",
        _VERSIONS.get(kind, 3),
        _ALL_ONES if kind == "HEADER_BAD_N_TENSORS" else len(tensors),
        _ALL_ONES if kind == "HEADER_BAD_N_KV" else len(pairs),
    )
    content += b"".join(pairs)
    if kind.endswith("INCONSISTENT_ALIGN"):
        alignment = 1
    offset = end = 0
    for number, one in enumerate(tensors):
        content += _entry(kind, number, one, offset)
        end = offset + one.size
        offset += -(-(0 if kind == "TENSORS_ZERO_DIM" else one.size) // alignment) * alignment
    content += bytes(-len(content) % alignment)
    # Of the data, not of the padding behind it, without which llama.cpp's loader does.
    sizes = {"DATA_NOT_ENOUGH_DATA": end - 1, "DATA_MEM_SIZE_OVERFLOW": 32}
    return content + bytes(sizes.get(kind, offset) if kind in DATA else 0)
