"""Rate: where people spend hours. Blind; every key is on disk before it is shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from emojudge.actions import PAIRS, RATE, SCORES, actions_of, shown_key
from emojudge.domain import Draft, Item, Preference
from emojudge.errors import EmojudgeError
from emojudge.pipeline.desk import Desk
from emojudge.pipeline.rating import LETTERS, RaterSession
from emojudge.pipeline.reveal import Lockstep
from emojudge.preferences import PREFERENCES, PersonalSettings, next_choice
from emojudge.ranking.verdict import ahead_line
from emojudge.screens.base import StudyScreen
from emojudge.screens.bindings import bindings_of
from emojudge.screens.dialogs import LineDialog, ReasonDialog
from emojudge.screens.nothing_to_rate import why_nothing
from emojudge.screens.pane_looks import looks_of
from emojudge.screens.rating_dialogs import flag_reason, item_comment, pane_comment, skip_reason
from emojudge.text import visible
from emojudge.widgets.agreement_line import AgreementLine
from emojudge.widgets.pane_row import PaneRow
from emojudge.widgets.prompt_box import PromptBox
from emojudge.widgets.top_line import progress_bar

_CALL_MODES = {
    action.call.partition("(")[0]: action.mode for action in actions_of(RATE) if action.mode
}
_SPEED = next(one for one in PREFERENCES if one.field == "reveal_words_per_second")
_WITHOUT_ITEM = {"rate.to_pairs", "rate.to_scores", "rate.undo"}
_BREAK_SECONDS = 15
_WIDE = 100


class RateScreen(StudyScreen):
    """Prompt, two to four panes, agreement. Scores, or quick votes on pairs."""

    SCOPE = RATE
    BINDINGS = bindings_of(RATE)

    def __init__(self, desk: Desk, keymap: Mapping[str, str], personal: PersonalSettings) -> None:
        super().__init__(desk, keymap)
        self._personal = personal
        self._lockstep = Lockstep(personal.now.reveal_words_per_second)
        self._item: Item | None = None
        self._looked_at_version = -1
        self._opening = 0
        self._told: str | None = None
        self._read: set[str] = set()

    def body(self) -> Iterable[Widget]:
        """Prompt, panes, agreement; or a sentence when there is nothing to rate."""
        self._prompt = PromptBox(shown_key("rate.prompt", self._keymap))
        arrows = (shown_key(f"rate.{side}", self._keymap) for side in ("left", "right"))
        self._row = PaneRow("".join(arrows))
        self._empty = Static("", id="empty", markup=False)
        self._agreement = AgreementLine()
        return [Vertical(self._prompt, self._row, self._empty), self._agreement]

    def on_mount(self) -> None:
        """Start painting, at one rate whatever the models do."""
        super().on_mount()
        self._painter = self.set_interval(1 / self._personal.now.paints_per_second, self._tick)
        self._paints = self._personal.now.paints_per_second

    def on_screen_resume(self) -> None:
        """Look again for an item: what was in the way may be gone."""
        self._looked_at_version = -1
        self._touch()
        settings = self._personal.now
        self._lockstep.speed = settings.reveal_words_per_second
        if settings.paints_per_second != self._paints:
            self._painter.stop()
            self._painter = self.set_interval(1 / settings.paints_per_second, self._tick)
            self._paints = settings.paints_per_second
        super().on_screen_resume()

    def on_screen_suspend(self) -> None:
        """Time on another screen is not time at the item; time in a dialog is."""
        if self.desk.session is not None and isinstance(self.app.screen, StudyScreen):
            self.desk.session.attention.leave()

    def repaint(self) -> None:
        """Top line and agreement; the panes are painted by the timer."""
        session = self.desk.session
        if session is None or not self.desk.study.discovered:
            self.top.parts = (("study", self.desk.study.config.name), ("rater", self.desk.rater))
            return
        done = session.done
        what = "pairs " if session.pairwise else ""
        # In a narrow terminal what is ahead is worth more than the study's name.
        wide = self.size.width >= _WIDE
        self.top.parts = (
            *((("study", self.desk.study.config.name),) if wide else ()),
            ("rater", self.desk.rater),
            ("", f"{what}{done}/{session.total} {progress_bar(done, session.total)}"),
        )
        latest = self.desk.insights.latest
        own = [one for one in session.rated() if one.skipped is None]
        self._agreement.shown_items = len(own)
        if latest is not None:
            self._agreement.agreement = latest.agreement
            again = sum(one.repeat_of is not None for one in own)
            if latest.agreement.share is not None:
                self._agreement.shown_items = latest.agreement.items + again
            ahead = ahead_line(latest.standing) if latest.standing is not None else ""
            if ahead and not session.pairwise:
                self.top.parts += (("", ahead),)

    # Painting

    def _tick(self) -> None:
        # A dialog on top counts as current too; the item under it must stay as it is.
        if self.app.screen is self:
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
        self._tell_of_trouble()
        if not self._lockstep.complete:
            self._reveal()

    def _reveal(self) -> None:
        states = self.desk.panes()
        problem = next((state.problem for state in states if state.problem), None)
        if problem is not None:
            # Why would name a candidate: that stands on Candidates, not here.
            self.notify("This item is left out: a response could not be made.", markup=False)
            self._item = None
            self.desk.drop_item(problem)
            return
        texts = self._lockstep.shown([state.text for state in states], time.monotonic())
        self._agreement.waiting = not any(texts) and not self._lockstep.complete
        with self.app.batch_update():
            self._row.set_texts(texts)
        if self._lockstep.complete and self._item is not None:
            self._read.add(self._item.id)
            self._show_scores()

    def _tell_of_trouble(self) -> None:
        trouble = self.desk.study.state.status.problem
        if trouble != self._told:
            self._told = trouble
            told = "something went wrong; the Candidates screen says what"
            self._agreement.note = told if trouble else ""

    @property
    def all_shown(self) -> bool:
        """Whether every word there will be is on the screen, or there is no item."""
        return self._item is None or self._lockstep.complete

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
        session = self.desk.session
        if item is None or session is None:
            self._say_empty(why_nothing(self.desk, self._keymap))
            return
        self._item = item
        self._looked_at_version = -1
        self._lockstep.restart()
        if item.id in self._read:
            # Nobody waits twice for words that were read before.
            self._lockstep.skip()
        self._empty.display = False
        self._prompt.display = self._row.display = True
        self._prompt.show(session.prompt)
        self._row.begin(LETTERS[: len(item.panes)])
        self._show_scores()
        self.repaint()
        self._suggest_break(session)

    def _suggest_break(self, session: RaterSession) -> None:
        minutes = session.attention.break_due(self._personal.now.break_minutes)
        if minutes is not None:
            self.notify(
                f"You have rated for {minutes} minutes. A short break keeps scores steady; "
                "everything is stored.",
                timeout=_BREAK_SECONDS,
                markup=False,
            )

    def _say_empty(self, text: str) -> None:
        self._empty.update(Content.styled(visible(text), "$quiet"))
        self._empty.display = True
        self._prompt.display = self._row.display = False
        self._agreement.waiting = False
        self._show_keys()
        self.repaint()

    def _show_scores(self) -> None:
        """Scores, focus and marks of every pane, and the keys that do something now."""
        session = self.desk.session
        draft = session.draft if session is not None else None
        if session is not None and draft is not None and self._item is not None:
            texts = [pane.body.text for pane in self._row.panes]
            whole = self._lockstep.complete
            self._row.show(looks_of(session, texts, whole), draft.pane)
            self._prompt.comment = draft.comment
        self._show_keys()

    # Keys

    @property
    def mode(self) -> str:
        """Scores, or votes on pairs."""
        session = self.desk.session
        return PAIRS if session is not None and session.pairwise else SCORES

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Actions of the other mode do nothing, so that both may share keys."""
        if _CALL_MODES.get(action, self.mode) != self.mode:
            return False
        return super().check_action(action, parameters)

    def _show_keys(self) -> None:
        without = set()
        if self._item is None:
            without = {one.id for one in actions_of(RATE)} - _WITHOUT_ITEM
        elif self._lockstep.complete:
            without = {"rate.reveal", "rate.reveal_pair"}
        else:
            without = {"rate.submit"}
        if self.desk.session is None or not self.desk.session.equals:
            without.add("rate.ahead")
        self.keys.mode = self.mode
        self.keys.without = frozenset(without)

    def _with_item(self, work: Callable[[RaterSession], object]) -> None:
        """Do something to the item in hand, and show it; what is wrong stands in the note."""
        session = self.desk.session
        self._agreement.note = ""
        if self._item is None or session is None:
            return
        try:
            work(session)
        except EmojudgeError as problem:
            self._agreement.note = str(problem)
        self._show_scores()

    def action_score(self, value: int) -> None:
        """Score the focused criterion."""
        self._with_item(lambda session: session.score(value))

    def action_pane(self, step: int) -> None:
        """The focus to another pane."""
        self._with_item(lambda session: session.move(panes=step))

    def action_criterion(self, step: int) -> None:
        """The focus to another criterion."""
        self._with_item(lambda session: session.move(criteria=step))

    def action_put_ahead(self) -> None:
        """Of equal totals, the focused one is better."""
        self._with_item(lambda session: session.put_ahead())

    def action_undo(self) -> None:
        """Take back the last step, through this session's items."""
        session = self.desk.session
        if session is None:
            return
        try:
            self._agreement.note = session.undo()
        except EmojudgeError as problem:
            self._agreement.note = str(problem)
        if session.item is not None and session.item != self._item:
            self._go_on()
        self._show_scores()

    def _settle(self, what: str, work: Callable[[RaterSession], object]) -> bool:
        """Store the item in hand and go on; nothing is stored of what nobody has read."""
        session = self.desk.session
        self._agreement.note = ""
        if self._item is None or session is None:
            return False
        if not self.all_shown:
            why = "a response is still being written"
            if self._lockstep.written:
                key = "rate.reveal_pair" if session.pairwise else "rate.reveal"
                why = f"not all text is shown yet ({shown_key(key, self._keymap)} shows it)"
            self._agreement.note = f"not {what}: {why}"
            return False
        try:
            work(session)
        except EmojudgeError as problem:
            self._agreement.note = f"not {what}: {problem}"
            self._show_scores()
            return False
        return True

    def _go_on(self) -> None:
        self._item = None
        self._looked_at_version = -1
        self.guarded(self._paint)

    def action_submit(self) -> None:
        """Store the item and go on."""
        if self._settle("submitted", lambda session: session.submit()):
            self._agreement.note = self.desk.what_the_ai_said(self._item)
            self._go_on()

    def action_vote(self, preferred: str) -> None:
        """Store the vote and go on."""
        if self._settle("stored", lambda session: session.vote(Preference(preferred))):
            self._go_on()

    def action_to_pairs(self) -> None:
        """From scores to quick votes on pairs."""
        self._switch_mode()

    def action_to_scores(self) -> None:
        """From votes on pairs back to scores."""
        self._switch_mode()

    def _switch_mode(self) -> None:
        session = self.desk.session
        if session is not None and self.guarded(session.switch_mode):
            self._agreement.note = (
                "votes on pairs: they rank candidates by themselves, beside the verdict"
                if session.pairwise
                else ""
            )
            self._go_on()

    def action_reveal(self) -> None:
        """Show at once what is there."""
        self._lockstep.skip()
        self._touch()

    def action_show_all(self) -> None:
        """Show at once what is there; the pairs' key for it."""
        self.action_reveal()

    def action_reveal_speed(self, step: int) -> None:
        """Words appear faster or more slowly from now on, in all panes."""
        speed = next_choice(_SPEED, self._personal.now.reveal_words_per_second, step)
        self.guarded(lambda: self._personal.change(_SPEED.field, speed))
        self._lockstep.speed = self._personal.now.reveal_words_per_second
        self._touch()
        self._agreement.note = f"{speed:g} words per second"

    def action_open_prompt(self) -> None:
        """More room for a long prompt."""
        self._prompt.toggle_room()
        self._touch()

    def action_scroll_text(self, pages: int) -> None:
        """Scroll all panes together, or the prompt while it is open."""
        if self._prompt.is_open:
            self._prompt.scroll_rows(pages)
        else:
            self._row.scroll_all(pages)
        self._touch()

    def action_scroll_own(self, lines: int) -> None:
        """Scroll the focused pane alone."""
        self._row.scroll_focused(lines)
        self._touch()

    def _touch(self) -> None:
        """A key that changes nothing of the item is a sign of life, and ends what was said."""
        self._agreement.note = ""
        if self.desk.session is not None:
            self.desk.session.attention.touch()

    def action_comment(self) -> None:
        """A comment on the focused pane."""
        self._ask(pane_comment, lambda session, text: session.comment(text))

    def action_comment_item(self) -> None:
        """A comment on the whole item."""
        self._ask(item_comment, lambda session, text: session.comment_item(text))

    def action_flag(self) -> None:
        """Flag the focused response."""
        self._ask(flag_reason, lambda session, reason: session.flag(reason))

    def _ask(
        self,
        dialog_for: Callable[[Draft], LineDialog | ReasonDialog],
        use: Callable[[RaterSession, str], object],
    ) -> None:
        """Ask about the item in hand and change it by the answer; escape leaves it as it was."""
        session = self.desk.session
        if self._item is None or session is None or session.draft is None:
            return

        def answered(text: str | None) -> None:
            if text is not None:
                self._with_item(lambda session: use(session, text))

        self.app.push_screen(dialog_for(session.draft), answered)

    def action_skip(self) -> None:
        """Leave the item, with a reason."""
        if self._item is not None and self.desk.session is not None:
            self.app.push_screen(skip_reason(), self._skip)

    def _skip(self, reason: str | None) -> None:
        session = self.desk.session
        if reason is None:
            return
        if not reason:
            self._agreement.note = "not skipped: a reason is needed"
        elif session is not None and self.guarded(lambda: session.skip(reason)):
            self._go_on()
            self._agreement.note = f"skipped: {reason}"
