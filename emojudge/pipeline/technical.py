"""Technical metrics: what a candidate is like as a model on this machine, and next to the baseline.

Each candidate is loaded once more, in a worker of its own that decodes one text at a time, as a
companion does, and measured while nothing else is generated.
"""

from __future__ import annotations

import logging
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emojudge import clock
from emojudge.domain import Candidate, Response, TechnicalMetrics, stable_hash
from emojudge.engine.protocol import (
    Compared,
    CompareReference,
    DescribeWorker,
    Generated,
    GivenText,
    Measured,
    Measurement,
    Perplexity,
    PerplexityMeasured,
    RecordReference,
    WorkerDescribed,
)
from emojudge.engine.tasks import BACKGROUND, Executor, Failed, Finished, GenerateTask
from emojudge.errors import EngineError
from emojudge.paths import make_private_folder
from emojudge.pipeline.cells import conversation, technical_id
from emojudge.pipeline.likelihoods import measure
from emojudge.pipeline.study import Study
from emojudge.prompts import BUNDLED_NAME, bundled_prompts, parse_prompts
from emojudge.store.tables import TECHNICAL
from emojudge.text import without_thinking

_LOG = logging.getLogger(__name__)
_VERSION = 1
_TIMED_TEXTS = 3
_TRIES = 3
_POSITIONS = 1024
"""At a vocabulary of 128k these are 270 MB of half-precision numbers on disk."""
_CHUNK_TOKENS = 256
_CHUNKS = 16
_STEP_SECONDS = 1800.0
_REFERENCES = "reference"


@dataclass(frozen=True)
class _Timing:
    first_token_seconds: float
    tokens_per_second: float


