"""A study's scores as numbers: what people said and what the AI said, item by item."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from emojudge.domain import Criterion, RatedItem
from emojudge.estimates import Floats, Ints
from emojudge.ranking.choice import Shown, adaptive
from emojudge.ranking.decision import Evidence, Rules, evidence_of
from emojudge.ranking.effects import Effects, effects_of
from emojudge.ranking.fluency_part import FluencyPart
from emojudge.ranking.next_item import Pick
from emojudge.ranking.normal_equations import NormalEquations
from emojudge.view import StudyView

MOST_CANDIDATES = 128
"""Pairs of more are not compared: rating them would take years, and the matrices gigabytes."""
_STEP = 1 / 4


@dataclass(frozen=True)
class ScoredItem:
    """One rated item by indices: ``candidates``, people's and the AI's scores (NaN: not judged).

    ``criteria`` holds the four criteria from 0 to 1 (panes × 4), ``responses`` the response ids.
    """

    item: RatedItem
    prompt: int
    candidates: Ints
    people: Floats
    ai: Floats
    criteria: Floats
    responses: tuple[str, ...]


class Scored:
    """The scores of a view. Candidates and prompts are numbered in the view's order."""

    def __init__(self, view: StudyView) -> None:
        self.view = view
        self.count = len(view.candidates)
        self.prompts = {prompt.id: number for number, prompt in enumerate(view.prompts)}
        self._number = {one.sha256: number for number, one in enumerate(view.candidates)}
        weights = view.criteria_weights
        self._weights: Floats = np.array([weights[one] for one in Criterion])

    @property
    def rounding_variance(self) -> float:
        """What whole scores add to the variance of one rating: step² / 12 per criterion."""
        return float((self._weights**2).sum() * _STEP**2 / 12)

    def scored(self, items: Iterable[RatedItem]) -> list[ScoredItem]:
        """Submitted items as numbers; prompts or candidates that are gone are left out."""
        chosen = [one for one in items if one.prompt_id in self.prompts and one.ratings]
        ratings = list(chain.from_iterable(one.ratings for one in chosen))
        if not ratings:
            return []
        criteria = np.array(
            [[rating.scores[name] for name in Criterion] for rating in ratings], dtype=np.float64
        )
        criteria = (criteria - 1) * _STEP
        people = criteria @ self._weights
        numbers = np.array([self._number.get(rating.candidate, -1) for rating in ratings])
        known = self.view.ai_scores
        ai = np.array([known.get(rating.response_id, np.nan) for rating in ratings])
        result, at = [], 0
        for one in chosen:
            part = slice(at, at + len(one.ratings))
            at = part.stop
            if (numbers[part] >= 0).all():
                result.append(
                    ScoredItem(
                        one,
                        self.prompts[one.prompt_id],
                        numbers[part],
                        people[part],
                        ai[part],
                        criteria[part],
                        tuple(rating.response_id for rating in one.ratings),
                    )
                )
        return result

    @cached_property
    def items(self) -> list[ScoredItem]:
        """The items that count, in the order in which they were submitted."""
        order = sorted(self.view.counted_items, key=lambda one: (one.submitted, one.number))
        return self.scored(order)

    def equations(
        self,
        items: Sequence[ScoredItem],
        values: Callable[[ScoredItem], Floats] = lambda item: item.people,
    ) -> NormalEquations:
        """People's equations, or those of other values of the same items."""
        sums = NormalEquations(self.count, len(self.prompts))
        sums.add_all(
            [item.prompt for item in items],
            [item.candidates for item in items],
            [values(item) for item in items],
        )
        return sums

    @cached_property
    def people(self) -> NormalEquations:
        """Of all items that count."""
        return self.equations(self.items)

    def means(self, items: Sequence[ScoredItem]) -> Floats:
        """Mean score of each candidate on each prompt (prompts × K); NaN: not rated."""
        sums = np.zeros((len(self.prompts), self.count))
        counts = np.zeros_like(sums)
        for item in items:
            if len(item.candidates) > 1:
                sums[item.prompt, item.candidates] += item.people
                counts[item.prompt, item.candidates] += 1
        return _quotient(sums, counts)

    @cached_property
    def ai_means(self) -> Floats:
        """The AI's mean score of each candidate on each prompt (prompts × K); NaN: not judged."""
        sums = np.zeros((len(self.prompts), self.count))
        counts = np.zeros_like(sums)
        for response in self.view.responses:
            score = self.view.ai_scores.get(response.id)
            if score is not None and response.prompt_id in self.prompts:
                place = self.prompts[response.prompt_id], self._number[response.candidate]
                sums[place] += score
                counts[place] += 1
        return _quotient(sums, counts)

    @cached_property
    def ai(self) -> NormalEquations:
        """The AI's equations: each prompt is one item of the candidates' means."""
        sums = NormalEquations(self.count, len(self.prompts))
        for prompt, means in enumerate(self.ai_means):
            judged = np.flatnonzero(~np.isnan(means))
            sums.add(prompt, judged, means[judged])
        return sums

    @cached_property
    def fluency(self) -> FluencyPart:
        """What the AI's score holds of fluency."""
        return FluencyPart.of(self.view, self.prompts)

    @cached_property
    def ai_effects(self) -> Effects | None:
        """The AI's effects; None when it has not judged two candidates on one prompt."""
        return self.fluency.recomputed(effects_of(self.ai)) if self.ai.items.any() else None

    def people_effects(self, sums: NormalEquations) -> Effects | None:
        """People's effects; None when nobody has rated two candidates in one item."""
        return effects_of(sums, self.rounding_variance) if sums.items.any() else None

    @cached_property
    def rules(self) -> Rules:
        """What the config and the files' sizes say about verdicts."""
        candidates, judging = self.view.candidates, self.view.config.judging_config
        numbers = range(self.count)
        baseline = next((one for one in numbers if candidates[one].is_baseline), 0)
        ladder = sorted(
            (one for one in numbers if one != baseline),
            key=lambda one: (-candidates[one].size, candidates[one].name),
        )
        return Rules(
            baseline, tuple(ladder), judging.equivalence_margin, judging.minimum_human_samples
        )

    def evidence(self, sums: NormalEquations, ai_weight: float) -> Evidence | None:
        """What a decision rests on with this weight; None while a part that counts is missing."""
        return evidence_of(self.ai_effects, self.people_effects(sums), sums.scored, ai_weight)


