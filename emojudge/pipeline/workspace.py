"""Everything a process needs to work on a study, opened and closed together."""

from __future__ import annotations

from dataclasses import dataclass

from emojudge.engine.encoder import ENCODER_MODULE, Encoder
from emojudge.engine.gpu import gpu_present, gpu_warning
from emojudge.engine.local import WORKER_MODULE
from emojudge.errors import EngineError
from emojudge.pipeline.conductor import Conductor
from emojudge.pipeline.encoders import encoder_name
from emojudge.pipeline.engine_plan import EnginePlan, make_executor
from emojudge.pipeline.judging import Judging
from emojudge.pipeline.responses import Responses
from emojudge.pipeline.study import Study

_ENCODER_THREADS = 2


@dataclass(frozen=True)
class EngineModules:
    """Entry points of the child processes; tests of our own logic name scripted ones."""

    worker: str = WORKER_MODULE
    encoder: str = ENCODER_MODULE


class Workspace:
    """A study with its engine. Planned after discover, because capacity depends on the models."""

    def __init__(
        self, study: Study, plan: EnginePlan, modules: EngineModules | None = None
    ) -> None:
        modules = modules or EngineModules()
        self.study = study
        self.plan = plan
        self.responses = Responses(study, make_executor(study, plan, modules.worker))
        self.encoder = Encoder(encoder_name(study.loaded), _ENCODER_THREADS, modules.encoder)
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
