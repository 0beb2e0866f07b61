"""Compile inner loops with numba, without the GIL, and cached on disk where that is possible."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")

FASTMATH_FLAGS: Final = {"reassoc", "contract", "arcp", "nsz", "afn"}  # numba takes no frozenset.
"""Flags for `fastmath` that allow sums in any order. Unlike True they keep NaN and infinities."""
KERNEL_OPTIONS: Final = {"fastmath": FASTMATH_FLAGS, "error_model": "numpy"}
"""Options of kernels whose sums may be rounded in any order."""


def jit(**options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate with numba.njit(nogil=True, cache=True, **options), and keep the function's type.

    numba looks for a cache folder when it decorates: __pycache__ next to the file, then the user's
    own cache. It raises RuntimeError when neither is writable, as in a container with a read-only
    root. The function is then compiled without a cache.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        try:
            compiled: Callable[P, R] = numba.njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:
            compiled = numba.njit(nogil=True, **options)(function)
        _name_by_key(compiled)
        return compiled

    return decorate


def _name_by_key(compiled: object) -> None:
    """Make a function's cache name its files by signature and machine, not by the next number.

    numba reads the index, takes the next number and writes, without a lock. Two processes that
    compile two signatures at the same time may both take 1, and a later process would then call the
    code for floats on integers. With names by key, the worst case is that one entry is missing and
    is compiled again.
    """
    files: Any = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    pattern: Any = getattr(files, "_data_name_pattern", None)
    if pattern is None:  # There is no cache, or this version of numba has another kind of it.
        return
    save = files.save

    def save_by_key(key: object, data: object) -> None:
        digest = sha256(repr(key).encode()).hexdigest()[:16]
        files._data_name_pattern = pattern.replace("{", f"{digest}.{{")
        save(key, data)

    files.save = save_by_key
