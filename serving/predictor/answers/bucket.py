"""One user's record in a bucket of the store, in microseconds: for twenty numbers, plain Python is faster than NumPy.

dawnlist/store/user_buckets.py has the layout, and reads the same with NumPy.
"""

from struct import Struct

import numpy as np

from dawnlist.arrays import Float32Array
from dawnlist.store.layout import VersionMeta
from dawnlist.store.user_buckets import build_version_dtype

CHECKSUM_BYTES = 4


class UserRecords:
    """Of one version."""

    def __init__(self, meta: VersionMeta) -> None:
        kind = build_version_dtype(meta)
        self._size, self._width = kind.itemsize, int(meta["id_width"])
        at = {name: field[1] for name, field in (kind.fields or {}).items()}
        self._head, self._n, self._items, self._scores = (
            Struct("<Bff"),
            at["n"],
            at["items"],
            at["scores"],
        )
        self._scale, self._vector = at["scale"], at["vector"]
        self._k, self._factors = int(meta["k"]), int(meta["factors"])

    def find(self, value: bytes, fingerprint: bytes) -> int:
        """Where the user's record begins in a bucket's value, -1 for a user who is not there."""
        at = value.find(fingerprint, CHECKSUM_BYTES)
        while at >= 0 and (at - CHECKSUM_BYTES) % self._size:
            at = value.find(fingerprint, at + 1)
        return at

    def read_list(self, value: bytes, at: int) -> tuple[list[int], list[float]]:
        """Item indices of the list, best first, and their scores."""
        n, high, low = self._head.unpack_from(value, at + self._n)
        first, width = at + self._items, self._width
        ids = value[first : first + n * width]
        if width == 2:
            items = memoryview(ids).cast("H").tolist()
        elif width == 4:
            items = memoryview(ids).cast("I").tolist()
        else:
            wide = bytearray(4 * n)
            wide[::4], wide[1::4], wide[2::4] = ids[::3], ids[1::3], ids[2::3]
            items = memoryview(wide).cast("I").tolist()
        step = (high - low) / 255
        first = at + self._scores
        return items, [low + step * level for level in value[first : first + n]]

    def vector(self, value: bytes, at: int) -> Float32Array:
        """The user's vector, shape (f,)."""
        scale = np.frombuffer(value, "<f4", 1, at + self._scale)[0]
        levels = np.frombuffer(value, np.int8, self._factors, at + self._vector).astype(np.float32)
        return np.asarray(scale / np.float32(127) * levels)
