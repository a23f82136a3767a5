"""Headers that are wrong in one way each, with a part of what a reader says of them."""

from __future__ import annotations

import struct

from tests.gguf_files import F32, Gguf, string_pair, text, u32_pair

_HUGE = 2**64 - 1

MALFORMED: list[tuple[Gguf, str]] = [
    (Gguf(magic=b"GGML"), "does not begin with 'GGUF'"),
    (Gguf(version=1), "version 1 is not supported"),
    (Gguf(version=0x03000000), "version 50331648 is not supported"),
    (Gguf(tensor_count=_HUGE), "number of tensors is 18446744073709551615"),
    (Gguf(pair_count=_HUGE), "number of metadata keys is 18446744073709551615"),
    (Gguf(pairs=[string_pair("a", "x")] * 2), "'a' stands twice"),
    (Gguf(pairs=[text("") + struct.pack("<II", 4, 1)]), "key is empty"),
    (Gguf(pairs=[text("k") + struct.pack("<I", 99)]), "type 99"),
    (Gguf(pairs=[text("k") + struct.pack("<IIQ", 9, 9, 1)]), "element type 9"),
    (Gguf(pairs=[text("k") + struct.pack("<IIQ", 9, 4, _HUGE)]), "length of the array 'k'"),
    (Gguf(pairs=[struct.pack("<Q", _HUGE)]), "length of a metadata key"),
    (Gguf(pairs=[struct.pack("<Q", 2) + b"\xff\xfe"]), "not UTF-8"),
    (Gguf(pairs=[text("k") + struct.pack("<IB", 7, 2)]), "neither 0 nor 1"),
    (Gguf(pairs=[u32_pair("general.alignment", 33)]), "general.alignment is 33"),
    (Gguf(tensors=[("a", (32,), F32), ("a", (32,), F32)]), "'a' stands twice"),
    (Gguf(tensors=[("a", (2**40, 2**40), F32)]), "impossible shape"),
    (Gguf(tensors=[("a", (0,), F32)]), "impossible shape"),
    (Gguf(tensors=[("a", (), F32)]), "0 dimensions"),
    (Gguf(tensors=[("a", (1, 1, 1, 1, 1), F32)]), "5 dimensions"),
    (Gguf(tensors=[("a", (32,), 4)]), "type 4"),
    (Gguf(tensors=[("a", (33,), 8)]), "not whole Q8_0 blocks"),
    (Gguf(tensors=[("a" * 64, (32,), F32)]), "tensor's name"),
    (Gguf(tensors=[("a", (32,), F32)], offset_shift=4), "not aligned"),
    (Gguf(tensors=[("a", (32,), F32)], offset_shift=2**40), "behind a gap"),
]


def content_of(gguf: Gguf) -> bytes:
    """The file's bytes; of shapes that no file could hold, only the entries are written."""
    if all(kind != F32 or not shape or shape[0] <= 2**30 for _, shape, kind in gguf.tensors):
        return gguf.build()
    info = b"".join(
        text(name) + struct.pack("<I2QIQ", 2, *shape, kind, 0) for name, shape, kind in gguf.tensors
    )
    return b"GGUF" + struct.pack("<IQQ", 3, len(gguf.tensors), 0) + info
