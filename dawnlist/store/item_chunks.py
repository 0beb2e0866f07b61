"""What the store holds of items: the catalogue, item factors in chunks, and popular lists.

    c:I   rows of the catalogue as Parquet (zstd): item_id, title, genres; 50,000 a chunk, row number = item index
    f:I   float32 rows of item factors, [y (f), bias (1), content (d)]; as many whole rows a chunk as 4 MiB hold
    p     count u2; then for each list: length of its name u2, its name in UTF-8, n u4, items u4 (n,), scores f4 (n,)

score(u, i) = x_u . y_i + bias_i + w(n_u) (p_u . content_i), see docs/STORE.md. The popular list named "" is for
everybody, the others are of segments, such as `device=mobile` or `country=DE,device=mobile`.
"""

import io
import struct
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dawnlist.arrays import Float32Array, PopularItems
from dawnlist.schema import CATALOGUE_SCHEMA
from dawnlist.store.layout import add_checksum, verify_checksum

CATALOGUE_ROWS_PER_CHUNK: Final = 50_000
FACTOR_CHUNK_BYTES: Final = 4 << 20


def pack_catalogue(catalogue: pa.Table) -> Iterator[bytes]:
    """The values of the catalogue's chunks."""
    columns = catalogue.select(CATALOGUE_SCHEMA.names)
    for begin in range(0, columns.num_rows, CATALOGUE_ROWS_PER_CHUNK):
        file = io.BytesIO()
        pq.write_table(columns.slice(begin, CATALOGUE_ROWS_PER_CHUNK), file, compression="zstd")
        yield add_checksum(file.getvalue())


def unpack_catalogue(value: bytes) -> pa.Table:
    """A chunk of the catalogue; ValueError as store_layout.opened."""
    return pq.read_table(pa.BufferReader(verify_checksum(value)))


def plan_factor_chunks(items: int, columns: int) -> list[int]:
    """How many rows of item factors each chunk holds."""
    rows = max(1, FACTOR_CHUNK_BYTES // (4 * columns))
    return [min(rows, items - begin) for begin in range(0, items, rows)]


def pack_factors(
    factors: Float32Array, bias: Float32Array, content: Float32Array
) -> Iterator[bytes]:
    """The values of the chunks of item factors, of shapes (I, f), (I,) and (I, d)."""
    begin = 0
    for rows in plan_factor_chunks(len(bias), factors.shape[1] + 1 + content.shape[1]):
        part, begin = slice(begin, begin + rows), begin + rows
        yield add_checksum(
            np.column_stack([factors[part], bias[part], content[part]]).astype("<f4").tobytes()
        )


def unpack_factors(value: bytes, columns: int) -> Float32Array:
    """A chunk of item factors, shape (rows, columns) with columns = f + 1 + d; ValueError as store_layout.opened."""
    return np.frombuffer(verify_checksum(value), "<f4").reshape(-1, columns)


def pack_popular(lists: Mapping[str, PopularItems]) -> bytes:
    """The value of all popular lists, by their names."""
    body = bytearray(struct.pack("<H", len(lists)))
    for name, (items, scores) in lists.items():
        text = name.encode()
        body += struct.pack("<H", len(text)) + text + struct.pack("<I", len(items))
        body += items.astype("<u4").tobytes() + scores.astype("<f4").tobytes()
    return add_checksum(bytes(body))


def unpack_popular(value: bytes) -> dict[str, PopularItems]:
    """Popular lists by their names; ValueError as store_layout.opened."""
    body, at, lists = verify_checksum(value), 2, {}
    for _ in range(int.from_bytes(body[:2], "little")):
        size = int.from_bytes(body[at : at + 2], "little")
        name = bytes(body[at + 2 : at + 2 + size]).decode()
        n = int.from_bytes(body[at + 2 + size : at + 6 + size], "little")
        at += 6 + size
        lists[name] = np.frombuffer(body, "<u4", n, at), np.frombuffer(body, "<f4", n, at + 4 * n)
        at += 8 * n
    return lists
