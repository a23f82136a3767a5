"""Entry point of a model worker: ``python -m emojudge.engine.worker``.

Loads one GGUF with llama.cpp, generates texts in batches and streams them, and measures.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque

from emojudge.engine.child import Channel
from emojudge.engine.llama import native
from emojudge.engine.llama.batcher import Batcher, Completion, NoRoom, Piece, Request
from emojudge.engine.llama.measuring import Measuring
from emojudge.engine.llama.model import LOAD_MODE, LlamaModel, Placement
from emojudge.engine.llama.prompt import BuiltPrompt, PromptBuilder
from emojudge.engine.llama.scoring import Scorer
from emojudge.engine.protocol import (
    FRAME_SECONDS,
    Cancel,
    Command,
    Generate,
    Generated,
    Hold,
    LoadModel,
    Measurement,
    ModelReady,
    Prioritise,
    TaskBegan,
    TaskFailed,
    TextDelta,
    TextFrame,
    UseThreads,
)
from emojudge.engine.template_process import TemplateProcess
from emojudge.errors import EngineError

_SIGN_OF_LIFE_SECONDS = 0.5
_LONGEST_STEP_AFTER_CANCEL = 0.08
"""Seconds that a step may go on when one of its texts is cancelled; then it is aborted."""


class Worker:
    """One loaded model, and what is asked of it."""

    def __init__(self) -> None:
        native.start()
        self._renderer = TemplateProcess()
        self._loaded: _Loaded | None = None
        self._channel = Channel(self._notice)

    def _notice(self, command: Command) -> None:
        """On the reader's thread: people must not wait for a long step, or a measurement."""
        loaded = self._loaded
        if loaded is None:
            return
        if isinstance(command, Cancel):
            loaded.abort_soon(command.id)
        elif (isinstance(command, Hold) and command.held) or (
            isinstance(command, Generate) and command.urgent
        ):
            loaded.put_off_measuring()

    def serve(self) -> None:
        """Answer commands until stdin closes."""
        while True:
            wait = None if self._loaded is None else self._loaded.patience
            commands = self._channel.take(wait_seconds=wait)
            for command in commands:
                self._answer(command)
            if self._loaded is not None:
                self._loaded.work()

    def _answer(self, command: Command) -> None:
        task_id = getattr(command, "id", None)
        try:
            if isinstance(command, LoadModel):
                self._renderer.start()
                self._loaded = _Loaded(command, self._renderer, self._channel)
                self._channel.send(self._loaded.ready)
            elif self._loaded is None:
                raise EngineError("no model is loaded")
            else:
                self._loaded.take(command)
        except EngineError as problem:
            self._channel.send(TaskFailed(id=task_id, reason=str(problem)))


