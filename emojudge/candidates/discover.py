"""Finding what can be compared in a folder, and saying why the rest cannot."""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from emojudge.candidates.gguf import GgufHeader, read_header
from emojudge.candidates.hashing import Progress, describe_file
from emojudge.candidates.pass1 import read_pass1
from emojudge.candidates.specs import specs_of
from emojudge.domain import Candidate, ModelFile, Specs, Unusable
from emojudge.errors import CandidateError, ModelFileError, NoCandidates, UsageError
from emojudge.text import visible_line

SPLIT_NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_OTHER_WEIGHTS = {
    ".safetensors": "convert it with llama.cpp's convert_hf_to_gguf.py",
    ".bin": "convert it with llama.cpp's convert_hf_to_gguf.py",
    ".pt": "convert it with llama.cpp's convert_hf_to_gguf.py",
    ".gptq": "GPTQ weights cannot be converted; quantize the original model to GGUF instead",
}
_NOT_LANGUAGE_MODELS = {
    "clip": "it is a vision projector (mmproj)",
    "mmproj": "it is a vision projector (mmproj)",
    "adapter": "it is a LoRA adapter",
    "imatrix": "it is an importance matrix",
}


@dataclass
class Found:
    """A candidate's files before they are read."""

    name: str
    folder: Path
    shards: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Discovered:
    """The outcome of a discover phase."""

    candidates: tuple[Candidate, ...]
    unusable: tuple[Unusable, ...]

    @property
    def baseline(self) -> Candidate:
        """The candidate that preservation is measured against."""
        return next(one for one in self.candidates if one.is_baseline)


def group_shards(files: Iterable[Path], folder_name: str | None) -> list[Found]:
    """Group GGUF files of one folder into single files and split sets."""
    groups: dict[str, Found] = {}
    for file in sorted(files):
        split = SPLIT_NAME.fullmatch(file.name)
        stem = split["stem"] if split else file.stem
        groups.setdefault(stem, Found(stem, file.parent)).shards.append(file)
    found = list(groups.values())
    if folder_name is not None:
        for one in found:
            one.name = folder_name if len(found) == 1 else f"{folder_name}/{one.name}"
    return found


def scan(folder: Path) -> tuple[list[Found], list[Unusable]]:
    """What a candidate folder holds by its names, and what in it has no GGUF. Raises OSError."""
    found = group_shards((path for path in folder.glob("*.gguf")), None)
    unusable: list[Unusable] = []
    for child in sorted(path for path in folder.iterdir() if path.is_dir()):
        if not os.access(child, os.R_OK | os.X_OK):
            unusable.append(
                Unusable(
                    name=visible_line(child.name),
                    reason="is a folder that may not be read",
                    remedy="change its permissions, or move it out of the folder",
                )
            )
            continue
        files = list(child.glob("*.gguf"))
        if files:
            found += group_shards(files, child.name)
            continue
        other = next(
            (path.suffix for path in sorted(child.iterdir()) if path.suffix in _OTHER_WEIGHTS), None
        )
        if other is not None:
            unusable.append(
                Unusable(
                    name=visible_line(child.name),
                    reason=f"holds {other} weights and no GGUF: not runnable by llama.cpp",
                    remedy=_OTHER_WEIGHTS[other],
                )
            )
    _make_names_unique(found, folder)
    return found, unusable


def _make_names_unique(found: list[Found], folder: Path) -> None:
    """A file and a folder of one name are two candidates: the later says where it lies."""
    seen: set[str] = set()
    for one in found:
        if one.name in seen:
            one.name = str(one.shards[0].relative_to(folder))
        seen.add(one.name)


def why_not_a_language_model(header: GgufHeader) -> str | None:
    """A reason if the file is something other than a language model, else None."""
    kind = header.text("general.type") or ""
    architecture = header.architecture
    for mark in (kind, architecture or ""):
        if mark in _NOT_LANGUAGE_MODELS:
            return _NOT_LANGUAGE_MODELS[mark]
    if architecture is None:
        return "its header names no architecture"
    if not header.tensors:
        return "it holds a vocabulary only, no weights"
    return None


def _check_shards(found: Found, headers: list[GgufHeader]) -> None:
    """Raise ModelFileError unless the shards are one complete set."""
    match = SPLIT_NAME.fullmatch(found.shards[0].name)
    if match is None:
        declared = headers[0].split
        if declared is not None:
            raise ModelFileError(
                f"it is shard {declared[0] + 1} of a split set of {declared[1]}, under a name "
                "llama.cpp will not load",
                0,
            )
        return
    count = int(match["count"])
    present = {
        int(shard["number"])
        for path in found.shards
        if (shard := SPLIT_NAME.fullmatch(path.name)) is not None
    }
    missing = sorted(set(range(1, count + 1)) - present)
    if missing:
        raise ModelFileError(f"shard {missing[0]} of {count} is missing from the split set", 0)


