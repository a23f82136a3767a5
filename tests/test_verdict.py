"""The four verdicts in their order, and what they rest on, on studies whose truth is planted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from emojudge.config import Config, JudgingConfig
from emojudge.domain import Criterion
from emojudge.ranking.decision import Evidence, Kind, Rules, decide
from emojudge.ranking.decision import evidence_of as evidence_of_parts
from emojudge.ranking.effects import combined, effects_of
from emojudge.ranking.evidence import too_few_prompts
from emojudge.ranking.normal_equations import NormalEquations
from emojudge.ranking.robustness import confidence, effective_weights, holding_weights
from emojudge.ranking.scored import scored_study
from emojudge.ranking.simulate.planted import Design, Truth
from emojudge.ranking.simulate.planted_view import planted_view
from emojudge.ranking.standing import Standing, rank_candidates, standing_of
from emojudge.ranking.verdict import Verdict, ahead_line, conclude
from emojudge.view import StudyView

SIZES = [("F16", 271), ("Q8_0", 145), ("Q5_0", 101), ("Q4_0", 88)]
DESIGN = Design(60, 4)


def study(
    people: list[float], ai: list[float] | None = None, *, items: int = 240, **judging: float
) -> StudyView:
    truth = Truth(tuple(people), tuple(ai if ai is not None else people))
    config = Config(name="planted", judging_config=JudgingConfig(**judging))
    return planted_view(truth, DESIGN, SIZES[: len(people)], items=items, config=config)


def said(view: StudyView) -> tuple[Standing, Verdict]:
    standing = standing_of(view)
    return standing, conclude(view, standing)


def test_a_clear_leader_wins_and_the_closest_rival_is_named() -> None:
    standing, verdict = said(study([0.5, 0.7, 0.45, 0.4]))
    assert verdict.kind is Kind.WINNER
    assert verdict.sentence.startswith("Q8_0 is the best: better than every rival, F16 being")
    assert standing.decision is not None
    assert standing.decision.recommended == 1
    assert all(one.to_leader.evidence >= 20 for one in standing.scores if one.to_leader)
    assert len(verdict.behind) == 4
    assert ahead_line(standing) == "verdict reached"


def test_the_smallest_rung_as_good_as_the_baseline_is_recommended() -> None:
    standing, verdict = said(study([0.6, 0.6, 0.6, 0.45]))
    assert verdict.kind is Kind.AS_GOOD
    assert verdict.sentence.startswith(
        "Q5_0 is as good as F16 (within 0.075) and 170 MB smaller. Q4_0 is not shown to be"
    )
    assert standing.decision is not None
    assert standing.decision.passed == (1, 2)
    assert standing.decision.stopped_at == 3


def test_the_ladder_stops_at_the_first_rung_that_fails() -> None:
    """The smallest is as good, but a larger one is not: nothing below a failure is claimed."""
    standing, verdict = said(study([0.6, 0.45, 0.6, 0.6]))
    assert standing.decision is not None
    assert standing.decision.passed == ()
    assert standing.decision.stopped_at == 1
    assert verdict.kind is not Kind.AS_GOOD


def test_people_and_ai_that_are_sure_of_opposite_orders_are_in_dispute() -> None:
    standing, verdict = said(study([0.65, 0.5], [0.5, 0.65]))
    assert verdict.kind is Kind.DISPUTE
    assert "people prefer F16, the AI prefers Q8_0" in verdict.sentence
    assert standing.decision is not None
    assert standing.decision.recommended is None
    assert standing.confidence == pytest.approx(0.0, abs=0.05)


def test_little_data_is_inconclusive_and_says_how_much_more() -> None:
    standing, verdict = said(study([0.6, 0.55, 0.6, 0.55], items=24))
    assert verdict.kind is Kind.INCONCLUSIVE
    assert verdict.sentence.startswith("No verdict yet: ")
    assert standing.ahead is not None
    assert standing.ahead.remaining == 240 - 24
    assert "item" in verdict.sentence or "cannot be resolved" in verdict.sentence


def test_a_difference_too_small_for_these_prompts_and_people_says_what_would_resolve_it() -> None:
    view = study([0.60, 0.56], items=236, equivalence_margin=0.02)
    standing, verdict = said(view)
    assert verdict.kind is Kind.INCONCLUSIVE
    assert standing.ahead is not None
    assert standing.ahead.items is None
    assert "be resolved with these prompts and people" in verdict.sentence
    assert any("on new prompts" in one or "too small" in one for one in verdict.missing)


def test_too_few_rated_items_of_a_candidate_keep_every_verdict_back() -> None:
    view = study([0.2, 0.8], items=9)
    _, verdict = said(view)
    assert verdict.kind is Kind.INCONCLUSIVE
    assert any("each candidate needs 10 rated items; so far" in one for one in verdict.missing)


def test_fewer_than_eight_prompts_decide_nothing() -> None:
    view = study([0.2, 0.8], items=240)
    few = {prompt.id for prompt in view.prompts[:7]}
    view = dataclasses.replace(
        view,
        rated=tuple(item for item in view.rated if item.prompt_id in few),
        memo={},
    )
    _, verdict = said(view)
    assert verdict.kind is Kind.INCONCLUSIVE
    said_so = "nothing is decided before 8 prompts are rated and judged; 7 are"
    assert said_so in verdict.missing
    assert standing_of(view).confidence is None, "7 prompts drawn again are the same 7"
    small = dataclasses.replace(
        view, prompts=tuple(one for one in view.prompts if one.id in few), memo={}
    )
    _, verdict = said(small)
    assert any(
        "this study has 7: more prompts in evaluation_prompts, or a larger" in one
        for one in verdict.missing
    )


def test_what_a_study_of_few_prompts_cannot_reach_is_known_from_the_start() -> None:
    assert too_few_prompts(8, 8) is None
    assert "nothing is decided before 8 prompts, and this study has 7" in str(too_few_prompts(7, 1))
    assert "at most 8 rated items by one person" in str(too_few_prompts(8, 10))


def test_nobody_has_rated() -> None:
    standing, verdict = said(study([0.6, 0.5], items=0))
    assert (verdict.kind, standing.decision) == (None, None)
    assert verdict.sentence.startswith("Nobody has rated yet. F16 leads by the AI score alone")
    assert ahead_line(standing) == ""


def test_one_rating() -> None:
    standing, verdict = said(study([0.6, 0.5], items=1))
    assert verdict.kind is Kind.INCONCLUSIVE
    assert standing.confidence is None or 0 <= standing.confidence <= 1


def test_one_candidate() -> None:
    _, verdict = said(study([0.6], items=0))
    assert verdict.sentence.startswith("One candidate alone")


def with_scores(view: StudyView, change: dict[str, int] | int) -> StudyView:
    """The same items, every score replaced (by candidate name, or by one value for all)."""
    names = {one.sha256: one.name for one in view.candidates}

    def score(candidate: str) -> int:
        return change if isinstance(change, int) else change[names[candidate]]

    return dataclasses.replace(
        view,
        rated=tuple(
            item.model_copy(
                update={
                    "ratings": tuple(
                        one.model_copy(
                            update={"scores": dict.fromkeys(Criterion, score(one.candidate))}
                        )
                        for one in item.ratings
                    )
                }
            )
            for item in view.rated
        ),
        memo={},
    )


def test_ties_everywhere_tell_nothing_apart() -> None:
    _, verdict = said(with_scores(study([0.6, 0.5]), 3))
    assert verdict.kind is None
    assert "the same score" in verdict.sentence


def test_a_rater_who_always_says_the_same_of_each_candidate_is_still_a_verdict() -> None:
    """No variance between prompts but that of whole scores, which is the floor."""
    standing, verdict = said(with_scores(study([0.6, 0.6], items=40), {"F16": 2, "Q8_0": 5}))
    assert verdict.kind is Kind.WINNER
    difference = standing.scores[1].to_leader
    assert difference is not None
    assert difference.deciding[0] < difference.estimate < difference.deciding[1]
    assert np.isfinite(difference.evidence)


def test_groups_that_were_never_rated_together_are_named() -> None:
    view = study([0.6, 0.6, 0.5, 0.5], items=240)
    pairs = ({"F16", "Q8_0"}, {"Q5_0", "Q4_0"})
    names = {one.sha256: one.name for one in view.candidates}
    rated = []
    for number, item in enumerate(view.rated):
        kept = tuple(one for one in item.ratings if names[one.candidate] in pairs[number % 2])
        rated.append(item.model_copy(update={"ratings": kept}))
    standing, verdict = said(dataclasses.replace(view, rated=tuple(rated), memo={}))
    assert verdict.kind in (Kind.AS_GOOD, Kind.INCONCLUSIVE)
    assert set(standing.groups) == {("F16", "Q8_0"), ("Q5_0", "Q4_0")}
    assert any("never rated together: F16, Q8_0 | Q5_0, Q4_0" in one for one in verdict.missing)
    assert standing.score_of(2).to_baseline is None


@pytest.mark.parametrize("ai_weight", [0.0, 1.0])
def test_a_weight_of_zero_leaves_that_part_out(ai_weight: float) -> None:
    view = study(
        [0.7, 0.5], [0.5, 0.7], ai_judge_weight=ai_weight, human_judge_weight=1 - ai_weight
    )
    standing, verdict = said(view)
    assert verdict.kind is Kind.WINNER
    assert standing.decision is not None
    assert standing.decision.recommended == (1 if ai_weight else 0)


def test_without_people_no_weight_on_them_is_enough_for_a_verdict() -> None:
    _, verdict = said(study([0.7, 0.5], items=0, ai_judge_weight=1.0, human_judge_weight=0.0))
    assert verdict.kind is Kind.WINNER


def test_unjudged_studies_say_so() -> None:
    view = dataclasses.replace(study([0.6, 0.5]), ai_scores={}, memo={})
    _, verdict = said(view)
    assert verdict.sentence == "Nothing is judged yet."


def test_a_thousand_candidates_are_refused_in_words() -> None:
    sizes = [(f"rung-{number}", 300 + number) for number in range(200)]
    view = planted_view(Truth((0.5,) * 200, (0.5,) * 200), Design(3, 1, samples=1), sizes, items=3)
    standing, verdict = said(view)
    assert "200 candidates are too many" in verdict.sentence
    assert standing.scores[0].ai is not None


def test_whose_items_the_verdict_rests_on() -> None:
    view = study([0.6, 0.6, 0.6], items=120)
    alone = [item for item in view.rated if item.rater == "rater-1"]
    liked = with_scores(
        dataclasses.replace(view, rated=tuple(alone)), {"F16": 1, "Q8_0": 5, "Q5_0": 1}
    ).rated
    others = tuple(item for item in view.rated if item.rater != "rater-1")[:12]
    standing, _ = said(dataclasses.replace(view, rated=(*liked, *others), memo={}))
    assert standing.decision is not None
    assert standing.decision.kind is Kind.WINNER
    assert standing.rests_on == ("rater-1",)


def test_the_weights_over_which_the_verdict_holds_are_those_around_the_present_one() -> None:
    view = study([0.7, 0.5], [0.45, 0.55])
    standing = standing_of(view)
    decision = standing.decision
    assert decision is not None
    assert standing.holds is not None
    scored = scored_study(view)
    low, high = holding_weights(scored, 0.4, decision)
    assert (low, high) == standing.holds
    assert low <= 0.4 <= high < 1.0
    for weight, same in ((low, True), (high, True), (high + 0.05, False)):
        evidence = scored.evidence(scored.people, min(weight, 1.0))
        assert evidence is not None
        again = decide(evidence, scored.rules)
        assert ((again.kind, again.recommended) == (decision.kind, decision.recommended)) is same


def test_effective_weights_follow_the_spread_of_each_part() -> None:
    flat = effective_weights(scored_study(study([0.7, 0.5], [0.5, 0.5])), 0.4)
    both = effective_weights(scored_study(study([0.7, 0.5], [0.7, 0.5])), 0.4)
    assert flat is not None
    assert both is not None
    assert flat.ai < 0.1
    assert both.ai == pytest.approx(0.4, abs=0.06)
    assert both.ai + both.people == pytest.approx(1)


def test_confidence_is_high_when_ai_and_people_agree() -> None:
    agreeing = confidence(scored_study(study([0.7, 0.5], [0.7, 0.5])), 0, 1, 1)
    unsure = confidence(scored_study(study([0.7, 0.5], [0.6, 0.6])), 0, 1, 1)
    assert agreeing == pytest.approx(1.0, abs=0.01)
    assert unsure is not None
    assert 0.02 < unsure < 0.98


def test_scores_are_plain_means_when_every_prompt_is_rated_as_often() -> None:
    view = study([0.6, 0.5, 0.4])
    scored = scored_study(view)
    means = np.nanmean(scored.means(scored.items), axis=0)
    for score in rank_candidates(view):
        assert score.human == pytest.approx(means[score.number])
        assert score.ai == pytest.approx(float(scored.ai_means[:, score.number].mean()))


# The order of the verdicts, on effects made by hand


def evidence_of(people: list[list[float]], ai: list[list[float]]) -> Evidence:
    """Rows are prompts, columns candidates."""
    parts = []
    for rows in (ai, people):
        sums = NormalEquations(len(rows[0]), len(rows))
        for prompt, row in enumerate(rows):
            sums.add(prompt, np.arange(len(row)), np.array(row))
        parts.append((effects_of(sums), sums))
    (of_ai, _), (of_people, sums) = parts
    final = combined([(0.4, of_ai), (0.6, of_people)])
    return Evidence(final, of_people, of_ai, sums.scored)


def rows(differences: tuple[float, ...], spread: float, prompts: int = 40) -> list[list[float]]:
    rng = np.random.default_rng(3)
    return [[one + rng.normal(0, spread) for one in differences] for _ in range(prompts)]


def test_a_dispute_comes_before_a_winner() -> None:
    """Final's leader would be a clear winner, but the AI is as sure of the opposite."""
    rules = Rules(0, (1,), 0.075, 10)
    found = decide(evidence_of(rows((0.9, 0.1), 0.05), rows((0.4, 0.6), 0.05)), rules)
    assert found.kind is Kind.DISPUTE
    found = decide(evidence_of(rows((0.9, 0.1), 0.05), rows((0.5, 0.5), 0.05)), rules)
    assert found.kind is Kind.WINNER


