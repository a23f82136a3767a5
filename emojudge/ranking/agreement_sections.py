"""Sections on agreement: AI against people, people against people, and items worth reading."""

from __future__ import annotations

from typing import Any

from emojudge.columns import aligned
from emojudge.domain import Criterion
from emojudge.estimates import Estimate
from emojudge.ranking.agreement import (
    OrderAgreement,
    by_candidate,
    by_criterion,
    by_judge,
    disagreements,
    order_agreement,
    same_order_twice,
)
from emojudge.ranking.calibration import calibrations
from emojudge.ranking.decision import Kind
from emojudge.ranking.people import RaterLine, flagged, rater_lines, reliabilities
from emojudge.ranking.scored import scored_study
from emojudge.ranking.sections import ends
from emojudge.ranking.standing import standing_of
from emojudge.ranking.verdict import score_text
from emojudge.sections import (
    HELD_BACK,
    Block,
    Column,
    Interval,
    ItemLine,
    ItemList,
    ReportKey,
    Row,
    Section,
    Sentence,
    Table,
    Trend,
    Voice,
)
from emojudge.text import counted, shortened, visible_line
from emojudge.view import StudyView

_SHOWN_DISAGREEMENTS = 12
_PROMPT_LENGTH = 60
_GAP_IS = (
    "by how far apart people and the AI see two responses that each prefers, the AI's scores "
    "brought to the spread of people's"
)


def percent(estimate: Estimate | None) -> str:
    """``61% [54, 68]``, or a dash."""
    if estimate is None:
        return "–"
    if estimate.interval is None:
        return f"{estimate.value:.0%}"
    low, high = estimate.interval
    return f"{estimate.value:.0%} [{100 * low:.0f}, {100 * high:.0f}]"


