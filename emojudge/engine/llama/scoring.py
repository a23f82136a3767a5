"""Reading probabilities off a model without generating: for judges, fluency and fidelity.

Everything here evaluates one text after another in one context whose memory all sequences share,
so that suffixes branch from a common prefix for the cost of their own few tokens.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from emojudge.engine.context_size import context_tokens
from emojudge.engine.llama import native
from emojudge.engine.llama.batch import DecodeBatch
from emojudge.engine.llama.context_holder import ContextHolder
from emojudge.engine.llama.model import (
    PREFILL_TOKENS,
    ContextShape,
    LlamaContext,
    LlamaModel,
)
from emojudge.errors import EngineError

LOGIT_ROWS = 256
"""Rows of logits asked for at once: at a vocabulary of 128k, 256 rows are 131 MB."""

_BROKEN = "The model's logits are not finite numbers: its weights are broken. Quantize it again."
_PREFIX = 0
_BRANCHES = 63
"""Suffixes evaluated together; each is a sequence of its own beside the prefix."""


def log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Natural logarithms of the probabilities that logits of shape (vocabulary,) stand for.

    Raises EngineError when they are not finite, as those of a broken model may be.
    """
    shifted = logits.astype(np.float64)
    if not np.isfinite(shifted).all():
        raise EngineError(_BROKEN)
    shifted -= shifted.max()
    shifted -= np.log(np.exp(shifted).sum())
    return shifted


def log_probability(logits: npt.NDArray[np.float32], token: int) -> float:
    """One element of :func:`log_softmax`, to single precision and without the other ones.

    Raises EngineError like it.
    """
    top = logits.max()
    total = float(np.exp(logits - top).sum(dtype=np.float64))
    if not np.isfinite(total) or not np.isfinite(logits[token]):
        raise EngineError(_BROKEN)
    return float(logits[token] - top) - math.log(total)


