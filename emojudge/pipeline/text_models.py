"""The encoder and the emotion model at work: started when needed, and never asked twice."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np

from emojudge.domain import TextModel, stable_hash
from emojudge.engine.encoder import Encoder
from emojudge.engine.modules import ENCODER_MODULE
from emojudge.errors import StoreError
from emojudge.judges.emotion_tracker import (
    EmotionTracker,
    HeadTracker,
    ModelTracker,
    known_label,
)
from emojudge.judges.judge import Vectors
from emojudge.judges.sentences import says_something
from emojudge.pipeline.encoders import encoder_name, model_folder, name_of_encoder
from emojudge.pipeline.known_text_models import identity_of, record_id
from emojudge.pipeline.study import Study
from emojudge.store.tables import TEXT_MODELS
from emojudge.store.vectors import VectorCache

_LOG = logging.getLogger(__name__)
ENCODER_THREADS = 2
_PROBE = "The kettle is on, and somebody is crying quietly in the next room."
_SAME = 0.9999
_AT_ONCE = 1024
_Rows = Callable[[Sequence[str]], Awaitable[Vectors]]


class TextModels:
    """What turns a study's texts into vectors, in worker processes, through the study's cache."""

    def __init__(self, study: Study, module: str = ENCODER_MODULE) -> None:
        self._study = study
        self._known = study.text_models
        kept = study.config.performance_config.cache
        self._cache = VectorCache(study.store.folder) if kept else None
        self._identified: set[str] = set()
        name = encoder_name(study.loaded)
        self.encoder = Encoder(name, ENCODER_THREADS, module)
        if self._known.emotion_model is not None:
            emotions = model_folder(study.loaded, self._known.emotion_model)
            self._emotions = Encoder(emotions, ENCODER_THREADS, module, "classify")
        else:
            own = name_of_encoder(self._known.head.encoder)
            self._emotions = self.encoder if own == name else Encoder(own, ENCODER_THREADS, module)
            self._head_tracker = HeadTracker(self._emotions, self._known.head)

    async def warm_up(self) -> None:
        """Start the workers, so that their imports overlap with other work. Raises EngineError."""
        await self.encoder.warm_up()
        await self._emotions.warm_up()

    async def identify(self) -> None:
        """Notice an encoder or emotion model that is not the one this study was measured with.

        Loads nothing where the files tell that it is the same. Raises EngineError.
        """
        await self._identify(self._known.encoder_name, self.encoder)
        if self._known.emotion_model is not None:
            await self._identify(self._known.emotion_model, self._emotions)

    async def _identify(self, name: str, model: Encoder) -> None:
        if model.name in self._identified:
            return
        before = self._known.record(model.task, name)
        files = files_of(model.name)
        if before is not None and files is not None and files == before.files:
            return
        ready = await model.warm_up()
        probe = (await model.embed([_PROBE]))[0]
        self._identified.add(model.name)
        if before is not None and _same(before, probe):
            if files != before.files:
                moved = before.model_copy(update={"files": files})
                self._study.lead().put(TEXT_MODELS, [moved])
            return
        if before is not None:
            _LOG.warning(
                "%s is not the model that this study was measured with (%d dimensions now, %d "
                "then): everything is measured again",
                name,
                ready.dimensions,
                before.dimensions,
            )
        record = TextModel(
            id=record_id(model.task, name),
            dimensions=ready.dimensions,
            probe=tuple(round(float(value), 6) for value in probe),
            labels=tuple(map(known_label, ready.labels)),
            files=files,
        )
        self._study.lead().put(TEXT_MODELS, [record])
        self._study.forget_judged()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts, zero for those that say nothing. Raises EngineError."""
        await self._identify(self._known.encoder_name, self.encoder)
        record = self._known.record("embed", self._known.encoder_name)
        assert record is not None
        return await self._kept(
            self._known.vector_keys[0],
            record.dimensions,
            texts,
            self.encoder.embed,
        )

    async def emotions(self, texts: Sequence[str]) -> Vectors:
        """Emotion profiles of texts, zero for those that say nothing. Raises EngineError."""
        tracker = await self._tracker()
        return await self._kept(
            self._known.vector_keys[1],
            len(tracker.labels),
            texts,
            tracker.profiles,
        )

    async def _tracker(self) -> EmotionTracker:
        name = self._known.emotion_model
        if name is None:
            return self._head_tracker
        await self._identify(name, self._emotions)
        record = self._known.record("classify", name)
        assert record is not None
        return ModelTracker(self._emotions, identity_of(name, record), record.labels)

    async def _kept(self, model: str, width: int, texts: Sequence[str], compute: _Rows) -> Vectors:
        """Rows from the cache; what is not there is computed once and kept."""
        wanted = [text for text in dict.fromkeys(texts) if says_something(text)]
        known = self._cache.get(model, wanted) if self._cache is not None else {}
        found = {
            text: row
            for text, row in known.items()
            # A file from elsewhere, or from before a model was exchanged under the same name.
            if len(row) == width
        }
        missing = [text for text in wanted if text not in found]
        for start in range(0, len(missing), _AT_ONCE):
            part = missing[start : start + _AT_ONCE]
            new = dict(zip(part, await compute(part), strict=True))
            found.update(new)
            self._keep(model, new)
        silent = np.zeros(width, dtype=np.float32)
        return np.stack([found.get(text, silent) for text in texts])

    def _keep(self, model: str, rows: dict[str, Vectors]) -> None:
        """Vectors can be computed again, so a disk that refuses them stops nothing."""
        if self._cache is None:
            return
        try:
            self._cache.put(model, rows)
        except StoreError as problem:
            _LOG.warning("%s They are computed again the next time.", problem)
            self._cache = None

    async def close(self) -> None:
        """Stop the workers."""
        await self.encoder.close()
        await self._emotions.close()


def _same(record: TextModel, probe: Vectors) -> bool:
    before = np.array(record.probe)
    if before.shape != probe.shape:
        return False
    lengths = float(np.linalg.norm(before) * np.linalg.norm(probe))
    return lengths > 0 and float(before @ probe) / lengths > _SAME


def files_of(name: str) -> str | None:
    """What may tell a model's folder from another: names, sizes and times of its files.

    Another value means that what the model gives is compared again. None for a name that a hub
    resolves.
    """
    folder = Path(name)
    if not folder.is_dir():
        return None
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    known = [(str(file.relative_to(folder)), file.stat()) for file in files]
    return stable_hash([[name, about.st_size, about.st_mtime_ns] for name, about in known])
