"""Judges and their exams as JSON and as lines: for the command line, screens and reports alike."""

from __future__ import annotations

from typing import Any

from emojudge.columns import aligned
from emojudge.domain import Exam
from emojudge.judges.damage import EXAM_PROMPTS, Damage
from emojudge.judges.exam import PASS_ABOVE, DamageResult, results_of
from emojudge.judges.section_parts import listed
from emojudge.text import counted, visible_line
from emojudge.view import JudgeStanding, Standing, StudyView

_PASSED, _NOT_PASSED = "✓", "✗"


def damages_data(exam: Exam | None) -> dict[str, Any]:
    """By damage: share, lower bound, passed, and the counts behind them; empty without an exam."""
    return {
        one.damage.value: {
            "share": one.share,
            "lower": one.lower,
            "passed": one.passed,
            "wins": one.wins,
            "prompts": one.prompts,
        }
        for one in (results_of(exam.counts) if exam is not None else ())
    }


def standing_data(judge: JudgeStanding) -> dict[str, Any]:
    """A judge for JSON: ``weight`` is the one that counts."""
    exam = judge.exam
    return {
        "name": judge.title,
        "weight": judge.weight,
        "configured_weight": judge.configured,
        "standing": judge.standing.value,
        "persona": judge.persona,
        "model": judge.model,
        "qualities": [one.value for one in judge.qualities],
        "exam_on": None if exam is None else "bundled prompts" if exam.bundled else "study",
        "exam_sat": None if exam is None else exam.created,
        "valid_share": None if exam is None else exam.valid,
        "unexamined_because": judge.unexamined or None,
        "judges_itself": list(judge.judges_itself),
        "damages": damages_data(exam),
    }


def control_data(name: str, exam: Exam | None) -> dict[str, Any]:
    """A control for JSON, in the form of a judge."""
    return {"name": name, "weight": 0.0, "damages": damages_data(exam)}


def result_text(result: DamageResult | None) -> str:
    """``✗ 29/60``, or a dash."""
    if result is None:
        return "–"
    return f"{_PASSED if result.passed else _NOT_PASSED} {result.wins}/{result.prompts}"


def exam_cells(exam: Exam | None) -> list[str]:
    """One cell a damage."""
    known = {one.damage: one for one in (results_of(exam.counts) if exam is not None else ())}
    return [result_text(known.get(damage)) for damage in Damage]


def standing_text(judge: JudgeStanding) -> str:
    """What it counts for, in words."""
    if judge.standing is Standing.PARTIAL:
        names = listed(one.value.replace("_", " ") for one in judge.qualities)
        return f"counts for {names}"
    return str(judge.standing.value)


def table_lines(view: StudyView) -> list[str]:
    """Judges and controls with their exams, aligned, and what it means."""
    rows = [["", "persona", "model", *(one.value for one in Damage), "weight", ""]]
    rows += [
        [
            judge.title,
            judge.persona,
            judge.model,
            *exam_cells(judge.exam),
            f"{judge.weight:g}",
            standing_text(judge),
        ]
        for judge in view.judges
    ]
    rows += [
        [name, "–", "control", *exam_cells(exam), "0", "control"]
        for name, exam in view.control_exams.items()
    ]
    return [*aligned(rows), *exam_sentences(view)]


def _unanswered(view: StudyView) -> list[str]:
    """What judges were asked in vain, one sentence a judge."""
    said = []
    for judge in view.judges:
        own = [one for one in view.unanswered if one.judge == judge.name]
        if own:
            said.append(
                f"! {counted(len(own), 'question')} to {judge.title} got no answer: "
                f"{visible_line(own[-1].reason)}"
            )
    return said


def exam_sentences(view: StudyView) -> list[str]:
    """What the exam is and what came out, in sentences; none without judges that were examined."""
    judges, prompts = view.judges, len(view.prompts)
    said = []
    if judges and not any(one.weight > 0 for one in judges):
        said.append("none of these judges counts: the AI score is fidelity alone")
    examined = [one.exam for one in judges if one.exam is not None]
    if examined:
        said.append(
            "exam: prompts on which the mean of the baseline's genuine replies is above that of "
            f"the damaged ones; ✓ is surely more than {PASS_ABOVE:.0%} (44 of {EXAM_PROMPTS})"
            + ("; sat on the bundled prompts" if any(one.bundled for one in examined) else "")
        )
    failed = [one for one in judges if one.standing is Standing.FAILED]
    if failed:
        names = listed(one.title for one in failed)
        verb = "does" if len(failed) == 1 else "do"
        said.append(
            f"{names} {verb} not tell a reply from one to somebody else: weight 0, and no more "
            "questions about candidates; a larger model may pass"
        )
    said += [
        f"{one.title} could not sit its exam: {visible_line(one.unexamined)}"
        for one in judges
        if one.unexamined
    ]
    said += _unanswered(view)
    new = [one for one in judges if one.standing is Standing.NOT_EXAMINED and not one.unexamined]
    if new and prompts < EXAM_PROMPTS:
        said.append(
            f"{listed(one.title for one in new)} not examined, so weight 0: {prompts} prompts are "
            f"too few for an exam, which takes {EXAM_PROMPTS}; `emojudge judges --exam` lets "
            f"{'it' if len(new) == 1 else 'them'} sit it on the bundled prompts"
        )
    elif new:
        said.append(
            f"{listed(one.title for one in new)} not examined yet, so weight 0: the exam follows "
            "when the baseline has answered; `emojudge judges --exam` does it now"
        )
    late = [one for one in judges if one.standing is Standing.LATE]
    if late:
        said.append(
            f"{listed(one.title for one in late)} came, or sat the exam, after people had rated, "
            "so weight 0 in this study: who judges is decided before anybody's ratings are known"
        )
    changed = [one for one in judges if one.weight_before not in (None, one.configured)]
    if changed:
        each = (f"{one.title} {one.weight_before:g} → {one.configured:g}" for one in changed)
        said.append(f"weights changed since people began to rate: {', '.join(each)}")
    if view.judges_gone:
        said.append(f"taken out after people had begun to rate: {', '.join(view.judges_gone)}")
    for one in judges:
        if one.judges_itself:
            said.append(
                f"{one.title} runs on the model of {listed(one.judges_itself)}, and so judges "
                "itself; a model of another family is a better judge"
            )
    for model in dict.fromkeys(one.model for one in judges):
        same = [one.title for one in judges if one.model == model]
        if len(same) > 1:
            said.append(
                f"{listed(same)} are one model, {model}: their personas are not independent of "
                "each other; different model families are"
            )
    if not judges:
        said.append(
            "no judges are configured (judging_config.judges), so the AI score is fidelity alone"
        )
    return said
