"""A study that is open in this process: who leads it, and discovering its candidates."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path

from emojudge import clock, prompts
from emojudge.candidates.discover import (
    Discovered,
    discover,
    read_judge_model,
    total_bytes,
)
from emojudge.candidates.hashing import Progress
from emojudge.config_file import LoadedConfig
from emojudge.domain import Candidate, JudgeRoster, ModelFile, Prompt
from emojudge.errors import Interrupted, LockHeld
from emojudge.judges.model_judge import ModelJudge
from emojudge.pipeline.gone import Kept, missing_from, moved_along, with_kept
from emojudge.pipeline.stored_study import StoredStudy
from emojudge.store.study import SCHEMA_VERSION, Writer
from emojudge.store.tables import (
    DISCOVERY,
    PAIR_VOTES,
    RATED,
    RESPONSES,
    ROSTER,
    STUDY,
    Discovery,
    StudyRecord,
)
from emojudge.text import human_bytes

_LOG = logging.getLogger(__name__)


class Study(StoredStudy):
    """One study folder. At most one process leads it: generates, judges, writes its logs."""

    def __init__(self, loaded: LoadedConfig, model_judge: type[ModelJudge] = ModelJudge) -> None:
        """``model_judge`` may be a subclass that adds a metric of its own."""
        super().__init__(loaded, model_judge)
        self.leader: Writer | None = None
        self.not_leading_because = ""
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

    def close(self) -> None:
        """Give up the lead; a discover phase that is under way stops."""
        self._closing = True
        if self.leader is not None:
            self.leader.close()
            self.leader = None

    # Discover

    def _discovery_before(self) -> Discovery | None:
        """The last discovery, with files where they are to be now if the study was moved."""
        before = self.store.get(DISCOVERY, "discovery")
        if before is None or not before.config_dir:
            return before
        moved = partial(moved_along, loaded=self.loaded, before=Path(before.config_dir))
        return before.model_copy(
            update={
                "candidates": moved(before.candidates),
                "judge_models": moved(before.judge_models),
            }
        )

    def _kept(self, before: Discovery | None) -> Kept:
        """What candidates known from before have said, and which of them people rated."""
        spoke = {one.candidate for one in self.store.all(RESPONSES)}
        rated = {rating.candidate for one in self.store.all(RATED) for rating in one.ratings}
        rated |= {sha for vote in self.store.all(PAIR_VOTES) for sha in vote.candidates}
        known = before.candidates if before is not None else ()
        return Kept(tuple(one for one in known if one.sha256 in spoke), rated)

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

        before = self._discovery_before()
        known = _files_of(before)
        kept = self._kept(before)
        missing = missing_from(kept, self.config, folder)
        names = {one.name for one in missing}
        wanted = tuple(one for one in self.config.models_to_compare if one not in names)

        def work() -> Discovered:
            if missing and not wanted and (self.config.models_to_compare or not total):
                # Nothing is left to look for; rating goes on from what is stored.
                return with_kept(Discovered((), ()), kept, missing, self.config)
            baseline = self.config.baseline_model
            found = discover(
                folder,
                wanted=wanted,
                baseline=None if any(one.is_baseline for one in missing) else baseline,
                resolve=self.loaded.resolve,
                known=known,
                progress=advance,
            )
            return with_kept(found, kept, missing, self.config)

        found = await asyncio.to_thread(work)
        if all(one.gone for one in found.candidates):
            # Nobody says anything new, so judges are asked nothing, and need no files.
            judges = before.judge_models if before is not None else ()
        else:
            judges = await asyncio.to_thread(self._read_judge_models, known, advance)
        discovery = Discovery(
            candidates=found.candidates,
            unusable=found.unusable,
            prompts=chosen,
            judge_models=judges,
            config_dir=str(self.loaded.file.parent.absolute()),
        )
        if discovery != self.store.get(DISCOVERY, "discovery"):
            self.lead().put(DISCOVERY, [discovery])
        self.forget_discovery()
        self._call_the_roll()
        self.state.say(f"{len(found.candidates)} candidates, {len(chosen)} prompts")
        self.changed()
        for one in found.candidates:
            if one.gone:
                _LOG.warning("%s: %s", one.name, one.gone)
        for unusable in found.unusable:
            _LOG.warning("%s: %s; %s", unusable.name, unusable.reason, unusable.remedy)
        return discovery

    def _read_judge_models(
        self, known: dict[str, ModelFile], progress: Progress
    ) -> tuple[Candidate, ...]:
        """The local models of judges. Raises UsageError naming the judge whose cannot be read."""
        models: dict[str, Candidate] = {}
        for one in self.ensemble.emotional_judge.configs:
            if one.model is not None and one.url is None and one.model not in models:
                models[one.model] = read_judge_model(
                    one.name, one.model, self.loaded.resolve(one.model), known, progress
                )
        return tuple(models.values())

    def _call_the_roll(self) -> None:
        """Record the ensemble while nobody has rated: what people's scores are held against."""
        if self.ensemble.rated:
            return
        roster, before = self.ensemble.roster(), self.store.get(ROSTER, "judges")
        if roster != (before.entries if before is not None else ()):
            self.lead().put(ROSTER, [JudgeRoster(entries=roster, created=clock.stamp())])
        for standing in self.ensemble.standings():
            for name in standing.judges_itself:
                _LOG.warning(
                    "judge %s runs on the model of the candidate %s, and so judges itself; a model "
                    "of another family is a better judge",
                    standing.title,
                    name,
                )


def _files_of(discovery: Discovery | None) -> dict[str, ModelFile]:
    """All model files of a discovery by their paths."""
    if discovery is None:
        return {}
    known = (*discovery.candidates, *discovery.judge_models)
    return {file.path: file for one in known for file in one.files}
