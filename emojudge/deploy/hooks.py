"""What is run around the switch: commands before it, a restart after it, a health check."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import httpx2
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from emojudge.deploy.generation import Generation
from emojudge.errors import DeployError
from emojudge.frozen import Frozen
from emojudge.text import human_seconds, visible_line

_URL = re.compile(r"https?://", re.IGNORECASE)
_BETWEEN_CHECKS = 0.25
_OK, _REDIRECT = 200, 300
_SAID_BYTES = 300


class Hooks(Frozen):
    """Commands are run by the shell; their deadlines are in seconds.

    ``health_check`` is a command, or an address that must answer with 2xx; it is tried again
    until it succeeds or its deadline is over.
    """

    pre_command: str | None = None
    restart_command: str | None = None
    health_check: str | None = None
    command_seconds: float = 120.0
    health_seconds: float = 60.0

    @property
    def any(self) -> bool:
        """Whether anything is run around a switch."""
        return any((self.pre_command, self.restart_command, self.health_check))


def environment(root: Path, generation: Generation | None) -> dict[str, str]:
    """What a hook is told: where the store is, and which generation is current or will be."""
    told = {"EMOJUDGE_CORE": str(root.absolute()), "EMOJUDGE_CURRENT": str(root / "current")}
    if generation is not None:
        told["EMOJUDGE_GENERATION"] = str(generation.number)
        told["EMOJUDGE_MODEL"] = generation.manifest.model_path
        told["EMOJUDGE_MODEL_NAME"] = generation.manifest.name
    return told


def run_command(what: str, command: str, told: Mapping[str, str], seconds: float) -> None:
    """Run a command to its end. Raises DeployError with its status and last words."""
    # A file and not a pipe: a service that it starts in the background keeps a pipe open.
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S602 - the config's own commands are the shell's
            command,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, **told},
            start_new_session=True,
        )
        try:
            status = process.wait(seconds)
        except BaseException as problem:
            # Also when somebody interrupts: it must not go on beside the way back.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(problem, subprocess.TimeoutExpired):
                raise
            raise DeployError(
                f"The {what} `{command}` was not done after {human_seconds(seconds)}."
            ) from None
        if status != 0:
            end = said.seek(0, os.SEEK_END)
            said.seek(max(0, end - _SAID_BYTES))
            tail = visible_line(said.read().decode(errors="replace").strip())
            how = f"signal {-status}" if status < 0 else f"status {status}"
            raise DeployError(f"The {what} `{command}` ended with {how}: {tail or 'no output'}")


def _check_once(check: str, told: Mapping[str, str], seconds: float) -> None:
    if not _URL.match(check):
        run_command("health check", check, told, seconds)
        return
    try:
        # Only the status: a stream of events has no end to wait for.
        with httpx2.stream("GET", check, timeout=seconds) as answer:
            status = answer.status_code
    except (httpx2.HTTPError, httpx2.InvalidURL) as problem:
        raise DeployError(f"The health check {check} did not answer: {problem}") from problem
    if not _OK <= status < _REDIRECT:
        raise DeployError(f"The health check {check} answered {status}.")


def require_health(check: str, told: Mapping[str, str], seconds: float) -> None:
    """Check until it succeeds. Raises DeployError with the last failure after ``seconds``."""
    end = time.monotonic() + seconds
    tries = Retrying(
        retry=retry_if_exception_type(DeployError),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(_BETWEEN_CHECKS),
    )
    try:
        for attempt in tries:
            with attempt:
                left = max(_BETWEEN_CHECKS, end - time.monotonic())
                _check_once(check, told, left)
    except RetryError as late:
        last = late.last_attempt.exception()
        raise DeployError(f"Not healthy after {human_seconds(seconds)}: {last}") from last
