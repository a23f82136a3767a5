"""When an app under test has done all that a key asked for, whatever the machine's load.

Textual's pilot takes a process that gets no processor time for one that has nothing to do, so on a
busy machine it returns from ``press`` before a pushed screen has been laid out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from textual._context import active_app
from textual._wait import wait_for_idle
from textual.app import App
from textual.message_pump import MessagePump

_QUIET_LOOKS = 3
_LIMIT_SECONDS = 20.0


async def settle(min_sleep: float = 0.0, max_sleep: float = 1.0) -> None:
    """Wait until every queue of the active app's screens is empty and the top one is laid out.

    Takes the place of Textual's ``wait_for_idle``, with its arguments in seconds. An app that is
    never quiet (it paints all the time) is left after 20 s, as Textual leaves it after one.
    """
    await wait_for_idle(min_sleep, max_sleep)
    app = active_app.get()
    give_up = time.monotonic() + _LIMIT_SECONDS
    quiet = 0
    while quiet < _QUIET_LOOKS and time.monotonic() < give_up:
        await asyncio.sleep(0)
        quiet = quiet + 1 if _is_settled(app) else 0


def _is_settled(app: App[Any]) -> bool:
    # An app that was left lays nothing out any more.
    if app._exit or not app.screen_stack:
        return True
    screen = app.screen
    return not (
        any(_has_work(pump) for pump in _pumps(app))
        or screen._layout_required
        or screen._recompose_required
        or screen._callbacks
        or screen._compositor.size != app.size
    )


def _pumps(app: App[Any]) -> Iterator[MessagePump]:
    yield app
    for screen in app.screen_stack:
        yield from screen.walk_children(with_self=True)


def _has_work(pump: MessagePump) -> bool:
    """Whether it still comes up or has messages waiting; one that closes will answer none."""
    if pump._closing or pump._closed:
        return False
    return not pump._is_mounted or not pump._message_queue.empty() or bool(pump._next_callbacks)
