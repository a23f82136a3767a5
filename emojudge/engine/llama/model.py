"""One loaded GGUF: its vocabulary, and contexts on it."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from llama_cpp import llama_cpp as lib

from emojudge.engine.llama import native
from emojudge.engine.llama.batch import DecodeBatch
from emojudge.errors import EngineError

PREFILL_TOKENS = 512
LOAD_MODE = "read into memory"
"""How weights are loaded. A mapped file and llama.cpp's repacked weights would count twice, and
a mapped file that is cut short under the process ends it with SIGBUS."""

_SHORT_PIECE = 64
_THINKING_TAGS = (b"<think>", b"</think>")


@dataclass(frozen=True)
class Placement:
    """Where a model's layers go. ``gpu_layers`` None means all, where llama.cpp can offload."""

    gpu_layers: int | None = None
    main_gpu: int = 0
    tensor_split: tuple[float, ...] | None = None


@dataclass(frozen=True)
class ContextShape:
    """``tokens`` is per sequence, or shared by all if ``unified``; ``outputs`` rows per batch.

    ``physical_batch`` is how many tokens are evaluated at once; None means the whole ``batch``.
    """

    tokens: int
    sequences: int
    threads: int
    unified: bool = False
    batch: int = PREFILL_TOKENS
    physical_batch: int | None = None
    outputs: int | None = None


