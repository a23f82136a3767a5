"""Everything a process needs to work on a study, opened and closed together."""

from __future__ import annotations

from emojudge.engine.encoder import Encoder
from emojudge.engine.gpu import gpu_present, gpu_warning
from emojudge.errors import EngineError
from emojudge.pipeline.conductor import Conductor
from emojudge.pipeline.judging import Judging
from emojudge.pipeline.responses import Responses, make_executor
from emojudge.pipeline.study import Study

_ENCODER_THREADS = 2


class Workspace:
    """A study with its engine. Built after discover, because capacity depends on the models."""

    def __init__(self, study: Study, at_once: int) -> None:
        self.study = study
        self.at_once = at_once
        self.responses = Responses(study, make_executor(study, at_once))
        self.encoder = Encoder(study.encoder_name(), _ENCODER_THREADS)
        self.judging = Judging(study, self.encoder)
        self.conductor = Conductor(study, self.responses, self.judging)

    async def close(self) -> None:
        """Stop all workers."""
        await self.conductor.close()
        await self.responses.close()
        await self.encoder.close()


async def unused_gpu() -> str | None:
    """A sentence when this machine has a GPU that llama.cpp cannot use, else None."""
    try:
        return await gpu_warning(gpu_present())
    except EngineError as problem:
        return str(problem)
