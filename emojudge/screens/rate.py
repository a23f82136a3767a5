"""Rate: where people spend hours. Blind; every key is on disk before it is shown."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Resize
from textual.widget import Widget
from textual.widgets import Static

from emojudge.actions import RATE, shown_key
from emojudge.domain import Item
from emojudge.errors import EmojudgeError
from emojudge.pipeline.desk import Desk
from emojudge.pipeline.reveal import Lockstep
from emojudge.ranking.verdict import ahead_line
from emojudge.screens.base import StudyScreen
from emojudge.screens.bindings import bindings_of
from emojudge.screens.dialogs import LineDialog
from emojudge.settings import Settings
from emojudge.widgets.agreement_line import AgreementLine
from emojudge.widgets.prompt_box import PromptBox
from emojudge.widgets.response_pane import ResponsePane
from emojudge.widgets.top_line import progress_bar

_NARROWEST_PANE = 26
_LETTERS = "ABCD"


class RateScreen(StudyScreen):
    """Two to four panes side by side; a narrow terminal pages through them, dropping none."""

    SCOPE = RATE
    BINDINGS = bindings_of(RATE)

    def __init__(self, desk: Desk, keymap: Mapping[str, str], settings: Settings) -> None:
        super().__init__(desk, keymap)
        self._paint_seconds = 1 / settings.paints_per_second
        self._lockstep = Lockstep(settings.reveal_words_per_second)
        self._panes: list[ResponsePane] = []
        self._item: Item | None = None
        self._looked_at_version = -1
        self._opening = 0
        self._told: str | None = None

    def body(self) -> Iterable[Widget]:
        """Prompt, panes, agreement; or a sentence when there is nothing to rate."""
        self._prompt = PromptBox()
        self._row = Horizontal(id="panes")
        self._pages = Static("", id="pages", markup=False)
        self._empty = Static("", id="empty", markup=False)
        self._agreement = AgreementLine()
        return [Vertical(self._prompt, self._pages, self._row, self._empty), self._agreement]

    def on_mount(self) -> None:
        """Start painting, at one rate whatever the models do."""
        super().on_mount()
        self.set_interval(self._paint_seconds, self._tick)

    def on_screen_resume(self) -> None:
        """Look again for an item: what was in the way may be gone."""
        self._looked_at_version = -1
        super().on_screen_resume()

    def repaint(self) -> None:
        """Top line and agreement; the panes are painted by the timer."""
        session = self.desk.session
        if session is None or not self.desk.study.discovered:
            self.top.parts = (("study", self.desk.study.config.name), ("rater", self.desk.rater))
            return
        done = len(session.rated())
        self.top.parts = (
            ("study", self.desk.study.config.name),
            ("rater", self.desk.rater),
            ("", f"{done}/{session.total} {progress_bar(done, session.total)}"),
        )
        latest = self.desk.insights.latest
        if latest is not None:
            self._agreement.agreement = latest.agreement
            again = sum(one.repeat_of is not None for one in session.rated())
            self._agreement.shown_items = latest.agreement.items + again
            ahead = ahead_line(latest.standing) if latest.standing is not None else ""
            if ahead:
                self.top.parts += (("", ahead),)

    # Painting

    def _tick(self) -> None:
        # A dialog on top counts as current too; the item under it must stay as it is.
        if self.app.screen is not self:
            return
        self.guarded(self._paint)

    def _paint(self) -> None:
        if not self.desk.openings:
            self._say_empty("opening the study…")
            return
        if self._opening != self.desk.openings:
            # A new engine knows nothing of the item in hand: its responses are asked for again.
            self._opening, self._item, self._looked_at_version = self.desk.openings, None, -1
        if self._item is None:
            self._begin_item()
        if self._item is None:
            return
        states = self.desk.panes()
        problem = next((state.problem for state in states if state.problem), None)
        if problem is not None:
            # Why would name a candidate: that stands on Candidates, not here.
            self.notify("This item is left out: a response could not be made.", markup=False)
            self._item = None
            self.desk.drop_item(problem)
            return
        trouble = self.desk.study.state.status.problem
        if trouble != self._told:
            self._told = trouble
            told = "something went wrong; the Candidates screen says what"
            self._agreement.note = told if trouble else ""
        texts = self._lockstep.shown([state.text for state in states], time.monotonic())
        self._agreement.waiting = not any(texts)
        with self.app.batch_update():
            for pane, text in zip(self._panes, texts, strict=False):
                pane.body.set_text(text)

    @property
    def all_shown(self) -> bool:
        """Whether every word there will be is on the screen, or there is no item."""
        panes = [state.text for state in self.desk.panes()]
        return self._item is None or self._lockstep.complete(panes)

    def _begin_item(self) -> None:
        version = self.desk.study.state.status.data_version
        if version == self._looked_at_version:
            return
        self._looked_at_version = version
        try:
            item = self.desk.take_item()
        except EmojudgeError as problem:
            self._say_empty(str(problem))
            return
        if item is None:
            self._say_empty(self._why_nothing())
            return
        self._item = item
        self._looked_at_version = -1
        self._lockstep.restart()
        self._empty.display = False
        self._prompt.display = self._row.display = True
        assert self.desk.session is not None
        self._prompt.show(self.desk.session.prompt)
        self._make_panes(len(item.panes))
        self.repaint()

    def _make_panes(self, count: int) -> None:
        if len(self._panes) != count:
            for pane in self._panes:
                pane.remove()
            self._panes = [ResponsePane(letter) for letter in _LETTERS[:count]]
            self._row.mount_all(self._panes)
        for pane in self._panes:
            pane.body.set_text("")
            pane.body.scroll_home(animate=False)
        self._show_scores()

    def _why_nothing(self) -> str:
        session = self.desk.session
        if session is not None and session.upcoming_prompts():
            failures = self.desk.study.view().failures
            if self.desk.study.leader is not None and failures:
                candidates = shown_key("app.candidates", self._keymap)
                return (
                    "Fewer than two candidates could answer what is left, so there is nothing to "
                    f"compare. {candidates} tells why."
                )
            return (
                "No responses are stored for the next item yet. The process that leads this "
                f"study is making them ({self.desk.study.not_leading_because or 'starting'})"
            )
        results = shown_key("app.results", self._keymap)
        return f"You have rated every prompt of this study. {results} shows the results."

    def _say_empty(self, text: str) -> None:
        self._empty.update(Content.styled(text, "$quiet"))
        self._empty.display = True
        self._prompt.display = self._row.display = self._pages.display = False
        self.repaint()

    def _show_scores(self) -> None:
        """Scores, focus, and in a narrow terminal the page that holds the focus."""
        draft = self.desk.session.draft if self.desk.session else None
        if draft is None:
            return
        for index, (pane, scores) in enumerate(zip(self._panes, draft.panes, strict=True)):
            pane.show(scores, draft.criterion if index == draft.pane else None)
        self._show_page(draft.pane)

    def _show_page(self, focused: int) -> None:
        count = len(self._panes)
        fitting = max(1, self.size.width // _NARROWEST_PANE)
        pages = -(-count // fitting)
        per_page = -(-count // pages)
        first = focused // per_page * per_page
        shown = range(first, min(first + per_page, count))
        for index, pane in enumerate(self._panes):
            pane.display = index in shown
        self._pages.display = pages > 1
        if pages > 1:
            draft = self.desk.session.draft if self.desk.session else None
            marks = []
            for index, pane in enumerate(self._panes):
                complete = draft is not None and draft.panes[index].complete
                mark = f"{pane.letter}{'✓' if complete else ' '}"
                marks.append(
                    (
                        f"[{mark}]" if index in shown else f" {mark} ",
                        "bold" if index in shown else "$quiet",
                    )
                )
            self._pages.update(Content.assemble(*marks, ("  ←→ turns the page", "$quiet")))

    def on_resize(self, event: Resize) -> None:
        """Another width may need another page."""
        self._show_scores()

    # Keys

    def _ready(self) -> bool:
        self._agreement.note = ""
        return self._item is not None and self.desk.session is not None

    def action_score(self, value: int) -> None:
        """Score the focused criterion."""
        session = self.desk.session
        if self._ready() and session is not None and self.guarded(lambda: session.score(value)):
            self._show_scores()

    def action_move(self, panes: int, criteria: int) -> None:
        """Move the focus."""
        session = self.desk.session
        if self._ready() and session is not None:
            self.guarded(lambda: session.move(panes, criteria))
            self._show_scores()

    def action_undo(self) -> None:
        """Take back the last score or comment."""
        session = self.desk.session
        if self._ready() and session is not None:
            self.guarded(self._undo)
            self._show_scores()

    def _undo(self) -> None:
        if self.desk.session is not None and not self.desk.session.undo():
            self._agreement.note = "nothing to take back in this item"

    def action_submit(self) -> None:
        """Store the item and go on."""
        session = self.desk.session
        if not self._ready() or session is None:
            return
        if not self.all_shown:
            self._agreement.note = "not submitted: not all text is shown yet (space shows it)"
            return
        try:
            session.submit()
        except EmojudgeError as problem:
            self._agreement.note = f"not submitted: {problem}"
            self._show_scores()
            return
        self._agreement.note = self.desk.what_the_ai_said(self._item)
        self._item = None
        self.guarded(self._paint)

    def action_reveal(self) -> None:
        """Show at once what is there."""
        self._lockstep.skip()

    def action_open_prompt(self) -> None:
        """More room for a long prompt."""
        self._prompt.toggle_room()

    def action_scroll_text(self, pages: int) -> None:
        """Scroll all panes together."""
        for pane in self._panes:
            if not pane.display:
                continue
            height = max(1, pane.body.size.height - 1)
            pane.body.scroll_relative(y=pages * height, animate=False)

    def action_comment(self) -> None:
        """A comment on the focused pane."""
        session = self.desk.session
        if not self._ready() or session is None or session.draft is None:
            return
        pane = session.draft.pane
        title = f"comment on {_LETTERS[pane]}"

        def keep(text: str | None) -> None:
            if text is not None:
                self.guarded(lambda: session.comment(text))
                self._show_scores()

        self.app.push_screen(LineDialog(title, session.draft.panes[pane].comment), keep)

    def action_skip(self) -> None:
        """Leave the item, with a reason."""
        session = self.desk.session
        if not self._ready() or session is None:
            return

        def skip(reason: str | None) -> None:
            if reason == "":
                self._agreement.note = "not skipped: a reason is needed"
            elif reason is not None and self.guarded(lambda: session.skip(reason)):
                self._item = None
                self._agreement.note = f"skipped: {reason}"

        self.app.push_screen(LineDialog("skip this item", placeholder="why"), skip)
