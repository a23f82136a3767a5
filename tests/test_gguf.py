from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from emojudge.candidates.ggml_types import FILE_TYPES, TENSOR_TYPES, honest_quantization
from emojudge.candidates.gguf import read_header
from emojudge.candidates.specs import specs_of
from emojudge.errors import ModelFileError
from tests.gguf_files import F16, F32, Gguf, language_model, text
from tests.malformed import MALFORMED, content_of

_HUGE = 2**64 - 1


def refused(path: Path, content: bytes) -> ModelFileError:
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        read_header(path)
    return caught.value


def test_a_sound_header_gives_its_specs(tmp_path: Path) -> None:
    header = read_header(language_model(F16, rows=4096).write(tmp_path / "a.gguf"))
    specs = specs_of([header])
    assert specs.architecture == "llama"
    assert specs.quantization == "F16"
    assert specs.parameters == 64 * 100 + 64 * 4096 + 64
    assert 16 < specs.bits_per_weight < 16.1
    assert specs.context_length == 2048
    assert specs.vocabulary_size == 100
    assert specs.chat_template == "{{ messages }}"


@pytest.mark.parametrize(("gguf", "message"), MALFORMED)
def test_what_is_wrong_is_refused_with_its_offset(tmp_path: Path, gguf: Gguf, message: str) -> None:
    problem = refused(tmp_path / "bad.gguf", content_of(gguf))
    assert message in str(problem)
    assert f"(at byte {problem.offset})" in str(problem)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = language_model().build()
    path = tmp_path / "cut.gguf"
    for length in range(0, len(whole), 97):
        refused(path, whole[:length])


def test_overlapping_tensors_are_refused(tmp_path: Path) -> None:
    def info(name: str) -> bytes:
        return text(name) + struct.pack("<IQIQ", 1, 32, F32, 0)

    head = b"GGUF" + struct.pack("<IQQ", 3, 2, 0) + info("a") + info("b")
    content = head + bytes(-len(head) % 32) + bytes(256)
    assert "overlaps" in str(refused(tmp_path / "a.gguf", content))


def test_a_text_file_is_refused(tmp_path: Path) -> None:
    problem = refused(tmp_path / "notes.gguf", b"these are my notes, not a model at all\n" * 9)
    assert "not a GGUF file" in str(problem)


@pytest.mark.parametrize("kind", ["symlink", "fifo", "folder"])
def test_only_regular_files_are_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.gguf"
    if kind == "symlink":
        path.symlink_to(language_model().write(tmp_path / "real.gguf"))
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(ModelFileError, match=r"symbolic link|not a regular file"):
        read_header(path)


def test_the_reader_stays_within_its_bounds(tmp_path: Path) -> None:
    """A header that announces two million empty strings costs bounded time and memory."""
    count = 2_000_000
    pair = text("k") + struct.pack("<IIQ", 9, 8, count) + bytes(8 * count)
    path = tmp_path / "long.gguf"
    path.write_bytes(Gguf(pairs=[pair]).build())
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from emojudge.candidates.gguf import read_header\n"
        "resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))\n"
        "print(read_header(Path(sys.argv[1])).metadata['k'].length)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(count)


def test_types_are_those_of_the_installed_llama_cpp() -> None:
    code = """
import ctypes, json, pathlib, llama_cpp
import llama_cpp.llama_cpp as low
base = ctypes.CDLL(str(pathlib.Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))
base.ggml_type_size.restype = ctypes.c_size_t
base.ggml_blck_size.restype = ctypes.c_int64
base.ggml_type_name.restype = ctypes.c_char_p
types = {
    number: [base.ggml_type_name(number).decode().upper(), base.ggml_blck_size(number),
             base.ggml_type_size(number)]
    for name, number in vars(low).items()
    if name.startswith("GGML_TYPE_") and name != "GGML_TYPE_COUNT"
}
files = {
    number: name.removeprefix("LLAMA_FTYPE_MOSTLY_").removeprefix("LLAMA_FTYPE_ALL_")
    for name, number in vars(low).items()
    if name.startswith("LLAMA_FTYPE_") and name != "LLAMA_FTYPE_GUESSED"
}
print(json.dumps([types, files]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    types, files = json.loads(done.stdout.splitlines()[-1])
    ours = {str(k): [t.name.upper(), t.block, t.size] for k, t in TENSOR_TYPES.items()}
    assert {number: ours.get(number) for number in types} == types
    assert {number: FILE_TYPES.get(int(number)) for number in files} == files


def test_fallback_types_are_named_honestly() -> None:
    assert honest_quantization("Q2_K", "Q4_0") == "Q2_K-mostly-Q4_0"
    assert honest_quantization("Q4_K_M", "Q4_K") == "Q4_K_M"
    assert honest_quantization("IQ3_M", "IQ3_S") == "IQ3_M"
    assert honest_quantization(None, "Q8_0") == "Q8_0"