class _Loaded:
    """A model with its batcher and its scorer; one of the two has a context at a time."""

    def __init__(self, command: LoadModel, renderer: TemplateProcess, channel: Channel) -> None:
        started = time.monotonic()
        placement = Placement(command.gpu_layers, command.main_gpu, command.tensor_split)
        self._channel = channel
        self._model = LlamaModel(command.path, placement, check_tensors=command.check_tensors)
        self._batcher = Batcher(
            self._model, command.batch_width, command.threads, command.context_length
        )
        limit = self._batcher.context_limit
        self._prompts = PromptBuilder(self._model, command.template, renderer)
        self._scorer = Scorer(self._model, command.threads, limit)
        self._measurements: deque[Measurement] = deque()
        self._texts: deque[Generate] = deque()
        self._built: dict[str, BuiltPrompt] = {}
        self._last_frame = 0.0
        self._measured: str | None = None
        self._is_measuring = False
        self._step = 0
        self.ready = ModelReady(
            context_length=limit or 0,
            load_seconds=time.monotonic() - started,
            load_mode=LOAD_MODE,
            gpu_offload=self._model.offload,
        )
        self._measuring = Measuring(
            self._model, self._scorer, self._prompts, self.ready, command.threads
        )

    @property
    def patience(self) -> float | None:
        """Seconds to wait for commands: none with work at hand, for ever with none at all."""
        if self._batcher.busy or self._may_measure or self._next_text() is not None:
            return 0.0
        waiting = self._texts or self._built or self._measurements
        return _SIGN_OF_LIFE_SECONDS if waiting else None

    @property
    def _may_measure(self) -> bool:
        return bool(self._measurements) and not self._batcher.on_hold

    def take(self, command: Command) -> None:
        """Queue or carry out a command. Raises EngineError."""
        match command:
            case Generate():
                self._texts.append(command)
            case Cancel():
                self._cancel(command.id)
            case Prioritise():
                self._prioritise(command.id)
            case Hold():
                self._batcher.on_hold = command.held
            case UseThreads():
                self._batcher.use_threads(command.threads)
                self._scorer.use_threads(command.threads)
                self._measuring.threads = command.threads
            case _ if isinstance(command, Measurement):
                self._measurements.append(command)
            case _:
                raise EngineError(f"a model worker does not know {command.kind!r}")

    def _next_text(self) -> Generate | None:
        """The text to begin next: an urgent one, or any that there is room for."""
        urgent = next((one for one in self._texts if one.urgent), None)
        if urgent is not None:
            return urgent
        if self._batcher.on_hold or not self._batcher.has_room:
            return None
        return next(iter(self._texts), None)

    def _begin_texts(self) -> None:
        """Hand the batcher what it has room for; a prompt is touched only once it is announced."""
        while (command := self._next_text()) is not None:
            self._texts.remove(command)
            self._channel.send(TaskBegan(id=command.id))
            try:
                self._add(command)
            except EngineError as problem:
                self._channel.send(TaskFailed(id=command.id, reason=str(problem)))

    def _add(self, command: Generate) -> None:
        prompt = self._prompts.build(command.messages, self._batcher.context_limit)
        self._batcher.add(
            Request(
                id=command.id,
                prompt=prompt.tokens,
                max_tokens=command.sampling.max_tokens,
                temperature=command.sampling.temperature,
                top_p=command.sampling.top_p,
                seed=command.seed,
                deadline_seconds=command.deadline_seconds,
                urgent=command.urgent,
                opening=prompt.opening,
            )
        )
        self._built[command.id] = prompt

    def _prioritise(self, task_id: str) -> None:
        self._batcher.make_urgent(task_id)
        for index, text in enumerate(self._texts):
            if text.id == task_id:
                self._texts[index] = text.model_copy(update={"urgent": True})

    def _cancel(self, task_id: str) -> None:
        found = self._batcher.cancel(task_id)
        self._built.pop(task_id, None)
        for text in [one for one in self._texts if one.id == task_id]:
            self._texts.remove(text)
            found = True
        for measurement in [one for one in self._measurements if one.id == task_id]:
            self._measurements.remove(measurement)
            found = True
        if found:
            self._channel.send(TaskFailed(id=task_id, reason="cancelled", cancelled=True))

    def abort_soon(self, task_id: str) -> None:
        """Stop the present step if it is this task's and goes on. Called on the reader's thread."""
        step = self._step
        if task_id not in self._built and task_id != self._measured:
            return

        def stop() -> None:
            if self._step == step:
                self._batcher.abort()
                self._scorer.abort()

        timer = threading.Timer(_LONGEST_STEP_AFTER_CANCEL, stop)
        timer.daemon = True
        timer.start()

    def put_off_measuring(self) -> None:
        """Stop the measurement that is going on; it is begun again. On the reader's thread."""
        self._scorer.put_off.set()
        if self._is_measuring:
            self._scorer.abort()

    def work(self) -> None:
        """One step of the batch, or one measurement when no text is being generated."""
        self._step += 1
        self._begin_texts()
        if self._batcher.busy:
            self._scorer.free_context()
            self._generate()
        elif self._may_measure:
            self._batcher.free_context()
            self._measure(self._measurements.popleft())
        elif self._texts or self._built or self._measurements:
            self._channel.send(TextFrame(deltas=()))

    def _measure(self, command: Measurement) -> None:
        if command.id != self._measured:
            self._channel.send(TaskBegan(id=command.id))
        self._measured = command.id
        self._scorer.put_off.clear()
        self._is_measuring = True
        try:
            self._channel.send(self._measuring.answer(command))
        except native.Aborted:
            # What stopped it is read next: a Cancel finds it waiting again.
            self._measurements.appendleft(command)
        except EngineError as problem:
            self._channel.send(TaskFailed(id=command.id, reason=str(problem)))
        finally:
            self._is_measuring = False

    def _generate(self) -> None:
        try:
            completions = self._batcher.step()
        except NoRoom as problem:
            self._batcher.cancel(problem.request_id)
            self._built.pop(problem.request_id, None)
            self._channel.send(TaskFailed(id=problem.request_id, reason=str(problem)))
            return
        except EngineError as problem:
            for task_id in self._batcher.give_up():
                self._built.pop(task_id, None)
                self._channel.send(TaskFailed(id=task_id, reason=str(problem)))
            return
        now = time.monotonic()
        if completions or now - self._last_frame >= FRAME_SECONDS:
            pieces = [*self._batcher.take_pieces(), *(one.rest for one in completions)]
            self._channel.send(TextFrame(deltas=tuple(_delta(piece) for piece in pieces)))
            self._last_frame = now
        for completion in completions:
            self._channel.send(self._generated(completion))

    def _generated(self, completion: Completion) -> Generated:
        built = self._built.pop(completion.request.id)
        return Generated(
            id=completion.request.id,
            text=completion.text,
            finish=completion.finish,
            prompt_tokens=len(built.tokens),
            tokens=len(completion.token_ids),
            first_token_seconds=completion.first_token_seconds,
            seconds=completion.seconds,
            rendered_sha256=built.sha256,
            batch_width=self._batcher.width,
        )


def _delta(piece: Piece) -> TextDelta:
    return TextDelta(id=piece.id, text=piece.text, tokens=piece.tokens)


def main() -> None:
    """Serve until the parent closes stdin."""
    # A worker that eats all memory should be what the kernel kills, not the user's shell.
    try:
        with open("/proc/self/oom_score_adj", "w") as handle:  # noqa: PTH123
            handle.write("500")
    except OSError as problem:
        print(f"oom_score_adj not set: {problem}", file=sys.stderr)
    try:
        Worker().serve()
    except native.NativeFailure as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main()
