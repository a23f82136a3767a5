"""The sections that ranking contributes to the Results screen and the report."""

from __future__ import annotations

from emojudge.ranking.agreement import order_agreement
from emojudge.ranking.scores import CandidateScore, rank_candidates
from emojudge.sections import (
    Column,
    Mark,
    ReportKey,
    Row,
    Section,
    Sentence,
    Table,
    Trend,
    Voice,
)
from emojudge.text import counted, human_bytes
from emojudge.view import StudyView


def _standing(view: StudyView, scores: list[CandidateScore]) -> Sentence:
    """One plain sentence on where the study stands; a verdict needs intervals, so none is given."""
    judging = view.config.judging_config
    weights = f"people {judging.human_judge_weight:g}, AI {judging.ai_judge_weight:g}"
    best = scores[0] if scores else None
    if best is None or best.ai is None:
        return Sentence("nothing is judged yet: run the AI judges on Candidates", Voice.DIM)
    if best.final is None:
        return Sentence(
            f"{best.label} leads by the AI score alone; no final score without people ({weights})",
            Voice.STRONG,
        )
    fewest = min(score.rated_items for score in scores)
    enough = judging.minimum_human_samples
    short = f"; fewest ratings of a candidate {fewest}, wanted {enough}" if fewest < enough else ""
    return Sentence(
        f"{best.label} leads with {best.final:.2f} ({weights}){short}; no interval yet, so this "
        "is an order, not a verdict",
        Voice.STRONG,
    )


def ranking_section(view: StudyView) -> Section | None:
    """AI, human and final score per candidate."""
    scores = rank_candidates(view)
    columns = (
        Column("candidate"),
        Column("size"),
        Column("final", Voice.STRONG, decimals=3),
        Column("0 · · · ½ · · · 1", Voice.DIM),
        Column("people", Voice.PEOPLE, decimals=3),
        Column("AI", Voice.AI, decimals=3),
        Column("rated", Voice.DIM),
    )
    rows = tuple(
        Row(
            (
                score.label + (" (baseline)" if score.candidate.is_baseline else ""),
                human_bytes(score.candidate.size),
                score.final,
                Mark(min(max(score.final, 0.0), 1.0)) if score.final is not None else None,
                score.human,
                score.ai,
                score.rated_items,
            ),
            Voice.BASELINE if score.candidate.is_baseline else Voice.PLAIN,
        )
        for score in scores
    )
    left_out = (
        (
            Sentence(
                f"{counted(view.left_out_items, 'rated item')} left out: rated on responses that "
                "other settings or prompts made",
                Voice.DIM,
            ),
        )
        if view.left_out_items
        else ()
    )
    complete = bool(scores) and all(score.final is not None for score in scores)
    data = {
        "complete": complete,
        "ranked_by": "final_score" if complete else "ai_score",
        "weights": {
            "ai": view.config.judging_config.ai_judge_weight,
            "human": view.config.judging_config.human_judge_weight,
        },
        "ranking": [
            {
                "rank": rank,
                "candidate": score.candidate.name,
                "sha256": score.candidate.sha256,
                "size_bytes": score.candidate.size,
                "is_baseline": score.candidate.is_baseline,
                "final_score": score.final,
                "ai_score": score.ai,
                "human_score": score.human,
                "rated_items": score.rated_items,
                "judged_responses": score.ai_responses,
            }
            for rank, score in enumerate(scores, start=1)
        ],
    }
    return Section(
        name="ranking",
        title="ranking",
        report_key=ReportKey.RANKINGS,
        blocks=(_standing(view, scores), Table(columns, rows), *left_out),
        data=data,
    )


def agreement_section(view: StudyView) -> Section | None:
    """Order agreement between AI and people, all raters and each."""
    overall = order_agreement(view)
    raters = sorted({item.rater for item in view.counted_items})
    by_rater = {rater: order_agreement(view, rater) for rater in raters}
    data = {
        "order_agreement": overall.share,
        "items": overall.items,
        "pairs": overall.pairs,
        "by_rater": {
            rater: {"order_agreement": own.share, "items": own.items, "pairs": own.pairs}
            for rater, own in by_rater.items()
        },
    }
    if overall.share is None:
        blocks: tuple[Sentence | Trend, ...] = (
            Sentence("no item is rated and judged yet", Voice.DIM),
        )
    else:
        blocks = (
            Sentence(
                f"AI and people put a pair in the same order in {overall.share:.0%} of "
                f"{counted(overall.pairs, 'pair')} from "
                f"{counted(overall.items, 'item')} (chance is 50%)"
            ),
            Trend("after each item", overall.trend, Voice.AI),
            *(
                Sentence(f"{rater}: {own.share:.0%} of {counted(own.pairs, 'pair')}", Voice.PEOPLE)
                for rater, own in by_rater.items()
                if own.share is not None and len(raters) > 1
            ),
        )
    return Section("agreement", "AI against people", ReportKey.HUMAN, blocks, data)
