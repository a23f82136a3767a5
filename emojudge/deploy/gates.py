"""Gates: what must hold before a candidate becomes the core."""

from __future__ import annotations

from enum import StrEnum

from emojudge.errors import GateRefused
from emojudge.frozen import Frozen


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
    """One gate with its reason. Integrity gates can never be overridden, judgement gates can."""

    name: str
    status: GateStatus
    reason: str
    integrity: bool = False


def open_judgements(gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
    """The judgement gates that did not pass."""
    return tuple(
        gate for gate in gates if not gate.integrity and gate.status is not GateStatus.PASS
    )


def require_judgements(gates: tuple[Gate, ...], force: str | None) -> None:
    """Raise GateRefused unless all judgement gates passed or a reason overrides them."""
    unmet = open_judgements(gates)
    if unmet and not (force and force.strip()):
        listed = "; ".join(f"{gate.name} {gate.status.mark} {gate.reason}" for gate in unmet)
        raise GateRefused(
            f"Not replaced: {listed}. If you know better, give your reason with --force REASON; "
            "it goes into the audit."
        )


OUTSIDE_A_STUDY = (
    Gate(
        name="judgement",
        status=GateStatus.UNKNOWN,
        reason="this model was not judged in a study",
    ),
)