class LlamaModel:
    """A model in memory, until :meth:`close`."""

    def __init__(self, path: str, placement: Placement, *, check_tensors: bool = False) -> None:
        """Load a GGUF. Raises EngineError with llama.cpp's own reason.

        ``check_tensors`` has llama.cpp look for NaN and Inf in all weights.
        """
        native.take_errors()
        params = lib.llama_model_default_params()
        params.load_mode = lib.LLAMA_LOAD_MODE_NONE
        params.check_tensors = check_tensors
        self.offload = native.can_offload()
        layers = -1 if placement.gpu_layers is None else placement.gpu_layers
        params.n_gpu_layers = layers if self.offload else 0
        params.main_gpu = placement.main_gpu
        if placement.tensor_split:
            split = (ctypes.c_float * lib.llama_max_devices())(*placement.tensor_split)
            params.tensor_split = split
        pointer = lib.llama_model_load_from_file(path.encode(errors="surrogateescape"), params)
        if not pointer:
            raise EngineError(f"llama.cpp cannot load {path}: {native.take_errors()}")
        self.pointer = pointer
        vocabulary = lib.llama_model_get_vocab(pointer)
        if not vocabulary:
            raise EngineError(f"{path} has no vocabulary, so it cannot be given text.")
        self._vocabulary = vocabulary
        self.vocabulary_size: int = lib.llama_vocab_n_tokens(vocabulary)
        self._spoken: dict[int, bytes] = {}
        self.trained_context: int = lib.llama_model_n_ctx_train(pointer)

    @property
    def recurrent(self) -> bool:
        """Whether sequences have a state that cannot be cut, and cannot share tokens."""
        return bool(
            lib.llama_model_is_recurrent(self.pointer) or lib.llama_model_is_hybrid(self.pointer)
        )

    @property
    def template(self) -> str | None:
        """The chat template in the file."""
        text = lib.llama_model_chat_template(self.pointer, None)
        return text.decode("utf-8", "replace") if text else None

    @property
    def wants_bos(self) -> bool:
        """Whether texts begin with the BOS token."""
        return bool(lib.llama_vocab_get_add_bos(self._vocabulary))

    @property
    def bos(self) -> int:
        """The BOS token, or -1."""
        return int(lib.llama_vocab_bos(self._vocabulary))

    def special_text(self, token: int) -> str:
        """How a control token is written in templates; empty for -1."""
        return self.piece(token, special=True).decode("utf-8", "replace")

    @property
    def bos_text(self) -> str:
        """The BOS token as written in templates."""
        return self.special_text(self.bos)

    @property
    def eos_text(self) -> str:
        """The EOS token as written in templates."""
        return self.special_text(int(lib.llama_vocab_eos(self._vocabulary)))

    def ends(self, token: int) -> bool:
        """Whether a token ends generation."""
        return bool(lib.llama_vocab_is_eog(self._vocabulary, token))

    @cached_property
    def longest_piece(self) -> int:
        """Bytes of the longest token text; a text has at least its bytes over this in tokens."""
        return max(
            len(lib.llama_vocab_get_text(self._vocabulary, token) or b"")
            for token in range(self.vocabulary_size)
        )

    @cached_property
    def control_tokens(self) -> dict[str, int]:
        """Tokens that steer the model, by the text that would be read as them."""
        steering = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN
        found = {}
        for token in range(self.vocabulary_size):
            if lib.llama_vocab_get_attr(self._vocabulary, token) & steering:
                text = lib.llama_vocab_get_text(self._vocabulary, token)
                if text:
                    found[text.decode("utf-8", "replace")] = token
        return found

    @cached_property
    def control_pattern(self) -> re.Pattern[str] | None:
        """Matches the text of any control token, longest first."""
        texts = sorted(self.control_tokens, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, texts))) if texts else None

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Token ids. Only with ``parse_special`` does text become control tokens."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        while True:
            buffer = (ctypes.c_int * room)()
            count = lib.llama_tokenize(
                self._vocabulary, data, len(data), buffer, room, add_special, parse_special
            )
            if count >= 0:
                return list(buffer[:count])
            room = -count

    def continuation(self, text: str) -> list[int]:
        """Tokens of text in the middle of other text; none of them is a control token.

        SentencePiece vocabularies put a space before whatever they are given; behind a line break
        they do not, and the break is cut off again.
        """
        if lib.llama_vocab_type(self._vocabulary) != lib.LLAMA_VOCAB_TYPE_SPM:
            return self.tokenize(text, add_special=False, parse_special=False)
        anchor = self.tokenize("\n", add_special=False, parse_special=False)
        tokens = self.tokenize(f"\n{text}", add_special=False, parse_special=False)
        if tokens[: len(anchor)] != anchor:
            return self.tokenize(text, add_special=False, parse_special=False)
        return tokens[len(anchor) :]

    def spoken(self, token: int) -> bytes:
        """The bytes of a token in a text; control tokens are silent, but for thinking tags."""
        known = self._spoken.get(token)
        if known is None:
            tag = self.piece(token, special=True)
            known = tag if tag in _THINKING_TAGS else self.piece(token)
            self._spoken[token] = known
        return known

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of a token; control tokens are empty unless ``special``."""
        if token < 0:
            return b""
        size = _SHORT_PIECE
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = lib.llama_token_to_piece(self._vocabulary, token, buffer, size, 0, special)
            if length >= 0:
                return buffer.raw[:length]
            size = -length

    def close(self) -> None:
        """Free the weights; contexts must be closed before."""
        lib.llama_model_free(self.pointer)


class LlamaContext:
    """KV memory and compute buffers on a model, until :meth:`close`."""

    def __init__(self, model: LlamaModel, shape: ContextShape) -> None:
        """Reserve memory. Raises EngineError with the numbers when there is not enough."""
        native.take_errors()
        params = lib.llama_context_default_params()
        params.n_ctx = shape.tokens if shape.unified else shape.tokens * shape.sequences
        params.n_batch = shape.batch
        params.n_ubatch = shape.physical_batch or shape.batch
        params.n_seq_max = shape.sequences
        params.n_threads = params.n_threads_batch = shape.threads
        params.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.kv_unified = shape.unified
        params.no_perf = True
        if shape.outputs is not None:
            params.n_outputs_max = shape.outputs
        pointer = lib.llama_init_from_model(model.pointer, params)
        if not pointer:
            raise EngineError(
                f"No memory for {shape.sequences} sequences of {shape.tokens} tokens "
                f"({native.take_errors()}). Lower performance_config.batch_size or "
                "performance_config.context_length."
            )
        self.pointer = pointer
        self.shape = shape
        self.model = model
        self._memory = lib.llama_get_memory(pointer)
        self.abort = native.AbortFlag()
        lib.llama_set_abort_callback(pointer, self.abort.callback, self.abort.data)

    @property
    def sequence_tokens(self) -> int:
        """Tokens that one sequence can hold."""
        return int(lib.llama_n_ctx_seq(self.pointer))

    def decode(self, batch: DecodeBatch) -> None:
        """Evaluate a batch. Raises Aborted, EngineError or NativeFailure."""
        native.check_decode(lib.llama_decode(self.pointer, batch.native))

    def logits(self, index: int) -> npt.NDArray[np.float32]:
        """The logits at a batch position, shape (vocabulary,); valid until the next decode."""
        address = native.logits_address(self.pointer, index)
        row = (ctypes.c_float * self.model.vocabulary_size).from_address(address)
        return np.frombuffer(memoryview(row), np.float32)

    def use_threads(self, threads: int) -> None:
        """Compute with so many threads from the next decode on."""
        lib.llama_set_n_threads(self.pointer, threads, threads)

    def forget(self, sequence: int, start: int = 0) -> bool:
        """Remove a sequence's tokens from ``start`` on; False where the model cannot in part."""
        return bool(lib.llama_memory_seq_rm(self._memory, sequence, start, -1))

    def forget_all(self) -> None:
        """Empty the memory."""
        lib.llama_memory_clear(self._memory, False)

    def copy(self, source: int, target: int) -> None:
        """Make ``target`` hold what ``source`` holds."""
        lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def close(self) -> None:
        """Free the memory."""
        lib.llama_free(self.pointer)
