"""The ensemble of a study as its logs tell: judges, exams, the roster, ballots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from emojudge.config import JudgeConfig
from emojudge.domain import (
    Candidate,
    Cell,
    Exam,
    Prompt,
    Response,
    RosterEntry,
    stable_hash,
)
from emojudge.errors import ConfigError
from emojudge.judges import plugins
from emojudge.judges.controls import CONTROLS
from emojudge.judges.damage import EXAM_PROMPTS, EXAM_SAMPLES
from emojudge.judges.emotional_judge import EmotionalJudge, standing_of_judge
from emojudge.judges.ensemble_member import EnsembleMember, PersonaJudge
from emojudge.judges.judge import PromptResponses
from emojudge.judges.pairs import near_pairs
from emojudge.judges.rubric import PERSONAS
from emojudge.pipeline.cells import cell_for, engine_version, sample_count
from emojudge.pipeline.exam_material import (
    ExamMaterial,
    bundled_exam_prompts,
    material,
    ordered_prompts,
)
from emojudge.store.tables import DISCOVERY, EXAMS, FAILURES, RATED, ROSTER, UNANSWERED
from emojudge.view import JudgeStanding

if TYPE_CHECKING:
    from emojudge.pipeline.stored_study import StoredStudy

_CONTROL = "control/"


@dataclass(frozen=True)
class WantedVote:
    """A vote that one judge is to give between two responses."""

    id: str
    judge: EnsembleMember
    left: Response
    right: Response


def control_key(name: str) -> str:
    """The key of a control's exam."""
    return _CONTROL + name


def exam_attempt_id(key: str) -> str:
    """Under which id it is kept why a judge could not sit its exam."""
    return stable_hash(["exam attempt", key], 24)


