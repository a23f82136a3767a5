"""A valid large model from a small one, for timing: its blocks repeated, and its count raised.

The format of the header is GGUF version 3: strings are a 64-bit length and bytes, a tensor's
entry is its name, the number of its dimensions, those, its type, and its offset in the data.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from emojudge.candidates.ggml_types import TENSOR_TYPES
from emojudge.candidates.gguf import GgufHeader, Tensor, read_header
from emojudge.errors import CandidateError

_ALIGNMENT = 32
_FIXED = 24
_UINT32 = 4
_CHUNK = 8 << 20
_TYPE_NUMBERS = {kind: number for number, kind in TENSOR_TYPES.items()}
_BLOCK_NAME = re.compile(r"blk\.(?P<number>\d+)\.(?P<rest>.+)")


@dataclass(frozen=True)
class _Copy:
    """A tensor of the new file, and the one whose data it has."""

    name: str
    source: Tensor


def _copies(header: GgufHeader, blocks: int) -> list[_Copy]:
    """All tensors of the new model: block n is the old one's block n modulo its count."""
    once, by_block = [], dict[int, list[tuple[str, Tensor]]]()
    for tensor in header.tensors:
        match = _BLOCK_NAME.fullmatch(tensor.name)
        if match is None:
            once.append(_Copy(tensor.name, tensor))
        else:
            by_block.setdefault(int(match["number"]), []).append((match["rest"], tensor))
    repeated = [
        _Copy(f"blk.{number}.{rest}", tensor)
        for number in range(blocks)
        for rest, tensor in by_block[number % len(by_block)]
    ]
    return once + repeated


def _with_block_count(metadata: bytes, architecture: str, blocks: int) -> bytes:
    key = f"{architecture}.block_count".encode()
    at = metadata.find(struct.pack("<Q", len(key)) + key)
    value = at + 8 + len(key)
    if at < 0 or metadata[value : value + 4] != struct.pack("<I", _UINT32):
        raise CandidateError(f"the model has no {key.decode()} as a 32-bit number to raise")
    return metadata[: value + 4] + struct.pack("<I", blocks) + metadata[value + 8 :]


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def grow_model(source: Path, target: Path, blocks: int) -> int:
    """Write a model of ``blocks`` blocks to ``target``, durably; returns its size in bytes.

    Raises CandidateError for a source that is no sound GGUF with blocks, and OSError.
    """
    header = read_header(source)
    copies = _copies(header, blocks)
    entries, offset = b"", 0
    for copy in copies:
        tensor, name = copy.source, copy.name.encode()
        entries += struct.pack("<Q", len(name)) + name + struct.pack("<I", len(tensor.shape))
        entries += struct.pack(f"<{len(tensor.shape)}Q", *tensor.shape)
        entries += struct.pack("<IQ", _TYPE_NUMBERS[tensor.type], offset)
        offset += _aligned(tensor.size)
    with source.open("rb") as old, target.open("wb") as new:
        head = old.read(header.metadata_end)
        metadata = _with_block_count(head[_FIXED:], header.architecture or "", blocks)
        new.write(head[:8] + struct.pack("<Q", len(copies)) + head[16:_FIXED] + metadata + entries)
        new.write(bytes(_aligned(new.tell()) - new.tell()))
        for copy in copies:
            old.seek(copy.source.offset)
            left = copy.source.size
            while left:
                left -= new.write(old.read(min(left, _CHUNK)))
            new.write(bytes(_aligned(copy.source.size) - copy.source.size))
        new.flush()
        os.fsync(new.fileno())
        return new.tell()
