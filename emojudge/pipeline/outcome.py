"""What a run without screens leaves to be printed, for people and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emojudge.columns import aligned
from emojudge.domain import Candidate
from emojudge.errors import NeedsPerson
from emojudge.ranking.standing import CandidateScore
from emojudge.ranking.verdict import Verdict, score_text
from emojudge.text import human_bytes


@dataclass(frozen=True)
class Outcome:
    """What a run leaves to be printed: the candidates, and the ranking once there is one.

    ``stopped`` is what a person has to do next.
    """

    candidates: tuple[Candidate, ...]
    ranking: tuple[CandidateScore, ...] = ()
    verdict: Verdict | None = None
    report: Path | None = None
    notes: tuple[str, ...] = ()
    stopped: NeedsPerson | None = None

    def as_json(self) -> dict[str, Any]:
        """The form of ``--json``."""
        return {
            "candidates": [
                {
                    "name": one.name,
                    "quantization": one.specs.quantization,
                    "bits_per_weight": one.specs.bits_per_weight,
                    "size_bytes": one.size,
                    "baseline": one.is_baseline,
                }
                for one in self.candidates
            ],
            "ranking": [
                {
                    "name": one.candidate.name,
                    "final": one.final,
                    "people": one.human,
                    "ai": one.ai,
                    "rated_items": one.rated_items,
                }
                for one in self.ranking
            ],
            "verdict": None
            if self.verdict is None
            else {
                "kind": None if self.verdict.kind is None else self.verdict.kind.value,
                "sentence": self.verdict.sentence,
                "missing": list(self.verdict.missing),
            },
            "report": None if self.report is None else str(self.report),
            "notes": list(self.notes),
            "next": None if self.stopped is None else str(self.stopped),
        }

    def lines(self) -> list[str]:
        """The form for people: the ranking, or the candidates before there is one."""
        if self.verdict is None:
            rows = [["", "type", "bits/weight", "size", ""]]
            rows += [
                [
                    one.name,
                    one.specs.quantization,
                    f"{one.specs.bits_per_weight:.2f}",
                    human_bytes(one.size),
                    "baseline" if one.is_baseline else "",
                ]
                for one in self.candidates
            ]
            return aligned(rows, right=(2, 3))
        rows = [["", "final", "people", "AI"]]
        rows += [
            [one.label, *(_figure(value) for value in (one.final, one.human, one.ai))]
            for one in self.ranking
        ]
        return [
            *aligned(rows, right=(1, 2, 3)),
            *self.notes,
            f"verdict: {self.verdict.sentence}",
            *(f"missing: {one}" for one in self.verdict.missing),
        ]


def _figure(value: float | None) -> str:
    return "–" if value is None else score_text(value)
