"""The cores that this process may use, each with a thread: NumPy, BLAS and compiled loops let go of the GIL."""

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from threadpoolctl import threadpool_limits

_CGROUP_ROOT = Path("/sys/fs/cgroup")


def count_cores(cgroups: Path = _CGROUP_ROOT) -> int:
    """How many: those of the machine that are ours, and no more than the container's limit, which they don't show."""
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return math.ceil(min(ours, _read_cpu_limit(cgroups)))


def _read_cpu_limit(cgroups: Path) -> float:
    """The container's limit of CPU in cores, as either version of control groups has it; inf where there is none."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((cgroups / name).read_text() for name in names).split()
        except (OSError, ValueError):
            continue
        if quota.isdigit():  # max, or -1, is none
            return int(quota) / int(period)
    return math.inf


@contextmanager
def open_thread_pool() -> Iterator[ThreadPoolExecutor]:
    """A thread a core; BLAS, which would start its own on top, computes in the thread that calls it."""
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(count_cores()) as pool:
        yield pool
