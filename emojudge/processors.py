"""How many threads of this process can run at once."""

from __future__ import annotations

from emojudge.errors import UsageError


def usable_cores() -> int:
    """Cores less what affinity and a container's quota take away, 1 or more.

    A quota of a part of a core counts as one. ``LOKY_MAX_CPU_COUNT`` lowers it, too. Raises
    UsageError when that is no number.
    """
    # Only long work asks, and the library takes a quarter of a second to import. joblib's own
    # count is 1 where it cannot start processes, which nobody here asks it to.
    from joblib.externals.loky import cpu_count

    try:
        return int(cpu_count())
    except ValueError as problem:
        raise UsageError(f"LOKY_MAX_CPU_COUNT is not a number: {problem}. Unset it.") from problem
