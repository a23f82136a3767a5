"""The verdict in words: one sentence, and the sentences behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from emojudge.ranking.decision import Kind, side_shown
from emojudge.ranking.evidence import DECISIVE, MIN_PROMPTS, too_few_prompts
from emojudge.ranking.forecast import Forecast
from emojudge.ranking.scored import MOST_CANDIDATES, scored_study
from emojudge.ranking.standing import Difference, Standing, differences
from emojudge.text import counted, human_bytes
from emojudge.view import StudyView

_EVEN = 0.5


_NAMED = 4


@dataclass(frozen=True)
class Verdict:
    """``kind`` None while nothing can be said at all. ``missing`` says what is still to be done."""

    kind: Kind | None
    sentence: str
    behind: tuple[str, ...]
    missing: tuple[str, ...]


def score_text(value: float) -> str:
    """Scores and differences have three decimals everywhere, and a real minus sign."""
    return f"{round(value, 3) + 0.0:.3f}".replace("-", "−")


def interval_text(interval: tuple[float, float]) -> str:
    """``[−0.012, 0.134]``, or that nothing bounds it yet."""
    low, high = interval
    if math.isinf(low) or math.isinf(high):
        return "[open]"
    return f"[{score_text(low)}, {score_text(high)}]"


def evidence_text(value: float) -> str:
    """Three digits; beyond a million the number says no more."""
    return "> 10⁶" if value >= 1e6 else f"{value:.3g}"


def _behind(name: str, difference: Difference | None) -> str:
    if difference is None:
        return f"{name}: never rated together"
    return (
        f"{name}: {score_text(difference.estimate)}, deciding interval "
        f"{interval_text(difference.deciding)}, fixed-n {interval_text(difference.fixed)}, "
        f"E {evidence_text(difference.evidence)} from {counted(difference.prompts, 'prompt')}"
    )


def _ahead_text(ahead: Forecast | None) -> str:
    if ahead is None:
        return ""
    if ahead.items is not None:
        return f"about {counted(ahead.items, 'more item')}"
    can = "may not" if ahead.share >= _EVEN else "cannot"
    return f"it {can} be resolved with these prompts and people"


def ahead_line(standing: Standing) -> str:
    """A few words for the rating screen: how far the verdict is."""
    decision = standing.decision
    if decision is None:
        return ""
    if decision.kind is Kind.DISPUTE:
        return "AI and people in dispute"
    if decision.kind is not Kind.INCONCLUSIVE:
        more = standing.ahead.items if standing.ahead is not None else None
        return "verdict reached" if more is None else f"verdict reached; about {more} to the next"
    if standing.ahead is None:
        return ""
    if standing.ahead.items is None:
        return "no verdict in sight: the results say why"
    return f"about {counted(standing.ahead.items, 'more item')} for a verdict"


def _what_would(ahead: Forecast, candidates: int) -> str:
    """What would resolve it, where the present prompts and people do not."""
    advice = (
        f"about {counted(ahead.on_new_prompts, 'item')} on new prompts would resolve it in 9 of "
        "10 cases"
        if ahead.on_new_prompts is not None
        else "the difference may be too small to resolve at all"
    )
    fewer = "; comparing fewer candidates helps too (models_to_compare)" if candidates > 2 else ""
    left = (
        f"with the {counted(ahead.remaining, 'item')} that are left a verdict comes in "
        f"{ahead.share:.0%} of cases"
        if ahead.remaining
        else "no items are left"
    )
    return f"{left}; {advice}{fewer}"


def conclude(view: StudyView, standing: Standing) -> Verdict:
    """The verdict of a study's standing."""
    if standing.decision is None:
        return Verdict(None, *_nothing_yet(view, standing))
    missing = tuple(_missing(view, standing))
    sentence, behind = {
        Kind.DISPUTE: _dispute,
        Kind.WINNER: _winner,
        Kind.AS_GOOD: _as_good,
        Kind.INCONCLUSIVE: _inconclusive,
    }[standing.decision.kind](view, standing)
    return Verdict(standing.decision.kind, sentence, tuple(behind), missing)


