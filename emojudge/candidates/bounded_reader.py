"""Sequential reads of a hostile file, each bounded by the file's end and by limits."""

from __future__ import annotations

import os
import struct

from emojudge.errors import ModelFileError

WINDOW = 1 << 20
U64 = struct.Struct("<Q")
_MAX_STRING = 16 << 20
_MAX_HEADER = 256 << 20
# Of the whole header: the largest vocabularies stay below a million strings with their merges,
# and the largest templates below a megabyte.
_MAX_STRINGS = 2_000_000
_MAX_KEPT = 32 << 20


class BoundedReader:
    """Sequential reads through one window; every read is bounded by the file's end."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self.size = size
        self.position = 0
        self._window = b""
        self._start = 0
        self._strings = 0
        self._kept = 0

    def fail(self, message: str, offset: int | None = None) -> ModelFileError:
        return ModelFileError(message, self.position if offset is None else offset)

    def _need(self, count: int) -> int:
        """Make ``count`` bytes at the position available; returns their place in the window."""
        if self.position + count > self.size:
            raise self.fail(
                f"the file ends at byte {self.size}, {count} more bytes were announced: it is "
                "truncated or not a GGUF"
            )
        if self.position + count > _MAX_HEADER:
            raise self.fail("the header is longer than 256 MiB")
        place = self.position - self._start
        if place < 0 or place + count > len(self._window):
            self._window = os.pread(self._fd, max(WINDOW, count), self.position)
            self._start, place = self.position, 0
            if len(self._window) < count:
                raise self.fail("the file became shorter while it was read")
        return place

    def take(self, count: int) -> bytes:
        place = self._need(count)
        self.position += count
        return self._window[place : place + count]

    def scalar(self, layout: struct.Struct) -> int | float | bool:
        place = self._need(layout.size)
        self.position += layout.size
        value: int | float | bool = layout.unpack_from(self._window, place)[0]
        return value

    def count(self, what: str, limit: int) -> int:
        at = self.position
        value = int(self.scalar(U64))
        if value > limit:
            raise self.fail(f"{what} is {value}, the limit is {limit}", at)
        return value

    def string(self, what: str, limit: int = _MAX_STRING) -> str:
        length = self.count(f"the length of {what}", limit)
        at = self.position
        self._kept += length
        if self._kept > _MAX_KEPT:
            raise self.fail(f"the header's texts are longer than {_MAX_KEPT >> 20} MiB", at)
        try:
            return self.take(length).decode()
        except UnicodeDecodeError as problem:
            raise self.fail(f"{what} is not UTF-8", at) from problem

    def skip_strings(self, count: int) -> None:
        """Step over ``count`` strings without keeping or decoding them."""
        self._strings += count
        if self._strings > _MAX_STRINGS:
            raise self.fail(f"the header's arrays hold more than {_MAX_STRINGS:,} strings")
        unpack = U64.unpack_from
        while count:
            place = self._need(U64.size)
            window, last = self._window, len(self._window) - U64.size
            while count and place <= last:
                (length,) = unpack(window, place)
                if length > _MAX_STRING:
                    at = self._start + place
                    raise self.fail(f"an array's string has the length {length}", at)
                place += U64.size + length
                count -= 1
            self.position = self._start + place
            if self.position > self.size:
                raise self.fail(f"the file ends at byte {self.size}: it is truncated", self.size)
