"""How much of the fault tests runs: a seeded sample, or in `make test-deep` all of it."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")

DEEP = bool(os.environ.get("EMOJUDGE_DEEP"))


def sampled_or_all(sampled: T, everything: T) -> T:
    """The first in `make test`, the second in the deep run."""
    return everything if DEEP else sampled
