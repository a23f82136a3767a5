"""Entry point of a benchmark: ``python -m emojudge.engine.bench_worker``."""

from __future__ import annotations

from emojudge.engine.child import Channel
from emojudge.engine.llama import native
from emojudge.engine.llama.bench import Benchmark
from emojudge.engine.protocol import Bench, BenchProgress, TaskFailed
from emojudge.errors import EngineError


def main() -> None:
    """Run one benchmark and end."""
    native.start()
    channel = Channel()
    command = channel.next_command()
    if not isinstance(command, Bench):
        channel.send(TaskFailed(reason=f"a benchmark does not know {command.kind!r}"))
        return

    def report(what: str, done: int, total: int) -> None:
        channel.send(BenchProgress(what=what, done=done, total=total))

    try:
        benchmark = Benchmark(command, report)
        channel.send(benchmark.run())
        benchmark.close()
    except EngineError as problem:
        channel.send(TaskFailed(reason=str(problem)))


if __name__ == "__main__":
    main()
