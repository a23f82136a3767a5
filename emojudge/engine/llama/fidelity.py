"""Perplexity, and how far a model's predictions are from another's, on bounded samples."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from emojudge.domain import stable_hash
from emojudge.engine.llama.model import LlamaModel
from emojudge.engine.llama.scoring import Scorer, log_softmax
from emojudge.errors import EngineError

_SPARE_DISK = 256 << 20


@dataclass(frozen=True)
class PerplexityResult:
    """``perplexity`` over ``positions`` predicted tokens in ``chunks`` chunks."""

    perplexity: float
    standard_error: float
    positions: int
    chunks: int


def perplexity(
    model: LlamaModel, scorer: Scorer, tokens: Sequence[int], chunk: int, most_chunks: int
) -> PerplexityResult:
    """Perplexity as ``llama-perplexity`` defines it.

    The text is cut into chunks of ``chunk`` tokens; each starts from nothing, its first token
    replaced by BOS if the model wants one, and its second half is scored. The standard error is
    that of the mean log-likelihood, carried over to the perplexity.
    """
    chunks = min(len(tokens) // chunk, most_chunks)
    if chunks == 0:
        raise EngineError(
            f"The text has {len(tokens)} tokens; a perplexity over chunks of {chunk} needs at "
            f"least {chunk}. Give a longer text or a smaller chunk."
        )
    losses = []
    for number in range(chunks):
        part = list(tokens[number * chunk : (number + 1) * chunk])
        given = [model.bos, *part[1:]] if model.wants_bos else part
        losses += [
            -log_softmax(row)[part[index]]
            for index, row in scorer.rows(given, chunk // 2 + 1, keep=False)
        ]
    mean = float(np.mean(losses))
    error = float(np.std(losses, ddof=1) / np.sqrt(len(losses)))
    value = float(np.exp(mean))
    return PerplexityResult(value, value * error, len(losses), chunks)


@dataclass(frozen=True)
class ForcedText:
    """A text to be read behind a prompt, as token ids."""

    prompt: tuple[int, ...]
    text: tuple[int, ...]


@dataclass(frozen=True)
class _About:
    """What a recorded reference belongs to."""

    vocabulary_size: int
    positions: list[int]
    texts: list[int]
    tokens: int
    digest: str


@dataclass(frozen=True)
class Divergence:
    """How a model's next-token distributions differ from the reference's.

    ``mean_kl`` is KL(reference ‖ model) in nats over ``positions`` sampled positions;
    ``same_top`` is the share of all ``all_positions`` at which both would choose the same token
    greedily; ``first_divergence`` is, per text, the index of the first where they would not, or
    None where there is none.
    """

    mean_kl: float
    standard_error: float
    positions: int
    same_top: float
    all_positions: int
    first_divergence: tuple[int | None, ...]


class Reference:
    """A model's log-probabilities at sampled positions of given texts, in a folder on disk.

    Half precision: the error of a log-probability near 0 is below .001, and those far below 0
    weigh nothing in a divergence.
    """

    def __init__(self, folder: Path) -> None:
        self._about = folder / "reference.json"
        self._rows = folder / "log_probs.npy"
        self._tops = folder / "top_tokens.npy"

    def record(
        self, model: LlamaModel, scorer: Scorer, texts: Sequence[ForcedText], most: int, seed: int
    ) -> int:
        """Write the reference; returns its bytes. Raises EngineError without enough disk."""
        total = sum(len(one.text) for one in texts)
        if total == 0:
            raise EngineError("There are no texts to compare predictions on.")
        draw = np.random.default_rng(seed)
        positions = np.sort(draw.choice(total, size=min(most, total), replace=False))
        size = len(positions) * model.vocabulary_size * 2
        try:
            return self._write(model, scorer, texts, positions, size)
        except OSError as problem:
            raise EngineError(
                f"The reference predictions cannot be written to {self._about.parent}: "
                f"{problem.strerror}. Make the folder writable, or free some space."
            ) from problem

    def _write(
        self,
        model: LlamaModel,
        scorer: Scorer,
        texts: Sequence[ForcedText],
        positions: npt.NDArray[np.int64],
        size: int,
    ) -> int:
        """Write everything; what says that it is whole comes last."""
        total = sum(len(one.text) for one in texts)
        folder = self._about.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._about.unlink(missing_ok=True)
        free = shutil.disk_usage(folder).free
        if free < size + _SPARE_DISK:
            raise EngineError(
                f"The reference predictions need {size:,} bytes in {folder}, which has "
                f"{free:,} free. Free some space, or sample fewer positions."
            )
        rows = np.lib.format.open_memmap(
            self._rows, "w+", np.float16, (len(positions), model.vocabulary_size)
        )
        tops = np.empty(total, np.int32)
        wanted = {int(position): row for row, position in enumerate(positions)}
        for position, logits in _predictions(scorer, texts):
            tops[position] = logits.argmax()
            if position in wanted:
                rows[wanted[position]] = log_softmax(logits)
        rows.flush()
        np.save(self._tops, tops)
        about = _About(
            model.vocabulary_size,
            positions.tolist(),
            [len(one.text) for one in texts],
            total,
            _digest(texts),
        )
        self._about.write_text(json.dumps(asdict(about)))
        return size

    def compare(self, model: LlamaModel, scorer: Scorer, texts: Sequence[ForcedText]) -> Divergence:
        """Compare a model's predictions with the recorded ones.

        Raises EngineError when the texts or the vocabulary are not those of the reference.
        """
        try:
            about = _About(**json.loads(self._about.read_text()))
            reference = np.load(self._rows, mmap_mode="r")
            reference_tops = np.load(self._tops)
        except (OSError, ValueError, TypeError) as problem:
            raise EngineError(
                f"The reference predictions in {self._about.parent} cannot be read ({problem}). "
                "Record them again."
            ) from problem
        if (model.vocabulary_size, _digest(texts)) != (about.vocabulary_size, about.digest):
            raise EngineError(
                "The reference predictions were made for other texts or another vocabulary, so "
                "there is nothing to compare position by position."
            )
        row_of = {position: row for row, position in enumerate(about.positions)}
        divergences = []
        tops = np.empty(about.tokens, np.int32)
        for position, logits in _predictions(scorer, texts):
            tops[position] = logits.argmax()
            if position in row_of:
                divergences.append(_kl(reference[row_of[position]], logits))
        same = tops == reference_tops
        count = len(divergences)
        return Divergence(
            mean_kl=float(np.mean(divergences)),
            standard_error=float(np.std(divergences, ddof=1) / np.sqrt(count)) if count > 1 else 0,
            positions=count,
            same_top=float(same.mean()),
            all_positions=about.tokens,
            first_divergence=_first_differences(same, about.texts),
        )


def _digest(texts: Sequence[ForcedText]) -> str:
    return stable_hash([[list(one.prompt), list(one.text)] for one in texts], 32)


def _predictions(
    scorer: Scorer, texts: Sequence[ForcedText]
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Logits for every token of all texts, numbered through."""
    offset = 0
    for one in texts:
        start = len(one.prompt)
        for index, logits in scorer.rows([*one.prompt, *one.text], start):
            yield offset + index - start, logits
        offset += len(one.text)


def _kl(reference: npt.NDArray[np.float16], logits: npt.NDArray[np.float32]) -> float:
    """KL(reference ‖ model) in nats; the reference is normalised again after its rounding."""
    left = log_softmax(reference.astype(np.float32))
    return float(np.sum(np.exp(left) * (left - log_softmax(logits))))


def _first_differences(
    same: npt.NDArray[np.bool_], lengths: Sequence[int]
) -> tuple[int | None, ...]:
    result: list[int | None] = []
    start = 0
    for length in lengths:
        different = np.flatnonzero(~same[start : start + length])
        result.append(int(different[0]) if len(different) else None)
        start += length
    return tuple(result)