def _data(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {"value": estimate.value, "interval": ends(estimate.interval), "n": estimate.count}


def agreement_data(agreement: OrderAgreement) -> dict[str, Any]:
    """An agreement for JSON."""
    limits = agreement.limits
    return {
        "items": agreement.items,
        "pairs": agreement.pairs,
        "order_agreement": _data(agreement.share),
        "ceiling": _data(agreement.ceiling),
        "kendall_tau": _data(agreement.tau),
        "calibration_slope": _data(agreement.slope),
        "people_minus_ai": (
            {"mean": limits.mean, "limits": [limits.low, limits.high], "n": limits.count}
            if limits is not None
            else None
        ),
    }


def _figures(agreement: OrderAgreement) -> list[Block]:
    assert agreement.share is not None
    ceiling = (
        f"of at most {percent(agreement.ceiling)} that people's own agreement allows"
        if agreement.ceiling is not None
        else "(how much people's own agreement allows is not known before 20 pairs are rated twice)"
    )
    lines: list[Block] = [
        Sentence(
            f"AI and people put a pair in the same order in {percent(agreement.share)} of "
            f"{counted(agreement.pairs, 'pair')} from {counted(agreement.items, 'item')} {ceiling}"
            "; chance is 50%"
        ),
        Trend("after each item", agreement.trend, Voice.AI),
    ]
    if agreement.tau is not None:
        lines.append(Sentence(f"within-item Kendall τ {_number(agreement.tau)}", Voice.DIM))
    if agreement.slope is not None:
        lines.append(
            Sentence(
                f"calibration: people's score gains {_number(agreement.slope)} where the AI's "
                "gains 1",
                Voice.DIM,
            )
        )
    if agreement.limits is not None:
        limits = agreement.limits
        lines.append(
            Sentence(
                f"people minus AI: {score_text(limits.mean)} on average, 95% of "
                f"{counted(limits.count, 'response')} between {score_text(limits.low)} and "
                f"{score_text(limits.high)}",
                Voice.DIM,
            )
        )
    return lines


def _number(estimate: Estimate) -> str:
    if estimate.interval is None:
        return score_text(estimate.value)
    low, high = estimate.interval
    return f"{score_text(estimate.value)} [{score_text(low)}, {score_text(high)}]"


def _split(name: str, estimate: Estimate | None, voice: Voice = Voice.PLAIN) -> Row:
    return Row((name, percent(estimate), estimate.count if estimate is not None else 0), voice)


def agreement_section(view: StudyView) -> Section | None:
    """Order agreement between AI and people: all, and by criterion, candidate, rater and judge."""
    overall = order_agreement(view)
    criteria = by_criterion(view)
    candidates = by_candidate(view)
    judges = by_judge(view)
    lines = rater_lines(view)
    data = {
        **agreement_data(overall),
        "after_each_item": list(overall.trend),
        "by_criterion": {one.value: agreement_data(own) for one, own in criteria.items()},
        "by_candidate": {
            candidate.name: _data(candidates[candidate.sha256]) for candidate in view.candidates
        },
        "by_rater": {line.rater: agreement_data(line.with_ai) for line in lines},
        "by_judge": {part: _data(own) for part, own in judges.items()},
    }
    if overall.share is None:
        blocks: tuple[Block, ...] = (Sentence("no item is rated and judged yet", Voice.DIM),)
        return Section("agreement", "AI against people", ReportKey.HUMAN, blocks, data)
    rows = [
        *(_split(one.label, criteria[one].share) for one in Criterion),
        *(
            _split(view.labels[one.sha256], candidates[one.sha256], Voice.DIM)
            for one in view.candidates
        ),
        *(_split(f"rater {line.rater}", line.with_ai.share, Voice.PEOPLE) for line in lines),
        *(_split(f"judge {part}", own, Voice.AI) for part, own in judges.items()),
    ]
    table = Table((Column("same order"), Column("[95%]"), Column("pairs", Voice.DIM)), tuple(rows))
    return Section(
        "agreement",
        "AI against people",
        ReportKey.HUMAN,
        (*_figures(overall), table),
        data,
    )


def calibration_section(view: StudyView) -> Section | None:
    """Each judge of the ensemble against people, and the weights that their ratings suggest."""
    found = calibrations(view, view.judge_scores)
    if not any(one.bias is not None for one in found.values()):
        return None
    configured = {one.title: one.configured for one in view.judges}
    rows = tuple(
        Row(
            (
                title,
                percent(one.share),
                _number(one.bias) if one.bias is not None else "–",
                _number(one.slope) if one.slope is not None else "–",
                _number(one.correlation) if one.correlation is not None else "–",
                configured.get(title),
                one.suggested,
            )
        )
        for title, one in found.items()
    )
    columns = (
        Column("judge", Voice.AI),
        Column("same order"),
        Column("bias"),
        Column("slope"),
        Column("correlation"),
        Column("weight", decimals=2),
        Column("suggested", decimals=2),
    )
    note = (
        "bias: the judge's mean less people's, from 0 to 1; slope: what people's score gains where "
        "the judge's gains 1; weights are suggested by correlation and spread and never "
        "changed by themselves: yours to set in judging_config.judges"
    )
    data = {
        title: {
            "same_order_as_people": _data(one.share),
            "bias": _data(one.bias),
            "slope": _data(one.slope),
            "correlation": _data(one.correlation),
            "limits": [one.limits.low, one.limits.high] if one.limits is not None else None,
            "configured_weight": configured.get(title),
            "suggested_weight": one.suggested,
        }
        for title, one in found.items()
    }
    return Section(
        "calibration",
        "judges against people",
        ReportKey.HUMAN,
        (Table(columns, rows), Sentence(note, Voice.DIM)),
        data,
    )


def _line_data(line: RaterLine) -> dict[str, Any]:
    return {
        "items": line.items,
        "repeats": line.repeats,
        "same_order_as_others": _data(line.with_others),
        "same_order_as_before": _data(line.with_self),
        "median_seconds_per_item": line.seconds,
        "flags": list(line.flags),
    }


def people_section(view: StudyView) -> Section | None:
    """How far people agree with each other and with themselves."""
    lines = rater_lines(view)
    if not lines:
        return None
    scales = reliabilities(view)
    raters = Table(
        (
            Column("rater", Voice.PEOPLE),
            Column("items"),
            Column("s/item", decimals=0),
            Column("same order as AI"),
            Column("as other people"),
            Column("as before, in repeats"),
        ),
        tuple(
            Row(
                (
                    line.rater,
                    line.items,
                    line.seconds,
                    percent(line.with_ai.share),
                    percent(line.with_others),
                    percent(line.with_self),
                )
            )
            for line in lines
        ),
    )
    blocks: list[Block] = [raters]
    blocks += [Sentence(f"! {one}", Voice.STRONG) for one in flagged(lines)]
    if scales:
        blocks.append(
            Table(
                (
                    Column("between people"),
                    Column("α", decimals=2),
                    Column("[95%]", Voice.DIM),
                    Column("weighted κ", decimals=2),
                    Column("AC2", decimals=2),
                    Column("responses", Voice.DIM),
                ),
                tuple(
                    Row(
                        (
                            scale.name.replace("_", " "),
                            scale.alpha.value if scale.alpha else None,
                            Interval(*scale.alpha.interval, 2)
                            if scale.alpha and scale.alpha.interval
                            else None,
                            scale.kappa.value if scale.kappa else None,
                            scale.ac2.value if scale.ac2 else None,
                            scale.responses,
                        )
                    )
                    for scale in scales
                ),
            )
        )
    else:
        blocks.append(
            Sentence(
                "no response has been rated by two people yet: no agreement of people", Voice.DIM
            )
        )
    data = {
        "raters": {line.rater: _line_data(line) for line in lines},
        "same_order_twice": _data(same_order_twice(scored_study(view))),
        "reliability": {
            scale.name: {
                "responses": scale.responses,
                "raters": scale.raters,
                "krippendorff_alpha": _data(scale.alpha),
                "weighted_kappa": _data(scale.kappa),
                "gwet_ac2": _data(scale.ac2),
            }
            for scale in scales
        },
    }
    return Section("people", "people against people", ReportKey.HUMAN, tuple(blocks), data)


def may_be_read(view: StudyView) -> bool:
    """Whether there is a verdict, or the config wants raters to see what the AI said."""
    decision = standing_of(view).decision
    reached = decision is not None and decision.kind is not Kind.INCONCLUSIVE
    return reached or view.config.human_judging.show_ai_scores == "after_item"


def disagreement_section(view: StudyView) -> Section | None:
    """Items in which AI and people prefer different responses, the widest gap first."""
    scored = scored_study(view)
    if not scored.items:
        return None
    prompts = {prompt.id: prompt for prompt in view.prompts}
    labels = [view.labels[one.sha256] for one in view.candidates]
    rows, data = [], []
    for one in disagreements(view, _SHOWN_DISAGREEMENTS):
        item = scored.items[one.number]
        people = labels[item.candidates[one.preferred_by_people]]
        ai = labels[item.candidates[one.preferred_by_ai]]
        said = visible_line(prompts[item.item.prompt_id].messages[-1].content)
        shown = shortened(said, _PROMPT_LENGTH)
        rows.append([f"{one.gap:.2f}", f"{item.item.rater} {people}", f"AI {ai}", f"“{shown}”"])
        data.append(
            {
                "item": item.item.id,
                "rater": item.item.rater,
                "prompt_id": item.item.prompt_id,
                "gap": one.gap,
                "people_prefer": people,
                "ai_prefers": ai,
            }
        )
    lines = [
        ItemLine(str(one["item"]), text)
        for one, text in zip(data, aligned(rows) if rows else [], strict=True)
    ]
    empty = "AI and people never preferred different responses"
    if not may_be_read(view):
        lines = []
        empty = HELD_BACK
    return Section(
        "disagreements",
        "disagreements worth reading",
        ReportKey.HUMAN,
        (ItemList(tuple(lines), empty), *([Sentence(_GAP_IS, Voice.DIM)] if lines else [])),
        data,
    )
