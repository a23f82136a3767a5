"""A bounded reader of GGUF headers.

The file is hostile until shown otherwise: every count and size is checked against a limit and
against the file's length before anything is allocated, and every error carries the byte offset.
The reader holds at most one window of the file and the values it keeps; strings of long arrays
(vocabularies) are skipped over, not kept. Format: GGUF versions 2 and 3, little-endian.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from emojudge.candidates.bounded_reader import U64, WINDOW, BoundedReader
from emojudge.candidates.ggml_types import TENSOR_TYPES, TensorType
from emojudge.errors import ModelFileError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
# llama.cpp's own models stay far below these; they bound the work a hostile header can ask for.
_MAX_KEYS = 10_000
_MAX_TENSORS = 50_000
_MAX_KEY_LENGTH = 65_535
_MAX_ARRAY = 2_000_000
_MAX_NAME = 63
_MAX_DIMENSIONS = 4
_MAX_ELEMENTS = 1 << 50
_KEPT_ARRAY = 64
_STRING_TYPE = 8
_ARRAY_TYPE = 9
_BOOL_TYPE = 7

_SCALARS: dict[int, struct.Struct] = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: U64,
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_U32 = _SCALARS[4]

Scalar = int | float | bool | str


@dataclass(frozen=True)
class ArraySummary:
    """An array of the metadata: its length, and its values if they are few."""

    length: int
    values: tuple[Scalar, ...] | None


Value = Scalar | ArraySummary


@dataclass(frozen=True)
class Tensor:
    """One tensor's place: ``offset`` counts bytes from the start of the file."""

    name: str
    shape: tuple[int, ...]
    type: TensorType
    offset: int

    @property
    def elements(self) -> int:
        """Number of weights."""
        count = 1
        for width in self.shape:
            count *= width
        return count

    @property
    def size(self) -> int:
        """Bytes of data."""
        return self.elements // self.type.block * self.type.size


@dataclass(frozen=True)
class GgufHeader:
    """A checked header: its metadata, and tensors that lie whole and apart inside the file.

    ``metadata_end`` is the byte at which the list of tensors begins, ``data_offset`` where their
    data does.
    """

    version: int
    metadata: dict[str, Value]
    tensors: tuple[Tensor, ...]
    data_offset: int
    file_size: int
    metadata_end: int = 0

    def text(self, key: str) -> str | None:
        """A string value, or None."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def integer(self, key: str) -> int | None:
        """An integer value, or None."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def architecture(self) -> str | None:
        """``general.architecture``."""
        return self.text("general.architecture")

    @property
    def vocabulary_size(self) -> int | None:
        """Length of the token list."""
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        return tokens.length if isinstance(tokens, ArraySummary) else None

    @property
    def split(self) -> tuple[int, int] | None:
        """(number of this shard from 0, number of shards) of a split set."""
        number, count = self.integer("split.no"), self.integer("split.count")
        return (number, count) if number is not None and count is not None and count > 1 else None


def _read_array(cursor: BoundedReader, key: str) -> ArraySummary:
    at = cursor.position
    kind = int(cursor.scalar(_U32))
    length = cursor.count(f"the length of the array {key!r}", _MAX_ARRAY)
    if kind == _STRING_TYPE:
        if length > _KEPT_ARRAY:
            cursor.skip_strings(length)
            return ArraySummary(length, None)
        return ArraySummary(length, tuple(cursor.string(key) for _ in range(length)))
    layout = _SCALARS.get(kind)
    if layout is None:
        raise cursor.fail(f"the array {key!r} has the element type {kind}, which is not one", at)
    if length > _KEPT_ARRAY:
        remaining = length * layout.size
        while remaining:
            remaining -= len(cursor.take(min(remaining, WINDOW)))
        return ArraySummary(length, None)
    return ArraySummary(length, tuple(cursor.scalar(layout) for _ in range(length)))


def _read_value(cursor: BoundedReader, key: str) -> Value:
    at = cursor.position
    kind = int(cursor.scalar(_U32))
    if kind == _ARRAY_TYPE:
        return _read_array(cursor, key)
    if kind == _STRING_TYPE:
        return cursor.string(f"the value of {key!r}")
    layout = _SCALARS.get(kind)
    if layout is None:
        raise cursor.fail(f"the value of {key!r} has the type {kind}, which does not exist", at)
    if kind == _BOOL_TYPE and cursor.take(1) not in (b"\0", b"\1"):
        raise cursor.fail(f"the truth value of {key!r} is neither 0 nor 1", at)
    if kind == _BOOL_TYPE:
        cursor.position -= 1
    return cursor.scalar(layout)


def _read_metadata(cursor: BoundedReader, count: int) -> dict[str, Value]:
    metadata: dict[str, Value] = {}
    for _ in range(count):
        at = cursor.position
        key = cursor.string("a metadata key", _MAX_KEY_LENGTH)
        if not key:
            raise cursor.fail("a metadata key is empty", at)
        if key in metadata:
            raise cursor.fail(f"the metadata key {key!r} stands twice", at)
        metadata[key] = _read_value(cursor, key)
    return metadata


