"""What the judges of the ensemble are like, from what they said: validity, biases, agreement.

Everything is over prompts, with jackknife intervals; correlations are of scores centred within
prompts, so that it does not matter how hard a prompt is.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emojudge.domain import Criterion, DamageCount, Judgement, Quality, Vote
from emojudge.estimates import Estimate, Floats, Ints, correlation, ratio
from emojudge.judges.controls import control_scores
from emojudge.judges.emotional_judge import Consensus, consensus_of, scores_of_judge
from emojudge.judges.pairs import prompt_scores
from emojudge.judges.questions import COVERED, LEAST_MASS, LEFT_OUT, SILENT, SINGLE, mass_of, valid
from emojudge.judges.rubric import COUNTED
from emojudge.judges.section_parts import baseline_of
from emojudge.text import without_thinking
from emojudge.view import JudgeStanding, StudyView, mean_over_prompts

FLAT_SPREAD = 0.02
"""A judge whose scores within a prompt spread less than this says the same of everything."""


@dataclass(frozen=True)
class JudgeFigures:
    """One judge, or a control, over all responses that it scored.

    ``answered`` judgements, ``valid`` of them chose a score on all criteria, with a probability of
    ``mass`` on the digits on average; ``unanswered`` are missing for the ``reason``. ``spread`` is
    the standard deviation of its scores within prompts, ``length`` their correlation with the
    logarithm of a reply's length, ``others`` with the mean of the other judges. ``order_bias`` is
    how much likelier than one half it prefers what it reads first, ``turned`` the share of pairs
    on which the order decided; ``between`` is the standard deviation between candidates.
    """

    answered: int
    valid: int
    mass: float | None
    unanswered: int
    reason: str
    spread: float | None
    length: Estimate | None
    others: Estimate | None
    order_bias: Estimate | None
    turned: float | None
    votes: int
    between: float | None
    covered: int
    cut: int
    silent: int
    single: bool

    @property
    def flat(self) -> bool:
        """Whether it says nearly the same of everything."""
        return self.spread is not None and self.spread < FLAT_SPREAD


@dataclass(frozen=True)
class Ensemble:
    """All judges by title, the controls by name, and how far the judges agree on responses."""

    judges: Mapping[str, JudgeFigures]
    controls: Mapping[str, JudgeFigures]
    consensus: Consensus


def _numbered(view: StudyView) -> tuple[list[str], Ints]:
    """Response ids, and the number of each one's prompt."""
    number = {prompt.id: place for place, prompt in enumerate(view.prompts)}
    known = [one for one in view.responses if one.prompt_id in number]
    prompts = np.array([number[one.prompt_id] for one in known], dtype=np.int64)
    return [one.id for one in known], prompts


def _aligned(ids: Sequence[str], scores: Mapping[str, float]) -> Floats:
    return np.array([scores.get(one, np.nan) for one in ids], dtype=np.float64)


def _centred(values: Floats, prompt: Ints) -> Floats:
    counts = np.bincount(prompt)
    means = np.bincount(prompt, values) / np.maximum(counts, 1)
    centred: Floats = values - means[prompt]
    return centred


def centred_correlation(one: Floats, other: Floats, prompt: Ints) -> Estimate | None:
    """Of values centred within prompts; None where one of them does not vary. NaN: not there."""
    known = ~np.isnan(one) & ~np.isnan(other)
    if known.sum() < 2:
        return None
    a, b = (_centred(values[known], prompt[known]) for values in (one, other))
    return correlation(a * b, a * a, b * b, prompt[known])


def _spread(scores: Floats, prompt: Ints) -> float | None:
    known = ~np.isnan(scores)
    if known.sum() < 2:
        return None
    centred = _centred(scores[known], prompt[known])
    degrees = known.sum() - len(np.unique(prompt[known]))
    return math.sqrt(float((centred**2).sum()) / degrees) if degrees > 0 else None


def _between(view: StudyView, scores: Mapping[str, float]) -> float | None:
    """The standard deviation of candidates' means over prompts."""
    by_candidate = prompt_scores(view, scores)
    means = [float(np.mean(list(own.values()))) for own in by_candidate.values()]
    return float(np.std(means)) if len(means) > 1 else None


def _order_bias(
    votes: Sequence[Vote], number: Mapping[str, int]
) -> tuple[Estimate | None, float | None]:
    chosen = [
        one for one in votes if one.asked and one.mass >= LEAST_MASS and one.prompt_id in number
    ]
    if not chosen:
        return None, None
    # Each pair was read in both orders, so what is above one half is the place's doing.
    first = np.array([(one.left_first + 1 - one.right_first) / 2 - 0.5 for one in chosen])
    prompts = np.array([number[one.prompt_id] for one in chosen], dtype=np.int64)
    turned = [(one.left_first - 0.5) * (one.right_first - 0.5) < 0 for one in chosen]
    found = ratio(first, np.ones(len(first)), prompts, len(first))
    return found, math.fsum(turned) / len(turned)


def ensemble_figures(view: StudyView) -> Ensemble:
    """Computed once for the same judgements."""
    return view.of_judgements("ensemble", _compute)