def _quotient(sums: Floats, counts: Floats) -> Floats:
    """Means, NaN where nothing was counted."""
    with np.errstate(invalid="ignore"):
        means: Floats = sums / np.where(counts > 0, counts, np.nan)
    return means


def group_levels(sums: NormalEquations, effects: Effects, mean_of: Floats) -> Floats:
    """Levels (K): each group's mean over prompts of ``mean_of`` (prompts × K, NaN), plus effects.

    With every candidate on every prompt these are plain means over prompts; else what the shared
    items say of a candidate is not mixed with how easy its prompts were.
    """
    levels = np.full(sums.candidates, np.nan)
    for group in np.unique(effects.groups[sums.scored > 0]):
        members = np.flatnonzero((effects.groups == group) & (sums.scored > 0))
        # Each value without its candidate's effect says the prompt's level.
        of_prompt = mean_of[:, members] - effects.values[members]
        known = of_prompt[~np.isnan(of_prompt).all(axis=1)]
        levels[members] = np.nanmean(known, axis=1).mean() + effects.values[members]
    return levels


def scored_study(view: StudyView) -> Scored:
    """The scores of a view, computed once for it."""
    kept = view.memo.get("scored")
    if not isinstance(kept, Scored):
        kept = view.memo["scored"] = Scored(view)
    return kept


def adaptive_pick(view: StudyView) -> Pick:
    """The adaptive chooser with what is known now; candidates are numbered by sha256."""
    scored = scored_study(view)
    evidence = None
    if scored.count <= MOST_CANDIDATES:
        evidence = scored.evidence(scored.people, view.config.judging_config.ai_judge_weight)
    order = sorted(range(scored.count), key=lambda one: view.candidates[one].sha256)
    place = {number: index for index, number in enumerate(order)}

    def pick(shown: Shown, panes: int, draw: random.Random) -> tuple[list[int], bool]:
        own = Shown(len(order))
        own.candidates[order] = shown.candidates
        own.pairs[np.ix_(order, order)] = shown.pairs
        chosen, by_results = adaptive(evidence, scored.rules, own, panes, draw)
        return [place[one] for one in chosen], by_results

    return pick
