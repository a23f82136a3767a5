"""Measurements as they are asked for over the protocol: text in, figures out."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from emojudge.engine.fitting import LEAST_CHARACTERS, LEFT_OUT, cut, filled
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
        branches = [self._branch(suffix, command.options) for suffix in command.suffixes]
        longest = max(len(suffix) for suffix, _ in branches)
        prefix, left_out = self._fitting(command, longest)
        union = sorted({option for _, own in branches for option in own})
        rows = self._scorer.suffix_log_probs(prefix, [suffix for suffix, _ in branches], union)
        return Scored(
            id=command.id,
            log_probs=tuple(
                tuple(float(row[union.index(option)]) for option in own)
                for row, (_, own) in zip(rows, branches, strict=True)
            ),
            prefix_tokens=len(prefix),
            reused_tokens=self._scorer.reused_tokens,
            left_out=left_out,
        )

    def _branch(self, suffix: str, options: Sequence[str]) -> tuple[list[int], list[int]]:
        """A suffix in tokens, and the token of each option behind it.

        Both are cut into tokens together, because some vocabularies put a space in front of a digit
        into the digit's own token.
        """
        whole = [self._plain(suffix + option) for option in options]
        alone = self._plain(suffix)
        *begin, _ = whole[0]
        one_token_more = all(tokens[:-1] == begin for tokens in whole)
        if not begin or not one_token_more or len(begin) > len(alone):
            return alone, [self._option(option) for option in options]
        last = [tokens[-1] for tokens in whole]
        if len(set(last)) < len(last):
            raise EngineError(
                f"This model's vocabulary has one token for several of {', '.join(options)}, so it "
                "cannot choose between them. Take another model."
            )
        return begin, last

    def _fitting(self, command: Score, beside: int) -> tuple[list[int], int]:
        """The prompt's tokens with the texts in place, and how many characters had no room.

        ``beside`` tokens must fit behind it. Raises EngineError when it does not fit without texts.
        """
        whole = command.texts
        kept = [len(text) for text in whole]
        bare: int | None = None
        while True:
            texts = [cut(text, most) for text, most in zip(whole, kept, strict=True)]
            tokens = self._prompts.build(filled(command.messages, texts)).tokens
            limit = self._scorer.limit
            over = 0 if limit is None else len(tokens) + beside - limit
            longest = max(range(len(whole)), key=lambda one: kept[one], default=None)
            if over <= 0 or longest is None or kept[longest] <= LEAST_CHARACTERS:
                return list(tokens), sum(map(len, whole)) - sum(kept)
            if bare is None:
                nothing = filled(command.messages, [""] * len(whole))
                bare = len(self._prompts.build(nothing).tokens)
            characters = sum(map(len, texts)) / max(1, len(tokens) - bare)
            # A little more than seems needed, so that few turns are enough.
            surplus = math.ceil(over * characters) + len(LEFT_OUT)
            kept[longest] = max(LEAST_CHARACTERS, kept[longest] - surplus)

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
