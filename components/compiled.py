"""Inner loops compiled by numba: without the GIL, and kept on disk where there is a folder that can be written."""

from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")

FAST: Final = {"reassoc", "contract", "arcp", "nsz", "afn"}  # a set: numba takes no frozenset
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
        return compiled

    return decorate