def _compute(view: StudyView) -> Ensemble:
    ids, prompt = _numbered(view)
    number = {one.id: place for place, one in enumerate(view.prompts)}
    texts = {one.id: without_thinking(one.text) for one in view.responses}
    lengths = np.array([math.log(max(1, len(texts[one]))) for one in ids])
    # Who has scored nothing must not stand among the others.
    scores = {title: _aligned(ids, own) for title, own in view.judge_scores.items() if own}
    judgements: dict[str, list[Judgement]] = defaultdict(list)
    for one in view.judgements:
        judgements[one.judge].append(one)
    judges = {}
    for judge in view.judges:
        others = [own for title, own in scores.items() if title != judge.title]
        judges[judge.title] = _of_judge(
            view,
            judge,
            judgements[judge.name],
            aligned=scores.get(judge.title, np.full(len(ids), np.nan)),
            others=_mean_of(others),
            lengths=lengths,
            prompt=prompt,
            number=number,
        )
    everybody = _mean_of(list(scores.values()))
    controls = {
        name: _of_scores(view, own, _aligned(ids, own), everybody, lengths, prompt)
        for name, own in control_scores(view).items()
    }
    return Ensemble(judges, controls, consensus_of(view.judges, view.judge_scores))


def _mean_of(scores: Sequence[Floats]) -> Floats | None:
    """NaN where one of them has no score: levels differ, so none stands in for another."""
    return np.mean(np.stack(scores), axis=0) if scores else None


def _of_scores(
    view: StudyView,
    scores: Mapping[str, float],
    aligned: Floats,
    others: Floats | None,
    lengths: Floats,
    prompt: Ints,
) -> JudgeFigures:
    return JudgeFigures(
        answered=len(scores),
        valid=len(scores),
        mass=None,
        unanswered=0,
        reason="",
        spread=_spread(aligned, prompt),
        length=centred_correlation(aligned, lengths, prompt),
        others=centred_correlation(aligned, others, prompt) if others is not None else None,
        order_bias=None,
        turned=None,
        votes=0,
        between=_between(view, scores),
        covered=0,
        cut=0,
        silent=0,
        single=False,
    )


def _of_judge(
    view: StudyView,
    judge: JudgeStanding,
    judgements: Sequence[Judgement],
    *,
    aligned: Floats,
    others: Floats | None,
    lengths: Floats,
    prompt: Ints,
    number: Mapping[str, int],
) -> JudgeFigures:
    own = view.judge_scores.get(judge.title, {})
    missing = [one for one in view.unanswered if one.judge == judge.name]
    asked = [one for one in judgements if not one.figures.get(SILENT)]
    masses = [mass_of(one.figures, quality) for one in asked for quality in COUNTED]
    votes = [one for one in view.votes if one.judge == judge.title]
    bias, turned = _order_bias(votes, number)
    weights = {one: view.criteria_weights[Criterion(one.value)] for one in COUNTED}
    counting = scores_of_judge(judgements, weights, judge.qualities or COUNTED)
    bare = _of_scores(view, own, aligned, others, lengths, prompt)
    return JudgeFigures(
        answered=len(judgements),
        valid=sum(all(valid(one.figures, quality) for quality in COUNTED) for one in judgements),
        mass=math.fsum(masses) / len(masses) if masses else None,
        unanswered=len(missing),
        reason=_commonest(one.reason for one in missing),
        spread=bare.spread,
        length=bare.length,
        others=bare.others,
        order_bias=bias,
        turned=turned,
        votes=sum(one.asked for one in votes),
        between=_between(view, counting),
        covered=sum(one.figures.get(COVERED, 0) > 0 for one in judgements),
        cut=sum(one.figures.get(LEFT_OUT, 0) > 0 for one in judgements),
        silent=len(judgements) - len(asked),
        single=any(one.figures.get(SINGLE, 0) > 0 for one in judgements),
    )


def quality_means(view: StudyView, judge: str) -> dict[str, dict[Quality, float]]:
    """A judge's mean scores, 1 to 5, by candidate and quality: over prompts of their means."""
    values: dict[tuple[str, Quality], list[tuple[str, float]]] = defaultdict(list)
    for one in view.judgements:
        if one.judge == judge:
            for quality in Quality:
                if valid(one.figures, quality):
                    values[one.candidate, quality].append((one.prompt_id, one.figures[quality]))
    means: dict[str, dict[Quality, float]] = defaultdict(dict)
    for (candidate, quality), own in values.items():
        mean = mean_over_prompts(own)
        if mean is not None:
            means[candidate][quality] = mean
    return means


def graded(view: StudyView, title: str) -> dict[str, DamageCount]:
    """The exam's graded damage, reported only: prompts on which the baseline is above a candidate.

    A prompt's means of the judge's scores are compared, the baseline's and the candidate's.
    """
    means = prompt_scores(view, view.judge_scores.get(title, {}))
    baseline = baseline_of(view)
    reference = means.get(baseline.sha256, {}) if baseline is not None else {}
    found = {}
    for candidate in view.candidates:
        own = means.get(candidate.sha256, {})
        shared = reference.keys() & own.keys()
        if shared and not candidate.is_baseline:
            wins = sum(reference[prompt] > own[prompt] for prompt in shared)
            found[candidate.sha256] = DamageCount(
                damage=candidate.name, wins=wins, prompts=len(shared)
            )
    return found


def _commonest(reasons: Iterable[str]) -> str:
    counted = Counter(reasons).most_common(1)
    return counted[0][0] if counted else ""
