"""Gates that a model's files answer by themselves: what is in them, and what they do."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from emojudge.candidates.discover import read_model
from emojudge.deploy.gates import Gate, failed, passed, unknown
from emojudge.deploy.generation import CoreFile, Generation
from emojudge.domain import Specs
from emojudge.engine.trial import Trial, try_model
from emojudge.errors import CandidateError, EmojudgeError, EngineError
from emojudge.text import counted, visible_line

_MEGABYTE = 1_000_000
_INVALID_DATA = "has invalid data"
_SAID_CHARACTERS = 60
_NOT_TRIED = "replacement_config.validation_required is off"
_WEIGHTS, _SMOKE = "weights", "smoke"


class TryModel(Protocol):
    """Loads a model where it can do no harm, checks its weights, and lets it speak."""

    def __call__(self, path: Path, *, has_template: bool, size: int) -> Trial:
        """Raises EngineError or WorkerDied."""
        ...


def try_in_sandbox(path: Path, *, has_template: bool, size: int) -> Trial:
    """In the engine's sandboxed worker; blocks until the trial is over."""

    def trial() -> Trial:
        return asyncio.run(
            try_model(path, has_template=has_template, size=size, check_tensors=True)
        )

    # A thread of its own, because the caller's may run an event loop already.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(trial).result()


def structure_gate(shards: Sequence[Path]) -> tuple[Gate, Specs | None]:
    """Whether the files are a sound GGUF of a language model, and what they say of it."""
    try:
        specs, headers = read_model(shards[0].stem, list(shards))
    except CandidateError as problem:
        return failed("structure", str(problem), integrity=True), None
    tensors = sum(len(header.tensors) for header in headers)
    return passed(
        "structure",
        f"{specs.architecture}, {specs.quantization}, {counted(tensors, 'tensor')}",
        integrity=True,
    ), specs


def size_gate(size: int, minimum: float) -> Gate:
    """Whether the model has as many bytes as the smallest that could be meant."""
    reason = f"{size / _MEGABYTE:.0f} MB, at least {minimum / _MEGABYTE:g} MB wanted"
    gate = passed if size >= minimum else failed
    return gate("size", reason, integrity=True)


def hash_gate(files: Sequence[CoreFile], expected: tuple[str, ...] | None) -> Gate:
    """Whether the staged files are those that were judged."""
    found = tuple(file.sha256 for file in files)
    evidence = "\n".join(f"{file.sha256}  {file.name}" for file in files)
    if expected is not None and found != expected:
        reason = (
            f"this is not the file that was judged: its sha256 is now {found[0][:12]}…, it was "
            f"{expected[0][:12]}…. Run discover again."
        )
        return failed("hash", reason, evidence=evidence, integrity=True)
    judged = "as judged" if expected is not None else "as copied"
    return passed("hash", f"sha256 {found[0][:12]}…, {judged}", evidence=evidence, integrity=True)


def template_gate(template: str | None, core: Generation | None) -> Gate:
    """Whether the core's chat template changes with it; the evidence is a diff."""
    name = "template"
    if core is None:
        return passed(name, "the first core: there is none to differ from")
    try:
        shards = [Path(core.folder) / file.name for file in core.manifest.files]
        own = read_model(core.manifest.name, shards)[0].chat_template
    except CandidateError as problem:
        return unknown(name, f"the core's own cannot be read: {problem}")
    if template == own:
        return passed(name, "as the core's")
    lines = ((own or "").splitlines(), (template or "").splitlines())
    diff = list(difflib.unified_diff(*lines, "core", "candidate", lineterm=""))
    changed = sum(line[:1] in "+-" and line[:3] not in ("+++", "---") for line in diff)
    what = (
        f"{counted(changed, 'line')} differ from the core's"
        if template and own
        else ("it has none, the core has one" if own else "it has one, the core has none")
    )
    return failed(name, what, evidence="\n".join(visible_line(line) for line in diff))


def trial_gates(
    staged: Sequence[Path], specs: Specs, size: int, try_it: TryModel | None
) -> tuple[Gate, Gate]:
    """What a sandboxed worker finds: weights without NaN or Inf, and a model that speaks.

    ``try_it`` None leaves both unknown. A signal, a limit or a deadline is a failed gate.
    """
    if try_it is None:
        return (
            unknown(_WEIGHTS, _NOT_TRIED, integrity=True),
            unknown(_SMOKE, _NOT_TRIED, integrity=True),
        )
    try:
        trial = try_it(staged[0], has_template=specs.chat_template is not None, size=size)
    except EngineError as problem:
        if _INVALID_DATA in str(problem):
            return (
                failed(_WEIGHTS, f"NaN or Inf: {problem}", integrity=True),
                unknown(_SMOKE, "not tried", integrity=True),
            )
        return (
            unknown(_WEIGHTS, "not looked at to the end", integrity=True),
            failed(_SMOKE, str(problem), integrity=True),
        )
    except EmojudgeError as problem:
        return (
            unknown(_WEIGHTS, "not looked at", integrity=True),
            failed(_SMOKE, str(problem), integrity=True),
        )
    said = visible_line(trial.text.strip())
    network = "" if trial.network_cut else ", with the network in reach"
    return (
        passed(_WEIGHTS, "no NaN or Inf", integrity=True),
        passed(
            _SMOKE,
            f"loaded in {trial.load_seconds:.1f} s{network}, said “{said[:_SAID_CHARACTERS]}”",
            evidence=said,
            integrity=True,
        ),
    )
