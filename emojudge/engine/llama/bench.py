"""Timing the worker's own loops against the high-level interface and the machine's bound."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import llama_cpp
import numpy as np

from emojudge.engine.llama.batch import DecodeBatch
from emojudge.engine.llama.batcher import Batcher, Request
from emojudge.engine.llama.measuring import Measuring
from emojudge.engine.llama.model import (
    LOAD_MODE,
    ContextShape,
    LlamaContext,
    LlamaModel,
    Placement,
)
from emojudge.engine.llama.prompt import PromptBuilder
from emojudge.engine.llama.scoring import Scorer
from emojudge.engine.protocol import (
    Bench,
    BenchDone,
    ModelReady,
    SameTexts,
    SpeedRatios,
    StepShares,
)
from emojudge.engine.template_process import TemplateProcess

SAMPLED_TEMPERATURE = 0.7
TOP_P = 0.9
_SINGLE_TEXTS = 5
_COMPARED_TEXTS = 10
_BOUND_SECONDS = 1.0
_DEADLINE = 600.0
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Timing:
    """Tokens and seconds of decoding, and of the whole with the evaluation of prompts.

    Of the seconds of decoding, ``evaluating`` are llama.cpp's and ``choosing`` the sampler's.
    """

    tokens: int = 0
    seconds: float = 0.0
    whole_tokens: int = 0
    whole_seconds: float = 0.0
    evaluating: float = 0.0
    choosing: float = 0.0

    def __add__(self, other: _Timing) -> _Timing:
        return _Timing(
            self.tokens + other.tokens,
            self.seconds + other.seconds,
            self.whole_tokens + other.whole_tokens,
            self.whole_seconds + other.whole_seconds,
            self.evaluating + other.evaluating,
            self.choosing + other.choosing,
        )

    @property
    def rate(self) -> float:
        """Tokens a second while decoding."""
        return self.tokens / self.seconds

    @property
    def whole(self) -> float:
        """Tokens a second, prompts included."""
        return self.whole_tokens / self.whole_seconds


@dataclass
class _Rates:
    """What one kind of sampling was timed at, a list entry per repetition."""

    sequential: list[_Timing] = field(default_factory=list)
    single: list[_Timing] = field(default_factory=list)
    batched: dict[int, list[_Timing]] = field(default_factory=lambda: defaultdict(list))
    bound: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))


class Benchmark:
    """One run of all timings on one model. Everything is interleaved within a repetition."""

    def __init__(self, settings: Bench, report: Report) -> None:
        self._settings = settings
        self._report = report
        self._done = 0
        self._placement = Placement(gpu_layers=settings.gpu_layers)
        self._load_seconds = self._load_times()
        self._model = LlamaModel(settings.path, self._placement)
        self._renderer = TemplateProcess()
        self._prompts = PromptBuilder(self._model, None, self._renderer)
        self._tokens = [self._prompts.build(one).tokens for one in settings.conversations]
        judged = max(len(self._prompts.build(one).tokens) for one in settings.json_questions)
        longest = max(max(map(len, self._tokens)) + settings.tokens, judged + 256)
        self._high_level = llama_cpp.Llama(
            settings.path,
            n_ctx=max(2048, longest),
            n_batch=512,
            n_threads=settings.threads,
            n_threads_batch=settings.threads,
            n_gpu_layers=-1 if settings.gpu_layers is None else settings.gpu_layers,
            flash_attn=True,
            verbose=False,
        )

    @property
    def _total(self) -> int:
        return 1 + self._settings.repetitions * (2 * (1 + len(self._settings.widths)) + 1) + 1

    def _advance(self, what: str) -> None:
        self._done += 1
        self._report(what, self._done, self._total)

    def _load_times(self) -> float:
        times = []
        for _ in range(self._settings.repetitions):
            started = time.perf_counter()
            LlamaModel(self._settings.path, self._placement).close()
            times.append(time.perf_counter() - started)
        self._advance("loading")
        return statistics.median(times)

    def run(self) -> BenchDone:
        """Take all timings."""
        widths = self._settings.widths
        rates = {0.0: _Rates(), SAMPLED_TEMPERATURE: _Rates()}
        by_prefix, by_json = [], []
        for _ in range(self._settings.repetitions):
            for temperature, one in rates.items():
                kind = "sampled" if temperature else "greedy"
                sequential = single = _Timing()
                for index in range(_SINGLE_TEXTS):
                    # Text by text, because the two are close and the machine's speed wanders.
                    sequential += self._sequential(temperature, index)
                    single += self._batched(1, temperature, [index])
                one.sequential.append(sequential)
                one.single.append(single)
                self._advance(f"{kind}, one after another")
                for width in widths:
                    # The bound right beside what it bounds.
                    one.bound[width].append(self._bound(width))
                    one.batched[width].append(self._batched(width, temperature, range(width)))
                    self._advance(f"{kind}, own loop, {width} together")
            by_prefix.append(self._judge_by_prefix())
            by_json.append(self._judge_by_json())
            self._advance("judging")
        texts = self._same_texts()
        self._advance("comparing texts")
        return BenchDone(
            greedy=_ratios(rates[0.0]),
            sampled=_ratios(rates[SAMPLED_TEMPERATURE]),
            bound={
                width: statistics.median(
                    [value for one in rates.values() for value in one.bound[width]]
                )
                for width in widths
            },
            judge_over_json=_median_ratio(by_prefix, by_json),
            judged_by_prefix=statistics.median(by_prefix),
            judged_by_json=statistics.median(by_json),
            load_seconds=self._load_seconds,
            texts=texts,
        )

    # Generating

    def _bound(self, width: int) -> float:
        """S(width): tokens a second of prompt evaluation in steps of ``width``, all with logits.

        The prompt is as long as makes its mean depth that of the timed texts.
        """
        depth = statistics.mean(map(len, self._tokens)) + self._settings.tokens / 2
        count = width * max(2, round(2 * depth / width))
        shape = ContextShape(
            count, 1, self._settings.threads, batch=count, physical_batch=width, outputs=count
        )
        context = LlamaContext(self._model, shape)
        batch = DecodeBatch(count)
        filler = np.resize(np.concatenate([np.asarray(one) for one in self._tokens]), count)
        batch.add(filler.tolist(), 0, 0, all_logits=True)
        context.decode(batch)
        evaluated = 0
        started = time.perf_counter()
        while time.perf_counter() - started < _BOUND_SECONDS:
            context.forget_all()
            context.decode(batch)
            evaluated += count
        rate = evaluated / (time.perf_counter() - started)
        batch.close()
        context.close()
        return rate

    def _sequential(self, temperature: float, index: int) -> _Timing:
        """One text by the high-level interface, streaming as our own loop does."""
        llama = self._high_level
        prompt = list(self._prompt(index))
        llama.reset()
        started = time.perf_counter()
        first = 0.0
        for _ in llama.create_completion(
            prompt,
            max_tokens=self._settings.tokens,
            temperature=temperature,
            top_p=TOP_P,
            top_k=0,
            min_p=0.0,
            seed=index,
            stream=True,
        ):
            first = first or time.perf_counter()
        ended = time.perf_counter()
        # Each token after the first took one evaluation, whether it was said or ended the text.
        tokens = llama.n_tokens - len(prompt)
        return _Timing(tokens, ended - first, tokens + 1, ended - started)

    def _high_level_tokens(self, prompt: Sequence[int]) -> list[int]:
        """A greedy text's tokens, past its end."""
        self._high_level.reset()
        tokens = self._high_level.generate(
            prompt, top_k=0, top_p=TOP_P, min_p=0.0, temp=0.0, repeat_penalty=1.0
        )
        return list(itertools.islice(tokens, self._settings.tokens))

    def _prompt(self, index: int) -> tuple[int, ...]:
        return self._tokens[index % len(self._tokens)]

    def _requests(self, indices: Iterable[int], temperature: float) -> list[Request]:
        return [
            Request(
                id=str(index),
                prompt=self._prompt(index),
                max_tokens=self._settings.tokens,
                temperature=temperature,
                top_p=TOP_P,
                seed=index,
                deadline_seconds=_DEADLINE,
                past_the_end=True,
            )
            for index in indices
        ]

    def _batched(self, width: int, temperature: float, indices: Iterable[int]) -> _Timing:
        """The worker's loop. Decoding is timed in steps in which no prompt is evaluated."""
        batcher = Batcher(self._model, width, self._settings.threads)
        for request in self._requests(indices, temperature):
            batcher.add(request)
        tokens, whole_tokens, decoding = 0, 0, 0.0
        evaluating = choosing = 0.0
        begun = time.perf_counter()
        while batcher.busy:
            began = batcher.evaluating_prompts
            before = batcher.decode_seconds, batcher.choose_seconds
            started = time.perf_counter()
            completed = batcher.step()
            pieces = [*batcher.take_pieces(), *(one.rest for one in completed)]
            said = sum(one.tokens for one in pieces)
            whole_tokens += said
            if not began:
                decoding += time.perf_counter() - started
                tokens += said
                evaluating += batcher.decode_seconds - before[0]
                choosing += batcher.choose_seconds - before[1]
        whole = time.perf_counter() - begun
        batcher.close()
        return _Timing(tokens, decoding, whole_tokens, whole, evaluating, choosing)

    def _same_texts(self) -> SameTexts:
        """Ten greedy texts by each way, compared token for token."""
        sequential = [
            self._high_level_tokens(self._prompt(index)) for index in range(_COMPARED_TEXTS)
        ]
        single = self._texts(1)
        shares = {}
        gaps = []
        for width in self._settings.widths:
            batched = self._texts(width)
            shares[width] = _share_equal(batched, single)
            gaps += [
                self._gap(index, one, other)
                for index, (one, other) in enumerate(zip(single, batched, strict=True))
                if one != other
            ]
        return SameTexts(
            single_and_sequential=_share_equal(single, sequential),
            batched_and_single=shares,
            largest_gap=max(gaps, default=None),
        )

    def _texts(self, width: int) -> list[list[int]]:
        batcher = Batcher(self._model, width, self._settings.threads)
        for request in self._requests(range(_COMPARED_TEXTS), 0.0):
            batcher.add(request)
        found: dict[str, list[int]] = {}
        while batcher.busy:
            found |= {one.request.id: list(one.token_ids) for one in batcher.step()}
        batcher.close()
        return [found[str(index)] for index in range(_COMPARED_TEXTS)]

    def _gap(self, index: int, one: Sequence[int], other: Sequence[int]) -> float:
        """How far apart the logits of two choices are where two texts part."""
        at = next(place for place in range(len(one)) if one[place] != other[place])
        scorer = Scorer(self._model, self._settings.threads, None)
        prompt = self._prompt(index)
        _, row = next(scorer.rows([*prompt, *one[: at + 1]], len(prompt) + at))
        gap = abs(float(row[one[at]] - row[other[at]]))
        scorer.close()
        return gap

    # Judging

    def _judge_by_prefix(self) -> float:
        """Responses a second on all qualities, by suffixes that branch from a shared prefix.

        The first question warms up: what all begin with is evaluated before the clock starts, here
        and for JSON.
        """
        settings = self._settings
        scorer = Scorer(self._model, settings.threads, None)
        ready = ModelReady(
            context_length=0,
            load_seconds=0.0,
            load_mode=LOAD_MODE,
            gpu_offload=self._model.offload,
        )
        measuring = Measuring(self._model, scorer, self._prompts, ready, settings.threads)
        measuring.answer(settings.questions[0])
        started = time.perf_counter()
        for question in settings.questions[1:]:
            measuring.answer(question)
        rate = (len(settings.questions) - 1) / (time.perf_counter() - started)
        scorer.close()
        return rate

    def _judge_by_json(self) -> float:
        """The same by one JSON object a response, generated under a grammar."""
        settings = self._settings
        prompts = [self._prompts.build(one).tokens for one in settings.json_questions]
        schema = {
            "type": "object",
            "properties": {
                name: {"type": "integer", "enum": [1, 2, 3, 4, 5]} for name in settings.json_keys
            },
            "required": list(settings.json_keys),
        }
        grammar = llama_cpp.LlamaGrammar.from_json_schema(json.dumps(schema), verbose=False)
        self._high_level.reset()
        started = 0.0
        for number, prompt in enumerate(prompts):
            if number == 1:
                started = time.perf_counter()
            answer = self._high_level.create_completion(
                list(prompt), max_tokens=256, temperature=0.0, grammar=grammar
            )
            if not answer["choices"][0]["text"].rstrip().endswith("}"):
                raise RuntimeError(f"the grammar did not hold: {answer['choices'][0]['text']!r}")
        return (len(prompts) - 1) / (time.perf_counter() - started)

    def close(self) -> None:
        """Free the models."""
        self._high_level.close()
        self._model.close()
        self._renderer.close()


