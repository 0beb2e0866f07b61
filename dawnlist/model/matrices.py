"""Matrix files: users by items as `scipy.sparse.save_npz` writes them, for experiments without a lake.

Ids are the numbers of rows and columns, from 0 on, as text. There are no times: nothing has an age.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix, load_npz

from dawnlist.cuts import Cuts
from dawnlist.model.ids import IdMap
from dawnlist.model.splits import Splits
from dawnlist.model.user_items import UserItems

MATRIX_FORMATS: Final = ("csr", "csc", "coo")
MAX_WEIGHT: Final = np.finfo(np.float32).max
EVENT_TIME: Final = datetime(1970, 1, 2, tzinfo=UTC)
"""When everything happened: any time after 1970 began, since splits take 0 for never."""


def read_matrix(path: Path) -> csr_matrix:
    """The matrix of a file: float32, rows in order, no stored zeros; entries of one pair are added up.

    ValueError for what is no such file, and for entries that are no finite numbers from 0 on; FileNotFoundError.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {str(path)!r}: write one with scipy.sparse.save_npz"
        )
    found = _load_sparse(path)
    if found.dtype.kind not in "buif":
        raise ValueError(f"{path} has entries of the type {found.dtype}: give numbers")
    wrong = found.data[~((found.data >= 0) & (found.data <= MAX_WEIGHT))]  # NaN is neither
    if len(wrong):
        raise ValueError(
            f"{path} has the entry {wrong[0]}: give numbers from 0 on, such as how often a user came"
        )
    matrix = csr_matrix(found).astype(np.float32)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    if not matrix.nnz:
        raise ValueError(
            f"{path} is empty: give a matrix with an entry for each user and item that met"
        )
    return matrix


def _load_sparse(path: Path) -> Any:
    """What scipy makes of it, of two dimensions, every index within them."""
    with path.open("rb") as file:
        try:
            found = load_npz(file)
            if found.format in MATRIX_FORMATS[:2]:
                found.check_format(
                    full_check=True
                )  # compiled loops would follow a wrong index anywhere
        except MemoryError:
            raise
        except (
            Exception
        ):  # a file that is none, or was cut off, fails in scipy, NumPy, zipfile or zlib
            raise ValueError(
                f"{path} is no sparse matrix: write it with scipy.sparse.save_npz"
            ) from None
    if found.format not in MATRIX_FORMATS or found.ndim != 2:
        raise ValueError(
            f"{path} is a {found.format} of {found.ndim} dimensions: give one of {', '.join(MATRIX_FORMATS)}, users by items"
        )
    return found


def read_matching_matrix(path: Path, first: tuple[Path, csr_matrix]) -> csr_matrix:
    """The matrix of another file of the same users and items; ValueError when it has another shape."""
    found, (name, matrix) = read_matrix(path), first
    if found.shape != matrix.shape:
        users, items = found.shape
        raise ValueError(
            f"{path} is {users:,} users by {items:,} items and {name} {matrix.shape[0]:,} by {matrix.shape[1]:,}: give "
            "both the same shape, e.g. csr_matrix(..., shape=(users, items))"
        )
    return found


def build_user_items(matrix: csr_matrix) -> UserItems:
    """The matrix as what a fit takes."""
    return UserItems(matrix, np.zeros(matrix.nnz, dtype=np.float32))


def number_ids(count: int) -> IdMap:
    """The ids of so many rows or columns: 0, 1, 2, ..."""
    return IdMap(pa.array(np.arange(count)).cast(pa.string()))


def hold_out_pairs(matrix: csr_matrix, seed: int) -> tuple[csr_matrix, csr_matrix]:
    """The matrix without one random pair of each user who has two or more, and these pairs. ValueError without any."""
    counts = np.diff(matrix.indptr)
    if counts.max() < 2:
        raise ValueError("no user has two items, so none can be held out: give --validation")
    drawn = matrix.indptr[:-1] + (np.random.default_rng(seed).random(len(counts)) * counts).astype(
        np.int64
    )
    mask = np.zeros(matrix.nnz, dtype=bool)
    mask[drawn[counts > 1]] = True
    return _mask_entries(matrix, ~mask), _mask_entries(matrix, mask)


def build_splits_from_matrices(
    train: csr_matrix, validation: csr_matrix | None = None, holdout: csr_matrix | None = None
) -> Splits:
    """Matrices of one shape, as `read` gives them, as the parts of splits; everything happened at one moment."""
    parts = [csr_matrix(train.shape, dtype=np.float32) if part is None else part for part in
             (train, validation, holdout)]  # fmt: skip
    together = sum(_fill_entries(part, 1 << place) for place, part in enumerate(parts))
    weight = np.zeros((3, together.nnz), dtype=np.float32)
    last = np.zeros((3, together.nnz), dtype=np.int64)
    for place, part in enumerate(parts):
        met = (together.data >> place & 1).astype(bool)
        weight[place, met] = part.data
        last[place, met] = int(EVENT_TIME.timestamp() * 1_000_000)
    user = np.repeat(np.arange(train.shape[0], dtype=np.int32), np.diff(together.indptr))
    ids = [number_ids(size) for size in train.shape]
    cuts = Cuts(EVENT_TIME, EVENT_TIME, EVENT_TIME)
    return Splits(
        ids[0],
        ids[1],
        user,
        together.indices.astype(np.int32),
        weight,
        last,
        cuts,
        {"incumbent": None},
    )


def _mask_entries(matrix: csr_matrix, mask: Any) -> csr_matrix:
    found = csr_matrix(
        (matrix.data * mask, matrix.indices, matrix.indptr), shape=matrix.shape, copy=True
    )
    found.eliminate_zeros()  # in place, hence the copy
    return found


def _fill_entries(matrix: csr_matrix, mark: int) -> csr_matrix:
    return csr_matrix(
        (np.full(matrix.nnz, mark, dtype=np.int8), matrix.indices, matrix.indptr),
        shape=matrix.shape,
    )
