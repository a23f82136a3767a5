"""Phase 5 seen from a study: the replacer from its config, and its judgement gates."""

from __future__ import annotations

from emojudge.config_file import LoadedConfig
from emojudge.deploy.gates import Gate, GateStatus
from emojudge.deploy.replacer import CoreModelReplacer, Incoming
from emojudge.domain import Candidate
from emojudge.ranking.standing import rank_candidates
from emojudge.settings import login_name
from emojudge.view import CoreChange, CoreSummary, StudyView


def replacer_for(loaded: LoadedConfig, who: str | None = None) -> CoreModelReplacer:
    """The replacer that ``replacement_config`` describes."""
    replacement = loaded.config.replacement_config
    wanted = replacement.manifest if replacement.manifest_update else None
    return CoreModelReplacer(
        loaded.resolve(replacement.active_dir),
        loaded.resolve(replacement.backup_dir),
        who=who or login_name(),
        manifest=loaded.resolve(wanted) if wanted else None,
        minimum_size_mb=replacement.minimum_size_mb,
        auto_backup=replacement.auto_backup,
    )


def core_summary(loaded: LoadedConfig) -> CoreSummary:
    """The core in use and how it came to be, as results and reports show it."""
    layout = replacer_for(loaded).layout
    current = layout.current_generation()
    return CoreSummary(
        generation=current.number if current else None,
        name=current.manifest.name if current else None,
        changes=tuple(CoreChange(**entry.model_dump()) for entry in layout.audit()),
    )


def incoming(candidate: Candidate) -> Incoming:
    """A candidate as something to promote: exactly the files that were judged."""
    return Incoming(
        path=candidate.path,
        name=candidate.name,
        expected_sha256=tuple(file.sha256 for file in candidate.files),
    )


def judgement_gates(view: StudyView, candidate: Candidate) -> tuple[Gate, ...]:
    """What the study says for and against promoting a candidate."""
    scores = rank_candidates(view)
    own = next(score for score in scores if score.candidate.sha256 == candidate.sha256)
    wanted = view.config.judging_config.minimum_human_samples
    rated = Gate(
        name="ratings",
        status=GateStatus.PASS if own.rated_items >= wanted else GateStatus.FAIL,
        reason=f"{own.rated_items} of {wanted} rated items",
    )
    final = (
        Gate(name="final score", status=GateStatus.UNKNOWN, reason="needs AI and people")
        if own.final is None
        else Gate(
            name="final score", status=GateStatus.PASS, reason=f"{own.final:.2f}, no interval yet"
        )
    )
    degradation = Gate(
        name="degradation",
        status=GateStatus.UNKNOWN,
        reason="not measured by this version",
    )
    verdict = Gate(
        name="verdict",
        status=GateStatus.UNKNOWN,
        reason="not computed by this version",
    )
    return rated, final, degradation, verdict