class StoredEnsemble:
    """What of the ensemble can be known without asking any judge."""

    def __init__(self, study: StoredStudy) -> None:
        self._study = study
        self.emotional_judge = EmotionalJudge(study.config.judging_config.judges, self._make_judge)
        self._standings: tuple[int, tuple[JudgeStanding, ...]] | None = None
        self._first_rating: str | None = None
        self._material: tuple[int, ExamMaterial | None] | None = None
        self._near: tuple[tuple[Candidate, ...], set[frozenset[str]]] = ((), set())

    def _make_judge(self, config: JudgeConfig) -> EnsembleMember:
        if config.plugin is not None:
            return plugins.judge(config.name, config.weight, config.plugin)
        model = config.model or ""
        voices = {**PERSONAS, **self._study.config.judging_config.personas}
        voice = voices.get(config.persona)
        if voice is None:
            raise ConfigError(
                f"Judge {config.name!r} has the persona {config.persona!r}; there are "
                f"{', '.join(voices)}."
            )
        if config.url is not None:
            url = config.url.rstrip("/")
            return PersonaJudge(
                config.name,
                config.weight,
                persona=config.persona,
                voice=voice,
                model=f"{model} at {urlsplit(url).netloc}",
                model_key=lambda: stable_hash(["endpoint", url, model]),
            )
        return PersonaJudge(
            config.name,
            config.weight,
            persona=config.persona,
            voice=voice,
            model=Path(model).stem,
            model_key=lambda: self._model_key(model),
            model_sha256=lambda: one.sha256 if (one := self.model(model)) else None,
        )

    def model(self, model: str) -> Candidate | None:
        """The local model of a judge, by what the config calls it; None before it was read."""
        found = self._study.store.get(DISCOVERY, "discovery")
        known = found.judge_models if found is not None else ()
        return next((one for one in known if one.name == model), None)

    def _model_key(self, model: str) -> str:
        known = self.model(model)
        if known is None:
            return stable_hash(["not read", model])
        return stable_hash([known.sha256, known.specs.chat_template, engine_version()])

    @property
    def first_rating(self) -> str | None:
        """When somebody first rated anything: from then on the ensemble is what it is."""
        if self._first_rating is None:
            rated = (one.submitted for one in self._study.store.all(RATED) if one.ratings)
            self._first_rating = min(rated, default=None)
        return self._first_rating

    @property
    def rated(self) -> bool:
        """Whether anybody has rated anything."""
        return self.first_rating is not None

    def roster(self) -> tuple[RosterEntry, ...]:
        """The judges as they are now."""
        return tuple(
            RosterEntry(key=one.key, name=one.title, weight=one.weight)
            for one in self.emotional_judge.members
        )

    # Exams

    @property
    def sits_exams(self) -> bool:
        """Whether the study has prompts enough for an exam of its own."""
        return len(self._study.discovery.prompts) >= EXAM_PROMPTS

    @property
    def exam_prompts(self) -> tuple[Prompt, ...]:
        """The exam's in their order: the study's own, or those that ship where it has too few.

        The first sixty that the baseline answers are taken.
        """
        own = ordered_prompts(self._study.discovery.prompts, self._study.seed)
        return own or bundled_exam_prompts(self._study.seed)

    def exam_cells(self, prompt: Prompt) -> list[Cell]:
        """The cells of the baseline's genuine replies to a prompt of the exam."""
        study = self._study
        baseline, generation = study.baseline, study.config.generation
        # Not from the study's own cells, because a bundled prompt may have the id of another there.
        return [
            cell_for(baseline, baseline, prompt, sample, generation)
            for sample in range(min(EXAM_SAMPLES, sample_count(baseline, generation)))
        ]

    def exam_material(self) -> ExamMaterial | None:
        """What an exam would be made of; None while the baseline's replies are not all there.

        Kept for one version of the data, because every judge asks for it.
        """
        version = self._study.state.status.data_version
        if self._material is None or self._material[0] != version:
            self._material = version, self._gather()
        return self._material[1]

    def _gather(self) -> ExamMaterial | None:
        study = self._study
        prompts: list[Prompt] = []
        replies: list[list[Response]] = []
        for prompt in self.exam_prompts:
            cells = self.exam_cells(prompt)
            stored = [one for one in map(study.stored, cells) if one is not None]
            failed = sum(
                study.stored(one) is None and study.store.get(FAILURES, one.id) is not None
                for one in cells
            )
            if len(stored) + failed < len(cells):
                return None
            # A prompt that the baseline could not answer at all gives way to the next.
            if stored:
                prompts.append(prompt)
                replies.append(stored)
            if len(prompts) == EXAM_PROMPTS:
                return material(prompts, replies, bundled=not self.sits_exams)
        return None

    def exam_id(self, key: str, found: ExamMaterial) -> str:
        """The id of a judge's exam on these texts."""
        return stable_hash(["exam", key, found.content], 24)

    def exam_of(self, key: str) -> Exam | None:
        """The exam that counts for a judge: on the present texts; once people rate, its last."""
        store = self._study.store
        own = [one for one in store.all(EXAMS) if one.key == key]
        if not own or self.rated:
            return own[-1] if own else None
        found = self.exam_material()
        return None if found is None else store.get(EXAMS, self.exam_id(key, found))

    def control_exams(self) -> dict[str, Exam]:
        """The exams of the controls, as far as they were sat."""
        found = {name: self.exam_of(control_key(name)) for name in CONTROLS}
        return {name: exam for name, exam in found.items() if exam is not None}

    # Standing

    def standings(self) -> tuple[JudgeStanding, ...]:
        """Each judge of the ensemble: its exam, and what it counts for."""
        study = self._study
        version = study.state.status.data_version
        if self._standings is None or self._standings[0] != version:
            roster = study.store.get(ROSTER, "judges")
            found = study.store.get(DISCOVERY, "discovery")
            own = tuple(
                standing_of_judge(
                    member,
                    self.exam_of(member.key) if found is not None else None,
                    roster,
                    first_rating=self.first_rating,
                    unexamined=self._why_not_examined(member.key),
                    candidates=found.candidates if found is not None else (),
                )
                for member in self.emotional_judge.members
            )
            self._standings = version, own
        return self._standings[1]

    def _why_not_examined(self, key: str) -> str:
        """Why a judge that was to sit its exam could not; empty if nothing is known of that."""
        found = self._study.store.get(UNANSWERED, exam_attempt_id(key))
        return found.reason if found is not None else ""

    def gone(self) -> tuple[str, ...]:
        """Judges that were taken out of the ensemble after people had begun to rate."""
        roster = self._study.store.get(ROSTER, "judges")
        if roster is None or not self.rated:
            return ()
        present = {(one.key, one.title) for one in self.emotional_judge.members}
        return tuple(one.name for one in roster.entries if (one.key, one.name) not in present)

    def forget(self) -> None:
        """Exams or the roster changed."""
        self._standings = None

    @property
    def judging(self) -> tuple[EnsembleMember, ...]:
        """Those that judge responses now: where there is an exam to sit, after it, if they passed.

        In a small study nobody is examined, and all are asked, so that what they say can be seen.
        """
        if not self.emotional_judge.members or self._study.only_rated:
            return ()
        examined = self.sits_exams
        return tuple(
            self.emotional_judge.member(one.title)
            for one in self.standings()
            if one.asked and (one.exam is not None or not examined)
        )

    # Votes

    def ballots(
        self, group: PromptResponses, members: Sequence[EnsembleMember]
    ) -> list[WantedVote]:
        """These judges' votes on one prompt: one sample, each candidate against those near it."""
        judges = [one for one in members if one.votes]
        if not judges:
            return []
        study = self._study
        candidates = study.discovery.candidates
        if self._near[0] is not candidates:
            self._near = candidates, near_pairs(candidates)
        count = study.config.generation.samples_per_prompt
        sample = int(stable_hash([study.seed, "vote", group.prompt_id], 8), 16) % count
        shown = [one for one in (*group.baseline, *group.others) if one.sample == sample]
        pairs = [
            (left, right)
            for place, left in enumerate(shown)
            for right in shown[place + 1 :]
            if frozenset((left.candidate, right.candidate)) in self._near[1]
        ]
        return [
            WantedVote(
                stable_hash(["vote", judge.name, judge.key, left.id, right.id], 24),
                judge,
                left,
                right,
            )
            for judge in judges
            for left, right in pairs
        ]
