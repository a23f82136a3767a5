"""The bounded reader beside llama.cpp's own, on thousands of damaged headers.

Ours may refuse what llama.cpp takes, never the other way round: what passes our structure gate is
given to a sandboxed llama.cpp next. Both run in forked children, ours with a limit on memory.
"""

from __future__ import annotations

import ctypes
import os
import random
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import llama_cpp
import psutil
import pytest

from emojudge.candidates.gguf import read_header
from emojudge.errors import ModelFileError
from tests.gguf_files import language_model
from tests.malformed import MALFORMED, content_of

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
_MEMORY = 256 << 20
_CPU_SECONDS = 1.0
_FIELD_VALUES = (0, 1 << 31, (1 << 63) - 1, (1 << 64) - 1)
_MUTATED, _MUTATED_DEEP = 400, 2000
_TAKEN, _REFUSED, _SLOW, _DIED = b"+", b"-", b"s", b"x"
Reader = Callable[[Path], bytes]


class _Parameters(ctypes.Structure):
    _fields_ = (("no_alloc", ctypes.c_bool), ("context", ctypes.c_void_p))


def _native() -> ctypes.CDLL:
    folder = Path(llama_cpp.__file__).parent / "lib"
    library = ctypes.CDLL(str(next(folder.glob("libggml-base.*"))))
    library.gguf_init_from_file.restype = ctypes.c_void_p
    library.gguf_init_from_file.argtypes = [ctypes.c_char_p, _Parameters]
    return library


def llama_reader() -> Reader:
    """llama.cpp's reader of GGUF headers."""
    library = _native()

    def read(file: Path) -> bytes:
        found = library.gguf_init_from_file(str(file).encode(), _Parameters(True, None))
        return _TAKEN if found else _REFUSED

    return read


def our_reader() -> Reader:
    """Ours, with a limit on what memory it may take, and an eye on its processor time."""
    taken = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (taken + _MEMORY, taken + _MEMORY))

    def read(file: Path) -> bytes:
        began = time.process_time()
        try:
            read_header(file)
            said = _TAKEN
        except ModelFileError:
            said = _REFUSED
        return said if time.process_time() - began < _CPU_SECONDS else _SLOW

    return read


def verdicts(make: Callable[[], Reader], cases: Sequence[bytes], folder: Path) -> list[bytes]:
    """What a reader says of each case; a child that dies of one says so, and the next goes on."""
    said: list[bytes] = []
    file = folder / f"case-{make.__name__}.gguf"
    while len(said) < len(cases):
        pipe, end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(2)
            read = make()
            for content in cases[len(said) :]:
                file.write_bytes(content)
                os.write(end, read(file))
            os._exit(0)
        os.close(end)
        with os.fdopen(pipe, "rb") as stream:
            said += [bytes([one]) for one in stream.read()]
        os.waitpid(child, 0)
        if len(said) < len(cases):
            said.append(_DIED)
    return said


def compare(name: str, cases: Sequence[bytes], folder: Path) -> None:
    ours = verdicts(our_reader, cases, folder)
    theirs = verdicts(llama_reader, cases, folder)
    assert set(ours) <= {_TAKEN, _REFUSED}, [
        place for place, one in enumerate(ours) if one not in (_TAKEN, _REFUSED)
    ][:5]
    laxer = [
        place
        for place, (own, other) in enumerate(zip(ours, theirs, strict=True))
        if own == _TAKEN and other != _TAKEN
    ]
    print(
        f"{name}: {len(cases)} cases, ours takes {ours.count(_TAKEN)}, llama.cpp "
        f"{theirs.count(_TAKEN)} and dies of {theirs.count(_DIED)}, ours laxer in {len(laxer)}"
    )
    assert laxer == [], [cases[place][:64] for place in laxer[:3]]


def header() -> tuple[bytes, int]:
    """A small sound model, and where its data begins."""
    content = language_model().build()
    return content, min(len(content), 2048)


def test_what_is_wrong_on_purpose(tmp_path: Path) -> None:
    compare("wrong on purpose", [content_of(gguf) for gguf, _ in MALFORMED], tmp_path)


def test_truncation_at_every_byte(tmp_path: Path) -> None:
    content, size = header()
    compare("truncated", [content[:length] for length in range(size)], tmp_path)


def test_every_place_as_a_64_bit_field(tmp_path: Path) -> None:
    """Wherever a count, a length, a width or an offset may stand."""
    content, size = header()
    step = 1 if os.environ.get("EMOJUDGE_DEEP") else 4
    cases = [
        content[:place] + value.to_bytes(8, "little") + content[place + 8 :]
        for place in range(4, size - 8, step)
        for value in _FIELD_VALUES
    ]
    compare("64-bit fields", cases, tmp_path)


def test_mutated_bytes(tmp_path: Path) -> None:
    content, size = header()
    draw = random.Random(12)
    cases = []
    for _ in range(_MUTATED_DEEP if os.environ.get("EMOJUDGE_DEEP") else _MUTATED):
        changed = bytearray(content)
        for _ in range(draw.randint(1, 6)):
            value = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
            changed[draw.randrange(4, size)] = value
        cases.append(bytes(changed))
    compare("mutated", cases, tmp_path)
