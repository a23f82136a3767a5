"""A headless run as it shows itself: log lines, and on a terminal a bar that lives below them."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from emojudge.pipeline.state import CandidateProgress
from emojudge.text import human_seconds, visible_line


class _AboveTheBars(logging.Handler):
    """Log lines that push the bars down instead of writing into them."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._console.print(
                self.format(record), markup=False, highlight=False, emoji=False, soft_wrap=True
            )
        except OSError:
            # A terminal that went away is noticed by its signal.
            self.handleError(record)


class ProgressBars:
    """Bars of the candidates being generated; nothing but log lines when stderr is a file."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._on_terminal = sys.stderr.isatty()
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[rate]}", markup=False, style="dim"),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    @property
    def log_handler(self) -> logging.Handler:
        """Shows log lines where they do not disturb the bars."""
        if self._on_terminal:
            return _AboveTheBars(self._console)
        return logging.StreamHandler(sys.stderr)

    @property
    def on_terminal(self) -> bool:
        """Whether bars are drawn."""
        return self._on_terminal

    def __enter__(self) -> ProgressBars:
        if self._on_terminal:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._on_terminal:
            self._progress.stop()

    def candidate(self, name: str, now: CandidateProgress) -> None:
        """Move a candidate's bar; a complete one goes, its log line says the rest."""
        bar = self._bars.get(name)
        if now.complete:
            if bar is not None:
                self._progress.remove_task(self._bars.pop(name))
            return
        speed, left = now.tokens_per_second, now.seconds_left
        rate = "loading" if speed is None else f"{speed:.0f} tokens/s"
        rate += "" if left is None else f", {human_seconds(left)} left"
        if bar is None:
            bar = self._bars[name] = self._progress.add_task(
                visible_line(name), total=now.total, rate=rate
            )
        self._progress.update(bar, completed=now.done + now.failed, rate=rate)
