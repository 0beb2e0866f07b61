"""Vectors as small integers, 8 bits for items and 16 for users, with bounds of their errors."""

from typing import Any, Final, NamedTuple

import numpy as np

from dawnlist.machine.numba_jit import KERNEL_OPTIONS, jit
from dawnlist.ranking.entries import FLOAT32_ROUNDING

MAX_PRODUCT_SUM: Final = 1 << 30
"""Upper bound of a sum of products of codes, which must fit into 32 bits."""


class ItemArrays(NamedTuple):
    """The arrays of a QuantisedIndex. (NamedTuples are what numba can pass between functions.)"""

    vectors: Any
    bias: Any
    codes: Any
    scale: Any
    length: Any
    error: Any


class UserArrays(NamedTuple):
    """The users' vectors, exact and quantised to 16 bits."""

    vectors: Any
    codes: Any
    scale: Any
    length: Any
    error: Any


@jit(**KERNEL_OPTIONS)
def quantise_items(vectors: Any, codes: Any, scale: Any, length: Any, error: Any) -> None:
    """Fill the arrays of a QuantisedIndex from its vectors."""
    width = vectors.shape[1]
    for item in range(len(vectors)):
        highest = np.float32(0)
        for t in range(width):
            highest = max(highest, abs(vectors[item, t]))
        unit = highest / np.float32(127) if highest > 0 else np.float32(1)
        coded_square = 0.0
        error_square = 0.0
        for t in range(width):
            code = np.rint(vectors[item, t] / unit)
            codes[item, t] = np.int8(code)
            coded_square += (code * unit) ** 2
            error_square += (vectors[item, t] - code * unit) ** 2
        rounding = FLOAT32_ROUNDING * width * np.sqrt(coded_square + error_square)
        scale[item] = unit
        length[item] = np.sqrt(coded_square)
        error[item] = np.sqrt(error_square) * 1.001 + rounding


@jit(**KERNEL_OPTIONS)
def _quantise_user(users: UserArrays, row: int) -> None:
    """Fill a user's codes, scale, length and rounding error from the vector."""
    vector = users.vectors[row]
    limit = min(32767.0, np.floor(MAX_PRODUCT_SUM / (127.0 * max(1, len(vector)))))
    highest = 0.0
    for t in range(len(vector)):
        highest = max(highest, abs(vector[t]))
    unit = highest / limit if highest > 0 else 1.0
    square = 0.0
    error_square = 0.0
    for t in range(len(vector)):
        code = np.rint(vector[t] / unit)
        users.codes[row, t] = np.int16(code)
        square += vector[t] * vector[t]
        error_square += (vector[t] - code * unit) ** 2
    users.scale[row] = np.float32(unit)
    users.length[row] = np.float32(np.sqrt(square) * 1.001)
    users.error[row] = np.float32(np.sqrt(error_square) * 1.001)


@jit(**KERNEL_OPTIONS)
def quantise_users(vectors: Any) -> UserArrays:
    """Quantise the users' vectors, shape (users, width)."""
    count = len(vectors)
    users = UserArrays(
        vectors,
        np.empty(vectors.shape, np.int16),
        np.empty(count, np.float32),
        np.empty(count, np.float32),
        np.empty(count, np.float32),
    )
    for row in range(count):
        _quantise_user(users, row)
    return users
