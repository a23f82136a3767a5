"""How a command's work runs: in an event loop, with a log, until it is done or signalled."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from emojudge.config_file import LoadedConfig
from emojudge.errors import Interrupted, NeedsPerson
from emojudge.pipeline.headless import HeadlessRun
from emojudge.pipeline.log_file import start_log
from emojudge.pipeline.outcome import Outcome
from emojudge.pipeline.study import Study
from emojudge.progress_bars import ProgressBars
from emojudge.say import is_verbose

T = TypeVar("T")
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_until_signalled(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work``; Ctrl-C, termination and a hang-up end it in order. Raises Interrupted."""

    async def supervise() -> T:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)
        received: list[signal.Signals] = []

        def stop(number: signal.Signals) -> None:
            received.append(number)
            task.cancel()

        for number in _ENDING_SIGNALS:
            loop.add_signal_handler(number, stop, number)
        try:
            return await task
        except asyncio.CancelledError as cancelled:
            if not received:
                raise
            raise Interrupted(
                f"Stopped by {received[0].name}. What was finished is stored; the same command "
                "goes on from there."
            ) from cancelled

    return asyncio.run(supervise())


def run_headless(
    loaded: LoadedConfig, work: Callable[[HeadlessRun], Coroutine[Any, Any, Any]]
) -> Outcome:
    """Run phases with log lines on stderr, and bars below them on a terminal."""
    bars = ProgressBars()
    with_log(loaded, bars.log_handler)
    study = Study(loaded)
    try:
        with bars:
            run = HeadlessRun(study, show=bars if bars.on_terminal else None)
            stopped = None
            try:
                run_until_signalled(work(run))
            except NeedsPerson as problem:
                # What was done until here is a result, too.
                stopped = problem
        return run.outcome(stopped)
    finally:
        study.close()


def with_log(loaded: LoadedConfig, shown_by: logging.Handler | None) -> None:
    """Start the study's log."""
    start_log(loaded.study_dir, logging.DEBUG if is_verbose() else loaded.log_level, shown_by)
