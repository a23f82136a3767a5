"""What a judge of the ensemble is, whatever it asks: a model here, one elsewhere, or a plug-in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from emojudge import clock
from emojudge.domain import Judgement, Message, Quality, Response, Unanswered, stable_hash
from emojudge.judges.covering import as_read
from emojudge.judges.judge import JudgeTools, PromptResponses, judgement_of
from emojudge.judges.questions import (
    Figures,
    NoAnswer,
    score_figures,
    score_question,
    silent_figures,
    vote_question,
)
from emojudge.judges.rubric import RUBRIC_VERSION
from emojudge.judges.sentences import says_something
from emojudge.text import without_thinking

PREFIX = "emotional-judge/"


@dataclass(frozen=True)
class Reading:
    """A reply, without thinking, behind its situation."""

    situation: tuple[Message, ...]
    text: str


@dataclass(frozen=True)
class Ballot:
    """Two replies behind one situation, to be voted between in this order."""

    situation: tuple[Message, ...]
    first: str
    second: str


class EnsembleMember(ABC):
    """A judge that scores replies on the rubric's qualities.

    ``persona`` and ``model`` are what to call these.
    """

    part = None
    votes = False
    """Whether it can vote between two replies."""

    def __init__(self, title: str, weight: float, persona: str, model: str) -> None:
        self.title = title
        self.name = PREFIX + title
        self.weight = weight
        self.persona = persona
        self.model = model

    @property
    @abstractmethod
    def key(self) -> str:
        """What identifies it: everything that decides its figures beside the texts."""

    @property
    def model_sha256(self) -> str | None:
        """The digest of its model where that is known, so that a judge of itself is noticed."""
        return None

    @abstractmethod
    async def read(
        self, readings: Sequence[Reading], qualities: Sequence[Quality], tools: JudgeTools
    ) -> list[Figures | NoAnswer]:
        """Figures of each reply on these qualities (see :func:`score_figures`)."""

    async def vote(self, ballots: Sequence[Ballot], tools: JudgeTools) -> list[Figures | NoAnswer]:
        """``first``: the probability that the first is better; ``mass``: of either."""
        return [NoAnswer("it does not vote")] * len(ballots)

    def judgement_id(self, response_id: str) -> str:
        """The id of its judgement of a response."""
        return stable_hash([self.name, self.key, response_id], 24)

    def ids(self, group: PromptResponses) -> list[str]:
        """See :class:`emojudge.judges.judge.ResponseJudge`; it leaves out what was made again."""
        return [self.judgement_id(one.id) for one in (*group.baseline, *group.others)]

    async def judge(
        self, groups: Sequence[PromptResponses], tools: JudgeTools, known: Container[str]
    ) -> list[Judgement]:
        """See :class:`emojudge.judges.judge.ResponseJudge`.

        What got no answer is reported to ``tools.unanswered`` and stops nothing.
        """
        new = [
            one
            for group in groups
            for one in (*group.baseline, *group.others)
            if self.judgement_id(one.id) not in known
        ]
        readings = [
            Reading(tools.situation(one.prompt_id), without_thinking(one.text)) for one in new
        ]
        judgements, missing = [], []
        for response, found in zip(
            new, await self.read_each_once(readings, tuple(Quality), tools), strict=True
        ):
            own = self.judgement_id(response.id)
            if isinstance(found, NoAnswer):
                missing.append(self.unanswered(own, response, found))
            else:
                judgements.append(judgement_of(self.name, own, response, found))
        tools.unanswered(missing)
        return judgements

    async def read_each_once(
        self, readings: Sequence[Reading], qualities: Sequence[Quality], tools: JudgeTools
    ) -> list[Figures | NoAnswer]:
        """Like :meth:`read`; equal readings are asked once, and silence is not asked about."""
        asked = [one for one in dict.fromkeys(readings) if says_something(one.text)]
        found = dict(zip(asked, await self.read(asked, qualities, tools), strict=True))
        silent = silent_figures(qualities)
        return [found.get(one, silent) for one in readings]

    def unanswered(self, own: str, response: Response, why: NoAnswer) -> Unanswered:
        """What is kept of a question about a response that got no answer."""
        return Unanswered(
            id=own,
            judge=self.name,
            candidate=response.candidate,
            prompt_id=response.prompt_id,
            sample=response.sample,
            reason=why.reason,
            created=clock.stamp(),
        )

    def scores(self, judgements: Sequence[Judgement]) -> dict[str, float]:
        """It is the ensemble that scores; see :mod:`emojudge.judges.emotional_judge`."""
        return {}


class PersonaJudge(EnsembleMember):
    """A persona on a language model, here or behind an endpoint."""

    votes = True

    def __init__(
        self,
        title: str,
        weight: float,
        *,
        persona: str,
        voice: str,
        model: str,
        model_key: Callable[[], str],
        model_sha256: Callable[[], str | None] = lambda: None,
    ) -> None:
        """``model_key`` stands for everything that decides what the model answers."""
        super().__init__(title, weight, persona, model)
        self.voice = voice
        self._model_key = model_key
        self._model_sha256 = model_sha256
        self._known_key = ("", "")

    @property
    def key(self) -> str:
        """See :class:`EnsembleMember`; kept, because it is asked for with every judgement's id."""
        model_key = self._model_key()
        if self._known_key[0] != model_key:
            key = stable_hash([RUBRIC_VERSION, self.voice, model_key])
            self._known_key = model_key, key
        return self._known_key[1]

    @property
    def model_sha256(self) -> str | None:
        """See :class:`EnsembleMember`."""
        return self._model_sha256()

    async def read(
        self, readings: Sequence[Reading], qualities: Sequence[Quality], tools: JudgeTools
    ) -> list[Figures | NoAnswer]:
        """See :class:`EnsembleMember`."""
        read = [as_read(one.text) for one in readings]
        questions = [
            score_question(self.voice, one.situation, seen.text, qualities)
            for one, seen in zip(readings, read, strict=True)
        ]
        answers = await tools.ask(self.title, questions)
        return [
            answer
            if isinstance(answer, NoAnswer)
            else score_figures(answer, qualities, seen.covered)
            for answer, seen in zip(answers, read, strict=True)
        ]

    async def vote(self, ballots: Sequence[Ballot], tools: JudgeTools) -> list[Figures | NoAnswer]:
        """See :class:`EnsembleMember`."""
        questions = [
            vote_question(
                self.voice, one.situation, as_read(one.first).text, as_read(one.second).text
            )
            for one in ballots
        ]
        found: list[Figures | NoAnswer] = []
        for answer in await tools.ask(self.title, questions):
            if isinstance(answer, NoAnswer):
                found.append(answer)
                continue
            first, second = answer.probabilities[0]
            mass = first + second
            share = first / mass if mass > 0 else 0.5
            found.append({"first": min(1.0, share), "mass": mass})
        return found
