"""Whether the terminal is still there: not every way of losing it comes with a signal."""

from __future__ import annotations

import select


def terminal_is_gone(descriptor: int) -> bool:
    """Whether the other end of a terminal is closed for good."""
    poll = select.poll()
    poll.register(descriptor, 0)
    gone = select.POLLHUP | select.POLLERR | select.POLLNVAL
    return any(events & gone for _, events in poll.poll(0))