def _read_tensor(cursor: BoundedReader, alignment: int) -> Tensor:
    """Read one tensor's entry; its offset is still relative to the data section."""
    at = cursor.position
    name = cursor.string("a tensor's name", _MAX_NAME)
    dimensions = int(cursor.scalar(_U32))
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise cursor.fail(f"the tensor {name!r} has {dimensions} dimensions", at)
    shape = tuple(int(cursor.scalar(U64)) for _ in range(dimensions))
    elements = 1
    for width in shape:
        elements *= width
        if not 0 < width <= _MAX_ELEMENTS or elements > _MAX_ELEMENTS:
            raise cursor.fail(f"the tensor {name!r} has the impossible shape {shape}", at)
    kind = int(cursor.scalar(_U32))
    tensor_type = TENSOR_TYPES.get(kind)
    if tensor_type is None:
        raise cursor.fail(f"the tensor {name!r} has the type {kind}, which is not known", at)
    if shape[0] % tensor_type.block:
        raise cursor.fail(
            f"rows of {shape[0]} in the tensor {name!r} are not whole {tensor_type.name} blocks "
            f"of {tensor_type.block}",
            at,
        )
    offset = int(cursor.scalar(U64))
    if offset % alignment:
        raise cursor.fail(f"the data of {name!r} is not aligned to {alignment} bytes", at)
    return Tensor(name, shape, tensor_type, offset)


def _place_tensors(
    cursor: BoundedReader, relative: list[Tensor], data_offset: int, alignment: int
) -> tuple[Tensor, ...]:
    """Check that data lies inside the file, one tensor's after the other's as llama.cpp asks."""
    expected = data_offset
    for tensor in relative:
        start = data_offset + tensor.offset
        if start != expected:
            wrong = "overlaps another tensor's" if start < expected else "lies behind a gap"
            raise cursor.fail(
                f"the data of {tensor.name!r} {wrong}: byte {expected} was expected", start
            )
        end = start + tensor.size
        expected = -(-end // alignment) * alignment
        if end > cursor.size:
            raise cursor.fail(
                f"the data of {tensor.name!r} would end at byte {end}, but the file ends at "
                f"{cursor.size}: it is truncated",
                start,
            )
    return tuple(
        Tensor(one.name, one.shape, one.type, data_offset + one.offset) for one in relative
    )


def read_header_fd(fd: int) -> GgufHeader:
    """Read and check the header of an open regular file. Raises ModelFileError."""
    cursor = BoundedReader(fd, os.fstat(fd).st_size)
    if cursor.size == 0:
        raise cursor.fail("the file is empty")
    if cursor.size < 24 or cursor.take(4) != _MAGIC:
        raise cursor.fail("this is not a GGUF file: it does not begin with 'GGUF'", 0)
    version = int(cursor.scalar(_U32))
    if version not in _VERSIONS:
        raise cursor.fail(f"GGUF version {version} is not supported, only 2 and 3 are", 4)
    tensor_count = cursor.count("the number of tensors", _MAX_TENSORS)
    metadata = _read_metadata(cursor, cursor.count("the number of metadata keys", _MAX_KEYS))
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if (
        not isinstance(alignment, int)
        or not 8 <= alignment <= 1 << 20
        or alignment & (alignment - 1)
    ):
        raise cursor.fail(f"general.alignment is {alignment!r}, not a power of two from 8 up")
    metadata_end = cursor.position
    relative: list[Tensor] = []
    names: set[str] = set()
    for _ in range(tensor_count):
        at = cursor.position
        tensor = _read_tensor(cursor, alignment)
        if tensor.name in names:
            raise cursor.fail(f"the tensor {tensor.name!r} stands twice", at)
        names.add(tensor.name)
        relative.append(tensor)
    data_offset = -(-cursor.position // alignment) * alignment
    tensors = _place_tensors(cursor, relative, data_offset, alignment)
    return GgufHeader(version, metadata, tensors, data_offset, cursor.size, metadata_end)


def open_model_file(path: Path) -> int:
    """Open a regular file for reading, never through a final symlink, never a FIFO or device.

    Returns a file descriptor that the caller closes. Raises ModelFileError.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        if path.is_symlink():
            raise ModelFileError(
                f"{path} is a symbolic link; name the file itself: {path.resolve()}"
            ) from problem
        raise ModelFileError(f"cannot open {path}: {problem.strerror}") from problem
    if not os.path.isfile(f"/dev/fd/{fd}"):  # noqa: PTH113 - a descriptor, not a path
        os.close(fd)
        raise ModelFileError(f"{path} is not a regular file")
    return fd


def read_header(path: Path) -> GgufHeader:
    """Read and check the header of the file at ``path``. Raises ModelFileError."""
    fd = open_model_file(path)
    try:
        return read_header_fd(fd)
    finally:
        os.close(fd)
