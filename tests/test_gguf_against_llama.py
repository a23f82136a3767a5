"""The bounded reader beside llama.cpp's own, on thousands of damaged headers.

Ours may refuse what llama.cpp takes, never the other way round: what passes our structure gate is
given to a sandboxed llama.cpp next. Both run in forked children, ours under limits of memory and
processor time that end it where it breaks them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import resource
import struct
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import llama_cpp
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emojudge.candidates.gguf import read_header
from emojudge.errors import ModelFileError
from tests.depth import sampled_or_all
from tests.generated_gguf import headers
from tests.gguf_files import language_model, text
from tests.llama_kinds import KINDS, handcrafted
from tests.malformed import MALFORMED, content_of

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
_MEMORY = 256 << 20
_CPU_SECONDS = 1.0
_FIELD_VALUES = (0, 1 << 31, (1 << 63) - 1, (1 << 64) - 1)
_SEEDS = 10
_GENERATED, _EACH = sampled_or_all(10, 100), 20
_MUTATED = sampled_or_all(400, 2000)
_FIELD_STEP = sampled_or_all(4, 1)
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
    """Ours under RLIMIT_AS and RLIMIT_CPU; the kernel counts whole seconds, so it is timed too."""
    taken = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (taken + _MEMORY, taken + _MEMORY))
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)

    def read(file: Path) -> bytes:
        began = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (int(began) + 2, hard))
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
            # llama_cpp writes llama.cpp's log there.
            sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - until the child ends
            try:
                read = make()
                for content in cases[len(said) :]:
                    file.write_bytes(content)
                    os.write(end, read(file))
            finally:
                # Whatever it was, this is not the process that runs the tests.
                os._exit(0)
        os.close(end)
        with os.fdopen(pipe, "rb") as stream:
            said += [bytes([one]) for one in stream.read()]
        os.waitpid(child, 0)
        if len(said) < len(cases):
            said.append(_DIED)
    return said


def compare(name: str, cases: Sequence[bytes], folder: Path) -> int:
    """Hold both readers to each case; how many cases ours takes."""
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
    return ours.count(_TAKEN)


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
    cases = [
        content[:place] + value.to_bytes(8, "little") + content[place + 8 :]
        for place in range(4, size - 8, _FIELD_STEP)
        for value in _FIELD_VALUES
    ]
    compare("64-bit fields", cases, tmp_path)


def test_every_kind_that_llama_cpp_names(tmp_path: Path) -> None:
    assert len(KINDS) == 33
    cases = [handcrafted(kind, seed) for kind in KINDS for seed in range(_SEEDS)]
    compare(f"{len(KINDS)} kinds x {_SEEDS} seeds", cases, tmp_path)
    # What is right in them is read, so that each is refused for what is wrong in it.
    sound = ["HEADER_EMPTY", "KV_SUCCESS", "DATA_SUCCESS"]
    taken = {
        kind
        for kind in KINDS
        if _TAKEN in verdicts(our_reader, [handcrafted(kind, seed) for seed in range(3)], tmp_path)
    }
    assert taken == set(sound)


def strings(name: str, count: int) -> bytes:
    return text(name) + struct.pack("<IIQ", 9, 8, count) + bytes(8 * count)


def long_text(name: str, length: int) -> bytes:
    return text(name) + struct.pack("<IQ", 8, length) + b"a" * length


def test_what_asks_for_the_most_work_and_memory(tmp_path: Path) -> None:
    """Each is sound by its counts; no limit of time or memory may be what ends it."""
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 15)
    short = b"".join(
        text(f"k{number}") + struct.pack("<IIQ", 9, 8, 64) + bytes(8 * 64)
        for number in range(10_000)
    )
    entries = b"".join(
        text(f"{number:060d}") + struct.pack("<IQQQQIQ", 4, 1, 1, 1, 1, 0, 32 * number)
        for number in range(50_000)
    )
    cases = [
        head + b"".join(strings(f"k{number}", 2_000_000) for number in range(15)),
        head + b"".join(long_text(f"k{number}", 16 << 20) for number in range(15)),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 10_000) + short,
        b"GGUF" + struct.pack("<IQQ", 3, 50_000, 0) + entries + bytes(1_700_000),
    ]
    said = verdicts(our_reader, cases, tmp_path)
    print(f"the most work and memory: {len(cases)} cases, within 1 s and 256 MiB")
    assert said == [_REFUSED, _REFUSED, _TAKEN, _TAKEN]


def test_generated_headers(tmp_path: Path) -> None:
    seen = taken = 0

    @settings(
        max_examples=_GENERATED,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(headers(), min_size=_EACH, max_size=_EACH))
    def each(cases: list[bytes]) -> None:
        nonlocal seen, taken
        with contextlib.redirect_stdout(None):
            taken += compare("generated", cases, tmp_path)
        seen += len(cases)

    each()
    assert taken > 0
    print(f"generated: {seen} cases, ours takes {taken}, ours laxer in 0")


def test_mutated_bytes(tmp_path: Path) -> None:
    content, size = header()
    draw = random.Random(12)
    cases = []
    for _ in range(_MUTATED):
        changed = bytearray(content)
        for _ in range(draw.randint(1, 6)):
            value = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
            changed[draw.randrange(4, size)] = value
        cases.append(bytes(changed))
    compare("mutated", cases, tmp_path)
