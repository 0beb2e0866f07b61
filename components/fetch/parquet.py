"""Write a stream of record batches into one Parquet file."""

import contextlib
import itertools
from pathlib import Path

import pyarrow.parquet as pq

from dawnlist.components.fetch.read_ahead import RecordBatches, read_ahead


def write_batches(
    batches: RecordBatches,
    path: Path,
    metadata: dict[str, str],
) -> int:
    """Write batches of one schema to `path` and return the number of rows.

    `metadata` is added to the metadata of the schema. There must be at least one batch; it may have
    no rows.
    """
    with contextlib.closing(read_ahead(batches)) as stream:
        first_batch = next(stream)
        schema = first_batch.schema
        schema = schema.with_metadata({**(schema.metadata or {}), **metadata})
        rows = 0
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in itertools.chain([first_batch], stream):
                writer.write_batch(batch.cast(schema))
                rows += batch.num_rows
    return rows
