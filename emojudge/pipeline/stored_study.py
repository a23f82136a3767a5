"""What is stored of a study, under its present config: cells, responses, judgements, the view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emojudge.config_file import LoadedConfig
from emojudge.domain import (
    Candidate,
    Cell,
    CellFailure,
    Judgement,
    Prompt,
    RatedItem,
    Response,
)
from emojudge.errors import StoreError
from emojudge.judges.judge import PromptResponses, ResponseJudge, combine_scores
from emojudge.judges.similarity import SimilarityJudge
from emojudge.pipeline.cells import cell_for, sample_count
from emojudge.pipeline.state import CandidateProgress, StudyState
from emojudge.store.study import StudyStore
from emojudge.store.tables import (
    DISCOVERY,
    FAILURES,
    JUDGEMENTS,
    RATED,
    RESPONSES,
    STUDY,
    Discovery,
)
from emojudge.view import StudyView


@dataclass(frozen=True)
class _JudgedPrompt:
    """The stored responses to a prompt, and their judgements."""

    responses: tuple[Response, ...]
    judgements: tuple[Judgement, ...]


@dataclass(frozen=True)
class _Scored:
    """What follows from responses and judgements alone; kept, because ratings change none of it."""

    prompts: tuple[_JudgedPrompt, ...]
    responses: tuple[Response, ...]
    response_ids: frozenset[str]
    judgements: tuple[Judgement, ...]
    part_scores: Mapping[str, Mapping[str, float]]
    ai_scores: Mapping[str, float]


class StoredStudy:
    """A study as it can be read. Views are kept per prompt, because most prompts do not change."""

    def __init__(self, loaded: LoadedConfig) -> None:
        self.loaded = loaded
        self.config = loaded.config
        self.store = StudyStore(loaded.study_dir)
        self.state = StudyState()
        self.judges: tuple[ResponseJudge, ...] = (
            SimilarityJudge(loaded.config.judging_config.encoder),
        )
        self._view: tuple[int, StudyView] | None = None
        self._cells: dict[tuple[str, str], list[Cell]] = {}
        self._judged: dict[str, _JudgedPrompt] = {}
        self._scored: _Scored | None = None

    def follow(self) -> None:
        """Take in what other processes stored."""
        self.store.refresh()
        tables = self.store.take_foreign_changes()
        if DISCOVERY.name in tables:
            self._cells.clear()
        if tables & {DISCOVERY.name, RESPONSES.name, JUDGEMENTS.name}:
            self._judged.clear()
        if tables:
            self.state.data_changed()

    def changed(self, prompt_id: str | None = None) -> None:
        """Stored data changed: of one prompt, or (None) of no prompt but elsewhere."""
        if prompt_id is not None:
            self._judged.pop(prompt_id, None)
        self.state.data_changed()

    def forget_discovery(self) -> None:
        """Discovery changed: nothing kept of the old one holds."""
        self._cells.clear()
        self._judged.clear()

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

    def stored(self, cell: Cell) -> Response | None:
        """The canonical response of a cell, if there is one."""
        return self.store.get(RESPONSES, cell.id)

    def stored_progress(self) -> dict[str, CandidateProgress]:
        """How many of each candidate's wanted responses are stored, by sha256."""
        failed = [one.candidate for one in self._failures()]
        progress = {}
        for candidate in self.discovery.candidates:
            cells = [
                cell for prompt in self.discovery.prompts for cell in self.cells(candidate, prompt)
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
        return PromptResponses(prompt.id, tuple(baseline), tuple(others))

    def judgements_of(self, judge: ResponseJudge, group: PromptResponses) -> list[Judgement | None]:
        """A judge's stored judgement of each response of a group; None where it is missing."""
        return [self.store.get(JUDGEMENTS, one) for one in judge.ids(group)]

    def _judged_prompt(self, prompt: Prompt) -> _JudgedPrompt:
        """What a view needs of one prompt; kept, because most prompts do not change."""
        if prompt.id not in self._judged:
            group = self.group(prompt)
            judgements = tuple(
                one
                for judge in self.judges
                for one in self.judgements_of(judge, group)
                if one is not None
            )
            self._judged[prompt.id] = _JudgedPrompt(group.all, judgements)
        return self._judged[prompt.id]

    def judged_prompts(self) -> int:
        """How many prompts have at least one judged response."""
        prompts_here = self.discovery.prompts
        return sum(bool(self._judged_prompt(prompt).judgements) for prompt in prompts_here)

    def _failures(self) -> tuple[CellFailure, ...]:
        """Failures of cells that are wanted now."""
        wanted = {
            cell.id
            for candidate in self.discovery.candidates
            for prompt in self.discovery.prompts
            for cell in self.cells(candidate, prompt)
        }
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
        parts = {judge.part: judge.scores(judgements) for judge in self.judges}
        return _Scored(
            prompts=judged,
            responses=responses,
            response_ids=frozenset(response.id for response in responses),
            judgements=judgements,
            part_scores=parts,
            ai_scores=combine_scores(parts, self.config.ai_scoring),
        )

    def view(self) -> StudyView:
        """Everything stored that counts under the present config."""
        version = self.state.status.data_version
        if self._view is not None and self._view[0] == version:
            return self._view[1]
        discovery = self.discovery
        judged = tuple(self._judged_prompt(prompt) for prompt in discovery.prompts)
        if self._scored is None or self._scored.prompts != judged:
            self._scored = self._score(judged)
        scored = self._scored
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
            damage=tuple(str(one) for one in self.store.damage),
        )
        self._view = (version, view)
        return view
