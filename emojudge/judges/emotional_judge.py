"""EmotionalJudge: the ensemble, what each of its judges may say, and what they say together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emojudge.config import JudgeConfig
from emojudge.domain import Candidate, Exam, Judgement, JudgeRoster, Quality
from emojudge.errors import UsageError
from emojudge.judges.ensemble_member import EnsembleMember
from emojudge.judges.exam import Grade, grade_of, qualities_passed
from emojudge.judges.questions import level
from emojudge.judges.rubric import COUNTED
from emojudge.view import JudgeStanding, Standing

PART = "ensemble"
_FULL_SPREAD = 0.5
MakesMember = Callable[[JudgeConfig], EnsembleMember]


class EmotionalJudge:
    """The judges of the ensemble. ``make`` turns a config entry into a judge."""

    def __init__(self, judges: Sequence[JudgeConfig], make: MakesMember) -> None:
        self._make = make
        self._members: dict[str, EnsembleMember] = {}
        self._configs: dict[str, JudgeConfig] = {}
        for one in judges:
            self.add_judge(one.name, one)

    @property
    def members(self) -> tuple[EnsembleMember, ...]:
        """All judges, in the order in which they were added."""
        return tuple(self._members.values())

    def add_judge(self, name: str, config: JudgeConfig | Mapping[str, object]) -> EnsembleMember:
        """Add a judge, as an entry of ``judging_config.judges`` describes it.

        Its judgements are made with the next ai-judge phase; everybody else's stay. Raises
        UsageError when there is one of this name.
        """
        if not isinstance(config, JudgeConfig):
            config = JudgeConfig.model_validate({**config, "name": name})
        if name in self._members:
            raise UsageError(f"There is a judge {name!r} already. Give this one another name.")
        named = config.model_copy(update={"name": name})
        member = self._members[name] = self._make(named)
        self._configs[name] = named
        return member

    def member(self, title: str) -> EnsembleMember:
        """A judge by what the config calls it."""
        return self._members[title]

    @property
    def configs(self) -> tuple[JudgeConfig, ...]:
        """What the judges were made from, in their order."""
        return tuple(self._configs.values())

    def config(self, title: str) -> JudgeConfig:
        """What a judge was made from."""
        return self._configs[title]


def standing_of_judge(
    member: EnsembleMember,
    exam: Exam | None,
    roster: JudgeRoster | None,
    *,
    first_rating: str | None = None,
    unexamined: str = "",
    candidates: Sequence[Candidate] = (),
) -> JudgeStanding:
    """What a judge counts for, from its exam and from when it came.

    After the ``first_rating`` only the ``roster``'s judges count, and not for an exam that somebody
    then chose to let them sit: that of a small study, on the bundled prompts. ``unexamined`` says
    why an exam could not be sat.
    """
    entries = roster.entries if roster is not None else ()
    before = {one.key: one.weight for one in entries if one.name == member.title}
    rated = first_rating is not None
    chosen_late = (
        exam is not None
        and exam.bundled
        and first_rating is not None
        and exam.created >= first_rating
    )
    grade = grade_of(exam)
    qualities = qualities_passed(exam)
    if grade is Grade.FAILED:
        standing = Standing.FAILED
    elif chosen_late or (rated and member.key not in before):
        standing = Standing.LATE
    elif grade is Grade.NOT_EXAMINED:
        standing = Standing.NOT_EXAMINED
    elif member.weight == 0:
        standing = Standing.OFF
    else:
        standing = Standing.COUNTS if grade is Grade.PASSED else Standing.PARTIAL
    counts = standing in (Standing.COUNTS, Standing.PARTIAL)
    return JudgeStanding(
        title=member.title,
        name=member.name,
        persona=member.persona,
        model=member.model,
        key=member.key,
        configured=member.weight,
        weight=member.weight if counts else 0.0,
        standing=standing,
        exam=exam,
        qualities=qualities,
        unexamined=unexamined if exam is None else "",
        weight_before=before.get(member.key) if rated else None,
        judges_itself=tuple(one.name for one in candidates if one.sha256 == member.model_sha256),
    )


def scores_of_judge(
    judgements: Sequence[Judgement],
    weights: Mapping[Quality, float],
    qualities: Sequence[Quality] = COUNTED,
) -> dict[str, float]:
    """One judge's scores from 0 to 1 by response id, over some qualities.

    Without a valid score on each of them a response has none.
    """
    own = {one: weights[one] for one in qualities if weights[one] > 0}
    scores = {}
    for one in judgements:
        score = level(one.figures, own)
        if score is not None:
            scores[one.response_id] = score
    return scores


def ensemble_scores(
    standings: Sequence[JudgeStanding],
    by_judge: Mapping[str, Sequence[Judgement]],
    weights: Mapping[Quality, float],
) -> dict[str, float]:
    """The ensemble's score by response id: the weighted mean over the judges that count.

    A response that one of them has not scored has none, so that no judge's level is mixed with the
    absence of another's.
    """
    counting = [
        one
        for one in standings
        if one.weight > 0 and any(weights[quality] > 0 for quality in one.qualities)
    ]
    if not counting:
        return {}
    scores = [
        scores_of_judge(by_judge.get(one.name, ()), weights, one.qualities) for one in counting
    ]
    total = math.fsum(one.weight for one in counting)
    return {
        response: math.fsum(
            one.weight * own[response] for one, own in zip(counting, scores, strict=True)
        )
        / total
        for response in set.intersection(*map(set, scores))
    }


@dataclass(frozen=True)
class Consensus:
    """How far judges agree on each response that at least two have scored: 1 − spread / .5.

    ``judges`` are those that were compared.
    """

    judges: tuple[str, ...]
    agreement: Mapping[str, float]

    def below(self, threshold: float) -> int:
        """On how many responses they agree less than this."""
        return sum(one < threshold for one in self.agreement.values())


def consensus_of(
    standings: Sequence[JudgeStanding], scores: Mapping[str, Mapping[str, float]]
) -> Consensus:
    """Agreement of the judges that count; of all that score while fewer than two count.

    ``scores`` are each judge's over all four criteria, by title and response id. The spread is the
    standard deviation over judges.
    """
    counting = [one.title for one in standings if one.weight > 0 and scores.get(one.title)]
    compared = counting if len(counting) > 1 else [one for one in scores if scores[one]]
    by_response: dict[str, list[float]] = defaultdict(list)
    for title in compared:
        for response, score in scores[title].items():
            by_response[response].append(score)
    return Consensus(
        tuple(compared),
        {
            response: 1 - float(np.std(own)) / _FULL_SPREAD
            for response, own in by_response.items()
            if len(own) > 1
        },
    )
