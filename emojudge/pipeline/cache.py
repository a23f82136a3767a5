"""``emojudge cache``: what a study has stored, and removing what nothing refers to."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emojudge.pipeline.study import Study
from emojudge.pipeline.technical import old_references, references_bytes
from emojudge.store.tables import EXAMS, FAILURES, ITEMS, JUDGEMENTS, RATED, RESPONSES
from emojudge.store.vectors import VectorCache
from emojudge.text import counted, human_bytes, without_thinking


@dataclass(frozen=True)
class Removed:
    """What pruning took away; ``freed`` bytes of disk."""

    responses: int
    failures: int
    references: int
    freed: int

    def __str__(self) -> str:
        return (
            f"removed {counted(self.responses, 'response')}, "
            f"{counted(self.failures, 'old failure')} and "
            f"{counted(self.references, 'old set')} of predictions: {human_bytes(self.freed)}"
        )


@dataclass(frozen=True)
class CacheContents:
    """Responses and judgements, and which of them the present config does not refer to.

    ``kept`` are unreferred responses that stay, because somebody or something judged them.
    ``computed`` bytes of embeddings and predictions could be computed again; ``old_references``
    are predictions on replies that are not the present ones.
    """

    responses: int
    judgements: int
    disk: int
    unreferred: tuple[str, ...]
    kept: int
    failures: tuple[str, ...]
    computed: int
    old_references: tuple[Path, ...]
    removed: Removed | None = None

    @property
    def prunable(self) -> bool:
        """Whether pruning would remove anything."""
        return bool(self.unreferred or self.failures or self.old_references)

    def as_json(self) -> dict[str, Any]:
        """The form of ``--json``."""
        return {
            "responses": self.responses,
            "judgements": self.judgements,
            "bytes": self.disk,
            "prunable_responses": len(self.unreferred),
            "kept_because_judged_or_rated": self.kept,
            "prunable_failures": len(self.failures),
            "computed_bytes": self.computed,
            "prunable_references": len(self.old_references),
            "removed": None if self.removed is None else dataclasses.asdict(self.removed),
        }

    def lines(self) -> list[str]:
        """The form for people."""
        prunable = counted(len(self.unreferred), "response")
        done = [] if self.removed is None else [str(self.removed)]
        return [
            *done,
            f"{counted(self.responses, 'response')} and {counted(self.judgements, 'judgement')} "
            f"stored, {human_bytes(self.disk)} on disk",
            f"{human_bytes(self.computed)} of embeddings and predictions, computed once and kept",
            f"{prunable} that nothing refers to, {counted(len(self.failures), 'old failure')}, "
            f"{counted(len(self.old_references), 'old set')} of predictions"
            + (": `emojudge cache --prune` removes them" if self.prunable else ""),
            f"{counted(self.kept, 'response')} of earlier settings kept, because judged or rated",
        ]


def store_has_exams(study: Study) -> bool:
    """Whether anybody has sat an exam: its texts may be about other prompts than the study's."""
    return bool(study.store.all(EXAMS))


def cache_contents(study: Study) -> CacheContents:
    """What is stored. Raises StoreError before the first discover."""
    wanted = {cell.id for cell in study.wanted_cells()}
    if store_has_exams(study):
        wanted |= {
            cell.id
            for prompt in study.ensemble.exam_prompts
            for cell in study.ensemble.exam_cells(prompt)
        }
    store = study.store
    judgements = store.all(JUDGEMENTS)
    used = {one.response_id for one in judgements}
    used |= {rating.response_id for item in store.all(RATED) for rating in item.ratings}
    used |= {response for item in store.all(ITEMS) for response in item.responses}
    stored = {one.id for one in store.all(RESPONSES)}
    left_over = stored - wanted
    return CacheContents(
        responses=len(stored),
        judgements=len(judgements),
        disk=sum(file.stat().st_size for file in store.log_files() if file.exists()),
        unreferred=tuple(sorted(left_over - used)),
        kept=len(left_over & used),
        failures=tuple(sorted({one.id for one in store.all(FAILURES)} - wanted)),
        computed=VectorCache(store.folder).bytes + references_bytes(study),
        old_references=tuple(old_references(study)),
    )


def prune(study: Study) -> CacheContents:
    """Remove what nothing refers to, and return what is there then.

    A judged, rated or shown response is never removed. Raises LockHeld while another process
    leads, because it may be about to refer to what is removed.
    """
    writer = study.lead()
    contents = cache_contents(study)
    if contents.unreferred:
        writer.remove(RESPONSES, list(contents.unreferred))
    if contents.failures:
        writer.remove(FAILURES, list(contents.failures))
    if contents.unreferred or contents.failures:
        writer.compact(RESPONSES)
    for folder in contents.old_references:
        shutil.rmtree(folder)
    texts = (without_thinking(one.text) for one in study.store.all(RESPONSES))
    VectorCache(study.store.folder).keep_only(study.text_models.vector_keys, texts)
    study.forget_discovery()
    study.changed()
    after = cache_contents(study)
    before = contents.disk + contents.computed
    removed = Removed(
        len(contents.unreferred),
        len(contents.failures),
        len(contents.old_references),
        max(0, before - after.disk - after.computed),
    )
    return dataclasses.replace(after, removed=removed)