class Technical:
    """Measures candidates whose figures are not stored yet."""

    def __init__(self, study: Study, executor: Executor) -> None:
        self._study = study
        self._executor = executor

    def missing(self) -> list[Candidate]:
        """Candidates without figures for the present replies of the baseline."""
        replies = self._study.compared_replies()
        return [
            one
            for one in self._study.discovery.candidates
            if not one.gone
            and ((known := self._study.technical_of(one, replies)) is None or not known.final)
        ]

    async def run(self) -> int:
        """Measure what is missing; returns how many candidates were.

        A candidate that cannot be loaded any more is reported, and stops no other. Raises
        StoreError.
        """
        missing = self.missing()
        if not missing:
            return 0
        replies = self._study.compared_replies()
        try:
            return await self._measure_all(missing, replies)
        finally:
            folder = reference_folder(self._study, replies)
            if not self._study.config.performance_config.cache and folder.exists():
                shutil.rmtree(folder)

    async def _measure_all(self, missing: Sequence[Candidate], replies: Sequence[Response]) -> int:
        study, done = self._study, 0
        # The baseline's memory is read before its predictions are recorded, which takes more.
        missing = sorted(missing, key=lambda one: not one.is_baseline)
        references: Path | EngineError | None = None
        for number, candidate in enumerate(missing, 1):
            study.state.say(f"measuring {candidate.name}: {number} of {len(missing)}", running=True)
            try:
                if references is None and not candidate.is_baseline:
                    references = await self._record(replies)
                found = await self._of(candidate, replies, references)
            except EngineError as problem:
                _LOG.error("%s", problem)
                study.state.report_problem(str(problem))
                continue
            study.lead().put(TECHNICAL, [found])
            study.measured()
            done += 1
            _LOG.info(
                "%s: loads in %.2f s, first token after %.3f s, %.0f tokens/s, one text at a time",
                candidate.name,
                found.load_seconds,
                found.first_token_seconds,
                found.tokens_per_second,
            )
        return done

    async def _record(self, replies: Sequence[Response]) -> Path | EngineError | None:
        """The folder of the baseline's predictions, made if it is not there; None: no replies."""
        study = self._study
        if not replies:
            return None
        folder = reference_folder(study, replies)
        if (folder / "reference.json").exists():
            return folder
        if study.baseline.gone:
            return EngineError(f"the baseline {study.baseline.name}: {study.baseline.gone}")
        make_private_folder(folder.parent)
        study.state.say("keeping the baseline's predictions", running=True)
        command = RecordReference(
            id="",
            texts=self._given(replies),
            folder=str(folder),
            most_positions=_POSITIONS,
            seed=study.seed,
        )
        try:
            await self._measure(study.baseline, command)
        except EngineError as problem:
            _LOG.error("%s", problem)
            return problem
        return folder

    def _given(self, replies: Sequence[Response]) -> tuple[GivenText, ...]:
        prompts = {one.id: one for one in self._study.discovery.prompts}
        generation = self._study.config.generation
        return tuple(
            GivenText(
                messages=conversation(prompts[one.prompt_id], generation),
                text=without_thinking(one.text),
            )
            for one in replies
        )

    async def _measure(self, candidate: Candidate, command: Measurement) -> Measured:
        model = self._study.model_spec(candidate, width=1)
        return await measure(self._executor, model, command, _STEP_SECONDS)

    async def _of(
        self,
        candidate: Candidate,
        replies: Sequence[Response],
        references: Path | EngineError | None,
    ) -> TechnicalMetrics:
        """Timing first, so that nothing that is read afterwards counts as its memory."""
        timing, quiet = await self._time_in_quiet(candidate)
        worker = await self._measure(candidate, DescribeWorker(id=""))
        assert isinstance(worker, WorkerDescribed)
        problems = []
        words = compared = None
        # What failed for a passing reason is tried again in the next run.
        final = quiet
        try:
            words = await self._measure(candidate, _perplexity_command())
        except EngineError as problem:
            problems.append(str(problem))
            final = False
        if not quiet:
            problems.append("texts were generated while it was timed; timed again in the next run")
        if isinstance(references, EngineError):
            problems.append(str(references))
            final = False
        elif self._other_vocabulary(candidate):
            problems.append("its vocabulary is not the baseline's: no predictions to compare")
        elif references is not None and not candidate.is_baseline:
            command = CompareReference(id="", texts=self._given(replies), folder=str(references))
            try:
                compared = await self._measure(candidate, command)
            except EngineError as problem:
                problems.append(str(problem))
                final = False
        metrics = TechnicalMetrics(
            id=technical_id(candidate, replies, self._study.config.performance_config),
            candidate=candidate.sha256,
            load_seconds=worker.load_seconds,
            load_mode=worker.load_mode,
            gpu_offload=worker.gpu_offload,
            threads=worker.threads,
            first_token_seconds=timing.first_token_seconds,
            tokens_per_second=timing.tokens_per_second,
            peak_bytes=worker.peak_bytes,
            vram_bytes=worker.vram_bytes,
            problem="; ".join(problems) or None,
            final=final,
            created=clock.stamp(),
        )
        if isinstance(words, PerplexityMeasured):
            metrics = metrics.model_copy(
                update={
                    "perplexity": words.perplexity,
                    "perplexity_error": words.standard_error,
                    "scored_tokens": words.positions,
                }
            )
        if isinstance(compared, Compared):
            metrics = metrics.model_copy(
                update={
                    "mean_kl": compared.mean_kl,
                    "kl_error": compared.standard_error,
                    "kl_positions": compared.positions,
                    "same_top": compared.same_top,
                    "all_positions": compared.all_positions,
                    "first_divergence": median_divergence(compared.first_divergence),
                    "replies": len(compared.first_divergence),
                }
            )
        return metrics

    def _other_vocabulary(self, candidate: Candidate) -> bool:
        own = candidate.specs.vocabulary_size, self._study.baseline.specs.vocabulary_size
        return None not in own and own[0] != own[1]

    async def _time_in_quiet(self, candidate: Candidate) -> tuple[_Timing, bool]:
        """Timings, and whether nobody's texts were generated meanwhile."""
        for _ in range(_TRIES):
            before = self._executor.urgent_texts
            timing = await self._time(candidate)
            quiet = self._executor.urgent_texts == before
            if quiet:
                break
        return timing, quiet

    async def _time(self, candidate: Candidate) -> _Timing:
        """Medians over a few texts, one after another; the first one's warms up and is left out."""
        study = self._study
        prompts = study.discovery.prompts
        results = [
            await self._generate(candidate, number, prompts[number % len(prompts)].id)
            for number in range(_TIMED_TEXTS + 1)
        ]
        timed = results[1:]
        speeds = [
            (one.tokens - 1) / (one.seconds - one.first_token_seconds)
            for one in timed
            if one.tokens > 1 and one.seconds > one.first_token_seconds
        ]
        return _Timing(
            statistics.median(one.first_token_seconds for one in timed),
            statistics.median(speeds) if speeds else 0.0,
        )

    async def _generate(self, candidate: Candidate, seed: int, prompt_id: str) -> Generated:
        study = self._study
        prompt = next(one for one in study.discovery.prompts if one.id == prompt_id)
        task = GenerateTask(
            priority=BACKGROUND,
            model=study.model_spec(candidate, width=1),
            messages=conversation(prompt, study.config.generation),
            sampling=study.config.generation.sampling,
            seed=seed,
            deadline_seconds=study.config.performance_config.response_timeout_seconds,
        )
        async for event in self._executor.submit(task):
            if isinstance(event, Finished):
                return event.result
            if isinstance(event, Failed):
                raise EngineError(f"{candidate.name} could not be timed: {event.reason}")
        raise EngineError(f"{candidate.name} was stopped before it was timed.")


def _perplexity_command() -> Perplexity:
    """Over the bundled prompts' own words whatever the study's, so that studies compare."""
    prompts = parse_prompts(bundled_prompts().decode(), BUNDLED_NAME)
    text = "\n\n".join(turn.content for one in prompts for turn in one.messages)
    return Perplexity(id="", text=text, chunk_tokens=_CHUNK_TOKENS, most_chunks=_CHUNKS)


def reference_folder(study: Study, replies: Sequence[Response]) -> Path:
    """Where the baseline's predictions on these replies are kept."""
    key = [_VERSION, study.baseline.sha256, _POSITIONS, [one.id for one in replies]]
    return study.store.folder / _REFERENCES / stable_hash(key)


def references_bytes(study: Study) -> int:
    """What all kept predictions take on disk."""
    return sum(file.stat().st_size for file in _all_references(study) for file in file.iterdir())


def old_references(study: Study) -> list[Path]:
    """Kept predictions on replies that are not the present ones."""
    present = reference_folder(study, study.compared_replies())
    return [folder for folder in _all_references(study) if folder != present]


def _all_references(study: Study) -> list[Path]:
    folder = study.store.folder / _REFERENCES
    return sorted(one for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []


def median_divergence(first: Sequence[int | None]) -> float | None:
    """The median of first differing tokens; None where half of the replies or more have none."""
    places = sorted(float("inf") if one is None else one for one in first)
    middle = statistics.median(places) if places else float("inf")
    return None if middle == float("inf") else middle
