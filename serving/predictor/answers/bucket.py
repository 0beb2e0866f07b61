"""Read one user's record from a bucket of the store, in microseconds.

The layout is documented in dawnlist/store/user_buckets.py, which reads it with NumPy. For the
twenty numbers of one record plain Python is faster.
"""

from collections.abc import Mapping
from struct import Struct
from typing import Any, Final

import numpy as np

from dawnlist.arrays import Float32Array
from dawnlist.serving.predictor.answers.recommendation import ScoredItems
from dawnlist.store.layout import VersionMeta
from dawnlist.store.user_buckets import build_version_dtype

CHECKSUM_BYTES: Final = 4
_LIST_HEADER: Final = Struct("<Bff")
"""A list's length, its highest and its lowest score."""


class UserRecords:
    """Reads the users' records of one version."""

    def __init__(self, meta: VersionMeta) -> None:
        record_dtype = build_version_dtype(meta)
        fields: Mapping[str, Any] = record_dtype.fields or {}
        offsets = {name: field[1] for name, field in fields.items()}
        self._record_size = record_dtype.itemsize
        self._id_width = int(meta["id_width"])
        self._factors = int(meta["factors"])
        self._header_offset = offsets["n"]
        self._ids_offset = offsets["items"]
        self._scores_offset = offsets["scores"]
        self._scale_offset = offsets["scale"]
        self._vector_offset = offsets["vector"]

    def find_offset(self, bucket: bytes, fingerprint: bytes) -> int:
        """Return where the user's record begins in the bucket, or -1 for an unknown user."""
        offset = bucket.find(fingerprint, CHECKSUM_BYTES)
        while offset >= 0 and (offset - CHECKSUM_BYTES) % self._record_size:
            offset = bucket.find(fingerprint, offset + 1)
        return offset

    def read_list(self, bucket: bytes, offset: int) -> ScoredItems:
        """Return the user's stored list: item rows, best first, and their scores."""
        length, highest, lowest = _LIST_HEADER.unpack_from(bucket, offset + self._header_offset)
        id_width = self._id_width
        ids_begin = offset + self._ids_offset
        ids = bucket[ids_begin : ids_begin + length * id_width]
        if id_width == 2:
            items = memoryview(ids).cast("H").tolist()
        elif id_width == 4:
            items = memoryview(ids).cast("I").tolist()
        else:
            items = _unpack_three_byte_ids(ids, length)
        # A score is stored as one of 256 levels between the lowest and the highest.
        step = (highest - lowest) / 255
        scores_begin = offset + self._scores_offset
        levels = bucket[scores_begin : scores_begin + length]
        return items, [lowest + step * level for level in levels]

    def read_vector(self, bucket: bytes, offset: int) -> Float32Array:
        """Return the user's vector, shape (factors,)."""
        scale = np.frombuffer(bucket, "<f4", 1, offset + self._scale_offset)[0]
        levels = np.frombuffer(bucket, np.int8, self._factors, offset + self._vector_offset)
        return np.asarray(scale / np.float32(127) * levels.astype(np.float32))


def _unpack_three_byte_ids(ids: bytes, length: int) -> list[int]:
    """Return ids that are stored in three bytes each, little-endian."""
    widened = bytearray(4 * length)
    widened[::4] = ids[::3]
    widened[1::4] = ids[1::3]
    widened[2::4] = ids[2::3]
    return memoryview(widened).cast("I").tolist()
