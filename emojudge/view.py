"""A study as judges, ranking and reports see it: frozen, and free of files and processes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, TypeVar

from emojudge.config import Config
from emojudge.domain import (
    BaselineCheck,
    Candidate,
    CellFailure,
    Criterion,
    Exam,
    Judgement,
    PairVote,
    Prompt,
    Quality,
    RatedItem,
    Response,
    TechnicalMetrics,
    Unanswered,
    Unusable,
    Vote,
)
from emojudge.text import short_names

T = TypeVar("T")


@dataclass(frozen=True)
class CoreChange:
    """One committed change of the core."""

    time: str
    who: str
    action: str
    before: int | None
    after: int | None
    sha256: str | None
    reason: str | None


@dataclass(frozen=True)
class CoreSummary:
    """The core in use, where there is one, and how it came to be."""

    generation: int | None
    name: str | None
    changes: tuple[CoreChange, ...]


@dataclass(frozen=True)
class Fluency:
    """What the AI score holds of fluency, which is one value per candidate.

    ``share`` is its share of the AI score, ``excess`` the negative log-likelihood per token above
    the baseline's own, in nats, by candidate and prompt.
    """

    share: float
    excess: Mapping[str, Mapping[str, float]]


class Standing(Enum):
    """Whether a judge counts, and if not, why."""

    COUNTS = "counts"
    PARTIAL = "counts in part"
    FAILED = "failed its exam"
    NOT_EXAMINED = "not examined"
    LATE = "came, or was examined, after people had rated"
    OFF = "has weight 0 in the config"


@dataclass(frozen=True)
class JudgeStanding:
    """One judge of the ensemble in this study.

    ``weight`` is the one that counts, 0 where it does not; ``configured`` the config's,
    ``weight_before`` what that was when people began to rate, None if nobody has. ``qualities``
    are those that count. ``unexamined`` says why it could not sit its exam. ``judges_itself`` names
    candidates that run on the judge's own model.
    """

    title: str
    name: str
    persona: str
    model: str
    key: str
    configured: float
    weight: float
    standing: Standing
    exam: Exam | None
    qualities: tuple[Quality, ...]
    unexamined: str
    weight_before: float | None
    judges_itself: tuple[str, ...]

    @property
    def asked(self) -> bool:
        """Whether it is asked about candidates: one that failed its exam is not worth the time."""
        return self.standing is not Standing.FAILED


@dataclass(frozen=True)
class StudyView:
    """Everything stored that counts under the present config.

    ``responses`` holds the canonical response of each cell; ``ai_scores`` maps response ids to
    scores about 0..1 (the baseline against itself is 1), ``part_scores`` holds those of each part
    of ``ai_scoring``. ``judges`` are those of the ensemble, ``judge_scores`` their scores over all
    four criteria by title and response id, ``votes`` and ``unanswered`` what else they said or did
    not; ``control_exams`` are by control, ``judges_gone`` were taken out after people had begun to
    rate. ``again`` are the baseline's responses with the same seeds at another batch width, judged
    in ``again_judgements``; ``technical`` is by sha256.
    ``pair_votes`` are people's quick votes on present responses.
    ``left_out_items`` were rated on responses that other settings made. ``core`` is None where
    nobody looked. ``memo`` keeps what rooms computed from this view, by their names,
    ``judged_memo`` what follows from its
    judgements alone.
    """

    config: Config
    seed: int
    candidates: tuple[Candidate, ...]
    unusable: tuple[Unusable, ...]
    prompts: tuple[Prompt, ...]
    responses: tuple[Response, ...]
    failures: tuple[CellFailure, ...]
    judgements: tuple[Judgement, ...]
    rated: tuple[RatedItem, ...]
    ai_scores: Mapping[str, float]
    part_scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    judges: tuple[JudgeStanding, ...] = ()
    judge_scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    votes: tuple[Vote, ...] = ()
    unanswered: tuple[Unanswered, ...] = ()
    control_exams: Mapping[str, Exam] = field(default_factory=dict)
    judges_gone: tuple[str, ...] = ()
    fluency: Fluency = Fluency(0.0, {})
    again: tuple[Response, ...] = ()
    again_judgements: tuple[Judgement, ...] = ()
    technical: Mapping[str, TechnicalMetrics] = field(default_factory=dict)
    baseline_check: BaselineCheck | None = None
    pair_votes: tuple[PairVote, ...] = ()
    left_out_items: int = 0
    damage: tuple[str, ...] = ()
    core: CoreSummary | None = None
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    judged_memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def of_judgements(self, name: str, compute: Callable[[StudyView], T]) -> T:
        """What ``compute`` makes of the judgements; views that differ in ratings share it."""
        kept = self.judged_memo.get(name)
        if kept is None or kept[0] is not self.judgements or kept[1] is not self.again_judgements:
            kept = self.judgements, self.again_judgements, compute(self)
            self.judged_memo[name] = kept
        value: T = kept[2]
        return value

    @cached_property
    def by_sha(self) -> dict[str, Candidate]:
        """Candidates by sha256."""
        return {one.sha256: one for one in self.candidates}

    @cached_property
    def labels(self) -> dict[str, str]:
        """What to call each candidate, by sha256: as short as still tells them apart."""
        short = short_names([one.name for one in self.candidates])
        return {one.sha256: short[one.name] for one in self.candidates}

    @property
    def criteria_weights(self) -> Mapping[Criterion, float]:
        """The config's weights of the four criteria."""
        return self.config.human_judging.criteria_weights

    @cached_property
    def counted_items(self) -> tuple[RatedItem, ...]:
        """Submitted items that were neither skipped nor repeats: the ratings that count."""
        return tuple(one for one in self.rated if one.skipped is None and one.repeat_of is None)

    @cached_property
    def repeats(self) -> tuple[RatedItem, ...]:
        """Items that came back, and were rated again."""
        return tuple(one for one in self.rated if one.skipped is None and one.repeat_of is not None)


def mean_over_prompts(values: Iterable[tuple[str, float]]) -> float | None:
    """Average values per prompt, then over prompts; None without values."""
    by_prompt: dict[str, list[float]] = defaultdict(list)
    for prompt_id, value in values:
        by_prompt[prompt_id].append(value)
    if not by_prompt:
        return None
    means = [math.fsum(own) / len(own) for own in by_prompt.values()]
    return math.fsum(means) / len(means)
