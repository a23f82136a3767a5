"""Rating line by line, for screen readers and dumb terminals: the same items, the same data.

Nothing is redrawn and nothing moves: whatever is said is a new line. All responses are printed
when all are there, so that no wait tells one from another.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import threading
from collections.abc import AsyncIterator, Callable
from typing import TextIO

from rich.console import Console
from rich.text import Text

from emojudge.domain import SPEAKERS, Item, Preference
from emojudge.errors import EmojudgeError
from emojudge.pipeline import drafts
from emojudge.pipeline.desk import Desk
from emojudge.pipeline.rating import LETTERS, RaterSession
from emojudge.pipeline.reasons import FLAG_REASONS, SKIP_REASONS, reason_of
from emojudge.ranking.agreement_text import agreement_parts
from emojudge.ranking.verdict import ahead_line
from emojudge.text import visible, visible_line

_MARK = "| "
_NARROWEST = 20
_POLL_SECONDS = 0.1
_AGREEMENT_SECONDS = 10.0
_HELP = """\
4 3 5 4       scores for what comes next, here four; the line after says what is next
b 4354        the scores of B
(empty line)  submits the item, once everything is scored
c b TEXT      a comment on B; i TEXT comments on the item as a whole
f b REASON    flags B: {flags}, or your own words
+ b           of equal totals, B is better; again takes it back
s REASON      skips the item: {skips}, or your own words
u             takes back the last step, through this session's items
r, r b        reads everything again, or B
v             votes on pairs of responses, or scores again
[  ]  =       in votes: the left one (A) is better, the right one (B), neither
t             how far you are, and the scores so far
q             leaves; nothing is lost""".format(
    flags=", ".join(f"{number} {one}" for number, one in enumerate(FLAG_REASONS, 1)),
    skips=", ".join(f"{number} {one}" for number, one in enumerate(SKIP_REASONS, 1)),
)
_VOTES = {"[": Preference.LEFT, "]": Preference.RIGHT, "=": Preference.TIE}

Say = Callable[[str], object]


def _quoted(text: str, columns: int | None) -> str:
    """Behind a mark on every line, so that no text looks like what emojudge says.

    ``columns`` are the terminal's, where lines break between words; None breaks none.
    """
    lines = text.split("\n")
    if columns is not None:
        width = max(_NARROWEST, columns - len(_MARK))
        console = Console(width=width, file=io.StringIO())
        lines = [part.plain.rstrip() for line in lines for part in Text(line).wrap(console, width)]
    return "\n".join(f"{_MARK}{line}" for line in lines)


def _no_terminal() -> int | None:
    """Lines of any length, as a pipe takes them."""
    return None


class WrongLine(EmojudgeError):
    """A line that means nothing here; the message says what would."""


async def lines_of(stream: TextIO) -> AsyncIterator[str]:
    """Lines without their ends, from a terminal, a pipe or a file; a waiting read stops nobody."""
    loop = asyncio.get_running_loop()
    read: asyncio.Queue[str | None] = asyncio.Queue()

    def pump() -> None:
        # The loop may be closed by then: nobody waits for the line any more.
        with contextlib.suppress(RuntimeError):
            try:
                for line in stream:
                    loop.call_soon_threadsafe(read.put_nowait, line.rstrip("\r\n"))
            finally:
                loop.call_soon_threadsafe(read.put_nowait, None)

    threading.Thread(target=pump, name="stdin", daemon=True).start()
    while (line := await read.get()) is not None:
        yield line


class PlainRating:
    """One rater's session as lines in and lines out."""

    def __init__(
        self,
        desk: Desk,
        say: Say,
        break_minutes: int = 0,
        columns: Callable[[], int | None] = _no_terminal,
    ) -> None:
        """``break_minutes`` as in the settings, ``columns`` of the terminal that is written to."""
        self._desk = desk
        self._break_minutes = break_minutes
        self._say = say
        self._columns = columns
        self._item: Item | None = None

    async def run(self, lines: AsyncIterator[str]) -> None:
        """Rate until the lines end or the rater leaves. Raises EmojudgeError."""
        follower: asyncio.Task[None] | None = None
        try:
            await self._desk.begin()
            follower = asyncio.create_task(self._follow())
            session = self._desk.open_session()
            self._say(
                f"study {visible_line(self._desk.study.config.name)}, rater {self._desk.rater}; "
                "? tells what can be said"
            )
            await self._next(session)
            async for line in lines:
                if line.strip() in ("q", "quit"):
                    break
                await self._take(session, line.strip())
            self._say("left; the open item comes back as it is")
        finally:
            if follower is not None:
                follower.cancel()
            await self._desk.close()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            await self._desk.follow()

    # Items

    async def _next(self, session: RaterSession) -> None:
        """Take the next item and say it once all of it is there."""
        self._item = None
        waited = False
        while True:
            item = self._desk.take_item()
            if item is None:
                return self._say_nothing_left(session)
            states = self._desk.panes()
            problem = next((one.problem for one in states if one.problem), None)
            if problem is not None:
                self._say("an item is left out: a response could not be made")
                self._desk.drop_item(problem)
            elif all(one.text.finished for one in states):
                self._item = item
                minutes = session.attention.break_due(self._break_minutes)
                if minutes is not None:
                    self._say(f"you have rated for {minutes} minutes; a break keeps scores steady")
                return self._read(session, item)
            elif not waited:
                waited = True
                self._say("the responses are on their way")
            await asyncio.sleep(_POLL_SECONDS)

    def _say_nothing_left(self, session: RaterSession) -> None:
        if session.upcoming_prompts():
            self._say("nothing is there to rate yet; an empty line looks again")
        else:
            self._say("everything is rated; v changes between scores and votes on pairs")

    def _read(self, session: RaterSession, item: Item, only: int | None = None) -> None:
        if only is None:
            what = "pair" if session.pairwise else "item"
            self._say("")
            self._say(
                f"{what} {session.done + 1} of {session.total}: "
                f"{visible_line(session.prompt.category)}"
            )
            several = len(session.prompt.messages) > 1
            for turn in session.prompt.messages:
                who = f"{SPEAKERS[turn.role]}: " if several else ""
                self._say(_quoted(f"{who}{visible(turn.content)}", self._columns()))
        for index, state in enumerate(self._desk.panes()):
            if only in (None, index):
                self._say("")
                self._say(f"{LETTERS[index]}:")
                self._say(_quoted(state.text.text.strip() or "(no text)", self._columns()))
                names = session.named_in(item.responses[index])
                if names:
                    self._say(f"({LETTERS[index]} names {visible_line(', '.join(names))})")
        self._say("")
        if session.draft is not None and any(pane.scores for pane in session.draft.panes):
            self._say(self._given(session))
        self._say(self._where(session))

    def _where(self, session: RaterSession) -> str:
        """What comes next."""
        draft = session.draft
        if draft is None or self._item is None:
            return "an empty line looks for the next item"
        if session.pairwise:
            return "which is better: [ for A, ] for B, = for neither"
        gap = drafts.first_gap(draft)
        if gap is None:
            return "everything is scored; an empty line submits"
        pane, criterion = draft.pane, drafts.CRITERIA[draft.criterion]
        return f"next: {LETTERS[pane]} {criterion.label}, 1 to 5"

    # Lines

    async def _take(self, session: RaterSession, line: str) -> None:
        if self._item is None and line not in ("u", "v", "t", "?"):
            await self._next(session)
            return
        word, _, rest = line.partition(" ")
        goes_on = False
        try:
            if word == "u":
                self._say(session.undo())
                goes_on = session.item != self._item
            else:
                goes_on = await self._leave(session, word, rest)
                if not goes_on:
                    self._act(session, word, rest.strip())
        except EmojudgeError as problem:
            self._say(f"no: {visible(str(problem))}")
        if goes_on:
            await self._next(session)
        else:
            self._say(self._where(session))

    async def _leave(self, session: RaterSession, word: str, rest: str) -> bool:
        """What ends an item, or leaves it open for another mode; whether it was said."""
        if not word:
            await self._submit(session)
        elif word in _VOTES:
            self._vote(session, _VOTES[word])
        elif word == "s":
            skipped = session.skip(reason_of(rest, SKIP_REASONS))
            self._say(f"skipped: {visible(skipped.skipped or '')}")
        elif word == "v":
            session.switch_mode()
        else:
            return False
        return True

    def _act(self, session: RaterSession, word: str, rest: str) -> None:
        """What neither leaves the item nor needs time."""
        first, _, after = rest.partition(" ")
        pane = self._pane(first)
        if word == "?":
            self._say(_HELP)
        elif word == "t":
            self._tell_progress(session)
        elif word == "r" and self._item is not None:
            self._read(session, self._item, pane)
        elif word == "i":
            session.comment_item(rest)
            self._say("comment on the item kept" if rest else "no comment on the item any more")
        elif word in ("c", "f", "+") and not (word == "c" and rest[:1].isdecimal()):
            if pane is None:
                raise WrongLine(f"say which response: {word} b …")
            self._of_pane(session, word, pane, after.strip())
        else:
            self._score(session, word, rest)

    def _of_pane(self, session: RaterSession, word: str, pane: int, said: str) -> None:
        """What is said of one response; the next digits go on where they were."""
        assert session.draft is not None
        before = session.draft.pane, session.draft.criterion
        letter = LETTERS[pane]
        self._focus(session, pane)
        try:
            if word == "c":
                session.comment(said)
                self._say(f"comment on {letter} kept" if said else f"no comment on {letter}")
            elif word == "f":
                reason = reason_of(said, FLAG_REASONS)
                session.flag(reason)
                self._say(
                    f"{letter} is flagged: {visible(reason)}" if reason else f"no flag on {letter}"
                )
            else:
                session.put_ahead()
                self._say(f"order kept: {self._order(session)}")
        finally:
            session.move(before[0] - session.draft.pane, before[1] - session.draft.criterion)

    def _given(self, session: RaterSession) -> str:
        """The scores so far, a mark for each that is missing."""
        assert session.draft is not None
        rows = []
        for letter, own in zip(LETTERS, session.draft.panes, strict=False):
            digits = "".join(str(own.scores.get(one, "·")) for one in drafts.CRITERIA)
            rows.append(f"{letter} {digits}")
        return "scores: " + ", ".join(rows)

    def _score(self, session: RaterSession, word: str, rest: str) -> None:
        if session.pairwise:
            raise WrongLine("this is a vote: [ for A, ] for B, = for neither; ? tells the rest")
        pane = self._pane(word)
        digits = re.sub(r"[\s,]", "", rest if pane is not None else f"{word}{rest}")
        if digits.isdecimal() and not set(digits) <= set("12345"):
            raise WrongLine("scores go from 1 to 5")
        if not digits or not set(digits) <= set("12345"):
            raise WrongLine("that means nothing here; ? tells what can be said")
        if pane is not None:
            self._focus(session, pane)
        assert session.draft is not None
        start = session.draft.pane * len(drafts.CRITERIA) + session.draft.criterion
        room = len(session.draft.panes) * len(drafts.CRITERIA) - start
        if len(digits) > room:
            raise WrongLine(f"that is {len(digits)} scores, and there is room for {room}")
        for digit in digits:
            session.score(int(digit))
        if drafts.first_gap(session.draft) is None:
            equal = self._equal_totals(session)
            if equal:
                self._say(f"equal totals: {equal}; + and a letter says which is better")

    @staticmethod
    def _order(session: RaterSession) -> str:
        assert session.draft is not None
        return ", then ".join(LETTERS[pane] for pane in session.draft.ahead) or "none"

    @staticmethod
    def _equal_totals(session: RaterSession) -> str:
        assert session.draft is not None
        groups = {
            frozenset({pane, *others})
            for pane in range(len(session.draft.panes))
            if (others := session.equals_of(pane))
        }
        return ", ".join(sorted("=".join(LETTERS[one] for one in sorted(own)) for own in groups))

    @staticmethod
    def _focus(session: RaterSession, pane: int) -> None:
        assert session.draft is not None
        if pane >= len(session.draft.panes):
            raise WrongLine(f"there is no response {LETTERS[pane]} in this item")
        session.move(pane - session.draft.pane, -len(drafts.CRITERIA))

    @staticmethod
    def _pane(word: str) -> int | None:
        """The pane that a letter names."""
        letter = word.upper()
        return LETTERS.index(letter) if len(letter) == 1 and letter in LETTERS else None

    async def _submit(self, session: RaterSession) -> None:
        if session.pairwise:
            raise WrongLine("this is a vote: [ for A, ] for B, = for neither")
        item = self._item
        session.submit()
        self._say("stored")
        said = self._desk.what_the_ai_said(item)
        if said:
            self._say(said)
        await self._tell_agreement(session)

    def _vote(self, session: RaterSession, preferred: Preference) -> None:
        if not session.pairwise:
            raise WrongLine("this item takes scores; v changes to votes on pairs")
        session.vote(preferred)
        self._say("stored")

    def _tell_progress(self, session: RaterSession) -> None:
        self._say(f"{session.done} of {session.total} are done")
        if self._item is not None and session.draft is not None and not session.pairwise:
            self._say(self._given(session))
        latest = self._desk.insights.latest
        ahead = ahead_line(latest.standing) if latest is not None and latest.standing else ""
        if ahead:
            self._say(ahead)

    async def _tell_agreement(self, session: RaterSession) -> None:
        """The line that the screen keeps at its bottom, once it is worked out."""
        for _ in range(int(_AGREEMENT_SECONDS / _POLL_SECONDS)):
            if self._desk.insights.agreement_is_current:
                break
            await asyncio.sleep(_POLL_SECONDS)
        latest = self._desk.insights.latest
        if latest is not None and latest.agreement.share is not None:
            again = sum(one.repeat_of is not None for one in session.rated())
            parts = agreement_parts(latest.agreement, latest.agreement.items + again)
            self._say("".join(text for text, _ in parts))