class Scorer(ContextHolder):
    """Evaluates given texts. What the last text began with stays in memory for the next."""

    def __init__(self, model: LlamaModel, threads: int, context_limit: int | None) -> None:
        super().__init__(model, threads)
        self.limit = context_limit
        self._held: list[int] = []
        self._batch = DecodeBatch(PREFILL_TOKENS, _BRANCHES + 1)
        self.reused_tokens = 0
        self.put_off = threading.Event()
        """Set from another thread: what is evaluated now is to be begun again later."""

    def _context_for(self, tokens: int, sequences: int, longest: int | None = None) -> LlamaContext:
        """A context with room; made anew, with more, when the present one has too little.

        ``longest`` is the most tokens that one sequence has, if the sequences share some.
        """
        longest = longest or tokens
        if self.limit is not None and longest > self.limit:
            raise EngineError(
                f"The text has {longest} tokens, but the context holds {self.limit}. Shorten it, "
                "or raise performance_config.context_length if the model can do more."
            )
        now = self._context
        if now is not None and now.shape.tokens >= tokens and now.shape.sequences >= sequences:
            return now
        if now is not None:
            tokens = max(tokens, now.shape.tokens)
            sequences = max(sequences, now.shape.sequences)
        shape = ContextShape(
            tokens=context_tokens(tokens),
            sequences=sequences,
            threads=self._threads,
            unified=True,
            outputs=LOGIT_ROWS,
        )
        return self._make_context(shape)

    def _forget_held(self) -> None:
        self._held = []

    def _keep_common(self, context: LlamaContext, tokens: Sequence[int]) -> int:
        """Cut the held prefix down to what ``tokens`` begins with; returns how much that is.

        The last token is never counted, because its logits are needed. A model that cannot forget
        a part of a sequence, as recurrent ones cannot, starts anew.
        """
        context.abort.clear()
        if self.put_off.is_set():
            raise native.Aborted
        most = min(len(self._held), len(tokens) - 1)
        same = next((at for at in range(most) if self._held[at] != tokens[at]), most)
        if same < len(self._held) and not context.forget(_PREFIX, same):
            context.forget_all()
            same = 0
        del self._held[same:]
        self.reused_tokens = same
        return same

    def _feed(self, context: LlamaContext, tokens: Sequence[int], start: int) -> None:
        """Evaluate a part of the prefix sequence, without logits."""
        for begin in range(0, len(tokens), PREFILL_TOKENS):
            part = tokens[begin : begin + PREFILL_TOKENS]
            self._batch.clear()
            self._batch.add(part, start + begin, _PREFIX)
            context.decode(self._batch)
            self._held += part

    def suffix_log_probs(
        self, prefix: Sequence[int], suffixes: Sequence[Sequence[int]], options: Sequence[int]
    ) -> npt.NDArray[np.float64]:
        """Log-probabilities of ``options`` after each suffix, shape (suffixes, options).

        The prefix is evaluated once, and only from where it differs from the last call's. What is
        left of it at the end goes into one batch with the suffixes: its tokens then belong to
        every branch, and the few suffix tokens cost next to nothing beside them. Raises
        EngineError, Aborted or NativeFailure.
        """
        if not prefix or not all(suffixes):
            raise EngineError("A shared prefix and its suffixes need at least one token each.")
        wanted = list(options)
        result = np.empty((len(suffixes), len(wanted)))
        total = sum(map(len, suffixes))
        context = self._context_for(
            len(prefix) + total,
            min(len(suffixes), _BRANCHES) + 1,
            len(prefix) + max(map(len, suffixes)),
        )
        kept = self._keep_common(context, prefix)
        for group in _groups(list(enumerate(suffixes))):
            with self._clean_after_failure(context):
                self._branch(context, prefix, kept, group, wanted, result)
            kept = len(prefix)
        return result

    def _branch(
        self,
        context: LlamaContext,
        prefix: Sequence[int],
        kept: int,
        group: list[tuple[int, Sequence[int]]],
        wanted: list[int],
        result: npt.NDArray[np.float64],
    ) -> None:
        """Evaluate the prefix from ``kept`` on together with some suffixes, and read them off."""
        branches = range(1, len(group) + 1)
        together = self._batch.capacity - sum(len(suffix) for _, suffix in group)
        if self._model.recurrent:
            # Its sequences cannot share tokens, but they can begin from a copied state.
            together = 0
        last_part = max(kept, len(prefix) - together)
        self._feed(context, prefix[kept:last_part], kept)
        for branch in branches:
            context.copy(_PREFIX, branch)
        self._batch.clear()
        self._batch.add_shared(prefix[last_part:], last_part, [_PREFIX, *branches])
        rows = []
        for branch, (index, suffix) in zip(branches, group, strict=True):
            row = self._batch.add(suffix, len(prefix), branch)
            self._batch.want(row)
            rows.append((index, row))
        context.decode(self._batch)
        for index, row in rows:
            result[index] = log_softmax(context.logits(row))[wanted]
        self._held += prefix[last_part:]
        for branch in branches:
            if not context.forget(branch):
                context.forget_all()
                self._held = []

    @contextlib.contextmanager
    def _clean_after_failure(self, context: LlamaContext) -> Iterator[None]:
        """An evaluation that was stopped may have written some of its tokens."""
        try:
            yield
        except BaseException:
            context.forget_all()
            self._held = []
            raise

    def rows(
        self, tokens: Sequence[int], first: int, *, keep: bool = True
    ) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """Logits that predict the tokens from index ``first`` (≥ 1) on, with the index predicted.

        At most LOGIT_ROWS rows exist at once; a row is valid until the next is asked for.
        ``keep`` lets the text share what the last one began with.
        """
        context = self._context_for(len(tokens), 1)
        if not keep:
            context.forget_all()
            self._held = []
        start = self._keep_common(context, tokens[:first])
        with self._clean_after_failure(context):
            self._feed(context, tokens[start : first - 1], start)
        position = first - 1
        while position < len(tokens) - 1:
            part = tokens[position : min(position + LOGIT_ROWS, len(tokens) - 1)]
            self._batch.clear()
            self._batch.add(part, position, _PREFIX, all_logits=True)
            with self._clean_after_failure(context):
                context.decode(self._batch)
            self._held += part
            for offset in range(len(part)):
                yield position + offset + 1, context.logits(offset)
            position += len(part)

    def log_likelihoods(
        self, prompt: Sequence[int], text: Sequence[int]
    ) -> npt.NDArray[np.float64]:
        """Teacher-forced log-probability of each token of ``text`` behind ``prompt``."""
        if not prompt:
            raise EngineError("The first token of a text cannot be predicted from nothing.")
        tokens = [*prompt, *text]
        return np.array(
            [log_probability(row, tokens[index]) for index, row in self.rows(tokens, len(prompt))]
        )

    def close(self) -> None:
        """Free everything but the model."""
        self.free_context()
        self._batch.close()


def _groups(
    branches: Sequence[tuple[int, Sequence[int]]],
) -> Iterator[list[tuple[int, Sequence[int]]]]:
    """Suffixes that fit one batch together."""
    group: list[tuple[int, Sequence[int]]] = []
    size = 0
    for index, suffix in branches:
        if len(suffix) > PREFILL_TOKENS:
            raise EngineError(
                f"A suffix of {len(suffix)} tokens is too long; the most is {PREFILL_TOKENS}."
            )
        if size + len(suffix) > PREFILL_TOKENS or len(group) >= _BRANCHES:
            yield group
            group, size = [], 0
        group.append((index, suffix))
        size += len(suffix)
    if group:
        yield group
