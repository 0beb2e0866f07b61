"""Inner loops compiled by numba: without the GIL, and kept on disk where there is a folder that can be written."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")

FASTMATH_FLAGS: Final = {
    "reassoc",
    "contract",
    "arcp",
    "nsz",
    "afn",
}  # a set: numba takes no frozenset
"""For `fastmath`: sums in any order. Unlike True it lets NaN and infinities be what they are."""


def jit(**options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """numba.njit(nogil=True, cache=True, **options), typed; without cache where none can be written.

    numba looks for a folder when it decorates: __pycache__ next to the file, then the user's own cache, and raises
    RuntimeError when it may write neither, as in a container of a read-only root.
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
    """Let a function's cache name its files by signature and machine, not by the next number.

    numba reads the index, takes a number and writes, without a lock: of two processes that compile two signatures at
    once both may take 1, and a later one would call the code for floats on integers. By key, the worst is that an entry
    is missing, and compiled again.
    """
    files: Any = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    pattern: Any = getattr(files, "_data_name_pattern", None)
    if pattern is None:  # nothing is kept, or by a numba that does it in another way
        return
    save = files.save

    def save_by_key(key: object, data: object) -> None:
        files._data_name_pattern = pattern.replace(
            "{", f"{sha256(repr(key).encode()).hexdigest()[:16]}.{{"
        )
        save(key, data)

    files.save = save_by_key


KERNEL_OPTIONS: Final = {"fastmath": FASTMATH_FLAGS, "error_model": "numpy"}
