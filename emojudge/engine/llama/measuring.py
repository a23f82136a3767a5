"""Measurements as they are asked for over the protocol: text in, figures out."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from emojudge.engine.llama.fidelity import ForcedText, Reference, perplexity
from emojudge.engine.llama.model import LlamaModel
from emojudge.engine.llama.prompt import PromptBuilder
from emojudge.engine.llama.scoring import Scorer
from emojudge.engine.memory import peak_resident_bytes, vram_of
from emojudge.engine.protocol import (
    Compared,
    CompareReference,
    DescribeWorker,
    GivenText,
    LogLikelihood,
    LogLikelihoods,
    Measured,
    Measurement,
    ModelReady,
    Perplexity,
    PerplexityMeasured,
    Recorded,
    RecordReference,
    Score,
    Scored,
    TokenLikelihood,
    WorkerDescribed,
)
from emojudge.errors import EngineError


class Measuring:
    """Answers measurements with one model."""

    def __init__(
        self,
        model: LlamaModel,
        scorer: Scorer,
        prompts: PromptBuilder,
        ready: ModelReady,
        threads: int,
    ) -> None:
        self._model = model
        self._scorer = scorer
        self._prompts = prompts
        self._ready = ready
        self.threads = threads

    def answer(self, command: Measurement) -> Measured:
        """Measure. Raises EngineError, Aborted or NativeFailure."""
        match command:
            case Score():
                return self._score(command)
            case LogLikelihood():
                return LogLikelihoods(
                    id=command.id, texts=tuple(self._likelihood(one) for one in command.texts)
                )
            case Perplexity():
                tokens = self._model.tokenize(command.text, add_special=True, parse_special=False)
                result = perplexity(
                    self._model, self._scorer, tokens, command.chunk_tokens, command.most_chunks
                )
                return PerplexityMeasured(id=command.id, **asdict(result))
            case RecordReference():
                size = Reference(Path(command.folder)).record(
                    self._model,
                    self._scorer,
                    [self._forced(one) for one in command.texts],
                    command.most_positions,
                    command.seed,
                )
                return Recorded(id=command.id, bytes=size)
            case CompareReference():
                divergence = Reference(Path(command.folder)).compare(
                    self._model, self._scorer, [self._forced(one) for one in command.texts]
                )
                return Compared(id=command.id, **asdict(divergence))
            case DescribeWorker():
                return WorkerDescribed(
                    id=command.id,
                    load_seconds=self._ready.load_seconds,
                    load_mode=self._ready.load_mode,
                    gpu_offload=self._ready.gpu_offload,
                    threads=self.threads,
                    peak_bytes=peak_resident_bytes(os.getpid()),
                    vram_bytes=vram_of(os.getpid()) if self._ready.gpu_offload else None,
                )

    def _plain(self, text: str) -> list[int]:
        """Tokens of text inside an answer; never control tokens."""
        return self._model.continuation(text)

    def _score(self, command: Score) -> Scored:
        prefix = [*self._prompts.build(command.messages).tokens, *self._plain(command.begin)]
        rows = self._scorer.suffix_log_probs(
            prefix,
            [self._plain(suffix) for suffix in command.suffixes],
            [self._option(option) for option in command.options],
        )
        return Scored(
            id=command.id,
            log_probs=tuple(tuple(map(float, row)) for row in rows),
            prefix_tokens=len(prefix),
            reused_tokens=self._scorer.reused_tokens,
        )

    def _option(self, text: str) -> int:
        tokens = self._plain(text)
        if len(tokens) != 1:
            raise EngineError(
                f"{text!r} is {len(tokens)} tokens in this model's vocabulary, and an option must "
                "be one. Choose options that are single tokens, such as digits."
            )
        return tokens[0]

    def _forced(self, given: GivenText) -> ForcedText:
        """The text behind its prompt, as much of it as the context holds."""
        prompt = self._prompts.build(given.messages).tokens
        text = self._plain(given.text)
        room = len(text) if self._scorer.limit is None else self._scorer.limit - len(prompt)
        return ForcedText(prompt, tuple(text[: max(0, room)]))

    def _likelihood(self, given: GivenText) -> TokenLikelihood:
        forced = self._forced(given)
        values = self._scorer.log_likelihoods(forced.prompt, forced.text)
        return TokenLikelihood(tokens=len(values), total=float(values.sum()))
