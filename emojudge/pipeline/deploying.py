"""Phase 5 seen from a study: the replacer from its config, and its judgement gates."""

from __future__ import annotations

import hashlib

from emojudge.config_file import LoadedConfig
from emojudge.deploy.audit import Origin
from emojudge.deploy.building import Incoming
from emojudge.deploy.candidate_gates import try_in_sandbox
from emojudge.deploy.gates import Gate, GateStatus
from emojudge.deploy.hooks import Hooks
from emojudge.deploy.replacer import CoreModelReplacer
from emojudge.domain import Candidate
from emojudge.judges.fidelity import Measure, fidelity_of
from emojudge.judges.section_parts import percent_text
from emojudge.provenance import ratings_sha256
from emojudge.ranking.decision import Kind
from emojudge.ranking.evidence import MIN_PROMPTS
from emojudge.ranking.standing import CandidateScore, Standing
from emojudge.report.write import newest_report
from emojudge.settings import login_name
from emojudge.text import counted
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
        keep_backups=replacement.keep_backups,
        hooks=Hooks(
            pre_command=replacement.pre_command,
            restart_command=replacement.restart_command,
            health_check=replacement.health_check,
            command_seconds=replacement.command_deadline_seconds,
            health_seconds=replacement.health_deadline_seconds,
        ),
        targets=replacement.targets,
        try_model=try_in_sandbox if replacement.validation_required else None,
    )


def core_summary(loaded: LoadedConfig) -> CoreSummary:
    """The core in use and how it came to be, as results and reports show it."""
    layout = replacer_for(loaded).layout
    current = layout.current_generation()
    return CoreSummary(
        generation=current.number if current else None,
        name=current.manifest.name if current else None,
        changes=tuple(
            CoreChange(
                time=entry.time,
                who=entry.who,
                action=entry.action,
                before=entry.before,
                after=entry.after,
                sha256=entry.sha256,
                reason=entry.reason,
            )
            for entry in layout.audit()
        ),
    )


def origin_of(loaded: LoadedConfig, view: StudyView) -> Origin:
    """What the audit says of the study that a change comes from."""
    report = newest_report(loaded.results_dir)
    return Origin(
        study=view.config.name,
        report_sha256=hashlib.sha256(report.read_bytes()).hexdigest() if report else None,
        ratings_sha256=ratings_sha256(view.rated),
    )


def incoming(loaded: LoadedConfig, view: StudyView, candidate: Candidate) -> Incoming:
    """A candidate as something to promote: exactly the files that were judged."""
    own = fidelity_of(view).candidates.get(candidate.sha256)
    loss = own.losses.get(Measure.DEGRADATION) if own is not None else None
    return Incoming(
        path=candidate.path,
        name=candidate.name,
        expected_sha256=tuple(file.sha256 for file in candidate.files),
        emotional_degradation=loss.estimate.value if loss is not None else None,
        origin=origin_of(loaded, view),
    )


def judgement_gates(
    view: StudyView, candidate: Candidate, standing: Standing | None
) -> tuple[Gate, ...]:
    """What the study says for and against promoting a candidate; None: no standing known yet."""
    if standing is None:
        return tuple(
            Gate(name=name, status=GateStatus.UNKNOWN, reason="being computed")
            for name in ("verdict", "degradation")
        )
    same = [one for one in standing.scores if one.candidate.sha256 == candidate.sha256]
    if not same:
        # Candidates were looked for again, and what is computed is of those before.
        return judgement_gates(view, candidate, None)
    own = same[0]
    wanted = view.config.judging_config.minimum_human_samples
    rated = Gate(
        name="ratings",
        status=GateStatus.PASS if own.rated_items >= wanted else GateStatus.FAIL,
        reason=f"{counted(own.rated_items, 'rated item')}, at least {wanted} wanted",
    )
    return (
        rated,
        _verdict_gate(standing, own),
        _confidence_gate(view, standing),
        _degradation_gate(view, candidate),
    )


def _verdict_gate(standing: Standing, own: CandidateScore) -> Gate:
    decision, baseline = standing.decision, standing.baseline
    base = baseline.label if baseline is not None else "the baseline"

    def gate(status: GateStatus, reason: str) -> Gate:
        return Gate(name="verdict", status=status, reason=reason)

    if decision is None:
        return gate(GateStatus.UNKNOWN, "there is none yet")
    if decision.kind is Kind.DISPUTE:
        return gate(GateStatus.FAIL, "AI and people are in dispute")
    if decision.kind is Kind.WINNER and decision.leader == own.number:
        return gate(GateStatus.PASS, "better than every rival")
    if own.number in decision.passed:
        worse = decision.kind is Kind.WINNER
        though = f", though {standing.score_of(decision.leader).label} is better" if worse else ""
        return gate(GateStatus.PASS, f"as good as {base}{though}")
    if decision.kind is Kind.WINNER:
        best = standing.score_of(decision.leader).label
        return gate(GateStatus.FAIL, f"{best} is better than every rival")
    if own is baseline:
        if decision.kind is Kind.AS_GOOD:
            return gate(GateStatus.PASS, "it is the baseline, and smaller ones are as good")
        return gate(GateStatus.UNKNOWN, "it is the baseline, and nothing is decided yet")
    return gate(GateStatus.UNKNOWN, f"not shown to be as good as {base}")


def _degradation_gate(view: StudyView, candidate: Candidate) -> Gate:
    """Fails when the estimate exceeds the limit; unknown when only its interval reaches above."""
    limit = view.config.replacement_config.max_emotional_degradation

    def gate(status: GateStatus, reason: str) -> Gate:
        return Gate(name="degradation", status=status, reason=reason)

    if candidate.is_baseline:
        return gate(GateStatus.PASS, "it is the baseline")
    own = fidelity_of(view).candidates.get(candidate.sha256)
    loss = own.losses.get(Measure.DEGRADATION) if own is not None else None
    if loss is None:
        return gate(GateStatus.UNKNOWN, "not measured: run the ai-judge phase")
    value, interval = loss.estimate.value, loss.estimate.interval
    said = f"{percent_text(value)} (gate {100 * limit:g}%)"
    if value > limit:
        return gate(GateStatus.FAIL, said)
    if interval is None:
        return gate(GateStatus.UNKNOWN, f"{said}, from too few prompts for an interval")
    if interval[1] > limit:
        return gate(GateStatus.UNKNOWN, f"{said}, but it may be {percent_text(interval[1])}")
    return gate(GateStatus.PASS, f"{said}, at most {percent_text(interval[1])}")


def _confidence_gate(view: StudyView, standing: Standing) -> Gate:
    wanted, sure = view.config.judging_config.minimum_confidence, standing.confidence
    if sure is None:
        status, reason = GateStatus.UNKNOWN, f"needs AI and people on {MIN_PROMPTS} prompts"
    elif sure >= wanted:
        status, reason = GateStatus.PASS, f"{sure:.2f}, at least {wanted:g}"
    else:
        status, reason = GateStatus.FAIL, f"{sure:.2f}, below {wanted:g}"
    return Gate(name="confidence", status=status, reason=reason)
