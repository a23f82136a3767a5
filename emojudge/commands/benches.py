"""``emojudge bench`` in its four kinds; progress goes to stderr, on one line of a terminal."""

from __future__ import annotations

from pathlib import Path

from emojudge.commands.running import run_until_signalled
from emojudge.pipeline.bench.deploy import run_deploy_benchmark
from emojudge.pipeline.bench.figures import BenchFigures
from emojudge.pipeline.bench.model import BenchResult, run_benchmark
from emojudge.pipeline.bench.ranking import RankingBench, run_ranking_benchmark
from emojudge.pipeline.bench.ui import run_ui_benchmark
from emojudge.pipeline.setup import demo_ladder
from emojudge.say import say, say_progress


def run_bench(
    model: Path | None,
    *,
    repetitions: int,
    tokens: int,
    threads: int | None,
    gpu_layers: int | None,
) -> BenchResult:
    """``emojudge bench``; progress goes to stderr, on one line of a terminal."""

    async def work() -> BenchResult:
        chosen = model or next((await demo_ladder(say)).glob("*-Q8_0/*.gguf"))
        return await run_benchmark(
            chosen,
            threads=threads,
            gpu_layers=gpu_layers,
            repetitions=repetitions,
            tokens=tokens,
            progress=_bench_progress,
        )

    return run_until_signalled(work())


def _bench_progress(what: str, done: int, total: int) -> None:
    say_progress(f"{done} of {total}: {what}", last=done == total)


def run_bench_of_ranking(repetitions: int) -> RankingBench:
    """``emojudge bench --ranking``."""
    return run_ranking_benchmark(repetitions, _bench_progress)


def run_bench_of_ui(repetitions: int) -> BenchFigures:
    """``emojudge bench --ui``."""
    return run_ui_benchmark(repetitions, _bench_progress)


def run_bench_of_deploy(repetitions: int) -> BenchFigures:
    """``emojudge bench --deploy``."""
    return run_deploy_benchmark(repetitions, _bench_progress)
