"""What the present data say, computed beside the screens and never in their way."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

from emojudge.pipeline.deploying import core_summary
from emojudge.pipeline.results import build_sections
from emojudge.pipeline.study import Study
from emojudge.ranking.agreement import OrderAgreement, order_agreement
from emojudge.ranking.standing import Standing, standing_of
from emojudge.ranking.verdict import Verdict, conclude
from emojudge.sections import Section
from emojudge.view import StudyView

_REST = 2.0
_MOST_REST = 5.0


@dataclass(frozen=True)
class Insight:
    """Computed from the study's data of one ``version``; what is not computed yet is None.

    ``agreement`` is the AI's with this rater.
    """

    version: int
    agreement: OrderAgreement
    standing: Standing | None = None
    verdict: Verdict | None = None
    sections: tuple[Section, ...] | None = None


class Insights:
    """Keeps the latest insight current; quick figures come first, then the verdict, then sections.

    Sections are built only once somebody looked at them. A computation runs in a thread, one at a
    time, with a rest after each in proportion to its length, so that rating never waits for it.
    """

    def __init__(self, study: Study, rater: str) -> None:
        self.latest: Insight | None = None
        self._study = study
        self._rater = rater
        self._task: asyncio.Task[None] | None = None
        self._sections_wanted = False
        self._unsubscribe: Callable[[], None] | None = None

    @property
    def current(self) -> bool:
        """Whether everything that is wanted was computed from the present data."""
        latest, version = self.latest, self._study.state.status.data_version
        if not self._study.discovered:
            return True
        if latest is None or latest.version != version or latest.standing is None:
            return False
        return latest.sections is not None or not self._sections_wanted

    def start(self) -> None:
        """Follow the study's data from now on; needs a running event loop."""
        if self._unsubscribe is None:
            self._unsubscribe = self._study.state.subscribe(lambda status: self.refresh())
        self.refresh()

    def want_sections(self) -> None:
        """Somebody looks at the results."""
        self._sections_wanted = True
        self.refresh()

    def refresh(self) -> None:
        """Compute what is not current, unless that is under way."""
        if not self.current and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while not self.current:
            began = time.monotonic()
            version, view = self._study.state.status.data_version, self._study.view()
            agreement = await asyncio.to_thread(order_agreement, view, self._rater)
            before = self.latest
            kept = before if before is not None else Insight(version, agreement)
            self._publish(dataclasses.replace(kept, agreement=agreement))
            standing, verdict = await asyncio.to_thread(_stand, view)
            kept = dataclasses.replace(
                kept, version=version, agreement=agreement, standing=standing, verdict=verdict
            )
            self._publish(kept)
            if self._sections_wanted:
                sections = await asyncio.to_thread(self._sections, view)
                self._publish(dataclasses.replace(kept, sections=sections))
            if not self.current:
                await asyncio.sleep(min(_REST * (time.monotonic() - began), _MOST_REST))

    def _sections(self, view: StudyView) -> tuple[Section, ...]:
        with_core = dataclasses.replace(view, core=core_summary(self._study.loaded))
        return tuple(build_sections(with_core))

    def _publish(self, insight: Insight) -> None:
        self.latest = insight
        self._study.state.insight_changed()

    async def close(self) -> None:
        """Stop; a computation in its thread is waited for."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def _stand(view: StudyView) -> tuple[Standing, Verdict]:
    standing = standing_of(view)
    return standing, conclude(view, standing)
