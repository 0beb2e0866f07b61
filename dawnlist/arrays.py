"""Types of arrays by their numbers, and the tuples of arrays that several packages pass on."""

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]

Float64Array = npt.NDArray[np.float64]

Int64Array = npt.NDArray[np.int64]

BoolArray = npt.NDArray[np.bool_]

RankedLists = tuple[Int64Array, Float32Array]

UInt8Array = npt.NDArray[np.uint8]

PopularItems = tuple[npt.NDArray[np.uint32], Float32Array]
"""Item indices, best first, and their scores."""
