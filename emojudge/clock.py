"""The present: one place to ask, so that tests can answer."""

from __future__ import annotations

import datetime


def now() -> datetime.datetime:
    """The present, with the local time zone."""
    return datetime.datetime.now().astimezone()


def stamp() -> str:
    """The present as it is stored: ISO 8601 to the second, with the zone's offset."""
    return now().isoformat(timespec="seconds")


def file_stamp() -> str:
    """The present as it stands in file names: ``YYYYMMDD_HHMMSS``."""
    return f"{now():%Y%m%d_%H%M%S}"
