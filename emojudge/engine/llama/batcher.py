"""Continuous batching: many sequences decode together, and freed slots are refilled."""

from __future__ import annotations

import codecs
import time
from collections import deque
from dataclasses import dataclass, field, replace

from emojudge.domain import FinishReason
from emojudge.engine.context_size import context_tokens
from emojudge.engine.llama.batch import DecodeBatch
from emojudge.engine.llama.context_holder import ContextHolder
from emojudge.engine.llama.model import (
    PREFILL_TOKENS,
    ContextShape,
    LlamaContext,
    LlamaModel,
)
from emojudge.engine.llama.native import Aborted
from emojudge.engine.llama.sampler import Nucleus, Sampler
from emojudge.errors import EngineError

# Copying a sequence's memory costs about as much as evaluating a few tokens.
_WORTH_COPYING = 8


@dataclass(frozen=True)
class Request:
    """One text to generate. ``urgent`` ones run alone while there are any.

    ``opening`` is text that the prompt ends with and the answer is to begin with, as templates
    that open a thinking block have it. ``past_the_end`` goes on to ``max_tokens`` whatever the
    model says, for timing.
    """

    id: str
    prompt: tuple[int, ...]
    max_tokens: int
    temperature: float
    top_p: float
    seed: int
    deadline_seconds: float
    urgent: bool = False
    opening: str = ""
    past_the_end: bool = False

    @property
    def room(self) -> int:
        """Tokens of context that it may need."""
        return len(self.prompt) + self.max_tokens


@dataclass(frozen=True)
class Piece:
    """New text of one sequence, and the tokens it came from."""

    id: str
    text: str
    tokens: int


@dataclass(frozen=True)
class Completion:
    """A finished text, and what of it was not taken as a piece before.

    Seconds are those in which the sequence was being worked on.
    """

    request: Request
    text: str
    rest: Piece
    finish: FinishReason
    token_ids: tuple[int, ...]
    first_token_seconds: float
    seconds: float


class NoRoom(EngineError):
    """There is no memory for a context that holds this request; others may do with less."""

    def __init__(self, request_id: str, message: str) -> None:
        super().__init__(message)
        self.request_id = request_id


@dataclass
class _Sequence:
    """A request in a slot. ``fed`` of ``tokens`` are in llama.cpp's memory."""

    request: Request
    sampler: Sampler
    tokens: list[int]
    fed: int = 0
    generated: int = 0
    seconds: float = 0.0
    first_token_seconds: float = 0.0
    finish: FinishReason | None = None
    text: list[str] = field(default_factory=list)
    unsent: list[str] = field(default_factory=list)
    unsent_tokens: int = 0
    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    @property
    def unfed(self) -> int:
        return len(self.tokens) - self.fed