def read_model(found_name: str, shards: list[Path]) -> tuple[Specs, list[GgufHeader]]:
    """Read and check all shards of a model. Raises ModelFileError or CandidateError."""
    headers = [read_header(path) for path in shards]
    _check_shards(Found(found_name, shards[0].parent, shards), headers)
    why_not = why_not_a_language_model(headers[0])
    if why_not is not None:
        raise CandidateError(f"{why_not}: not a language model by itself")
    return specs_of(headers), headers


def _select(found: list[Found], wanted: tuple[str, ...], folder: Path) -> list[Found]:
    """Keep the wanted names. Raises NoCandidates naming near ones."""
    if not wanted:
        return found
    by_name = {one.name: one for one in found}
    unknown = [name for name in wanted if name not in by_name]
    if unknown:
        hints = []
        for name in unknown:
            near = difflib.get_close_matches(name, by_name, n=2, cutoff=0.4)
            hints.append(f"{name!r}" + (f" (near: {', '.join(near)})" if near else ""))
        raise NoCandidates(
            f"models_to_compare names what {folder} does not hold: {'; '.join(hints)}. It holds "
            f"{', '.join(sorted(by_name))}. Correct the names, or leave the list empty for all."
        )
    return [by_name[name] for name in wanted]


def _find_baseline(
    found: list[Found],
    chosen: list[Found],
    wanted: str | None,
    resolve: Callable[[str], Path],
) -> Found | None:
    """The configured baseline, by name or path; it joins ``chosen`` where it was not."""
    if wanted is None:
        return None
    by_name = {one.name: one for one in found}
    if wanted in by_name:
        if by_name[wanted] not in chosen:
            chosen.append(by_name[wanted])
        return by_name[wanted]
    path = resolve(wanted)
    files = sorted(path.glob("*.gguf")) if path.is_dir() else [path] if path.is_file() else []
    groups = group_shards(files, path.name if path.is_dir() else None)
    if len(groups) != 1:
        near = difflib.get_close_matches(wanted, by_name, n=2, cutoff=0.4)
        raise UsageError(
            f"baseline_model is {wanted!r}, which is neither a candidate's name nor a path to one "
            f"model.{' Near: ' + ', '.join(near) + '.' if near else ''}"
        )
    chosen.append(groups[0])
    return groups[0]


def relate(candidates: list[Candidate], baseline_name: str | None) -> list[Candidate]:
    """Mark the baseline and relate the others to it; largest first."""
    if baseline_name is None:
        baseline_name = max(candidates, key=lambda one: (one.specs.bits_per_weight, one.size)).name
    baseline = next(one for one in candidates if one.name == baseline_name)
    related = [
        one.model_copy(
            update={
                "is_baseline": one is baseline,
                "compression_ratio": baseline.size / one.size,
                "template_differs": one.specs.chat_template != baseline.specs.chat_template,
            }
        )
        for one in candidates
    ]
    return sorted(related, key=lambda one: (not one.is_baseline, -one.size))


def total_bytes(folder: Path) -> int:
    """Bytes of all GGUF files that a discover phase would look at."""
    files = [*folder.glob("*.gguf"), *folder.glob("*/*.gguf")]
    return sum(path.stat().st_size for path in files if path.is_file())


def scan_names(
    folder: Path,
    *,
    wanted: tuple[str, ...],
    baseline: str | None,
    resolve: Callable[[str], Path],
) -> tuple[list[Found], Found | None, list[Unusable]]:
    """What would be compared, the baseline if one is named, and what has no GGUF.

    Nothing is read yet. Raises NoCandidates or UsageError.
    """
    if not folder.is_dir():
        raise NoCandidates(
            f"The candidate folder {folder} does not exist. Set candidate_dir in the config to "
            "the folder of your GGUF files, or make a ladder with `emojudge quantize`."
        )
    found, unusable = scan(folder)
    chosen = list(_select(found, wanted, folder)) if found else []
    return chosen, _find_baseline(found, chosen, baseline, resolve), unusable


def inspect(
    folder: Path,
    *,
    wanted: tuple[str, ...],
    baseline: str | None,
    resolve: Callable[[str], Path],
) -> tuple[list[Found], list[Unusable]]:
    """What has a sound header, the baseline included, and what would be left out.

    Nothing is hashed. Raises NoCandidates or UsageError.
    """
    chosen, baseline_found, left_out = scan_names(
        folder, wanted=wanted, baseline=baseline, resolve=resolve
    )
    sound = []
    every = [*chosen, *([baseline_found] if baseline_found is not None else [])]
    for one in {one.name: one for one in every}.values():
        try:
            read_model(one.name, one.shards)
        except CandidateError as problem:
            left_out.append(_unusable(one, problem))
        else:
            sound.append(one)
    return sound, left_out


