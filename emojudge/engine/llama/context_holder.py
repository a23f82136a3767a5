"""What everything that works on a model's context has in common: making, freeing, stopping it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from emojudge.engine.llama.model import ContextShape, LlamaContext, LlamaModel


class ContextHolder(ABC):
    """Holds at most one context on a model, made when it is needed."""

    def __init__(self, model: LlamaModel, threads: int) -> None:
        self._model = model
        self._threads = threads
        self._context: LlamaContext | None = None

    def _make_context(self, shape: ContextShape) -> LlamaContext:
        """Replace the context. Raises EngineError when there is no memory for it."""
        self.free_context()
        self._context = LlamaContext(self._model, shape)
        return self._context

    def use_threads(self, threads: int) -> None:
        """Compute with so many threads from now on."""
        self._threads = threads
        if self._context is not None:
            self._context.use_threads(threads)

    def abort(self) -> None:
        """Stop the evaluation that is running, from another thread."""
        context = self._context
        if context is not None:
            context.abort.raise_()

    def free_context(self) -> None:
        """Give the context's memory back, and forget what was in it."""
        if self._context is not None:
            self._context.close()
            self._context = None
        self._forget_held()

    @abstractmethod
    def _forget_held(self) -> None:
        """The context is empty: what it held is not to be counted on."""
