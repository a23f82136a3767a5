"""The Textual app: screens, keymap, theme, and the background work of a study.

What its screens stand on takes longer to import than a person likes to wait, so the app paints
before it imports them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

from textual.app import SystemCommand
from textual.events import Event, Key
from textual.screen import Screen

from emojudge.actions import ACTIONS, APP, SCREENS, check_keymap, shown_key
from emojudge.errors import EmojudgeError
from emojudge.hang_up import terminal_is_gone
from emojudge.screens.base import StudyScreen
from emojudge.screens.opening import OpeningScreen
from emojudge.screens.patient import PatientDialog
from emojudge.settings import Settings
from emojudge.text import visible
from emojudge.theme import ThemedApp

if TYPE_CHECKING:
    from emojudge.engine.modules import EngineModules
    from emojudge.pipeline.desk import Desk
    from emojudge.pipeline.study import Study
    from emojudge.preferences import Choice, PersonalSettings

_FOLLOW_SECONDS = 1.0
_ENDING_SECONDS = 4.0
_WARNING_SECONDS = 30


class EmojudgeApp(ThemedApp[None]):
    """The workstation on one study.

    ``study`` may be a function that opens it, called in a thread once something is painted;
    :attr:`desk` and :attr:`personal` are there from then on.
    """

    TITLE = "emojudge"
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = True
    desk: Desk
    personal: PersonalSettings

    def __init__(
        self,
        study: Study | Callable[[], Study],
        settings: Settings,
        *,
        rater: str,
        first_screen: str = "candidates",
        start: bool = False,
        modules: EngineModules | None = None,
    ) -> None:
        """``start`` begins the ai-judge phase at once. Raises ConfigError on a bad keymap."""
        super().__init__(settings.theme)
        check_keymap(settings.keymap)
        self._settings = settings
        self._rater = rater
        self._first_screen = first_screen
        self._start = start
        self._modules = modules
        self.is_open = False
        self.study_is_up = False
        self._following = False
        self._ending = False
        self._held_keys: list[Key] = []
        self._given: WeakKeyDictionary[Key, Screen[object] | None] = WeakKeyDictionary()
        self.problem: EmojudgeError | None = None
        self._open_study = study if callable(study) else None
        if not callable(study):
            self._take(study)

    def _take(self, study: Study) -> None:
        from emojudge.pipeline.desk import Desk
        from emojudge.preferences import PersonalSettings

        self.desk = Desk(study, self._rater, self._modules)
        self.personal = PersonalSettings(self._settings)
        self.is_open = True

    def on_mount(self) -> None:
        """Paint, then bring up the screens and the study behind them."""
        self.set_keymap(self._settings.keymap)
        self._end_on_signals(asyncio.get_running_loop())
        if not self.is_headless:
            self.set_interval(_FOLLOW_SECONDS, self._end_without_terminal)
        if self._open_study is None:
            self._bring_up()
        else:
            self.push_screen(OpeningScreen(self._first_screen, self._settings.keymap))
            self.call_after_refresh(self.run_worker, self._open(self._open_study), group="open")

    async def _open(self, open_study: Callable[[], Study]) -> None:
        try:
            study = await asyncio.to_thread(_imported, open_study)
            self._take(study)
        except EmojudgeError as problem:
            self._give_up(problem)
            return
        self._bring_up()
        for warning in study.loaded.warnings:
            self.notify(
                visible(warning), severity="warning", timeout=_WARNING_SECONDS, markup=False
            )

    def _bring_up(self) -> None:
        from emojudge.screens.candidates import CandidatesScreen
        from emojudge.screens.deploy import DeployScreen
        from emojudge.screens.rate import RateScreen
        from emojudge.screens.results import ResultsScreen

        desk, keymap = self.desk, self._settings.keymap
        self.add_mode("candidates", lambda: CandidatesScreen(desk, keymap))
        self.add_mode("rate", lambda: RateScreen(desk, keymap, self.personal))
        self.add_mode("results", lambda: ResultsScreen(desk, keymap))
        self.add_mode("deploy", lambda: DeployScreen(desk, keymap))
        self.switch_mode(self._first_screen)
        self.run_worker(self._begin(), group="begin")
        self.set_interval(_FOLLOW_SECONDS, self._follow)

    def _end_on_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        """A hang-up or a termination ends the app, even when its terminal takes nothing any more.

        The loop may be blocked on a terminal that is gone, so a plain handler starts a watchdog;
        all that was acknowledged is on disk, and workers end with this process.
        """

        def end(number: int, frame: FrameType | None) -> None:
            if self._ending:
                os._exit(1)
            self._start_ending()
            loop.call_soon_threadsafe(self.exit, None, 1)

        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, end)

    def _start_ending(self) -> None:
        self._ending = True
        watchdog = threading.Timer(_ENDING_SECONDS, os._exit, (1,))
        watchdog.daemon = True
        watchdog.start()

    def _end_without_terminal(self) -> None:
        """A session without a controlling terminal gets no signal, and reading would spin."""
        if not self._ending and sys.__stdin__ and terminal_is_gone(sys.__stdin__.fileno()):
            self._start_ending()
            self.exit(return_code=1)

    async def _begin(self) -> None:
        try:
            await self.desk.begin()
        except EmojudgeError as problem:
            self._give_up(problem)
            return
        self.study_is_up = True
        await self.desk.recover_core()
        if self.desk.core_recovery:
            self.notify(
                visible(self.desk.core_recovery),
                severity="warning",
                timeout=_WARNING_SECONDS,
                markup=False,
            )
        if self._start:
            self.start_ai_judge()
        from emojudge.pipeline.workspace import unused_gpu

        warning = await unused_gpu()
        if warning:
            self.notify(warning, severity="warning", timeout=_WARNING_SECONDS, markup=False)

    def _follow(self) -> None:
        """Look at the logs each second; taking the lead discovers, so it runs beside the keys."""
        if self.study_is_up and not self._following:
            self._following = True
            self.run_worker(self._follow_once(), group="follow")

    async def _follow_once(self) -> None:
        try:
            await self.desk.follow()
        except EmojudgeError as problem:
            self._give_up(problem)
        finally:
            self._following = False

    def start_ai_judge(self) -> None:
        """Begin the ai-judge phase, or say why not."""
        try:
            self.desk.start_ai_judge()
        except EmojudgeError as problem:
            self.notify(visible(str(problem)), markup=False)

    def _give_up(self, problem: EmojudgeError) -> None:
        """End the app; the command line prints the problem when the screen is gone."""
        self.problem = problem
        self.exit(return_code=problem.exit_code)

    async def on_unmount(self) -> None:
        """Stop all workers, whatever ended the app."""
        if self.is_open:
            await self.desk.close()

    # Keys

    async def on_event(self, event: Event) -> None:
        """Keys wait while a dialog opens or ends, so that each finds whom it was meant for."""
        if not isinstance(event, Key):
            await super().on_event(event)
        elif event.is_forwarded:
            await self._come_back(event)
        elif self._held_keys or not self._takes_keys():
            self._held_keys.append(event)
        else:
            await self._give_key(event)

    async def _come_back(self, event: Key) -> None:
        """A key that nobody took is looked up among bindings, or is a new dialog's.

        It was given to the screen below while the key before it was about to open the dialog.
        """
        given_to = self._given.pop(event, None)
        if isinstance(self._top(), PatientDialog) and given_to is not self._top():
            self._held_keys.append(Key(event.key, event.character))
            self.replay_keys()
        else:
            await super().on_event(event)

    def _top(self) -> Screen[object] | None:
        return self.screen_stack[-1] if self.screen_stack else None

    def _takes_keys(self) -> bool:
        top = self._top()
        return not isinstance(top, PatientDialog) or top.takes_keys

    async def _give_key(self, event: Key) -> None:
        top = self._top()
        self._given[event] = top
        if isinstance(top, PatientDialog) and event.key == "enter":
            top.takes_keys = False
        await super().on_event(event)

    def replay_keys(self) -> None:
        """Give the keys that waited to whoever has the focus now."""
        self.call_later(self._replay_keys)

    async def _replay_keys(self) -> None:
        while self._held_keys and self._takes_keys():
            await self._give_key(self._held_keys.pop(0))

    # Actions

    def action_help_quit(self) -> None:
        """Ctrl-C copies or breaks elsewhere; here it only says what leaves."""
        self.notify("q leaves; everything you said is stored.", markup=False)

    async def action_quit(self) -> None:
        """Leave; a change of the core is finished first, because nobody would see how it ended."""
        if self.is_open and self.desk.changing_core:
            self.notify("The core is being changed; leave when that is done.", markup=False)
            return
        self.exit()

    def action_show(self, mode: str) -> None:
        """Another screen; not from within a dialog."""
        if isinstance(self.screen, StudyScreen):
            self.switch_mode(mode)

    def action_next_screen(self, step: int) -> None:
        """The screen after or before this one."""
        if isinstance(self.screen, StudyScreen):
            place = (SCREENS.index(self.current_mode) + step) % len(SCREENS)
            self.switch_mode(SCREENS[place])

    def action_help(self) -> None:
        """Every key of this screen."""
        if isinstance(self.screen, StudyScreen) and self.screen.has_room:
            from emojudge.screens.dialogs import HelpScreen

            shown = self.screen
            self.push_screen(HelpScreen(shown.SCOPE, shown.mode, self._settings.keymap))

    def action_settings(self) -> None:
        """What people change while they work."""
        if isinstance(self.screen, StudyScreen) and self.screen.has_room:
            from emojudge.screens.settings import SettingsScreen

            self.push_screen(SettingsScreen(self.personal, self.desk.rater, self._setting_changed))

    def _setting_changed(self, preference: Choice) -> None:
        if preference.field == "theme":
            self.use_theme(self.personal.now.theme)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: the action table's entries for this screen and the app."""
        scope = screen.SCOPE if isinstance(screen, StudyScreen) else APP
        mode = screen.mode if isinstance(screen, StudyScreen) else ""
        for action in ACTIONS:
            if action.scope not in (scope, APP) or action.id == "app.palette":
                continue
            if action.mode not in ("", mode):
                continue
            target = self if action.scope == APP else screen
            # Who reads "undo" in the key line types it here.
            yield SystemCommand(
                f"{action.footer}: {action.tooltip}" if action.footer else action.tooltip,
                f"{action.id} · {shown_key(action.id, self._settings.keymap)}",
                lambda target=target, call=action.call: self.call_later(target.run_action, call),
            )


def _imported(open_study: Callable[[], Study]) -> Study:
    """Open the study, and import what its screens need while nobody waits for a key."""
    study = open_study()
    import emojudge.screens.candidates
    import emojudge.screens.deploy
    import emojudge.screens.rate
    import emojudge.screens.results  # noqa: F401

    return study