def _share_equal(left: Sequence[Sequence[int]], right: Sequence[Sequence[int]]) -> float:
    pairs = list(zip(left, right, strict=True))
    return sum(list(one) == list(other) for one, other in pairs) / len(pairs)


def _median_ratio(above: Iterable[float], below: Iterable[float]) -> float:
    return statistics.median(one / other for one, other in zip(above, below, strict=True))


def _shares(timings: Sequence[_Timing]) -> StepShares:
    """Where the time of decoding went, over all repetitions."""
    total = sum(timings, _Timing())
    return StepShares(
        evaluating=total.evaluating / total.seconds, choosing=total.choosing / total.seconds
    )


def _ratios(rates: _Rates) -> SpeedRatios:
    sequential = [one.rate for one in rates.sequential]
    single = [one.rate for one in rates.single]
    batched = {width: [one.rate for one in all_] for width, all_ in rates.batched.items()}
    return SpeedRatios(
        single_over_sequential=_median_ratio(single, sequential),
        batched_over_sequential={
            width: _median_ratio(values, sequential) for width, values in batched.items()
        },
        batched_over_bound={
            width: _median_ratio(values, rates.bound[width]) for width, values in batched.items()
        },
        with_prompts={
            width: _median_ratio(
                [one.whole for one in timings], [one.whole for one in rates.sequential]
            )
            for width, timings in rates.batched.items()
        },
        shares={
            1: _shares(rates.single),
            **{width: _shares(timings) for width, timings in rates.batched.items()},
        },
        sequential=statistics.median(sequential),
        single=statistics.median(single),
        batched={width: statistics.median(values) for width, values in batched.items()},
    )
