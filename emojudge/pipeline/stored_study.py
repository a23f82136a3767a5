"""What is stored of a study, under its present config: cells, responses, judgements, the view."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from emojudge.config import JudgeConfig
from emojudge.config_file import LoadedConfig
from emojudge.domain import (
    BaselineCheck,
    Candidate,
    Cell,
    CellFailure,
    Criterion,
    Judgement,
    Prompt,
    Quality,
    RatedItem,
    Response,
    TechnicalMetrics,
    Unanswered,
    Vote,
    stable_hash,
)
from emojudge.engine.tasks import ModelSpec
from emojudge.errors import StoreError
from emojudge.judges import plugins
from emojudge.judges.emotional_judge import (
    PART,
    ensemble_scores,
    scores_of_judge,
)
from emojudge.judges.judge import PromptResponses, ResponseJudge, combine_scores, shares_of
from emojudge.judges.model_judge import MeasuredBy, ModelJudge
from emojudge.judges.rubric import COUNTED
from emojudge.judges.sentences import says_something
from emojudge.pipeline.baseline_check import check_id
from emojudge.pipeline.cells import (
    cell_for,
    cells_again,
    engine_version,
    prompts_again,
    sample_count,
    technical_id,
    template_for,
)
from emojudge.pipeline.known_text_models import KnownTextModels
from emojudge.pipeline.state import CandidateProgress, StudyState
from emojudge.pipeline.stored_ensemble import StoredEnsemble
from emojudge.store.study import StoredIds, StudyStore
from emojudge.store.tables import (
    BASELINE_CHECKS,
    DISCOVERY,
    EXAMS,
    FAILURES,
    JUDGEMENTS,
    PAIR_VOTES,
    RATED,
    RESPONSES,
    ROSTER,
    STUDY,
    TECHNICAL,
    TEXT_MODELS,
    UNANSWERED,
    VOTES,
    Discovery,
)
from emojudge.text import without_thinking
from emojudge.view import Fluency, JudgeStanding, StudyView

_REPLIES = 24


def _speaks(response: Response) -> bool:
    return says_something(without_thinking(response.text))


@dataclass(frozen=True)
class _JudgedPrompt:
    """The stored responses to a prompt, and their judgements; apart, the baseline's once more.

    ``unanswered`` is what judges of the ensemble were asked of them in vain, ``owing`` the names of
    judges that have not said all of what they would be asked of it.
    """

    responses: tuple[Response, ...]
    judgements: tuple[Judgement, ...]
    again: tuple[Response, ...]
    again_judgements: tuple[Judgement, ...]
    votes: tuple[Vote, ...]
    unanswered: tuple[Unanswered, ...]
    owing: frozenset[str]


@dataclass(frozen=True)
class _Scored:
    """What follows from responses and judgements alone; kept, because ratings change none of it."""

    prompts: tuple[_JudgedPrompt, ...]
    responses: tuple[Response, ...]
    response_ids: frozenset[str]
    judgements: tuple[Judgement, ...]
    part_scores: Mapping[str, Mapping[str, float]]
    ai_scores: Mapping[str, float]
    judges: tuple[JudgeStanding, ...]
    judge_scores: Mapping[str, Mapping[str, float]]
    fluency: Fluency
    again: tuple[Response, ...]
    again_judgements: tuple[Judgement, ...]
    votes: tuple[Vote, ...]
    unanswered: tuple[Unanswered, ...]
    memo: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Measured:
    """What was measured of the study as a whole, for the responses of one time."""

    of: _Scored
    technical: Mapping[str, TechnicalMetrics]
    baseline_check: BaselineCheck | None


class StoredStudy:
    """A study as it can be read. Views are kept per prompt, because most prompts do not change."""

    def __init__(self, loaded: LoadedConfig, model_judge: type[ModelJudge] = ModelJudge) -> None:
        self.loaded = loaded
        self.config = loaded.config
        self.store = StudyStore(loaded.study_dir)
        self.state = StudyState()
        judging = loaded.config.judging_config
        self.text_models = KnownTextModels(self.store, judging.encoder, judging.emotion_model)
        self.model_judge = model_judge(
            MeasuredBy(
                encoder=lambda: self.text_models.encoder,
                emotions=lambda: self.text_models.emotions,
                labels=lambda: self.text_models.emotion_labels,
                baseline=lambda: self.baseline.sha256,
                likelihoods=self._likelihoods_key,
            )
        )
        self._metrics = tuple(map(plugins.metric, judging.metrics))
        self.ensemble = StoredEnsemble(self)
        self._view: tuple[int, StudyView] | None = None
        self._cells: dict[tuple[str, str], list[Cell]] = {}
        self._judged: dict[str, _JudgedPrompt] = {}
        self._scored: _Scored | None = None
        self._measured: _Measured | None = None
        self._prompts_again: frozenset[str] | None = None

    def _likelihoods_key(self) -> str:
        generation = self.config.generation
        template = template_for(self.baseline, self.baseline, generation)
        return stable_hash([template, generation.system_prompt, engine_version()])

    @property
    def only_rated(self) -> bool:
        """Whether every candidate is gone: nothing new is said, so nothing new is judged."""
        return self.discovered and all(one.gone for one in self.discovery.candidates)

    @property
    def judges(self) -> tuple[ResponseJudge, ...]:
        """All that judge responses now; none of those that would ask a model that is gone."""
        own = self.model_judge.judges
        if self.discovered and self.baseline.gone:
            own = tuple(one for one in own if one is not self.model_judge.fluency)
        return (*own, *self._metrics, *self.ensemble.judging)

    def add_judge(self, name: str, config: JudgeConfig | Mapping[str, object]) -> None:
        """Add a judge to the ensemble of this open study; see ``EmotionalJudge``.

        A local model is read by the next discover, with which every phase begins. Raises
        UsageError.
        """
        self.ensemble.emotional_judge.add_judge(name, config)
        self.ensemble.forget()
        self.forget_judged()

    def follow(self) -> None:
        """Take in what other processes stored."""
        self.store.refresh()
        tables = self.store.take_foreign_changes()
        if DISCOVERY.name in tables:
            self._cells.clear()
            self._prompts_again = None
        if tables & {TECHNICAL.name, BASELINE_CHECKS.name}:
            self._measured = None
        if tables & {
            DISCOVERY.name,
            RESPONSES.name,
            JUDGEMENTS.name,
            TEXT_MODELS.name,
            EXAMS.name,
            ROSTER.name,
            VOTES.name,
            UNANSWERED.name,
        }:
            self._judged.clear()
        if tables:
            self.state.data_changed()

    def changed(self, prompt_id: str | None = None) -> None:
        """Stored data changed: of one prompt, or (None) of no prompt but elsewhere."""
        if prompt_id is not None:
            self._judged.pop(prompt_id, None)
        self.state.data_changed()

    def measured(self) -> None:
        """Something was measured of the study as a whole."""
        self._measured = None
        self.state.data_changed()

    def forget_judged(self) -> None:
        """What decides judgements changed: nothing kept of them holds."""
        self._judged.clear()
        self.state.data_changed()

    def forget_discovery(self) -> None:
        """Discovery changed: nothing kept of the old one holds."""
        self._cells.clear()
        self._judged.clear()
        self._prompts_again = None

    @property
    def discovery(self) -> Discovery:
        """What discover found. Raises StoreError before the first discover."""
        found = self.store.get(DISCOVERY, "discovery")
        if found is None:
            raise StoreError(
                f"The study in {self.store.folder} has no candidates yet. Run "
                "`emojudge run --phase discover` first."
            )
        return found

    @property
    def discovered(self) -> bool:
        """Whether discover has been completed once."""
        return self.store.get(DISCOVERY, "discovery") is not None

    @property
    def baseline(self) -> Candidate:
        """The candidate that preservation is measured against."""
        return next(one for one in self.discovery.candidates if one.is_baseline)

    @property
    def seed(self) -> int:
        """The stored seed that decides every draw of the study."""
        record = self.store.get(STUDY, "study")
        return record.seed if record else self.config.generation.seed

    # Cells

    def cell(self, candidate: Candidate, prompt: Prompt, sample: int) -> Cell:
        """The cell of one response, also of a sample number that is not wanted any more."""
        cells = self.cells(candidate, prompt)
        if sample < len(cells):
            return cells[sample]
        return cell_for(candidate, self.baseline, prompt, sample, self.config.generation)

    def cells(self, candidate: Candidate, prompt: Prompt) -> list[Cell]:
        """All cells of a candidate for a prompt, by sample."""
        key = (candidate.sha256, prompt.id)
        if key not in self._cells:
            count = sample_count(candidate, self.config.generation)
            self._cells[key] = [
                cell_for(candidate, self.baseline, prompt, sample, self.config.generation)
                for sample in range(count)
            ]
        return self._cells[key]

    def reachable_cells(self, candidate: Candidate, prompt: Prompt) -> list[Cell]:
        """Cells that are stored or can be generated; of a candidate that is gone, stored ones."""
        cells = self.cells(candidate, prompt)
        return [one for one in cells if self.stored(one)] if candidate.gone else cells

    def model_spec(self, candidate: Candidate, width: int | None = None) -> ModelSpec:
        """A candidate as the executor loads it; at a ``width`` of its own, in its own worker."""
        return ModelSpec(
            key=candidate.sha256 if width is None else f"{candidate.sha256}@{width}",
            name=candidate.name,
            path=candidate.path,
            size=candidate.size,
            template=template_for(candidate, self.baseline, self.config.generation),
            files=candidate.files,
            batch_width=width,
        )

    @property
    def batch_width(self) -> int | None:
        """The width that all texts are decoded at; None before the first were."""
        record = self.store.get(STUDY, "study")
        return record.batch_width if record is not None else None

    def _is_asked_again(self, prompt: Prompt) -> bool:
        if self._prompts_again is None:
            chosen = prompts_again(self.discovery.prompts, self.seed)
            self._prompts_again = frozenset(one.id for one in chosen)
        return prompt.id in self._prompts_again

    def left_again(self) -> int:
        """How many texts the baseline has still to say once more, at another batch width."""
        prompts = [one for one in self.discovery.prompts if self._is_asked_again(one)]
        if self.baseline.gone:
            return 0
        if self.batch_width is None:
            # The width is chosen with the first text; the number of texts is known before.
            return len(prompts) * self.config.generation.samples_per_prompt
        return sum(self.stored(cell) is None for one in prompts for cell in self.cells_again(one))

    def cells_again(self, prompt: Prompt) -> list[Cell]:
        """The baseline's cells at another batch width; none for most prompts."""
        width = self.batch_width
        if width is None or not self._is_asked_again(prompt):
            return []
        key = (f"again at {width}", prompt.id)
        if key not in self._cells:
            self._cells[key] = cells_again(self.baseline, prompt, width, self.config.generation)
        return self._cells[key]

    def wanted_cells(self) -> list[Cell]:
        """Every cell that the present config refers to."""
        found = self.discovery
        own = [
            cell
            for candidate in found.candidates
            for prompt in found.prompts
            for cell in self.cells(candidate, prompt)
        ]
        return own + [cell for prompt in found.prompts for cell in self.cells_again(prompt)]

    def stored(self, cell: Cell) -> Response | None:
        """The canonical response of a cell, if there is one."""
        return self.store.get(RESPONSES, cell.id)

    def stored_progress(self) -> dict[str, CandidateProgress]:
        """How many of each candidate's wanted responses are stored, by sha256."""
        failed = [one.candidate for one in self._failures()]
        progress = {}
        for candidate in self.discovery.candidates:
            cells = [
                cell
                for prompt in self.discovery.prompts
                for cell in self.reachable_cells(candidate, prompt)
            ]
            done = sum(self.stored(cell) is not None for cell in cells)
            progress[candidate.sha256] = CandidateProgress(
                done=done,
                total=len(cells),
                reused=done,
                failed=failed.count(candidate.sha256),
            )
        return progress

    def group(self, prompt: Prompt) -> PromptResponses:
        """What is stored for one prompt."""
        baseline: list[Response] = []
        others: list[Response] = []
        for candidate in self.discovery.candidates:
            for cell in self.cells(candidate, prompt):
                response = self.stored(cell)
                if response is not None:
                    (baseline if candidate.is_baseline else others).append(response)
        again = [self.stored(cell) for cell in self.cells_again(prompt)]
        whole = tuple(one for one in again if one is not None)
        return PromptResponses(prompt.id, tuple(baseline), tuple(others), whole)

    def judgements_of(self, judge: ResponseJudge, group: PromptResponses) -> list[Judgement | None]:
        """A judge's stored judgement of each response of a group; None where it is missing."""
        return [self.store.get(JUDGEMENTS, one) for one in judge.ids(group)]

    @property
    def judged(self) -> Container[str]:
        """The ids of all stored judgements."""
        return StoredIds(self.store, JUDGEMENTS)

    def _judged_prompt(self, prompt: Prompt) -> _JudgedPrompt:
        """What a view needs of one prompt; kept, because most prompts do not change."""
        if prompt.id not in self._judged:
            group = self.group(prompt)
            own: list[Judgement] = []
            again: list[Judgement] = []
            repeated = {one.id for one in group.again}
            missing: list[str] = []
            owing: set[str] = set()
            # Also of judges that are not asked any more: what they once said can be seen.
            members = self.ensemble.emotional_judge.members
            # What the baseline says once more is measured for the noise floor, not for a score.
            once = replace(group, again=())
            for judge in (*self.model_judge.judges, *self._metrics, *members):
                ids = judge.ids(group)
                scored = ids if not group.again else judge.ids(once)
                for judgement_id in ids:
                    one = self.store.get(JUDGEMENTS, judgement_id)
                    if one is None:
                        missing.append(judgement_id)
                        unanswered = self.store.get(UNANSWERED, judgement_id) is not None
                        if judgement_id in scored and not unanswered:
                            owing.add(judge.name)
                    else:
                        (again if one.response_id in repeated else own).append(one)
            votes = []
            for ballot in self.ensemble.ballots(group, members):
                vote = self.store.get(VOTES, ballot.id)
                if vote is None:
                    missing.append(ballot.id)
                else:
                    votes.append(vote)
            asked = (self.store.get(UNANSWERED, one) for one in missing)
            self._judged[prompt.id] = _JudgedPrompt(
                group.baseline + group.others,
                tuple(own),
                group.again,
                tuple(again),
                tuple(votes),
                tuple(one for one in asked if one is not None),
                frozenset(owing),
            )
        return self._judged[prompt.id]

    def judged_prompts(self) -> int:
        """Of how many prompts every judge that is asked now has said all it would be asked."""
        asked = {judge.name for judge in self.judges}
        judged = map(self._judged_prompt, self.discovery.prompts)
        return sum(bool(one.judgements) and not one.owing & asked for one in judged)

    def _failures(self) -> tuple[CellFailure, ...]:
        """Failures of cells that are wanted now."""
        wanted = {cell.id for cell in self.wanted_cells()}
        return tuple(one for one in self.store.all(FAILURES) if one.id in wanted)

    def _ratings_that_count(self, responses: frozenset[str]) -> tuple[tuple[RatedItem, ...], int]:
        """Items rated on present responses, and how many were rated on others only.

        Ratings of a candidate that is not compared any more are dropped from their item.
        """
        counted = []
        left_out = 0
        for item in self.store.all(RATED):
            ratings = tuple(one for one in item.ratings if one.response_id in responses)
            if item.skipped is not None or ratings:
                same = len(ratings) == len(item.ratings)
                counted.append(item if same else item.model_copy(update={"ratings": ratings}))
            else:
                left_out += 1
        return tuple(counted), left_out

    def _score(self, judged: tuple[_JudgedPrompt, ...]) -> _Scored:
        judgements = tuple(judgement for one in judged for judgement in one.judgements)
        responses = tuple(response for one in judged for response in one.responses)
        by_judge: dict[str, list[Judgement]] = defaultdict(list)
        for one in judgements:
            by_judge[one.judge].append(one)
        fluency = self.model_judge.fluency
        excess = fluency.excess(by_judge[fluency.name])
        parts = {
            judge.part: judge.scores(by_judge[judge.name])
            for judge in self.model_judge.judges
            if judge.part is not None
        }
        standings, weights = self.ensemble.standings(), self._quality_weights
        parts[PART] = ensemble_scores(standings, by_judge, weights)
        share = shares_of(parts, self.config.ai_scoring).get(fluency.part, 0.0)
        return _Scored(
            prompts=judged,
            responses=responses,
            response_ids=frozenset(response.id for response in responses),
            judgements=judgements,
            part_scores=parts,
            ai_scores=combine_scores(parts, self.config.ai_scoring),
            judges=standings,
            judge_scores={
                one.title: scores_of_judge(by_judge[one.name], weights) for one in standings
            },
            fluency=Fluency(share, excess),
            again=tuple(response for one in judged for response in one.again),
            again_judgements=tuple(one for each in judged for one in each.again_judgements),
            votes=tuple(one for each in judged for one in each.votes),
            unanswered=tuple(one for each in judged for one in each.unanswered),
        )

    @property
    def _quality_weights(self) -> dict[Quality, float]:
        weights = self.config.human_judging.criteria_weights
        return {one: weights[Criterion(one.value)] for one in COUNTED}

    def compared_replies(self) -> list[Response]:
        """One reply of the baseline to each of a seeded choice of prompts, where it says something.

        Models are compared position by position on these.
        """
        key = [self.seed, "replies"]
        order = sorted(self.discovery.prompts, key=lambda one: stable_hash([*key, one.id]))
        found = [self.stored(self.cell(self.baseline, one, 0)) for one in order[:_REPLIES]]
        return [one for one in found if one is not None and _speaks(one)]

    def technical(self) -> dict[str, TechnicalMetrics]:
        """Technical metrics by sha256: for the present replies, else the latest there are.

        Only the comparison of predictions depends on the replies.
        """
        replies = self.compared_replies()
        latest = {one.candidate: one for one in self.store.all(TECHNICAL)}
        known = {
            one.sha256: self.technical_of(one, replies) or latest.get(one.sha256)
            for one in self.discovery.candidates
        }
        return {sha: metrics for sha, metrics in known.items() if metrics is not None}

    def technical_of(
        self, candidate: Candidate, replies: Sequence[Response]
    ) -> TechnicalMetrics | None:
        """A candidate's figures on these replies, as this config lets models run."""
        return self.store.get(
            TECHNICAL, technical_id(candidate, replies, self.config.performance_config)
        )

    def baseline_responses(self) -> list[Response]:
        """All stored responses of the baseline that count."""
        baseline = self.baseline.sha256
        return [
            one
            for prompt in self.discovery.prompts
            for one in self._judged_prompt(prompt).responses
            if one.candidate == baseline
        ]

    def baseline_check(self) -> BaselineCheck | None:
        """What a look at the baseline's present replies said; None before there was one."""
        check = check_id(self.text_models.encoder, self.baseline_responses())
        return self.store.get(BASELINE_CHECKS, check)

    def view(self) -> StudyView:
        """Everything stored that counts under the present config."""
        version = self.state.status.data_version
        if self._view is not None and self._view[0] == version:
            return self._view[1]
        discovery = self.discovery
        judged = tuple(self._judged_prompt(prompt) for prompt in discovery.prompts)
        if (
            self._scored is None
            or self._scored.prompts != judged
            or self._scored.judges != self.ensemble.standings()
        ):
            self._scored = self._score(judged)
        scored = self._scored
        if self._measured is None or self._measured.of is not scored:
            self._measured = _Measured(scored, self.technical(), self.baseline_check())
        measured = self._measured
        counted, left_out = self._ratings_that_count(scored.response_ids)
        view = StudyView(
            config=self.config,
            seed=self.seed,
            candidates=discovery.candidates,
            unusable=discovery.unusable,
            prompts=discovery.prompts,
            responses=scored.responses,
            failures=self._failures(),
            judgements=scored.judgements,
            rated=counted,
            left_out_items=left_out,
            ai_scores=scored.ai_scores,
            part_scores=scored.part_scores,
            judges=scored.judges,
            judge_scores=scored.judge_scores,
            votes=scored.votes,
            unanswered=scored.unanswered,
            control_exams=self.ensemble.control_exams(),
            judges_gone=self.ensemble.gone(),
            fluency=scored.fluency,
            again=scored.again,
            again_judgements=scored.again_judgements,
            technical=measured.technical,
            baseline_check=measured.baseline_check,
            pair_votes=tuple(
                one
                for one in self.store.all(PAIR_VOTES)
                if scored.response_ids.issuperset(one.responses)
            ),
            judged_memo=scored.memo,
            damage=tuple(str(one) for one in self.store.damage),
        )
        self._view = (version, view)
        return view
