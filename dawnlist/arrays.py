"""Names for the types of arrays, and for the tuples of arrays that several packages pass on."""

from typing import Any

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]
"""An array of any element type."""

BoolArray = npt.NDArray[np.bool_]
"""An array of booleans, such as a mask."""

Float32Array = npt.NDArray[np.float32]
"""An array of 32-bit floats, such as factors."""

Float64Array = npt.NDArray[np.float64]
"""An array of 64-bit floats, such as sums and metrics."""

Int8Array = npt.NDArray[np.int8]
"""An array of signed 8-bit integers."""

Int32Array = npt.NDArray[np.int32]
"""An array of signed 32-bit integers, such as the indices of a sparse matrix."""

Int64Array = npt.NDArray[np.int64]
"""An array of signed 64-bit integers, such as row numbers and epoch microseconds."""

UInt8Array = npt.NDArray[np.uint8]
"""An array of unsigned 8-bit integers, such as raw bytes."""

UInt16Array = npt.NDArray[np.uint16]
"""An array of unsigned 16-bit integers."""

UInt32Array = npt.NDArray[np.uint32]
"""An array of unsigned 32-bit integers, such as stored item indices."""

UInt64Array = npt.NDArray[np.uint64]
"""An array of unsigned 64-bit integers, such as hashes."""

FactorPair = tuple[Float32Array, Float32Array]
"""User factors, shape (users, factors), and item factors, shape (items, factors)."""

PopularItems = tuple[UInt32Array, Float32Array]
"""Item indices, best first, and their scores."""

RankedLists = tuple[Int64Array, Float32Array]
"""Item indices of each user's list, shape (users, k), best first, and their scores."""
