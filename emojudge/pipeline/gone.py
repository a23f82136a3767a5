"""Candidates whose files went, moved or changed since they spoke: what they said stays."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from emojudge.candidates.discover import Discovered, relate
from emojudge.config import Config
from emojudge.config_file import LoadedConfig
from emojudge.domain import Candidate, Unusable

_DIGITS = 12
_GONE = "its file is gone; what it said before is rated and counted, it says nothing new"


@dataclass(frozen=True)
class Kept:
    """What is known from before: candidates with stored responses, and which people have rated."""

    spoke: tuple[Candidate, ...]
    rated: Collection[str]


def moved_along(
    models: Sequence[Candidate], loaded: LoadedConfig, before: Path
) -> tuple[Candidate, ...]:
    """Models with their files where they are to be now, if the config was in ``before`` once.

    What the config names by relative paths goes along with it, whether it was copied or not.
    """
    config = loaded.config
    named = [config.candidate_dir, config.baseline_model or ""]
    named += [one.model or "" for one in config.judging_config.judges]
    places = [(loaded.at(before).resolve(one), loaded.resolve(one)) for one in named if one]

    def now(path: str) -> str:
        for old, new in places:
            if Path(path).is_relative_to(old):
                return str(new / Path(path).relative_to(old))
        return path

    return tuple(
        one.model_copy(
            update={
                "files": tuple(
                    file.model_copy(update={"path": now(file.path)}) for file in one.files
                )
            }
        )
        for one in models
    )


def missing_from(kept: Kept, config: Config, folder: Path) -> list[Candidate]:
    """Those that the config still wants, and that have a file that is not there any more."""
    baseline = config.baseline_model
    wanted = set(config.models_to_compare)

    def is_wanted(one: Candidate) -> bool:
        if one.is_baseline and baseline is not None:
            return one.name == baseline or not one.path.is_relative_to(folder)
        return one.path.is_relative_to(folder) and (not wanted or one.name in wanted)

    return [
        one
        for one in kept.spoke
        if is_wanted(one) and not all(Path(file.path).exists() for file in one.files)
    ]


def with_kept(
    found: Discovered, kept: Kept, missing: Sequence[Candidate], config: Config
) -> Discovered:
    """What was found, with those that went, and with those that people rated before they changed.

    A changed file is left out instead: ratings of one model must not go on as another's.
    """
    candidates = list(found.candidates)
    # A file that was only renamed is there, and speaks for itself.
    there = {one.sha256 for one in candidates} | {one.name for one in candidates}
    missing = [one for one in missing if not there & {one.sha256, one.name}]
    unusable = [one for one in found.unusable if one.name not in {gone.name for gone in missing}]
    known = {one.name: one for one in kept.spoke}
    for place, now in enumerate(candidates):
        before = known.get(now.name)
        if before is None or before.sha256 == now.sha256 or before.sha256 not in kept.rated:
            continue
        changed = f"sha256 {now.sha256[:_DIGITS]}… instead of {before.sha256[:_DIGITS]}…"
        candidates[place] = before.model_copy(
            update={
                "gone": f"its file changed ({changed}); what it said before is rated and counted, "
                "it says nothing new"
            }
        )
        unusable.append(
            Unusable(
                name=now.name,
                reason=f"is not the file that people have rated: {changed}",
                remedy="put the old file back, or give the new one another name to compare both",
            )
        )
    candidates += [one.model_copy(update={"gone": _GONE}) for one in missing]
    # The baseline stays the baseline when it is its file that went.
    baseline = next((one.name for one in missing if one.is_baseline), None)
    if baseline is None and config.baseline_model is not None:
        baseline = next((one.name for one in candidates if one.is_baseline), None)
    return Discovered(tuple(relate(candidates, baseline)), tuple(unusable))
