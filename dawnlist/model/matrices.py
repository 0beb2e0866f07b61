"""Matrix files of `scipy.sparse.save_npz`, users by items, for experiments without a lake.

Ids are the numbers of rows and columns, from 0, as text. There are no times, so nothing has an age.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix, load_npz

from dawnlist.arrays import BoolArray, Float64Array
from dawnlist.cuts import Cuts
from dawnlist.model.ids import IdMap
from dawnlist.model.splits import Splits
from dawnlist.model.user_items import UserItems

COMPRESSED_FORMATS: Final = ("csr", "csc", "bsr")
"""Those whose indices scipy does not check when it reads a file."""
MAX_WEIGHT: Final = np.finfo(np.float32).max
"""The highest entry that fits into float32."""
EVENT_TIME: Final = datetime(1970, 1, 2, tzinfo=UTC)
"""The time of all events. It must be later than 1970-01-01, because splits take 0 for never."""


def read_matrix(path: Path) -> csr_matrix:
    """Read the matrix of a file.

    Returns:
        A float32 matrix with sorted rows and no stored zeros. Several entries of one pair are
        added as float64, whatever the type of the file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no sparse matrix, it is empty, or it has an entry or a sum of
            entries that is negative, NaN, or too large for float32.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {str(path)!r}: write one with scipy.sparse.save_npz"
        )
    entries = _load_sparse(path)
    if entries.dtype.kind not in "buif":
        raise ValueError(f"{path} has entries of the type {entries.dtype}: give numbers")
    # In the file's own type, a sum could wrap around: 256 entries of 1 are 0 in uint8.
    pairs = entries.astype(np.float64).tocoo()
    _check_weights(path, pairs.data)
    matrix = csr_matrix(pairs)
    matrix.sum_duplicates()
    _check_weights(path, matrix.data)
    matrix = matrix.astype(np.float32)
    matrix.eliminate_zeros()
    if not matrix.nnz:
        raise ValueError(
            f"{path} is empty: give a matrix with an entry for each user and item that met"
        )
    return matrix


def _check_weights(path: Path, weights: Float64Array) -> None:
    """Raise ValueError unless all weights are numbers from 0 on that fit into float32."""
    is_valid = (weights >= 0) & (weights <= MAX_WEIGHT)  # Both are false for NaN.
    invalid = weights[~is_valid]
    if len(invalid):
        raise ValueError(
            f"{path} has the entry {invalid[0]}: give numbers from 0 on, "
            "such as how often a user came"
        )


def _load_sparse(path: Path) -> Any:
    """Load a two-dimensional matrix whose indices are all within its shape."""
    with path.open("rb") as file:
        try:
            matrix = load_npz(file)
            if matrix.format in COMPRESSED_FORMATS:
                # Compiled loops would read any memory that a wrong index points to.
                matrix.check_format(full_check=True)
        except MemoryError:
            raise
        except Exception:
            # A damaged file may fail in scipy, NumPy, zipfile or zlib, with many types of errors.
            raise ValueError(
                f"{path} is no sparse matrix: write it with scipy.sparse.save_npz"
            ) from None
    if matrix.ndim != 2:
        raise ValueError(f"{path} has {matrix.ndim} dimensions: give two, users by items")
    return matrix


def read_matching_matrix(path: Path, first: tuple[Path, csr_matrix]) -> csr_matrix:
    """Read another file with the same users and items as the first matrix.

    Raises:
        ValueError: The matrix has another shape than the first one, or see `read_matrix`.
    """
    matrix = read_matrix(path)
    first_path, first_matrix = first
    if matrix.shape != first_matrix.shape:
        users, items = matrix.shape
        first_users, first_items = first_matrix.shape
        raise ValueError(
            f"{path} is {users:,} users by {items:,} items and {first_path} {first_users:,} by "
            f"{first_items:,}: give both the same shape, e.g. csr_matrix(..., shape=(users, items))"
        )
    return matrix


def build_user_items(matrix: csr_matrix) -> UserItems:
    """Convert the matrix to the input of a fit. All ages are 0."""
    return UserItems(matrix, np.zeros(matrix.nnz, dtype=np.float32))


def number_ids(count: int) -> IdMap:
    """Create the ids of so many rows or columns: 0, 1, 2, ..."""
    return IdMap(pa.array(np.arange(count)).cast(pa.string()))


def hold_out_pairs(matrix: csr_matrix, seed: int) -> tuple[csr_matrix, csr_matrix]:
    """Hold out one random pair of each user who has two or more.

    Returns:
        The matrix without the drawn pairs, and the matrix of only these pairs.

    Raises:
        ValueError: No user has two pairs.
    """
    counts = np.diff(matrix.indptr)
    if counts.max() < 2:
        raise ValueError("no user has two items, so none can be held out: give --validation")
    offsets = np.random.default_rng(seed).random(len(counts)) * counts
    drawn = matrix.indptr[:-1] + offsets.astype(np.int64)
    is_held_out = np.zeros(matrix.nnz, dtype=bool)
    is_held_out[drawn[counts > 1]] = True
    return _select_entries(matrix, ~is_held_out), _select_entries(matrix, is_held_out)


def build_splits_from_matrices(
    train: csr_matrix, validation: csr_matrix | None = None, holdout: csr_matrix | None = None
) -> Splits:
    """Build splits whose three periods are matrices of one shape, as `read_matrix` returns them.

    All events have the same time. A missing matrix is an empty period.
    """
    empty = csr_matrix(train.shape, dtype=np.float32)
    periods = [
        train,
        empty if validation is None else validation,
        empty if holdout is None else holdout,
    ]
    # Each period sets one bit of a pair, so that the sum says which periods have the pair.
    marks = sum(_fill_entries(matrix, 1 << period) for period, matrix in enumerate(periods))
    weight = np.zeros((3, marks.nnz), dtype=np.float32)
    last = np.zeros((3, marks.nnz), dtype=np.int64)
    for period, matrix in enumerate(periods):
        has_pair = (marks.data >> period & 1).astype(bool)
        weight[period, has_pair] = matrix.data
        last[period, has_pair] = int(EVENT_TIME.timestamp() * 1_000_000)
    users, items = train.shape
    return Splits(
        user_ids=number_ids(users),
        item_ids=number_ids(items),
        user_index=np.repeat(np.arange(users, dtype=np.int32), np.diff(marks.indptr)),
        item_index=marks.indices.astype(np.int32),
        weight=weight,
        last=last,
        cuts=Cuts(EVENT_TIME, EVENT_TIME, EVENT_TIME),
        about={"incumbent": None},
    )


def _select_entries(matrix: csr_matrix, mask: BoolArray) -> csr_matrix:
    """Copy the matrix with only those entries that the mask selects."""
    selected = csr_matrix(
        (matrix.data * mask, matrix.indices, matrix.indptr), shape=matrix.shape, copy=True
    )
    selected.eliminate_zeros()  # This works in place, hence the copy.
    return selected


def _fill_entries(matrix: csr_matrix, value: int) -> csr_matrix:
    """Copy the matrix with each stored entry replaced by a value."""
    values = np.full(matrix.nnz, value, dtype=np.int8)
    return csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape)