def test_a_winner_comes_before_the_ladder() -> None:
    rules = Rules(0, (1, 2), 0.075, 10)
    found = decide(evidence_of(rows((0.5, 0.5, 0.9), 0.05), rows((0.5, 0.5, 0.9), 0.05)), rules)
    assert (found.kind, found.recommended, found.passed) == (Kind.WINNER, 2, (1, 2))


def test_an_unrated_candidate_hides_no_dispute() -> None:
    """What the AI alone thinks of a candidate puts it neither first nor second."""
    rules = Rules(0, (1, 2), 0.075, 10)
    with_people = rows((0.9, 0.1), 0.05)
    sums = NormalEquations(3, 40)
    for prompt, row in enumerate(with_people):
        sums.add(prompt, np.array([0, 1]), np.array(row))
    judged = NormalEquations(3, 40)
    for prompt, row in enumerate(rows((0.3, 0.7, 2.0), 0.05)):
        judged.add(prompt, np.arange(3), np.array(row))
    evidence = evidence_of_parts(effects_of(judged), effects_of(sums), sums.scored, 0.4)
    assert evidence is not None
    found = decide(evidence, rules)
    assert found.kind is Kind.DISPUTE
    assert {found.leader, found.runner_up} == {0, 1}


def test_skipped_items_and_unfinished_judging_have_sentences_of_their_own() -> None:
    view = study([0.6, 0.5], items=10)
    skipped = tuple(
        item.model_copy(update={"ratings": (), "skipped": "tired"}) for item in view.rated
    )
    _, verdict = said(dataclasses.replace(view, rated=skipped, memo={}))
    assert verdict.sentence.startswith("Every item so far was skipped.")
    first = view.candidates[0].sha256
    half = {one.id: view.ai_scores[one.id] for one in view.responses if one.candidate == first}
    _, verdict = said(dataclasses.replace(view, ai_scores=half, memo={}))
    assert verdict.sentence == "The AI has judged no two candidates on the same prompt yet."


def test_intervals_stay_open_below_eight_prompts() -> None:
    standing = standing_of(study([0.7, 0.5], items=5))
    open_ends = [one.to_leader for one in standing.scores if one.to_leader is not None]
    assert open_ends
    assert all(np.isinf(one.deciding[0]) and one.evidence == 1.0 for one in open_ends)
