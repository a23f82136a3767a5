"""A stored study of planted truth: real logs, so that what reads them can be timed."""

from __future__ import annotations

from pathlib import Path

from emojudge.config import Config, GenerationConfig
from emojudge.config_file import LoadedConfig
from emojudge.domain import Judgement, RatedItem, Response
from emojudge.judges.judge import judgement_of
from emojudge.judges.likeness import CROSS, SELF
from emojudge.pipeline.study import Study
from emojudge.store.tables import DISCOVERY, JUDGEMENTS, RATED, RESPONSES, Discovery
from emojudge.view import StudyView

_SELF = 0.5


def store_planted_study(folder: Path, view: StudyView) -> LoadedConfig:
    """Write a view's candidates, responses, judgements and ratings as a study of its own.

    The baseline gets as many samples as a study asks of it; likeness figures are chosen so that
    they give the view's AI scores. Returns its config, which is not written.
    """
    samples = max(response.sample for response in view.responses) + 1
    config = Config(name=view.config.name, generation=GenerationConfig(samples_per_prompt=samples))
    loaded = LoadedConfig(config, folder / "phase2_config.json")
    study = Study(loaded)
    try:
        leader = study.lead()
        leader.put(
            DISCOVERY, [Discovery(candidates=view.candidates, unusable=(), prompts=view.prompts)]
        )
        ids = {
            (candidate.sha256, prompt.id, cell.sample): cell.id
            for candidate in view.candidates
            for prompt in view.prompts
            for cell in study.cells(candidate, prompt)
        }
        known = {(one.candidate, one.prompt_id, one.sample): one for one in view.responses}
        leader.put(
            RESPONSES,
            [
                _response(known, candidate, prompt, sample, ids[candidate, prompt, sample])
                for candidate, prompt, sample in ids
            ],
        )
        leader.put(JUDGEMENTS, _judgements(study, view, known))
        rated = [_item(item, ids) for item in view.rated]
        for rater in sorted({item.rater for item in rated}):
            writer = study.store.rater_writer(rater)
            writer.put(RATED, [item for item in rated if item.rater == rater])
            writer.close()
    finally:
        study.close()
    return loaded


def _response(
    known: dict[tuple[str, str, int], Response],
    candidate: str,
    prompt: str,
    sample: int,
    response_id: str,
) -> Response:
    """The view's response under its stored id; the baseline's further samples repeat others."""
    like = known.get((candidate, prompt, sample)) or known[candidate, prompt, 0]
    return like.model_copy(update={"id": response_id, "sample": sample})


def _judgements(
    study: Study, view: StudyView, known: dict[tuple[str, str, int], Response]
) -> list[Judgement]:
    judgements = []
    for prompt in view.prompts:
        group = study.group(prompt)
        judge = study.model_judge.similarity
        for judgement_id, response in zip(judge.ids(group), group.all, strict=True):
            like = known.get((response.candidate, prompt.id, response.sample))
            score = view.ai_scores[like.id] if like is not None else 1.0
            # The score is 1 + (cross − self) / self.
            figures = {CROSS: score * _SELF, SELF: _SELF}
            judgements.append(judgement_of(judge.name, judgement_id, response, figures))
    return judgements


def _item(item: RatedItem, ids: dict[tuple[str, str, int], str]) -> RatedItem:
    ratings = tuple(
        one.model_copy(update={"response_id": ids[one.candidate, item.prompt_id, item.sample]})
        for one in item.ratings
    )
    return item.model_copy(update={"ratings": ratings})