def _nothing_yet(
    view: StudyView, standing: Standing
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    judging = view.config.judging_config
    best = standing.scores[0] if standing.scores else None
    if len(view.candidates) < 2:
        sentence = "One candidate alone: there is nothing to compare it with."
        return sentence, (), ("more candidates in candidate_dir",)
    if len(view.candidates) > MOST_CANDIDATES:
        sentence = (
            f"{len(view.candidates)} candidates are too many to compare (at most "
            f"{MOST_CANDIDATES})."
        )
        return sentence, (), ("name the best in models_to_compare",)
    if judging.ai_judge_weight > 0 and all(score.ai is None for score in standing.scores):
        sentence = (
            "The AI has no score of a candidate yet: too few prompts are judged."
            if view.judgements
            else "Nothing is judged yet."
        )
        return (
            sentence,
            (),
            ("`emojudge run --phase ai-judge`, or s on Candidates",),
        )
    if judging.ai_judge_weight > 0 and scored_study(view).ai_effects is None:
        sentence = "The AI has judged no two candidates on the same prompt yet."
        return (
            sentence,
            (),
            ("`emojudge run --phase ai-judge`, or s on Candidates, lets them finish",),
        )
    if standing.flat:
        sentence = (
            "People gave every response of an item the same score: nothing tells the candidates "
            "apart."
        )
        return sentence, (), ("ratings that differ within an item",)
    if view.counted_items:
        sentence = "No rated item shows two of these candidates: nothing compares them."
        return sentence, (), ("items on the present candidates",)
    skipped = sum(one.skipped is not None for one in view.rated)
    order = (
        f" {best.label} leads by the AI score alone, which is no verdict."
        if best is not None and best.ai is not None
        else ""
    )
    wanted = judging.minimum_human_samples
    return (
        f"{'Every item so far was skipped.' if skipped else 'Nobody has rated yet.'}{order}",
        (),
        (f"at least {counted(wanted, 'rated item')} of each candidate",),
    )


def _missing(view: StudyView, standing: Standing) -> list[str]:
    """What keeps a verdict from being reached, besides more of the same."""
    judging = view.config.judging_config
    missing = []
    if standing.evidence is not None and standing.evidence.rated is not None:
        short = [
            score for score in standing.scores if score.rated_items < judging.minimum_human_samples
        ]
        if short:
            listed = ", ".join(f"{one.label} {one.rated_items}" for one in short[:_NAMED])
            more = f" and {counted(len(short) - _NAMED, 'other')}" if len(short) > _NAMED else ""
            missing.append(
                f"each candidate needs {counted(judging.minimum_human_samples, 'rated item')}; "
                f"so far {listed}{more}"
            )
    prompts = standing.evidence.final.prompts if standing.evidence is not None else 0
    stuck = too_few_prompts(len(view.prompts), judging.minimum_human_samples)
    if prompts < MIN_PROMPTS and len(view.prompts) < MIN_PROMPTS and stuck is not None:
        missing.append(stuck)
    elif prompts < MIN_PROMPTS:
        missing.append(
            f"nothing is decided before {MIN_PROMPTS} prompts are rated and judged; {prompts} "
            f"{'is' if prompts == 1 else 'are'}"
        )
    if standing.groups:
        groups = " | ".join(", ".join(group) for group in standing.groups)
        missing.append(f"these groups were never rated together: {groups}")
    ahead = standing.ahead
    if ahead is not None and ahead.items is None:
        missing.append(_what_would(ahead, len(view.candidates)))
    return missing


def _dispute(view: StudyView, standing: Standing) -> tuple[str, list[str]]:
    decision, evidence = standing.decision, standing.evidence
    assert decision is not None
    assert decision.runner_up is not None
    assert evidence is not None
    assert evidence.people is not None
    assert evidence.ai is not None
    leader = standing.score_of(decision.leader).label
    second = standing.score_of(decision.runner_up).label
    first, other = (leader, second)
    if side_shown(evidence.people, decision.leader, decision.runner_up) < 0:
        first, other = second, leader
    sentence = (
        f"In dispute: people prefer {first}, the AI prefers {other}, and each is sure. "
        "Read the items where they differ most."
    )
    behind = [
        _behind(
            f"{who}, {leader} minus {second}",
            differences(effects, decision.runner_up)[decision.leader],
        )
        for who, effects in (("people", evidence.people), ("AI", evidence.ai))
    ]
    return sentence, behind


def _winner(view: StudyView, standing: Standing) -> tuple[str, list[str]]:
    decision = standing.decision
    assert decision is not None
    leader = standing.score_of(decision.leader)
    rivals = [score for score in standing.scores if score.number != decision.leader]
    closest = min(rivals, key=lambda one: one.to_leader.evidence if one.to_leader else 0.0)
    assert closest.to_leader is not None
    low, high = closest.to_leader.deciding
    sentence = (
        f"{leader.label} is the best: better than every rival, {closest.label} being the closest "
        f"at {score_text(-closest.to_leader.estimate)} lower {interval_text((-high, -low))}."
    )
    return sentence, [
        f"a winner needs E ≥ {DECISIVE:g} against every rival",
        *(_behind(f"{one.label} minus {leader.label}", one.to_leader) for one in rivals),
    ]


def _saves(view: StudyView, smaller: int) -> str:
    baseline = next(one for one in view.candidates if one.is_baseline)
    saved = baseline.size - view.candidates[smaller].size
    return f"{human_bytes(saved)} smaller" if saved > 0 else "not smaller"


def _as_good(view: StudyView, standing: Standing) -> tuple[str, list[str]]:
    decision = standing.decision
    assert decision is not None
    assert decision.recommended is not None
    baseline = standing.baseline
    assert baseline is not None
    best = standing.score_of(decision.recommended)
    margin = f"{view.config.judging_config.equivalence_margin:g}"
    sentence = (
        f"{best.label} is as good as {baseline.label} (within {margin}) and "
        f"{_saves(view, decision.recommended)}."
    )
    if decision.stopped_at is not None:
        following = standing.score_of(decision.stopped_at)
        sentence += f" {following.label} is not shown to be"
        ahead = _ahead_text(standing.ahead)
        sentence += f": {ahead}." if ahead else "."
    tested = [*decision.passed, *([decision.stopped_at] if decision.stopped_at is not None else [])]
    rows = [standing.score_of(number) for number in tested]
    return sentence, [
        f"as good: the deciding interval's lower end is above −{margin}, from the largest rung "
        "down, up to the first that fails",
        *(_behind(f"{one.label} minus {baseline.label}", one.to_baseline) for one in rows),
    ]


def _inconclusive(view: StudyView, standing: Standing) -> tuple[str, list[str]]:
    decision = standing.decision
    assert decision is not None
    leader = standing.score_of(decision.leader)
    ahead = _ahead_text(standing.ahead)
    sentence = "No verdict yet" + (f": {ahead}." if ahead else ".")
    behind = []
    if decision.runner_up is not None:
        second = standing.score_of(decision.runner_up)
        sentence += f" {leader.label} leads {second.label}"
        if second.to_leader is not None:
            low, high = second.to_leader.deciding
            sentence += (
                f" by {score_text(-second.to_leader.estimate)} {interval_text((-high, -low))}"
            )
        sentence += "."
        behind.append(_behind(f"{second.label} minus {leader.label}", second.to_leader))
    if decision.stopped_at is not None and standing.baseline is not None:
        rung = standing.score_of(decision.stopped_at)
        behind.append(_behind(f"{rung.label} minus {standing.baseline.label}", rung.to_baseline))
    return sentence, behind
