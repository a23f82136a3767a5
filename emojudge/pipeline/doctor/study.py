"""A study's config, its logs, and the core store that it replaces."""

from __future__ import annotations

from emojudge.config_file import LoadedConfig
from emojudge.errors import EmojudgeError
from emojudge.pipeline.deploying import replacer_for
from emojudge.pipeline.doctor.findings import Finding, failure, warning, well
from emojudge.store.study import StudyStore
from emojudge.store.tables import RATED, RESPONSES
from emojudge.text import counted, sentence


def config(loaded: LoadedConfig) -> Finding:
    """A config that could be read, with what it said in warning."""
    if loaded.warnings:
        return warning("config", "; ".join(loaded.warnings), f"edit {loaded.file}")
    return well("config", str(loaded.file))


def stored(loaded: LoadedConfig) -> Finding:
    """What a study's logs hold, and lines that cannot be read."""
    folder = loaded.study_dir
    try:
        store = StudyStore(folder)
    except EmojudgeError as problem:
        return failure("study", str(problem), "install a newer emojudge, or restore a backup")
    rated = [one for one in store.all(RATED) if one.skipped is None]
    raters = len({one.rater for one in rated})
    people = "1 person" if raters == 1 else f"{raters} people"
    text = (
        f"{counted(len(store.all(RESPONSES)), 'response')}, "
        f"{counted(len(rated), 'rated item')} by {people}"
        if raters
        else f"{counted(len(store.all(RESPONSES)), 'response')}, nobody has rated yet"
    )
    if store.damage:
        first = store.damage[0]
        return warning(
            "study",
            f"{text}; {counted(len(store.damage), 'line')} cannot be read and count for nothing: "
            f"{first}",
            f"compare {first.file} with a backup of it; the rest is used as it stands",
        )
    return well("study", text)


def core(loaded: LoadedConfig) -> Finding:
    """The core store: what is current, and what is wrong with it."""
    replacer = replacer_for(loaded)
    if not replacer.layout.root.is_dir():
        return well(
            "core", "no core store yet", "emojudge deploy adopt PATH takes over the core in use"
        )
    try:
        status = replacer.status()
        wrong = [*status.problems, *replacer.verify_audit()]
    except EmojudgeError as problem:
        return failure("core", str(problem), "emojudge deploy status")
    if status.current is None and not wrong:
        return well("core", "no core yet", "emojudge deploy adopt PATH takes over the core in use")
    if status.current is None or wrong:
        return failure(
            "core",
            " ".join(sentence(one) for one in dict.fromkeys(wrong)),
            "emojudge deploy status; emojudge deploy audit",
        )
    text = f"generation {status.current.number}, {status.current.manifest.name}"
    if status.interrupted is not None:
        return warning("core", f"{text}; {status.interrupted}", "emojudge deploy recover")
    back = status.predecessor
    if status.read_only is not None:
        return well("core", f"{text}; {status.read_only}")
    return well("core", f"{text}, rolls back to {back.number if back else 'nothing yet'}")
