"""What the present data say, computed beside the screens and never in their way."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from emojudge.judges.fidelity import fidelity_of
from emojudge.pipeline.deploying import core_summary
from emojudge.pipeline.results import build_sections
from emojudge.pipeline.study import Study
from emojudge.ranking.agreement import OrderAgreement, order_agreement
from emojudge.ranking.standing import Standing, standing_of
from emojudge.ranking.verdict import Verdict, conclude
from emojudge.sections import Section
from emojudge.view import StudyView

_LOG = logging.getLogger(__name__)
_REST = 9.0
"""A tenth of a core at most, however fast data come: the forecast plays studies on."""
_MOST_REST = 30.0
_MOST_AGREEMENT_REST = 2.0
"""A rater waits no longer for the line that follows a rating."""


@dataclass(frozen=True)
class Insight:
    """Computed from the study's data of one ``version``; what is not computed yet is None.

    ``agreement`` is the AI's with this rater, as of ``view``. ``sections`` may be those of an older
    version, then ``sections_version`` says so.
    """

    version: int
    agreement: OrderAgreement
    view: StudyView
    standing: Standing | None = None
    verdict: Verdict | None = None
    sections: tuple[Section, ...] | None = None
    sections_version: int = -1


class Insights:
    """Keeps the latest insight current; quick figures come first, then the verdict, then sections.

    After each computation there is a rest in proportion to how long it took: a short one before the
    agreement follows again, a longer one before the verdict does. Sections are built only while
    somebody looks at them. All runs in a thread, one computation at a time, so that rating never
    waits for it.
    """

    def __init__(self, study: Study, rater: str) -> None:
        self.latest: Insight | None = None
        self._study = study
        self._rater = rater
        self._task: asyncio.Task[None] | None = None
        self._sections_wanted = False
        self._failed_version = -1
        self._unsubscribe: Callable[[], None] | None = None
        self._agreement_version = -1
        self._agreement_from = 0.0
        self._whole_from = 0.0
        self._news = asyncio.Event()

    @property
    def current(self) -> bool:
        """Whether everything that is wanted was computed from the present data."""
        latest, version = self.latest, self._study.state.status.data_version
        if not self._study.discovered or self._failed_version == version:
            return True
        if latest is None or latest.version != version or self._agreement_version != version:
            return False
        return not self._sections_wanted or latest.sections_version == version

    @property
    def agreement_is_current(self) -> bool:
        """Whether the agreement was computed from the present data, or cannot be."""
        version = self._study.state.status.data_version
        return version in (self._agreement_version, self._failed_version)

    def start(self) -> None:
        """Follow the study's data from now on; needs a running event loop."""
        if self._unsubscribe is None:
            self._unsubscribe = self._study.state.subscribe(lambda status: self.refresh())
        self.refresh()

    def want_sections(self, wanted: bool) -> None:
        """Whether somebody looks at the results; refreshes them at once when that begins."""
        if wanted and not self._sections_wanted:
            self._whole_from = 0.0
        self._sections_wanted = wanted
        self.refresh()

    def refresh(self) -> None:
        """Compute what is not current, unless that is under way."""
        self._news.set()
        if not self.current and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while not self.current:
            version = self._study.state.status.data_version
            self._news.clear()
            try:
                await asyncio.sleep(max(0.0, self._agreement_from - time.monotonic()))
                await self._agree()
                if not await self._rest():
                    await self._compute()
            except Exception as problem:  # noqa: BLE001  # whatever it is, rating must go on
                self._failed_version = version
                _LOG.error("working out the results failed", exc_info=problem)
                self._study.state.report_problem(
                    f"The results could not be worked out ({problem}); pass2_execution.log has "
                    "the details. Ratings are stored all the same."
                )

    async def _agree(self) -> None:
        """What the agreement line shows, of the present data."""
        version = self._study.state.status.data_version
        if version == self._agreement_version or not self._study.discovered:
            return
        began = time.monotonic()
        view = self._study.view()
        agreement = await asyncio.to_thread(quick_insight, view, self._rater)
        self._agreement_version = version
        before = self.latest if self.latest is not None else Insight(-1, agreement, view)
        self._publish(dataclasses.replace(before, agreement=agreement, view=view))
        now = time.monotonic()
        self._agreement_from = now + min(_REST * (now - began), _MOST_AGREEMENT_REST)

    async def _rest(self) -> bool:
        """Wait until the rest may be computed; True when something new came up meanwhile."""
        left = self._whole_from - time.monotonic()
        if left <= 0:
            return False
        try:
            async with asyncio.timeout(left):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def _compute(self) -> None:
        """Verdict, and sections where they are wanted."""
        version = self._study.state.status.data_version
        # A rating that came while the agreement was computed has its own computed first.
        if (
            self._study.discovered
            and self.latest is not None
            and version == self._agreement_version
        ):
            began = time.monotonic()
            view = self._study.view()
            standing, verdict, _ = await asyncio.to_thread(whole_insight, view, sections=False)
            kept = dataclasses.replace(
                self.latest, version=version, standing=standing, verdict=verdict
            )
            self._publish(kept)
            if self._sections_wanted:
                _, _, sections = await asyncio.to_thread(self._with_core, view)
                self._publish(
                    dataclasses.replace(kept, sections=sections, sections_version=version)
                )
            now = time.monotonic()
            self._whole_from = now + min(_REST * (now - began), _MOST_REST)

    def _with_core(self, view: StudyView) -> tuple[Standing, Verdict, tuple[Section, ...]]:
        return whole_insight(dataclasses.replace(view, core=core_summary(self._study.loaded)))

    def _publish(self, insight: Insight) -> None:
        self.latest = insight
        self._study.state.insight_changed()

    async def close(self) -> None:
        """Stop following; a computation under way ends by itself, and nobody waits for it."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def quick_insight(view: StudyView, rater: str) -> OrderAgreement:
    """What the agreement line shows."""
    return order_agreement(view, rater)


def whole_insight(
    view: StudyView, *, sections: bool = True
) -> tuple[Standing, Verdict, tuple[Section, ...]]:
    """The standing, its verdict, and the sections of the results where they are wanted."""
    standing = standing_of(view)
    verdict = conclude(view, standing)
    # The gates ask for it on the screens' thread, and find it computed.
    fidelity_of(view)
    return standing, verdict, tuple(build_sections(view)) if sections else ()
