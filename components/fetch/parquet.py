"""A stream of record batches into one Parquet file."""

import contextlib
import itertools
from pathlib import Path

import pyarrow.parquet as pq

from dawnlist.components.fetch.database_readers import RecordBatches
from dawnlist.components.fetch.read_ahead import read_ahead


def write_batches(batches: RecordBatches, path: Path, about: dict[str, str]) -> int:
    """Write batches of one schema with `about` beside what its metadata says; the number of rows."""
    with contextlib.closing(read_ahead(batches)) as coming:
        first = next(coming)
        schema = first.schema.with_metadata({**(first.schema.metadata or {}), **about})
        rows = 0
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in itertools.chain([first], coming):
                writer.write_batch(batch.cast(schema))
                rows += batch.num_rows
    return rows