def _unusable(one: Found, problem: CandidateError) -> Unusable:
    return Unusable(
        name=visible_line(one.name),
        reason=visible_line(str(problem)),
        remedy="copy or make the file again, or move it out of the folder",
    )


def discover(
    folder: Path,
    *,
    wanted: tuple[str, ...] = (),
    baseline: str | None = None,
    resolve: Callable[[str], Path] = Path,
    known: dict[str, ModelFile] | None = None,
    progress: Progress = lambda done: None,
) -> Discovered:
    """Find, read and hash the candidates in ``folder``.

    ``known`` maps paths to files hashed before. Raises NoCandidates when nothing is left to
    compare; single bad files are returned as unusable instead.
    """
    chosen, baseline_found, unusable = scan_names(
        folder, wanted=wanted, baseline=baseline, resolve=resolve
    )
    candidates: list[Candidate] = []
    seen: dict[str, str] = {}
    for one in chosen:
        name = visible_line(one.name)
        try:
            specs, _ = read_model(one.name, one.shards)
            files = tuple(describe_file(path, known or {}, progress) for path in one.shards)
        except CandidateError as problem:
            unusable.append(_unusable(one, problem))
            continue
        pass1, pass1_problem = read_pass1(one.folder)
        candidate = Candidate(
            name=name,
            files=files,
            specs=specs,
            pass1=pass1,
            problems=(pass1_problem,) if pass1_problem else (),
        )
        if candidate.sha256 in seen:
            unusable.append(
                Unusable(
                    name=name,
                    reason=f"is byte for byte the same model as {seen[candidate.sha256]}",
                    remedy="nothing to compare; remove one of them",
                )
            )
            continue
        seen[candidate.sha256] = name
        candidates.append(candidate)
    if not candidates:
        listed = "; ".join(f"{one.name}: {one.reason}" for one in unusable)
        raise NoCandidates(
            f"There is no usable GGUF model in {folder}"
            + (f" ({listed})." if listed else ", which holds none.")
            + " Put GGUF files or Pass 1 folders there, or make a ladder with `emojudge quantize`."
        )
    baseline_name = visible_line(baseline_found.name) if baseline_found else None
    if baseline_name and baseline_name not in {one.name for one in candidates}:
        reason = next(one.reason for one in unusable if one.name == baseline_name)
        raise UsageError(f"The baseline {baseline_name} cannot be used: {reason}.")
    return Discovered(tuple(relate(candidates, baseline_name)), tuple(unusable))


def check_judge_model(judge: str, path: Path) -> tuple[Specs, list[Path]]:
    """The header and the files of a judge's model: a file, a first shard, or a folder with one.

    Nothing is hashed. Raises UsageError.
    """
    wrong = f"The model of judge {judge} ({path})"
    if path.is_dir():
        groups = group_shards(sorted(path.glob("*.gguf")), None)
    elif path.is_file():
        split = SPLIT_NAME.fullmatch(path.name)
        pattern = f"{glob.escape(split['stem'])}-*-of-{split['count']}.gguf" if split else None
        groups = group_shards(sorted(path.parent.glob(pattern)) if pattern else [path], None)
    else:
        raise UsageError(
            f"{wrong} does not exist. Correct judging_config.judges in the config, or take the "
            "judge out."
        )
    if len(groups) != 1:
        raise UsageError(f"{wrong} is a folder with {len(groups)} GGUF models. Name one file.")
    try:
        specs, _ = read_model(groups[0].name, groups[0].shards)
    except CandidateError as problem:
        raise UsageError(
            f"{wrong} cannot be used: {visible_line(str(problem))}. Take another file."
        ) from problem
    if specs.chat_template is None:
        raise UsageError(
            f"{wrong} has no chat template, so it cannot be asked. Take one that was tuned "
            "to follow instructions."
        )
    return specs, groups[0].shards


def read_judge_model(
    judge: str,
    model: str,
    path: Path,
    known: dict[str, ModelFile],
    progress: Progress = lambda done: None,
) -> Candidate:
    """The model of a judge, hashed; its name is ``model``, as the config has it.

    Raises UsageError.
    """
    specs, shards = check_judge_model(judge, path)
    try:
        files = tuple(describe_file(one, known, progress) for one in shards)
    except CandidateError as problem:
        raise UsageError(
            f"The model of judge {judge} ({path}) cannot be read: {visible_line(str(problem))}."
        ) from problem
    return Candidate(name=model, files=files, specs=specs)
