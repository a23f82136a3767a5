"""Letting judges vote between candidates, both orders of each pair."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from emojudge.domain import Prompt, Vote
from emojudge.judges.ensemble_member import Ballot, EnsembleMember
from emojudge.judges.judge import JudgeTools
from emojudge.judges.questions import Figures, NoAnswer
from emojudge.pipeline.stored_ensemble import WantedVote
from emojudge.pipeline.study import Study
from emojudge.store.tables import VOTES
from emojudge.text import without_thinking

_AT_ONCE = 32


class Voting:
    """Votes that are stored are never asked for again."""

    def __init__(self, study: Study, tools: JudgeTools) -> None:
        self._study = study
        self._tools = tools

    def missing(self, prompts: Sequence[Prompt]) -> dict[EnsembleMember, list[WantedVote]]:
        """The votes that are wanted of these prompts and not stored, by judge."""
        study = self._study
        found: dict[EnsembleMember, list[WantedVote]] = defaultdict(list)
        judging = study.ensemble.judging
        for prompt in prompts:
            for one in study.ensemble.ballots(study.group(prompt), judging):
                if study.store.get(VOTES, one.id) is None:
                    found[one.judge].append(one)
        return found

    async def run(self, prompts: Sequence[Prompt]) -> int:
        """Ask for what is missing; returns how many votes were given."""
        study, given = self._study, 0
        for judge, wanted in self.missing(prompts).items():
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                votes = await self._ask(judge, part)
                study.lead().put(VOTES, votes)
                given += len(votes)
                for prompt_id in {one.left.prompt_id for one in part}:
                    study.changed(prompt_id)
                done = start + len(part)
                study.state.say(
                    f"votes of {judge.title}: {done} of {len(wanted)} pairs", running=True
                )
                await asyncio.sleep(0)
        return given

    async def _ask(self, judge: EnsembleMember, wanted: Sequence[WantedVote]) -> list[Vote]:
        ballots = []
        for one in wanted:
            situation = self._tools.situation(one.left.prompt_id)
            left, right = without_thinking(one.left.text), without_thinking(one.right.text)
            ballots += [Ballot(situation, left, right), Ballot(situation, right, left)]
        # Equal texts are equally good, whatever a judge would make of their order.
        asked = [one for one in dict.fromkeys(ballots) if one.first != one.second]
        found = dict(zip(asked, await judge.vote(asked, self._tools), strict=True))
        votes, missing = [], []
        for place, one in enumerate(wanted):
            there, back = (_of(found, ballot) for ballot in ballots[2 * place : 2 * place + 2])
            if isinstance(there, NoAnswer) or isinstance(back, NoAnswer):
                why = there if isinstance(there, NoAnswer) else back
                assert isinstance(why, NoAnswer)
                missing.append(judge.unanswered(one.id, one.left, why))
                continue
            votes.append(
                Vote(
                    id=one.id,
                    judge=one.judge.title,
                    prompt_id=one.left.prompt_id,
                    sample=one.left.sample,
                    left=one.left.candidate,
                    right=one.right.candidate,
                    responses=(one.left.id, one.right.id),
                    left_first=there["first"],
                    right_first=1 - back["first"],
                    mass=min(there["mass"], back["mass"]),
                    asked=ballots[2 * place] in found,
                )
            )
        self._tools.unanswered(missing)
        return votes


def _of(found: dict[Ballot, Figures | NoAnswer], ballot: Ballot) -> Figures | NoAnswer:
    return found.get(ballot, {"first": 0.5, "mass": 1.0})
