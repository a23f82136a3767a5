"""The seam to llama.cpp's C functions: logs kept as reasons, decode results as exceptions."""

from __future__ import annotations

import ctypes
import sys
from collections import deque
from typing import Any

from llama_cpp import llama_cpp as lib

from emojudge.errors import EngineError

_ERROR_LEVEL = 4
_CONTINUED_LEVEL = 5
_KEPT_ERRORS = 6
_errors: deque[str] = deque(maxlen=_KEPT_ERRORS)


class Aborted(Exception):
    """A decode was stopped on request; what it had begun is to be undone."""


class NativeFailure(Exception):
    """llama.cpp could not compute; the process should end, and another be tried."""


def _log(level: int, text: bytes, _data: Any) -> None:
    line = text.decode("utf-8", "replace")
    if level == _ERROR_LEVEL:
        _errors.append(line.strip())
    if level != _CONTINUED_LEVEL:
        sys.stderr.write(line)
        sys.stderr.flush()


_log_callback = lib.llama_log_callback(_log)


def start() -> None:
    """Initialise llama.cpp and keep its log apart; call once before loading."""
    lib.llama_log_set(_log_callback, ctypes.c_void_p(0))
    lib.llama_backend_init()


def take_errors() -> str:
    """What llama.cpp logged as errors since the last call, as one line."""
    text = "; ".join(dict.fromkeys(one for one in _errors if one))
    _errors.clear()
    return text or "llama.cpp gave no reason"


# A prototype of our own: an address is enough, and typed pointers are slow to make.
_get_logits = lib._lib["llama_get_logits_ith"]
_get_logits.argtypes = (ctypes.c_void_p, ctypes.c_int32)
_get_logits.restype = ctypes.c_void_p


def logits_address(context: Any, index: int) -> int:
    """Where the logits of a batch position are. Raises NativeFailure when there are none."""
    address = _get_logits(context, index)
    if not address:
        raise NativeFailure(f"there are no logits at position {index}: {take_errors()}")
    return int(address)


def can_offload() -> bool:
    """Whether this build of llama.cpp can use a GPU."""
    return bool(lib.llama_supports_gpu_offload())


class AbortFlag:
    """Stops a running decode from another thread, without Python in llama.cpp's inner loop.

    llama.cpp calls its abort callback once per graph node. The callback here is libc's ``strlen``
    on a one-character buffer: an empty string says go on, anything else says stop. CPU backends
    only; on a GPU a step is short, and waiting for it is enough.
    """

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)
        libc = ctypes.CDLL(None)
        self.callback = ctypes.cast(libc.strlen, lib.ggml_abort_callback)

    @property
    def data(self) -> int:
        """The address that goes with the callback."""
        return ctypes.addressof(self._text)

    def raise_(self) -> None:
        """Ask the decode that is running to stop."""
        self._text[0] = b"1"

    def clear(self) -> None:
        """Let the next decode run."""
        self._text[0] = b"\0"


def check_decode(status: int) -> None:
    """Turn llama_decode's result into nothing, Aborted, EngineError or NativeFailure."""
    if status == 0:
        return
    if status == 2:
        raise Aborted
    if status == 1:
        raise EngineError(
            "llama.cpp found no room in its context for this batch; raise "
            "performance_config.context_length."
        )
    raise NativeFailure(f"llama_decode failed with {status}: {take_errors()}")
