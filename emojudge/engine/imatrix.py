"""Importance matrices (GGUF form) for the quantizer; imported in its child process only."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as low
import numpy as np
import numpy.typing as npt

from emojudge.candidates.gguf import Tensor, read_header
from emojudge.errors import EngineError

_SUMS = ".in_sum2"
_COUNTS = ".counts"


@dataclass(frozen=True)
class ImportanceMatrix:
    """The C array that llama.cpp reads; ``rows`` keeps its memory alive."""

    array: Any
    rows: tuple[npt.NDArray[np.float32], ...]


def _read_floats(file: Path, tensor: Tensor) -> npt.NDArray[np.float32]:
    """The tensor's values, shape reversed as numpy orders axes."""
    return np.fromfile(file, dtype="<f4", count=tensor.elements, offset=tensor.offset).reshape(
        tensor.shape[::-1]
    )


def load_imatrix(file: Path) -> ImportanceMatrix:
    """Read ``file`` as llama-imatrix writes it: mean squared activations per input column.

    Raises EngineError when it is not one.
    """
    header = read_header(file)
    if header.text("general.type") != "imatrix":
        raise EngineError(
            f"{file} is not an importance matrix in GGUF form. Make one with llama.cpp's "
            "llama-imatrix (older .dat files can be converted by it too)."
        )
    by_name = {tensor.name: tensor for tensor in header.tensors}
    names: list[bytes] = []
    rows: list[npt.NDArray[np.float32]] = []
    for name, tensor in by_name.items():
        counts = by_name.get(name.removesuffix(_SUMS) + _COUNTS)
        if not name.endswith(_SUMS) or counts is None:
            continue
        seen = np.maximum(_read_floats(file, counts).reshape(-1, 1), 1)
        sums = _read_floats(file, tensor).reshape(len(seen), -1)
        names.append(name.removesuffix(_SUMS).encode())
        rows.append(np.ascontiguousarray((sums / seen).ravel(), dtype=np.float32))
    # llama.cpp reads entries until one without a name.
    array = (low.llama_model_imatrix_data * (len(rows) + 1))()
    for entry, name_bytes, row in zip(array, names, rows, strict=False):
        entry.name = name_bytes
        entry.data = row.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = row.size
    return ImportanceMatrix(array, tuple(rows))
