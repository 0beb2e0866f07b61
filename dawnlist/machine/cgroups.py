"""Read a container's limits from the files of its control group, in version 1 or 2 of cgroups."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CGROUP_ROOT: Final = Path("/sys/fs/cgroup")
_CPU_FILES: Final = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
"""The files with quota and period of each version, both in microseconds."""


@dataclass(frozen=True)
class MemoryFiles:
    """The files of one version of cgroups, relative to the root."""

    limit: str
    usage: str
    statistics: str
    reclaimable: str
    """The name of the statistic that counts cached pages of files, which can be dropped."""


_MEMORY_FILES: Final = (
    MemoryFiles("memory.max", "memory.current", "memory.stat", "inactive_file"),
    MemoryFiles(
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)


def read_cpu_limit(root: Path = CGROUP_ROOT) -> float:
    """Read the limit of CPU in cores; infinity without a limit."""
    for names in _CPU_FILES:
        try:
            quota, period = " ".join((root / name).read_text() for name in names).split()
        except (OSError, ValueError):
            continue
        if quota.isdigit():  # "max" or -1 means that there is no limit.
            return int(quota) / int(period)
    return math.inf


def read_memory_limits(root: Path = CGROUP_ROOT) -> list[int]:
    """Read the limits of memory in bytes, from each version of cgroups that has one."""
    limits = [_read_memory_limit(root, files) for files in _MEMORY_FILES]
    return [limit for limit in limits if limit is not None]


def read_free_memory(root: Path = CGROUP_ROOT) -> list[int]:
    """Read how many bytes are left below each limit of memory.

    Cached pages of files can be dropped, so they count as free.
    """
    free_bytes = []
    for files in _MEMORY_FILES:
        limit = _read_memory_limit(root, files)
        if limit is None:
            continue
        try:
            usage = int((root / files.usage).read_text())
            lines = (root / files.statistics).read_text().splitlines()
        except OSError:
            continue
        statistics = dict(line.split() for line in lines)
        free_bytes.append(limit - usage + int(statistics.get(files.reclaimable, 0)))
    return free_bytes


def _read_memory_limit(root: Path, files: MemoryFiles) -> int | None:
    try:
        text = (root / files.limit).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # "max" means that there is no limit.
