"""How many processors this process may use, which a container makes fewer than there are."""

from __future__ import annotations

from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")


def cpu_quota(cgroup: Path = _CGROUP) -> float | None:
    """How many processors' time a container may take, or None without a limit (cgroup v2)."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def cores_in_sight() -> int:
    """Cores that the scheduler may run this process on, whatever their time costs."""
    return len(psutil.Process().cpu_affinity() or [0]) if psutil.LINUX else psutil.cpu_count() or 1


def within_quota(cores: int, quota: float | None) -> int:
    """How many of ``cores`` threads can run at once, 1 or more: the others would wait."""
    return cores if quota is None else max(1, min(cores, int(quota)))


def usable_cores() -> int:
    """How many threads of this process can run at once, 1 or more."""
    return within_quota(cores_in_sight(), cpu_quota())
