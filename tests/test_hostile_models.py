"""Sound in their structure, hostile in their content: only the sandboxed trial finds them.

A signal, a limit or a deadline is a failed gate, nothing overrides it, and the core stays.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from emojudge.deploy.building import Incoming
from emojudge.deploy.candidate_gates import structure_gate, try_in_sandbox
from emojudge.deploy.gates import GateStatus
from emojudge.errors import DeployError
from tests.core_stores import PASSED, check_contract, replacer
from tests.depth import DEEP
from tests.hostile_models import ATTACKS, attacked
from tests.test_deploy_real import model

pytestmark = [pytest.mark.models, pytest.mark.faults]
HARMLESS = {
    "a vocabulary of four billion",
    "an end that is no token",
    "a begin below zero",
    "merges of one sign",
}
"""What llama.cpp makes nothing of: it loads and answers, so that people and judges decide."""
SIGNAL, LIMIT = "no layers", "a template that fills the memory"
DEADLINE, SILENT = "a template that never ends", "rope's base is no number"
_SAMPLE = [SIGNAL, LIMIT, DEADLINE, SILENT, "tokens of terminal escapes"]


def drawn() -> list[str]:
    """All attacks in the deep run; else one of each outcome, and one of the rest."""
    if DEEP:
        return list(ATTACKS)
    return [*_SAMPLE, random.Random(2).choice(sorted(set(ATTACKS) - HARMLESS - set(_SAMPLE)))]


def test_hostile_content_fails_the_smoke_gate_and_the_core_stays(
    ladder: Path, tmp_path: Path
) -> None:
    core = replacer(tmp_path, minimum_size_mb=50, try_model=try_in_sandbox)
    core.adopt(model(ladder, "Q8_0"), "Q8_0")
    before = check_contract(tmp_path)
    said: dict[str, str] = {}
    for attack in drawn():
        path = attacked(model(ladder, "Q4_0"), tmp_path / "hostile.gguf", attack)
        assert structure_gate([path])[0].status is GateStatus.PASS
        if attack in HARMLESS:
            gates = {gate.name: gate.status for gate in core.validate(path)}
            assert gates["smoke"] is GateStatus.PASS
            continue
        with pytest.raises(DeployError, match=r"Refused by the smoke gate: .*untouched") as told:
            core.replace(Incoming(path=path, name="hostile"), judgements=PASSED, force="I insist")
        said[attack] = str(told.value)
        assert check_contract(tmp_path) == before
        assert list((tmp_path / "core" / "incoming").iterdir()) == []
    assert "SIGABRT" in said[SIGNAL]
    assert "GGML_ASSERT" in said[SIGNAL]
    assert "MemoryError" in said[LIMIT]
    assert "more than 2 s of processor time" in said[DEADLINE]
    assert "nothing to say" in said[SILENT]
    assert all(one.isprintable() for one in said.values())
    ended = Counter("a signal" if "ended by SIG" in one else "in words" for one in said.values())
    print(f"hostile content: {len(said)} failed gates ({dict(ended)}), the core as before")
