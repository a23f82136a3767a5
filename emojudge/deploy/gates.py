"""Gates: what must hold before a candidate becomes the core."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from emojudge.errors import DeployError, GateRefused
from emojudge.frozen import Frozen
from emojudge.text import sentence


class GateStatus(StrEnum):
    """A gate that was not measured is unknown, never passed."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"

    @property
    def mark(self) -> str:
        """One character for the screen."""
        return {"pass": "✓", "fail": "✗", "unknown": "?"}[self.value]


class Gate(Frozen):
    """One gate with its reason, and the evidence for it where there is more to read.

    Integrity gates can never be overridden, judgement gates can.
    """

    name: str
    status: GateStatus
    reason: str
    evidence: str = ""
    integrity: bool = False


def passed(name: str, reason: str, *, evidence: str = "", integrity: bool = False) -> Gate:
    """A gate that holds."""
    return Gate(
        name=name, status=GateStatus.PASS, reason=reason, evidence=evidence, integrity=integrity
    )


def failed(name: str, reason: str, *, evidence: str = "", integrity: bool = False) -> Gate:
    """A gate that does not hold."""
    return Gate(
        name=name, status=GateStatus.FAIL, reason=reason, evidence=evidence, integrity=integrity
    )


def unknown(name: str, reason: str, *, evidence: str = "", integrity: bool = False) -> Gate:
    """A gate that was not measured."""
    return Gate(
        name=name, status=GateStatus.UNKNOWN, reason=reason, evidence=evidence, integrity=integrity
    )


def open_judgements(gates: Iterable[Gate]) -> tuple[Gate, ...]:
    """The judgement gates that did not pass."""
    return tuple(
        gate for gate in gates if not gate.integrity and gate.status is not GateStatus.PASS
    )


def require_judgements(gates: Iterable[Gate], force: str | None) -> tuple[str, ...]:
    """The names of gates that ``force`` overrides.

    Raises GateRefused unless all judgement gates passed or a reason overrides them.
    """
    unmet = open_judgements(gates)
    if unmet and not (force and force.strip()):
        listed = "; ".join(f"{gate.status.mark} {gate.name}: {gate.reason}" for gate in unmet)
        raise GateRefused(
            f"Not replaced: {sentence(listed)} If you know better, give your reason (--force "
            "REASON on the command line); it goes into the audit."
        )
    return tuple(gate.name for gate in unmet)


def require_integrity(gates: Iterable[Gate]) -> None:
    """Raise DeployError naming the first integrity gate that failed; nothing overrides it."""
    for gate in gates:
        if gate.integrity and gate.status is GateStatus.FAIL:
            raise DeployError(
                f"Refused by the {gate.name} gate: {sentence(gate.reason)} The core in use is "
                "untouched."
            )


OUTSIDE_A_STUDY = (
    unknown(
        "judgement",
        "this command reads no study; the Deploy screen and `emojudge run --phase deploy` do",
    ),
)
