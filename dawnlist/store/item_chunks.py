"""Pack and unpack what the store holds of items: the catalogue, item factors and popular lists.

    c:I   rows of the catalogue as Parquet (zstd): item_id, title, genres, then those of the setting items.columns;
          and those of dawnlist/model/item_relations.py; 50,000 a chunk, row number = item index; and the boolean
          column `withdrawn`, if the run took any item out of its lists
    f:I   float32 rows of item factors, [y (f), bias (1), content (d)]; as many whole rows a chunk as 4 MiB hold
    p     count u2; then for each list: length of its name u2, its name in UTF-8, n u4, items u4 (n,), scores f4 (n,)

score(u, i) = x_u . y_i + bias_i + w(n_u) (p_u . content_i), see docs/STORE.md. The popular list
with the name "" is for everybody. The others are for segments, such as `device=mobile` or
`country=DE,device=mobile`.
"""

import io
import struct
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dawnlist.arrays import Float32Array, Int64Array, PopularItems
from dawnlist.store.layout import add_checksum, verify_checksum

CATALOGUE_ROWS_PER_CHUNK: Final = 50_000
FACTOR_CHUNK_BYTES: Final = 4 << 20
WITHDRAWN_COLUMN: Final = "withdrawn"
"""The column of a stored catalogue that marks the items which the run took out of its lists."""


def pack_catalogue(catalogue: pa.Table, withdrawn: Int64Array) -> Iterator[bytes]:
    """Yield the values of the catalogue's chunks.

    Args:
        catalogue: The items, one a row.
        withdrawn: The rows of the items that no list may have.
    """
    columns = catalogue
    if len(withdrawn):
        is_withdrawn = np.zeros(columns.num_rows, dtype=bool)
        is_withdrawn[withdrawn] = True
        columns = columns.append_column(WITHDRAWN_COLUMN, pa.array(is_withdrawn))
    for begin in range(0, columns.num_rows, CATALOGUE_ROWS_PER_CHUNK):
        file = io.BytesIO()
        pq.write_table(columns.slice(begin, CATALOGUE_ROWS_PER_CHUNK), file, compression="zstd")
        yield add_checksum(file.getvalue())


def unpack_catalogue(value: bytes) -> pa.Table:
    """Unpack a chunk of the catalogue; `find_withdrawn_rows` reads its column `withdrawn`.

    Raises:
        ValueError: the value is damaged.
    """
    return pq.read_table(pa.BufferReader(verify_checksum(value)))


def find_withdrawn_rows(catalogue: pa.Table) -> Int64Array:
    """Find the rows of the items that the run took out of its lists, ascending."""
    if WITHDRAWN_COLUMN not in catalogue.column_names:
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(catalogue[WITHDRAWN_COLUMN].to_numpy())


def plan_factor_chunks(items: int, columns: int) -> list[int]:
    """Return the number of items in each chunk of item factors.

    Args:
        items: The number of items.
        columns: The number of floats of one item.
    """
    rows_per_chunk = max(1, FACTOR_CHUNK_BYTES // (4 * columns))
    return [min(rows_per_chunk, items - begin) for begin in range(0, items, rows_per_chunk)]


def pack_factors(
    factors: Float32Array, bias: Float32Array, content: Float32Array
) -> Iterator[bytes]:
    """Yield the values of the chunks of item factors, from shapes (I, f), (I,) and (I, d)."""
    columns = factors.shape[1] + 1 + content.shape[1]
    begin = 0
    for rows in plan_factor_chunks(len(bias), columns):
        chunk = slice(begin, begin + rows)
        table = np.column_stack([factors[chunk], bias[chunk], content[chunk]])
        yield add_checksum(table.astype("<f4").tobytes())
        begin += rows


def unpack_factors(value: bytes, columns: int) -> Float32Array:
    """Unpack a chunk of item factors; shape (rows, columns) with columns = f + 1 + d.

    Raises:
        ValueError: the value is damaged.
    """
    return np.frombuffer(verify_checksum(value), "<f4").reshape(-1, columns)


def pack_popular(lists: Mapping[str, PopularItems]) -> bytes:
    """Pack all popular lists, given by their names, into one value."""
    body = bytearray(struct.pack("<H", len(lists)))
    for name, (items, scores) in lists.items():
        encoded_name = name.encode()
        body += struct.pack("<H", len(encoded_name))
        body += encoded_name
        body += struct.pack("<I", len(items))
        body += items.astype("<u4").tobytes()
        body += scores.astype("<f4").tobytes()
    return add_checksum(bytes(body))


def unpack_popular(value: bytes) -> dict[str, PopularItems]:
    """Unpack the popular lists, by their names.

    Raises:
        ValueError: the value is damaged.
    """
    body = verify_checksum(value)
    count = int.from_bytes(body[:2], "little")
    position = 2
    lists = {}
    for _ in range(count):
        name_length = int.from_bytes(body[position : position + 2], "little")
        position += 2
        name = bytes(body[position : position + name_length]).decode()
        position += name_length
        n = int.from_bytes(body[position : position + 4], "little")
        position += 4
        items = np.frombuffer(body, "<u4", n, position)
        scores = np.frombuffer(body, "<f4", n, position + 4 * n)
        position += 8 * n
        lists[name] = items, scores
    return lists
