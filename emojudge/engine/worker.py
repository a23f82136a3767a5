"""Entry point of a model worker: ``python -m emojudge.engine.worker``.

Loads one GGUF with llama.cpp and answers Generate commands one after another, streaming text.
"""

from __future__ import annotations

import codecs
import ctypes
import hashlib
import sys
import time
from collections.abc import Iterator

import llama_cpp

from emojudge.domain import FinishReason
from emojudge.engine import chat_template
from emojudge.engine.child import Channel
from emojudge.engine.protocol import (
    FRAME_SECONDS,
    Cancel,
    Command,
    Generate,
    Generated,
    LoadModel,
    ModelReady,
    TaskFailed,
    TextDelta,
    TextFrame,
)
from emojudge.errors import EngineError

_DEFAULT_CONTEXT = 4096
_BATCH = 512
_NO_TOP_K = 0
_NO_MIN_P = 0.0


class _Cancelled(Exception):
    """The task in hand was cancelled."""


class Worker:
    """One loaded model."""

    def __init__(self) -> None:
        self._cancelled: set[str] = set()
        self._channel = Channel(self._take_urgent)
        self._llama: llama_cpp.Llama | None = None
        self._template: str | None = None

    def _take_urgent(self, command: Command) -> bool:
        if isinstance(command, Cancel):
            self._cancelled.add(command.id)
            return True
        return False

    def serve(self) -> None:
        """Answer commands until stdin closes."""
        while True:
            command = self._channel.next_command()
            task_id = command.id if isinstance(command, Generate) else None
            try:
                if isinstance(command, LoadModel):
                    self._channel.send(self._load(command))
                elif isinstance(command, Generate):
                    self._channel.send(self._generate(command))
                else:
                    raise EngineError(f"a model worker does not know {command.kind!r}")
            except _Cancelled:
                self._channel.send(TaskFailed(id=task_id, reason="cancelled", cancelled=True))
            except (EngineError, ValueError, RuntimeError) as problem:
                self._channel.send(TaskFailed(id=task_id, reason=str(problem)))

    def _load(self, command: LoadModel) -> ModelReady:
        started = time.monotonic()
        offload = bool(llama_cpp.llama_supports_gpu_offload())
        layers = command.gpu_layers if command.gpu_layers is not None else -1
        self._llama = llama_cpp.Llama(
            command.path,
            n_ctx=command.context_length or _DEFAULT_CONTEXT,
            n_batch=_BATCH,
            n_threads=command.threads,
            n_threads_batch=command.threads,
            n_gpu_layers=layers if offload else 0,
            main_gpu=command.main_gpu,
            tensor_split=list(command.tensor_split) if command.tensor_split else None,
            flash_attn=True,
            verbose=True,
        )
        template = command.template or self._llama.metadata.get("tokenizer.chat_template")
        self._template = template
        return ModelReady(
            context_length=self._llama.n_ctx(),
            load_seconds=time.monotonic() - started,
            gpu_offload=offload,
        )

    def _piece(self, llama: llama_cpp.Llama, token: int, *, special: bool) -> bytes:
        """The bytes of one token; the high-level call cuts tokens longer than 32 bytes."""
        if token < 0:
            return b""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = llama_cpp.llama_token_to_piece(
                llama._model.vocab, token, buffer, size, 0, special
            )
            if length >= 0:
                return buffer.raw[:length]
            size = -length

    def _prompt(self, llama: llama_cpp.Llama, command: Generate) -> tuple[str, list[int]]:
        if self._template is None:
            raise EngineError(
                "This model has no chat template. Set generation.chat_template in the config."
            )
        bos = self._piece(llama, llama.token_bos(), special=True).decode("utf-8", "replace")
        eos = self._piece(llama, llama.token_eos(), special=True).decode("utf-8", "replace")
        rendered = chat_template.render(self._template, command.messages, bos, eos)
        add_bos = not (bos and rendered.startswith(bos))
        tokens: list[int] = llama.tokenize(rendered.encode(), add_bos=add_bos, special=True)
        room = llama.n_ctx() - len(tokens)
        if room < command.sampling.max_tokens:
            raise EngineError(
                f"The prompt has {len(tokens)} tokens and may be answered by "
                f"{command.sampling.max_tokens}, but the context holds {llama.n_ctx()}. Raise "
                "performance_config.context_length or lower generation.max_tokens."
            )
        return rendered, tokens

    def _tokens(
        self, llama: llama_cpp.Llama, prompt: list[int], command: Generate
    ) -> Iterator[int]:
        llama.reset()
        llama.set_seed(command.seed)
        return iter(
            llama.generate(
                prompt,
                top_k=_NO_TOP_K,
                top_p=command.sampling.top_p,
                min_p=_NO_MIN_P,
                temp=command.sampling.temperature,
                repeat_penalty=1.0,
            )
        )

    def _generate(self, command: Generate) -> Generated:
        llama = self._llama
        if llama is None:
            raise EngineError("no model is loaded")
        rendered, prompt = self._prompt(llama, command)
        started = time.monotonic()
        deadline = started + command.deadline_seconds
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        parts: list[str] = []
        pending = ""
        last_frame = started
        first_token = 0.0
        count = 0
        finish: FinishReason = "length"
        for token in self._tokens(llama, prompt, command):
            now = time.monotonic()
            first_token = first_token or now - started
            if command.id in self._cancelled:
                self._cancelled.discard(command.id)
                raise _Cancelled
            if llama_cpp.llama_vocab_is_eog(llama._model.vocab, token):
                finish = "end"
                break
            count += 1
            pending += decoder.decode(self._piece(llama, token, special=False))
            if pending and now - last_frame >= FRAME_SECONDS:
                self._send_text(command.id, pending)
                parts.append(pending)
                pending, last_frame = "", now
            if count >= command.sampling.max_tokens:
                break
            if now > deadline:
                finish = "deadline"
                break
        pending += decoder.decode(b"", final=True)
        if pending:
            self._send_text(command.id, pending)
            parts.append(pending)
        return Generated(
            id=command.id,
            text="".join(parts),
            finish=finish,
            prompt_tokens=len(prompt),
            tokens=count,
            first_token_seconds=first_token,
            seconds=time.monotonic() - started,
            rendered_sha256=hashlib.sha256(rendered.encode()).hexdigest(),
        )

    def _send_text(self, task_id: str, text: str) -> None:
        self._channel.send(TextFrame(deltas=(TextDelta(id=task_id, text=text),)))


def main() -> None:
    """Serve until the parent closes stdin."""
    # A worker that eats all memory should be what the kernel kills, not the user's shell.
    try:
        with open("/proc/self/oom_score_adj", "w") as handle:  # noqa: PTH123
            handle.write("500")
    except OSError as problem:
        print(f"oom_score_adj not set: {problem}", file=sys.stderr)
    Worker().serve()


if __name__ == "__main__":
    main()
