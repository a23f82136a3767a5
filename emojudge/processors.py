"""How many threads of this process can run at once."""

from __future__ import annotations


def usable_cores() -> int:
    """Cores less what affinity and a container's quota take away, 1 or more.

    More threads than that would wait for each other. ``LOKY_MAX_CPU_COUNT`` lowers it, too.
    """
    # Only long work asks, and the library takes a quarter of a second to import.
    import joblib

    return int(joblib.cpu_count())
