"""The cores that this process may use, and a pool with a thread for each of them.

Threads are enough, because NumPy, BLAS and compiled loops release the GIL.
"""

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from threadpoolctl import threadpool_limits

from dawnlist.machine.cgroups import CGROUP_ROOT, read_cpu_limit


def count_cores(cgroups: Path = CGROUP_ROOT) -> int:
    """Count the cores that this process may use.

    These are the machine's cores that the process is bound to, but not more than the container's
    limit allows. A limit of 2.5 cores counts as 3.
    """
    return math.ceil(min(_count_machine_cores(), read_cpu_limit(cgroups)))


def _count_machine_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def open_thread_pool() -> Iterator[ThreadPoolExecutor]:
    """Open a pool with a thread for each core.

    BLAS would start threads of its own on top of these. In the pool it computes in the thread that
    calls it.
    """
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(count_cores()) as pool:
        yield pool
