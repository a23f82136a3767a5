"""How long a phase will take, said before it starts."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from emojudge.pipeline.study import Study
from emojudge.processors import usable_cores
from emojudge.store.tables import RESPONSES
from emojudge.text import counted, human_bytes, human_seconds

_PROBE_BYTES = 128 << 20
# A stored response carries about this much beside its text, which has some 5 bytes a token.
_RECORD_BYTES = 700
_BYTES_PER_TOKEN = 6


@dataclass(frozen=True)
class Estimate:
    """``seconds`` is a lower bound when ``rough``; ``tokens`` is an upper bound.

    ``again`` are texts of the baseline beside the ``cells``, for the numeric noise floor.
    """

    cells: int
    again: int
    stored: int
    tokens: int
    seconds: float
    rough: bool
    disk: int
    judges: int = 0
    judged: int = 0
    examined: bool = False

    @property
    def _reading(self) -> str:
        """What judges of the ensemble will read, beside what is measured."""
        if not self.judges:
            return "measuring, "
        exam = " and the 1,200 texts of an exam" if self.examined else ""
        judges = counted(self.judges, "judge")
        return f"measuring, {judges} reading {self.judged:,} responses{exam} each, "

    def __str__(self) -> str:
        if not self.cells and not self.again:
            return f"ai-judge: all {self.stored} responses are stored, nothing to generate"
        time_needed = (
            f"at least {human_seconds(self.seconds)} going by this machine's memory bandwidth, "
            "refined as responses come"
            if self.rough
            else f"about {human_seconds(self.seconds)} going by the speeds measured in this study"
        )
        again = f" and {self.again:,} of the baseline once more" if self.again else ""
        return (
            f"ai-judge: {counted(self.cells, 'response')} to generate{again}, {self.stored:,} "
            f"stored; at most {self.tokens:,} tokens; {time_needed}; disk at most "
            f"{human_bytes(self.disk)}; then {self._reading}and timing each model"
        )


def memory_bandwidth() -> float:
    """Bytes read per second, measured by summing an array once; a bound for decoding."""
    block = np.ones(_PROBE_BYTES // 8, dtype=np.int64)
    started = time.perf_counter()
    int(block.sum())
    return _PROBE_BYTES / (time.perf_counter() - started)


def estimate_generation(study: Study) -> Estimate:
    """Count what is missing and time it by stored speeds, else by memory bandwidth."""
    seconds_spent: dict[str, float] = defaultdict(float)
    tokens_made: dict[str, int] = defaultdict(int)
    count: dict[str, int] = defaultdict(int)
    for response in study.store.all(RESPONSES):
        seconds_spent[response.candidate] += response.seconds
        tokens_made[response.candidate] += response.tokens
        count[response.candidate] += 1
    longest = study.config.generation.max_tokens
    missing = stored = 0
    again = study.left_again()
    seconds = 0.0
    rough = False
    bandwidth: float | None = None
    for candidate in study.discovery.candidates:
        sha = candidate.sha256
        own = 0
        for prompt in study.discovery.prompts:
            for cell in study.reachable_cells(candidate, prompt):
                if study.stored(cell) is None:
                    own += 1
                else:
                    stored += 1
        missing += own
        if candidate.is_baseline:
            own += again
        if not own:
            continue
        if count[sha]:
            seconds += own * seconds_spent[sha] / count[sha]
        else:
            rough = True
            bandwidth = bandwidth or memory_bandwidth() * usable_cores()
            seconds += own * longest * candidate.size / bandwidth
    return Estimate(
        cells=missing,
        again=again,
        stored=stored,
        tokens=(missing + again) * longest,
        seconds=seconds,
        rough=rough,
        disk=(missing + again) * (longest * _BYTES_PER_TOKEN + _RECORD_BYTES),
        judges=len(study.ensemble.emotional_judge.members),
        judged=missing + stored,
        examined=study.ensemble.sits_exams,
    )
