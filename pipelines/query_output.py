"""Write the rows of a query for programs: as CSV, JSON or Parquet."""

import json
import math
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import IO, Any

import pyarrow as pa

from dawnlist.cuts import format_iso


def write_csv(reader: pa.RecordBatchReader, sink: IO[bytes]) -> None:
    """Write a line of column names, then a line for each row.

    Times are in UTC. Lists and structs are written as JSON text.
    """
    import pyarrow.csv as pacsv

    schema = pa.schema([_flatten_field(field) for field in reader.schema])
    with pacsv.CSVWriter(sink, schema) as writer:
        for batch in reader:
            columns = []
            for column, field in zip(batch.columns, schema, strict=True):
                columns.append(_flatten_column(column, field))
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _flatten_field(field: pa.Field) -> pa.Field:
    """Choose the type that CSV can hold: a dictionary's values, or text for a nested type."""
    if pa.types.is_dictionary(field.type):
        return field.with_type(field.type.value_type)
    if _is_flat(field.type):
        return field
    return field.with_type(pa.string())


def _flatten_column(column: pa.Array, field: pa.Field) -> pa.Array:
    if _is_flat(column.type):
        return column.cast(field.type)
    return pa.array(map(encode_json, iter_json_values(column)))


def _is_flat(kind: pa.DataType) -> bool:
    """Say whether CSV has a notation for values of the type."""
    needs_json = pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_interval(kind)
    return not needs_json


def write_json(reader: pa.RecordBatchReader, sink: IO[bytes]) -> None:
    """Write one array of objects, with a line for each row.

    Tools that read JSON and tools that read lines can both read it.
    """
    names, separator = reader.schema.names, b"[\n"
    for batch in reader:
        for values in zip(*map(iter_json_values, batch.columns), strict=True):
            row = dict(zip(names, values, strict=True))
            text = json.dumps(row, ensure_ascii=False, allow_nan=False)
            sink.write(separator + text.encode())
            separator = b",\n"
    has_rows = separator == b",\n"
    sink.write(b"\n]\n" if has_rows else b"[]\n")


def write_parquet(reader: pa.RecordBatchReader, sink: IO[bytes]) -> None:
    """Write the columns with the types that DuckDB gave them.

    Raises:
        ValueError: Parquet can't hold a column's type.
    """
    import pyarrow.parquet as pq

    try:
        with pq.ParquetWriter(sink, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
    except pa.ArrowNotImplementedError as error:
        raise ValueError(
            f"the answer can't be written as Parquet: {error}; cast that column to text"
        ) from None


def iter_json_values(column: pa.Array) -> Iterator[Any]:
    """Iterate over a column's values as JSON can hold them.

    Times become ISO text in UTC; NaN and the infinities become None.
    """
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return map(_to_json_value, column.to_pylist())


def _to_json_value(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return format_iso(value) if value.tzinfo else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _to_json_value(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_to_json_value(element) for element in value]
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def encode_json(value: Any) -> Any:
    """Encode a value as JSON text. Text and None stay as they are."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
