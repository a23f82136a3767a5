"""Losing power during a deploy: states that the disk may be in, judged by the contract alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from emojudge.deploy.backups import read_backups
from tests.core_stores import check_contract
from tests.depth import sampled_or_all
from tests.power_loss import CALLS, OPTIONS, Node, Recording, Synced, remove
from tests.test_faults_deploy import OPERATIONS, Operation, require_sound, store
from tests.tracing import trace

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
RECORDED = (
    "adopt", "promote", "promote a kept one", "rollback", "restore", "pin", "prune", "recovery",
)  # fmt: skip
_OF_A_MODEL = {"core.gguf", "manifest.json", "generations", "companion.json", "."}
_OF_A_SWITCH = {"companion.json", "."}
NEEDED = {
    "adopt": _OF_A_MODEL,
    "promote": _OF_A_MODEL,
    "prune": _OF_A_MODEL,
    "promote a kept one": _OF_A_SWITCH,
    "rollback": _OF_A_SWITCH,
    "restore": _OF_A_SWITCH,
    "pin": {"backup_metadata.json", "backups"},
}
"""Files and folders (`.` is the companion's own) whose fsync an acknowledged operation rests on."""
each_recorded = pytest.mark.parametrize("name", RECORDED)
_STATES = sampled_or_all(24, 120)


def record(folder: Path, operation: Operation) -> Recording:
    """Do the operation once, and follow every call that it made."""
    operation.prepare(folder)
    recording = Recording(folder)
    status, lines = trace(lambda: operation.work(folder), CALLS, *OPTIONS)
    assert status == 0, lines[-3:]
    recording.follow(lines, int(lines[0].split()[0]))
    return recording


def judged(folder: Path, operation: Operation, *, acknowledged: tuple[str, int] | None) -> str:
    """What is bad about the store in ``folder``; "" when nothing is.

    ``acknowledged`` are the sha256 of the core that the operation had said is in use, and how many
    backups there were.
    """
    try:
        require_sound(folder, operation, companion=False)
        store(folder).recover()
        require_sound(folder, operation, companion=True)
        if acknowledged is not None:
            sha256, backups = acknowledged
            if check_contract(folder) != sha256:
                return "an acknowledged change is lost"
            if len(read_backups(folder / "backups")[0]) < backups:
                return "an acknowledged backup is lost"
    except Exception as problem:  # noqa: BLE001 - whatever it is, this state is bad
        return f"{type(problem).__name__}: {problem}"
    return ""


def after(folder: Path) -> tuple[str, int]:
    """What an operation has acknowledged when it has ended."""
    return check_contract(folder), len(read_backups(folder / "backups")[0])


def bad_states(
    folder: Path, name: str, recording: Recording, count: int, without: int | None, seed: int
) -> list[str]:
    operation = OPERATIONS[name]
    recording_end = len(recording.events)
    draw = random.Random(seed)
    bad = []
    for _ in range(count):
        first = 0 if without is None else without
        at = draw.choice((recording_end, draw.randint(first, recording_end)))
        recording.lose_power(at, draw, without).build(folder)
        said = judged(
            folder, operation, acknowledged=recording.after if at == recording_end else None
        )
        if said:
            bad.append(f"after {at} of {recording_end} events: {said}")
    return bad


def path_of(recording: Recording, node: Node) -> str:
    """Where a node stands at the end; "" where it was only there in between."""

    def look(folder: Node, path: str) -> str:
        for name, one in folder.entries.items():
            if one is node:
                return f"{path}{name}"
            found = look(one, f"{path}{name}/") if one.kind == "folder" else ""
            if found:
                return found
        return ""

    return look(recording.start, "")


@pytest.mark.parametrize("name", NEEDED)
def test_leaving_out_an_fsync_that_is_needed_is_found_out(tmp_path: Path, name: str) -> None:
    """The model would be right about anything if it could not tell these."""
    folder = tmp_path / "a"
    recording = record(folder, OPERATIONS[name])
    recording.after = after(folder)
    caught = set()
    for place in recording.syncs:
        event = recording.events[place]
        assert isinstance(event, Synced)
        if bad_states(folder, name, recording, _STATES, place, seed=2):
            caught.add(path_of(recording, event.node).rsplit("/", 1)[-1] or ".")
    print(f"{name}: {len(recording.syncs)} fsyncs left out, {len(NEEDED[name])} needed found out")
    assert NEEDED[name] <= caught
    remove(folder)


@each_recorded
def test_no_state_after_a_loss_of_power_is_bad(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "a"
    recording = record(folder, OPERATIONS[name])
    recording.after = after(folder)
    bad = bad_states(folder, name, recording, _STATES, None, seed=1)
    print(f"{name}: {len(recording.events)} events, {_STATES} states, {len(bad)} bad")
    assert bad == []
    remove(folder)
