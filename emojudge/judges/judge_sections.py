"""The ensemble on the Results screen and in the report: judges, controls, where they differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from emojudge.columns import aligned
from emojudge.domain import Quality
from emojudge.estimates import Estimate
from emojudge.judges.damage import Damage
from emojudge.judges.exam_lines import (
    control_data,
    exam_cells,
    exam_sentences,
    standing_data,
    standing_text,
)
from emojudge.judges.judge import shares_of
from emojudge.judges.judge_figures import (
    Ensemble,
    JudgeFigures,
    ensemble_figures,
    graded,
    quality_means,
)
from emojudge.judges.rubric import COUNTED
from emojudge.judges.section_parts import (
    baseline_first,
    estimate_data,
    finite,
    number_text,
    percent_text,
    voice_of,
)
from emojudge.sections import (
    HELD_BACK,
    Block,
    Column,
    ReportKey,
    Row,
    Section,
    Sentence,
    Table,
    Voice,
)
from emojudge.text import counted, shortened, visible_line
from emojudge.view import JudgeStanding, Standing, StudyView

_SHOWN = 8
_DIGITS = 9
"""What differs by less is rounding, and stands in the order of ids."""
_PROMPT_LENGTH = 48
_LEAST_VALID = 0.9
_MOSTLY = 0.5


def judges_section(view: StudyView, with_people: Mapping[str, Estimate | None]) -> Section | None:
    """Exam, validity, biases and agreement of each judge and control.

    ``with_people`` is the order agreement with people by title or control's name. None before
    anything was judged.
    """
    if not view.judgements and not view.judges:
        return None
    found = ensemble_figures(view)
    blocks: list[Block] = []
    if view.judges:
        blocks.append(_exam_table(view))
    blocks += [Sentence(one) for one in exam_sentences(view)]
    blocks.append(_figures_table(view, found, with_people))
    blocks.append(
        Sentence(
            "length and others: correlation within prompts, with the length of a reply and with "
            "the other judges; reads first: how much likelier than half it prefers what it reads "
            "first; ±? is not bounded by so few prompts; controls are judges that know nothing",
            Voice.DIM,
        )
    )
    blocks += [Sentence(one) for one in _troubles(view, found)]
    if view.judges:
        blocks += _parts(view)
    return Section("judges", "judges", ReportKey.AI, tuple(blocks), _data(view, found, with_people))


def _exam_table(view: StudyView) -> Table:
    rows = [
        Row((one.title, *exam_cells(one.exam), one.weight, standing_text(one)))
        for one in view.judges
    ]
    rows += [
        Row((name, *exam_cells(exam), 0.0, "control"), Voice.DIM)
        for name, exam in view.control_exams.items()
    ]
    columns = (
        Column("exam"),
        *(Column(one.value, Voice.AI) for one in Damage),
        Column("weight", decimals=2),
        Column(""),
    )
    return Table(columns, tuple(rows))


def _signed(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    text = number_text(estimate.value, 2, signed=True)
    if estimate.interval is None:
        return text
    low, high = estimate.interval
    if low <= -1 or high >= 1:
        return f"{text} ±?"
    return f"{text} ±{number_text((high - low) / 2, 2)}"


def _share(estimate: Estimate | None) -> str:
    return "–" if estimate is None else percent_text(estimate.value, 0)


def _figures_table(
    view: StudyView, found: Ensemble, with_people: Mapping[str, Estimate | None]
) -> Table:
    effective = effective_weights(view, found)

    exams = {one.title: one.exam for one in view.judges}

    def valid_share(name: str, own: JudgeFigures) -> float | None:
        """Of the study's replies; of the exam's texts, for who was asked of nothing else."""
        exam = exams.get(name)
        if own.answered and own.mass is not None:
            return own.valid / own.answered
        return exam.valid if exam is not None else None

    def row(name: str, own: JudgeFigures, voice: Voice) -> Row:
        valid = valid_share(name, own)
        weight = effective.get(name)
        return Row(
            (
                name,
                percent_text(valid, 0) if valid is not None else "–",
                _share(with_people.get(name)),
                _signed(own.order_bias),
                _signed(own.length),
                _signed(own.others),
                percent_text(weight, 0) if weight is not None else "–",
            ),
            voice,
        )

    rows = [row(one.title, found.judges[one.title], Voice.PLAIN) for one in view.judges]
    rows += [row(name, own, Voice.DIM) for name, own in found.controls.items()]
    columns = (
        Column("judge"),
        Column("valid", Voice.AI),
        Column("as people", Voice.PEOPLE),
        Column("reads first", Voice.AI),
        Column("length", Voice.AI),
        Column("others", Voice.AI),
        Column("in effect"),
    )
    return Table(columns, tuple(rows))


def effective_weights(view: StudyView, found: Ensemble) -> dict[str, float]:
    """Shares of the judges that count in what tells candidates apart: weight × spread between."""
    own = {
        one.title: one.weight * (found.judges[one.title].between or 0.0)
        for one in view.judges
        if one.weight > 0
    }
    total = math.fsum(own.values())
    return {title: value / total for title, value in own.items()} if total > 0 else {}


def _troubles(view: StudyView, found: Ensemble) -> list[str]:
    said = []
    for judge in view.judges:
        own = found.judges[judge.title]
        if own.answered and own.valid < _LEAST_VALID * own.answered:
            said.append(
                f"! {judge.title} chose a score on all criteria for {own.valid} of "
                f"{own.answered} replies only (a "
                "probability of at least half on the digits); the others are not scored"
            )
        if judge.standing is Standing.FAILED and own.answered:
            said.append(
                f"{judge.title} read {own.answered} of {counted(len(view.responses), 'response')} "
                "before it failed its exam; what it says is shown and counts for nothing"
            )
        if own.turned is not None and own.turned > _MOSTLY:
            said.append(
                f"! {judge.title} votes for what it reads first: the order decides "
                f"{own.turned:.0%} of its pairs"
            )
        if own.answered and own.flat:
            said.append(f"! {judge.title} says nearly the same of every reply")
        if own.single:
            said.append(
                f"{judge.title} names single digits: its endpoint gives no log-probabilities"
            )
        for number, what in (
            (own.cut, "longer than its context, and cut in the middle"),
            (own.covered, "with sentences about scores, which were covered"),
            (own.silent, "that say nothing, which have the lowest score unasked"),
        ):
            if number:
                replies = "1 reply" if number == 1 else f"{number} replies"
                said.append(f"{judge.title}: {replies} {what}")
    return said


def _parts(view: StudyView) -> list[Block]:
    """What the AI score is made of, and what has no share yet."""
    shares = shares_of(view.part_scores, view.config.ai_scoring)
    if not shares:
        return []
    made = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
    lines = [f"the AI score is made of {made}"]
    consensus = ensemble_figures(view).consensus
    threshold = view.config.judging_config.consensus_threshold
    if consensus.agreement:
        below = consensus.below(threshold)
        mean = math.fsum(consensus.agreement.values()) / len(consensus.agreement)
        counts = any(one.weight > 0 for one in view.judges)
        lines.append(
            f"consensus {mean:.2f} on average (1 is the same score); {below} of "
            f"{len(consensus.agreement)} replies are below {threshold:g}"
            + ("" if counts else "; none of these judges counts")
        )
    return [Sentence(one, Voice.DIM) for one in lines]


_SHORT = {
    Quality.BELIEVABILITY: "believ.",
    Quality.CONNECTION: "connect.",
    Quality.EXPRESSIVE_STRENGTH: "express.",
    Quality.APPROPRIATENESS: "approp.",
    Quality.EMPATHY: "empathy",
    Quality.CREATIVITY: "creativ.",
    Quality.COHERENCE: "coher.",
}


def rubric_section(view: StudyView) -> Section | None:
    """Mean scores of each candidate by each judge, on all qualities."""
    rows = []
    for judge in view.judges:
        means, below = quality_means(view, judge.name), graded(view, judge.title)
        for place, candidate in enumerate(
            one for one in baseline_first(view) if one.sha256 in means
        ):
            own, count = means[candidate.sha256], below.get(candidate.sha256)
            rows.append(
                Row(
                    (
                        judge.title if place == 0 else "",
                        view.labels[candidate.sha256],
                        *(own.get(quality) for quality in Quality),
                        f"{count.wins}/{count.prompts}" if count is not None else None,
                    ),
                    voice_of(candidate),
                )
            )
    if not rows:
        return None
    columns = (
        Column("judge"),
        Column(""),
        *(
            Column(_SHORT[one], Voice.AI if one in COUNTED else Voice.DIM, decimals=2)
            for one in Quality
        ),
        Column("below", Voice.DIM),
    )
    note = Sentence(
        "mean scores from 1 to 5; empathy, creativity and coherence are reported and count for "
        "nothing; below: prompts on which the judge puts it below the baseline (the exam's graded "
        "damage)",
        Voice.DIM,
    )
    data = {one.title: _means(view, one) for one in view.judges}
    return Section(
        "rubric", "what judges say", ReportKey.AI, (Table(columns, tuple(rows)), note), data
    )


def differing(view: StudyView, most: int) -> list[tuple[str, float]]:
    """The responses on which judges differ most, and their agreement there, the least first."""
    agreement = ensemble_figures(view).consensus.agreement
    return sorted(agreement.items(), key=lambda one: (round(one[1], _DIGITS), one[0]))[:most]


def differing_section(view: StudyView, *, may_be_read: bool) -> Section | None:
    """Replies that judges see most differently; held back while that could train raters."""
    if len(view.judges) < 2:
        return None
    found = ensemble_figures(view)
    if not found.consensus.agreement:
        return None
    threshold = view.config.judging_config.consensus_threshold
    responses = {one.id: one for one in view.responses}
    prompts = {one.id: one for one in view.prompts}
    rows, data = [], []
    for response_id, agreement in differing(view, _SHOWN):
        response = responses[response_id]
        scores = {
            title: view.judge_scores[title][response_id]
            for title in found.consensus.judges
            if response_id in view.judge_scores[title]
        }
        said = visible_line(prompts[response.prompt_id].messages[-1].content)
        shown = shortened(said, _PROMPT_LENGTH)
        rows.append(
            [
                ("! " if agreement < threshold else "  ") + f"{agreement:.2f}",
                view.labels[response.candidate],
                ", ".join(f"{title} {score:.2f}" for title, score in scores.items()),
                f"“{shown}”",
            ]
        )
        data.append(
            {
                "response": response_id,
                "candidate": view.by_sha[response.candidate].name,
                "prompt_id": response.prompt_id,
                "sample": response.sample,
                "agreement": agreement,
                "scores": scores,
            }
        )
    blocks: tuple[Block, ...] = (Sentence(HELD_BACK, Voice.DIM),)
    if may_be_read:
        meaning = f"agreement of the judges; ! is below {threshold:g}"
        blocks = (*map(Sentence, aligned(rows)), Sentence(meaning, Voice.DIM))
    return Section("judges_differ", "where judges differ most", ReportKey.AI, blocks, data)


# JSON


def _figures_data(own: JudgeFigures) -> dict[str, Any]:
    return {
        "answered": own.answered,
        "valid": own.valid,
        "mean_digit_mass": finite(own.mass),
        "unanswered": own.unanswered,
        "unanswered_because": own.reason or None,
        "order_bias": estimate_data(own.order_bias),
        "orders_disagree": finite(own.turned),
        "votes": own.votes,
        "length_correlation": estimate_data(own.length),
        "correlation_with_others": estimate_data(own.others),
        "spread_within_prompts": finite(own.spread),
        "covered_replies": own.covered,
        "cut_replies": own.cut,
        "silent_replies": own.silent,
        "single_choices": own.single,
    }


def _data(
    view: StudyView, found: Ensemble, with_people: Mapping[str, Estimate | None]
) -> dict[str, Any]:
    effective = effective_weights(view, found)

    def people(name: str) -> dict[str, Any] | None:
        return estimate_data(with_people.get(name))

    def judge(one: JudgeStanding) -> dict[str, Any]:
        return {
            **standing_data(one),
            **_figures_data(found.judges[one.title]),
            "same_order_as_people": people(one.title),
            "effective_weight": effective.get(one.title),
            "graded": {
                view.by_sha[sha].name: {
                    "wins": count.wins,
                    "prompts": count.prompts,
                    "share": count.wins / count.prompts,
                }
                for sha, count in graded(view, one.title).items()
            },
            "means": _means(view, one),
        }

    return {
        "judges": [judge(one) for one in view.judges],
        "controls": [
            {
                **control_data(name, view.control_exams.get(name)),
                "length_correlation": estimate_data(own.length),
                "correlation_with_judges": estimate_data(own.others),
                "same_order_as_people": people(name),
            }
            for name, own in found.controls.items()
        ],
        "consensus": {
            "judges": list(found.consensus.judges),
            "responses": len(found.consensus.agreement),
            "threshold": view.config.judging_config.consensus_threshold,
            "below_threshold": found.consensus.below(
                view.config.judging_config.consensus_threshold
            ),
        },
        "ai_score_shares": shares_of(view.part_scores, view.config.ai_scoring),
    }


def _means(view: StudyView, judge: JudgeStanding) -> dict[str, dict[str, float]]:
    """Mean expected scores (1 to 5) by candidate and quality, reported ones included."""
    return {
        view.by_sha[sha].name: {one.value: mean for one, mean in means.items()}
        for sha, means in quality_means(view, judge.name).items()
    }
