"""Running many simulated studies on all cores."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from emojudge.processors import usable_cores

T = TypeVar("T")
U = TypeVar("U")
Progress = Callable[[int, int], None]
_CHUNKS_PER_PROCESS = 20


def run_all(
    work: Callable[[T], U],
    tasks: Sequence[T],
    *,
    processes: int | None = None,
    progress: Progress | None = None,
) -> list[U]:
    """``work`` on every task, results in the order of the tasks; 1 process means this one.

    ``work`` must be a function of a module, because other processes import it by name.
    """
    count = processes or usable_cores()
    done: list[U] = []

    def note() -> None:
        if progress is not None:
            progress(len(done), len(tasks))

    if count == 1:
        for task in tasks:
            done.append(work(task))
            note()
        return done
    chunk = max(1, len(tasks) // (count * _CHUNKS_PER_PROCESS))
    # Spawned, because threads of the parent (Textual's, numpy's) do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_one_thread) as pool:
        for result in pool.map(work, tasks, chunksize=chunk):
            done.append(result)
            note()
    return done


def _one_thread() -> None:
    """Each process has a core of its own; more threads would fight for it."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
