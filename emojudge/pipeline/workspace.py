"""Everything a process needs to work on a study, opened and closed together."""

from __future__ import annotations

from emojudge.engine.gpu import gpu_present, gpu_warning
from emojudge.engine.modules import EngineModules
from emojudge.errors import EngineError
from emojudge.pipeline.conductor import Conductor
from emojudge.pipeline.engine_plan import EnginePlan, make_executor
from emojudge.pipeline.exams import Exams
from emojudge.pipeline.judge_models import JudgeModels
from emojudge.pipeline.judging import Judging
from emojudge.pipeline.likelihoods import Likelihoods
from emojudge.pipeline.measurements import Measurements
from emojudge.pipeline.responses import Responses
from emojudge.pipeline.study import Study
from emojudge.pipeline.technical import Technical
from emojudge.pipeline.text_models import TextModels
from emojudge.pipeline.voting import Voting


class Workspace:
    """A study with its engine. Planned after discover, because capacity depends on the models."""

    def __init__(
        self, study: Study, plan: EnginePlan, modules: EngineModules | None = None
    ) -> None:
        modules = modules or EngineModules()
        self.study = study
        self.plan = plan
        executor = make_executor(study, plan, modules.worker)
        self.responses = Responses(study, executor)
        self.text_models = TextModels(study, modules.encoder)
        self.judge_models = JudgeModels(study, executor)
        self.judging = Judging(
            study, self.text_models, Likelihoods(study, executor), self.judge_models
        )
        self.exams = Exams(study, self.responses, self.judging.tools)
        self.technical = Technical(study, executor)
        self.measurements = Measurements(
            study,
            self.responses,
            self.judging,
            self.text_models,
            self.technical,
            self.exams,
            Voting(study, self.judging.tools),
        )
        self.conductor = Conductor(study, self.responses, self.judging, self.measurements)

    async def close(self) -> None:
        """Stop all workers."""
        await self.conductor.close()
        await self.responses.close()
        await self.text_models.close()
        await self.judge_models.close()


async def unused_gpu() -> str | None:
    """A sentence when this machine has a GPU that llama.cpp cannot use, else None."""
    try:
        return await gpu_warning(gpu_present())
    except EngineError as problem:
        return str(problem)
