"""Losing power during a deploy: states that the disk may be in, judged by the contract alone."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.core_stores import check_contract
from tests.power_loss import CALLS, OPTIONS, Node, Recording, Synced, remove
from tests.test_faults_deploy import OPERATIONS, Operation, require_sound, store
from tests.tracing import trace

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
RECORDED = ("adopt", "promote", "promote a kept one", "rollback", "prune", "recovery")
each_recorded = pytest.mark.parametrize("name", RECORDED)
_STATES = 24
_STATES_DEEP = 120


def record(folder: Path, operation: Operation) -> Recording:
    """Do the operation once, and follow every call that it made."""
    operation.prepare(folder)
    recording = Recording(folder)
    status, lines = trace(lambda: operation.work(folder), CALLS, *OPTIONS)
    assert status == 0, lines[-3:]
    recording.follow(lines, int(lines[0].split()[0]))
    return recording


def judged(folder: Path, operation: Operation, *, acknowledged: str | None) -> str:
    """What is bad about the store in ``folder``; "" when nothing is.

    ``acknowledged`` is the sha256 of the core that the operation had said is in use.
    """
    try:
        require_sound(folder, operation, companion=False)
        store(folder).recover()
        require_sound(folder, operation, companion=True)
        if acknowledged is not None and check_contract(folder) != acknowledged:
            return "an acknowledged change is lost"
    except Exception as problem:  # noqa: BLE001 - whatever it is, this state is bad
        return f"{type(problem).__name__}: {problem}"
    return ""


def bad_states(
    folder: Path, name: str, recording: Recording, count: int, without: int | None, seed: int
) -> list[str]:
    operation = OPERATIONS[name]
    recording_end = len(recording.events)
    after = recording.after
    draw = random.Random(seed)
    bad = []
    for _ in range(count):
        first = 0 if without is None else without
        at = draw.choice((recording_end, draw.randint(first, recording_end)))
        recording.lose_power(at, draw, without).build(folder)
        said = judged(folder, operation, acknowledged=after if at == recording_end else None)
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


def test_leaving_out_an_fsync_that_is_needed_is_found_out(tmp_path: Path) -> None:
    """The model would be right about anything if it could not tell these."""
    folder = tmp_path / "a"
    recording = record(folder, OPERATIONS["promote"])
    recording.after = check_contract(folder)
    caught = set()
    for place in recording.syncs:
        event = recording.events[place]
        assert isinstance(event, Synced)
        if bad_states(folder, "promote", recording, _STATES, place, seed=2):
            caught.add(path_of(recording, event.node).rsplit("/", 1)[-1])
    print(f"left out one by one: {len(recording.syncs)} fsyncs, those of {sorted(caught)} needed")
    assert {"core.gguf", "manifest.json", "generations", "companion.json"} <= caught
    remove(folder)


@each_recorded
def test_no_state_after_a_loss_of_power_is_bad(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "a"
    recording = record(folder, OPERATIONS[name])
    recording.after = check_contract(folder)
    count = _STATES_DEEP if os.environ.get("EMOJUDGE_DEEP") else _STATES
    bad = bad_states(folder, name, recording, count, None, seed=1)
    print(f"{name}: {len(recording.events)} events, {count} states, {len(bad)} bad")
    assert bad == []
    remove(folder)