class Batcher(ContextHolder):
    """Runs requests in up to ``width`` slots.

    With a width of 1 a prompt is always evaluated whole and alone, so texts are those of an
    ordinary one-by-one loop bit for bit; with more, prompts share what they have in common.
    """

    def __init__(
        self, model: LlamaModel, width: int, threads: int, context_limit: int | None = None
    ) -> None:
        """``context_limit`` is in tokens per sequence; None means what the model was made for."""
        super().__init__(model, threads)
        self.width = width
        trained = model.trained_context
        self.context_limit = min(context_limit or trained, trained) if trained else context_limit
        self._nucleus = Nucleus(model.vocabulary_size)
        self._waiting: deque[_Sequence] = deque()
        self._slots: list[_Sequence | None] = [None] * width
        self._held: list[list[int]] = [[] for _ in range(width)]
        self._batch = DecodeBatch(max(PREFILL_TOKENS, width))
        self.on_hold = False
        self.decode_seconds = 0.0
        """Spent in llama.cpp's evaluation so far; benchmarks ask where the time goes."""
        self.choose_seconds = 0.0
        """Spent on reading logits and choosing tokens so far."""

    # What is asked

    def add(self, request: Request) -> None:
        """Queue a request. Raises EngineError with the numbers when it can never fit."""
        limit = self.context_limit
        if limit is not None and request.room > limit:
            raise EngineError(
                f"The prompt has {len(request.prompt)} tokens and may be answered by "
                f"{request.max_tokens}, but the context holds {limit}. Raise "
                "performance_config.context_length, if the model can do more, or lower "
                "generation.max_tokens."
            )
        if not request.prompt:
            raise EngineError("The prompt has no tokens, so there is nothing to answer.")
        sampler = Sampler(self._nucleus, request.temperature, request.top_p, request.seed)
        sequence = _Sequence(request, sampler, list(request.prompt), unsent=[request.opening])
        if request.urgent:
            self._waiting.insert(self._urgent_waiting, sequence)
        else:
            self._waiting.append(sequence)

    @property
    def _urgent_waiting(self) -> int:
        return sum(one.request.urgent for one in self._waiting)

    def cancel(self, request_id: str) -> bool:
        """Forget a request; False when there is none of that id."""
        for sequence in self._waiting:
            if sequence.request.id == request_id:
                self._waiting.remove(sequence)
                sequence.sampler.close()
                return True
        for slot, running in enumerate(self._slots):
            if running is not None and running.request.id == request_id:
                running.sampler.close()
                self._slots[slot] = None
                return True
        return False

    @property
    def has_room(self) -> bool:
        """Whether a further request would be begun at once, as far as slots go."""
        return len(self._waiting) + sum(one is not None for one in self._slots) < self.width

    @property
    def evaluating_prompts(self) -> bool:
        """Whether the next step evaluates prompts, and does not only decode."""
        return bool(self._waiting) or any(one is not None and one.unfed > 1 for one in self._slots)

    def make_urgent(self, request_id: str) -> None:
        """Make a request urgent that was added as one that is not."""
        for running in self._slots:
            if running is not None and running.request.id == request_id:
                running.request = replace(running.request, urgent=True)
        for sequence in tuple(self._waiting):
            if sequence.request.id == request_id and not sequence.request.urgent:
                self._waiting.remove(sequence)
                sequence.request = replace(sequence.request, urgent=True)
                self._waiting.insert(self._urgent_waiting, sequence)

    def give_up(self) -> list[str]:
        """Forget all requests, after an error that none of them can be blamed for alone."""
        ids = [one.request.id for one in (*self._waiting, *self._slots) if one is not None]
        for request_id in ids:
            self.cancel(request_id)
        return ids

    @property
    def busy(self) -> bool:
        """Whether :meth:`step` has something to do now."""
        if not self.on_hold:
            return bool(self._waiting) or any(self._slots)
        return any(one is not None and one.request.urgent for one in (*self._waiting, *self._slots))

    # What is done

    def step(self) -> list[Completion]:
        """Admit what fits, evaluate some prompt tokens, decode one token of each sequence.

        Returns what was completed.
        Raises NoRoom when no context can be had for a request, EngineError when llama.cpp refuses
        a batch, and NativeFailure when it fails.
        """
        self._admit()
        if not any(self._slots):
            return []
        started = time.monotonic()
        self._memory.abort.clear()
        self._close_gaps()
        active = self._active()
        try:
            self._prefill(active)
            self._decode(active)
        except Aborted:
            self._undo()
        return self._collect(active, time.monotonic() - started)

    def take_pieces(self) -> list[Piece]:
        """Text since the last call."""
        pieces = []
        for sequence in self._slots:
            if sequence is not None and sequence.unsent_tokens:
                pieces.append(self._piece_of(sequence))
        return pieces

    def _piece_of(self, sequence: _Sequence) -> Piece:
        piece = Piece(sequence.request.id, "".join(sequence.unsent), sequence.unsent_tokens)
        sequence.text.append(piece.text)
        sequence.unsent.clear()
        sequence.unsent_tokens = 0
        return piece

    # Slots

    def _admit(self) -> None:
        """Fill free slots from the queue; a request that needs more room waits for all slots."""
        while self._waiting:
            first = self._waiting[0]
            if self.on_hold and not first.request.urgent:
                break
            fits = self._context is not None and (
                self._context.sequence_tokens >= first.request.room
            )
            if first.request.urgent and (not fits or None not in self._slots):
                self._park(all_of_them=not fits)
            if not fits:
                if any(self._slots):
                    break
                self._grow()
            if None not in self._slots:
                break
            # Parking puts sequences behind the urgent ones, so the first is still the first.
            self._waiting.popleft()
            self._slots[self._slots.index(None)] = first

    def _park(self, *, all_of_them: bool) -> None:
        """Put sequences that are not urgent back into the queue, to be evaluated again later."""
        for slot in reversed(range(self.width)):
            sequence = self._slots[slot]
            if sequence is not None and not sequence.request.urgent:
                sequence.fed = 0
                self._slots[slot] = None
                self._waiting.insert(self._urgent_waiting, sequence)
                if not all_of_them:
                    return

    def _grow(self) -> None:
        """Make a context that holds the longest request of the queue."""
        longest = max(self._waiting, key=lambda sequence: sequence.request.room).request
        tokens = context_tokens(longest.room)
        shape = ContextShape(tokens, self.width, self._threads, outputs=self.width)
        try:
            self._make_context(shape)
        except EngineError as problem:
            raise NoRoom(longest.id, str(problem)) from problem

    def _forget_held(self) -> None:
        self._held = [[] for _ in range(self.width)]

    def _active(self) -> list[int]:
        """The slots to work on: urgent requests alone while there are any, none on hold."""
        filled = [slot for slot, one in enumerate(self._slots) if one is not None]
        urgent = [slot for slot in filled if self._at(slot).request.urgent]
        return urgent or ([] if self.on_hold else filled)

    def _at(self, slot: int) -> _Sequence:
        sequence = self._slots[slot]
        assert sequence is not None
        return sequence

    @property
    def _memory(self) -> LlamaContext:
        assert self._context is not None
        return self._context

    # Evaluation

    def _prefill(self, active: list[int]) -> None:
        """Evaluate prompts one after another, up to a chunk in all, so that others go on."""
        left = PREFILL_TOKENS
        for slot in active:
            sequence = self._at(slot)
            if sequence.fed == 0:
                self._begin(slot, sequence)
            # A prompt of one token waits for the decode that follows, like any other token.
            if sequence.unfed > 1 and left > 0:
                count = min(sequence.unfed, left)
                left -= count
                self._feed([(slot, count)])

    def _begin(self, slot: int, sequence: _Sequence) -> None:
        """Start a slot with as much of its prompt as some slot's memory already holds."""
        donor, shared = (slot, 0) if self.width == 1 else self._donor(slot, sequence.tokens)
        if shared >= _WORTH_COPYING:
            if donor != slot:
                self._memory.forget(slot)
                self._memory.copy(donor, slot)
                self._held[slot] = self._held[donor].copy()
            if self._memory.forget(slot, shared):
                sequence.fed = shared
                del self._held[slot][shared:]
                return
        self._memory.forget(slot)
        self._held[slot].clear()

    def _donor(self, slot: int, tokens: list[int]) -> tuple[int, int]:
        """The slot whose memory begins most like ``tokens``, and how many tokens it shares."""

        def shared_with(held: list[int]) -> int:
            # The last prompt token is always evaluated, because its logits are needed.
            most = min(len(held), len(tokens) - 1)
            return next((index for index in range(most) if held[index] != tokens[index]), most)

        lengths = [shared_with(held) for held in self._held]
        best = max(range(self.width), key=lambda one: (lengths[one], one == slot))
        return best, lengths[best]

    def _close_gaps(self) -> None:
        """Move sequences down into free slots once nothing waits to fill them.

        llama.cpp evaluates a run of neighbouring sequences at once, so a gap costs a whole pass
        over the weights.
        """
        if self._waiting or self.on_hold:
            return
        while None in self._slots:
            gap = self._slots.index(None)
            above = [slot for slot in range(gap + 1, self.width) if self._slots[slot] is not None]
            if not above:
                return
            last = above[-1]
            self._memory.forget(gap)
            self._memory.copy(last, gap)
            self._slots[gap], self._slots[last] = self._slots[last], None
            self._held[gap], self._held[last] = self._held[last], []

    def _decode(self, active: list[int]) -> None:
        ready = [
            slot for slot in active if self._at(slot).unfed == 1 and self._at(slot).finish is None
        ]
        if ready:
            self._feed([(slot, 1) for slot in ready])

    def _feed(self, parts: list[tuple[int, int]]) -> None:
        """Evaluate the next ``count`` tokens of each slot, and sample where none are left."""
        batch = self._batch
        batch.clear()
        rows = []
        for slot, count in parts:
            sequence = self._at(slot)
            if count == 1:
                index = batch.add_one(sequence.tokens[sequence.fed], sequence.fed, slot)
            else:
                tokens = sequence.tokens[sequence.fed : sequence.fed + count]
                index = batch.add(tokens, sequence.fed, slot)
            if count == sequence.unfed:
                batch.want(index)
                rows.append((slot, index))
        started = time.perf_counter()
        self._memory.decode(batch)
        self.decode_seconds += time.perf_counter() - started
        for slot, count in parts:
            sequence = self._at(slot)
            self._held[slot] += sequence.tokens[sequence.fed : sequence.fed + count]
            sequence.fed += count
        for slot, index in rows:
            begun = time.perf_counter()
            token = self._at(slot).sampler.pick(self._memory.logits(index))
            self.choose_seconds += time.perf_counter() - begun
            self._accept(self._at(slot), token)

    def _accept(self, sequence: _Sequence, token: int) -> None:
        if self._model.ends(token) and not sequence.request.past_the_end:
            sequence.finish = "end"
            return
        sequence.generated += 1
        sequence.tokens.append(token)
        sequence.unsent.append(sequence.decoder.decode(self._model.spoken(token)))
        sequence.unsent_tokens += 1
        if sequence.generated >= sequence.request.max_tokens:
            sequence.finish = "length"

    def _undo(self) -> None:
        """After an aborted decode, forget what it may have written."""
        self._memory.abort.clear()
        for slot, sequence in enumerate(self._slots):
            if sequence is None:
                continue
            if not self._memory.forget(slot, sequence.fed):
                self._memory.forget(slot)
                sequence.fed = 0
            # What a slot held before its first token went with the rest of it.
            del self._held[slot][sequence.fed :]

    def _collect(self, active: list[int], spent: float) -> list[Completion]:
        """Book the step's time, and take what is finished out of its slot."""
        completions = []
        for slot, sequence in enumerate(self._slots):
            if sequence is None:
                continue
            if slot in active:
                sequence.seconds += spent
            if sequence.generated and not sequence.first_token_seconds:
                sequence.first_token_seconds = sequence.seconds
            if sequence.finish is None and sequence.seconds > sequence.request.deadline_seconds:
                sequence.finish = "deadline"
            if sequence.finish is not None:
                completions.append(self._completion(sequence, sequence.finish))
                sequence.sampler.close()
                self._slots[slot] = None
        return completions

    def _completion(self, sequence: _Sequence, finish: FinishReason) -> Completion:
        sequence.unsent.append(sequence.decoder.decode(b"", final=True))
        rest = self._piece_of(sequence)
        return Completion(
            request=sequence.request,
            text="".join(sequence.text),
            rest=rest,
            finish=finish,
            token_ids=tuple(sequence.tokens[len(sequence.request.prompt) :]),
            first_token_seconds=sequence.first_token_seconds or sequence.seconds,
            seconds=sequence.seconds,
        )

    def close(self) -> None:
        """Free everything but the model."""
        for sequence in (*self._waiting, *self._slots):
            if sequence is not None:
                sequence.sampler.close()
        self._waiting.clear()
        self._slots = [None] * self.width
        self.free_context()
        self._batch.close()
