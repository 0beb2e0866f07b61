"""Correct the values of ADBC drivers that Arrow or DuckDB would read in another way."""

import pyarrow as pa
import pyarrow.compute as pc

_PRINTABLE_ASCII = range(32, 127)
_DAYS_TO_2000 = 10_957
"""From 1970 to 2000, from where PostgreSQL counts."""
_MICROSECONDS_TO_2000 = 946_684_800_000_000


def restore_infinities(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Write PostgreSQL's infinite times as DuckDB does: as the highest and the lowest number.

    PostgreSQL counts from 2000. The driver shifts all numbers to count from 1970, also those that
    mean infinity, and the highest overflows.
    """
    columns = [_restore_column_infinities(column) for column in batch.columns]
    return pa.record_batch(columns, schema=batch.schema)


def _restore_column_infinities(column: pa.Array) -> pa.Array:
    if pa.types.is_date32(column.type):
        integer, shift = pa.int32(), _DAYS_TO_2000
    elif pa.types.is_timestamp(column.type):
        integer, shift = pa.int64(), _MICROSECONDS_TO_2000
    else:
        return column
    highest = 2 ** (integer.bit_width - 1) - 1
    numbers = column.view(integer)
    # After the shift, -infinity is `lowest`, and infinity has overflowed to just below it.
    lowest = -highest - 1 + shift
    if column.null_count == len(column) or pc.min(numbers).as_py() > lowest:
        return column
    is_negative_infinity = pc.equal(numbers, lowest)
    infinities = pc.if_else(
        is_negative_infinity, pa.scalar(-highest, integer), pa.scalar(highest, integer)
    )
    is_infinite = pc.less_equal(numbers, lowest)
    return pc.if_else(is_infinite, infinities, numbers).view(column.type)


def escape_invalid_texts(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Write SQLite's texts that are not UTF-8 as DuckDB shows bytes, such as caf\\xE9.

    They come from another encoding or from a BLOB.
    """
    columns = [_escape_invalid_column(column) for column in batch.columns]
    return pa.record_batch(columns, schema=batch.schema)


def _escape_invalid_column(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column
    try:
        column.validate(full=True)
        return column
    except pa.ArrowInvalid:
        values = column.cast(pa.binary()).to_pylist()
        return pa.array([_decode_or_escape(value) for value in values], pa.string())


def _decode_or_escape(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "".join(map(_escape_byte, value))


def _escape_byte(byte: int) -> str:
    return chr(byte) if byte in _PRINTABLE_ASCII else f"\\x{byte:02X}"
