"""The cores that this process may use, each with a thread: NumPy, BLAS and compiled loops let go of the GIL."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


def count() -> int:
    """How many; where the system can't say which are ours, as on macOS, all of the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    """A thread a core; BLAS, which would start its own on top, computes in the thread that calls it."""
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(count()) as pool:
        yield pool
