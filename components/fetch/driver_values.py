"""Correct the values of drivers that Arrow or DuckDB would read in another way."""

import re

import pyarrow as pa
import pyarrow.compute as pc

BLOB_MARK = "\x01blob:"
"""What stands before the digits of a BLOB of SQLite, whose columns may hold texts too."""
_CONTROL_CHARACTERS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
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


def decode_bytes(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Read columns of bytes as text where they are UTF-8, else as hexadecimal digits.

    Bytes with control characters are no text: clean would remove those, and make one id of many.
    """
    columns = []
    for column in batch.columns:
        columns.append(_decode_column(column) if is_bytes(column.type) else column)
    schema = decode_schema(batch.schema)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def decode_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema that `decode_bytes` gives to batches."""
    fields = []
    for schema_field in schema:
        if is_bytes(schema_field.type):
            schema_field = pa.field(schema_field.name, pa.string())
        fields.append(schema_field)
    return pa.schema(fields)


def is_bytes(kind: pa.DataType) -> bool:
    """Whether an Arrow type is one of bytes."""
    return bool(pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _decode_column(column: pa.Array) -> pa.Array:
    try:
        texts = column.cast(pa.string())
        if not pc.any(pc.match_substring_regex(texts, _CONTROL_CHARACTERS)).as_py():
            return texts
    except pa.ArrowInvalid:
        pass  # Some values are not UTF-8.
    return pa.array([decode_value(value) for value in column.to_pylist()], pa.string())


def decode_value(value: bytes | None) -> str | None:
    """Read bytes as `decode_bytes` does; None stays None."""
    if value is None:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value.hex()
    return value.hex() if re.search(_CONTROL_CHARACTERS, text) else text


def read_marked_bytes(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Read SQLite's BLOBs, which are selected as BLOB_MARK and hexadecimal digits, as text."""
    columns = []
    for column in batch.columns:
        if pa.types.is_string(column.type):
            column = _read_marked_column(column)
        columns.append(column)
    return pa.record_batch(columns, schema=batch.schema)


def _read_marked_column(column: pa.Array) -> pa.Array:
    is_marked = pc.starts_with(column.cast(pa.binary()), BLOB_MARK.encode())
    if not pc.any(is_marked).as_py():
        return column
    values = column.cast(pa.binary()).to_pylist()
    return pa.array([_unmark(value) for value in values], pa.binary()).cast(pa.string(), safe=False)


def _unmark(value: bytes | None) -> bytes | None:
    mark = BLOB_MARK.encode()
    if value is None or not value.startswith(mark):
        return value
    text = decode_value(bytes.fromhex(value.removeprefix(mark).decode()))
    return None if text is None else text.encode()


def escape_invalid_texts(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Write SQLite's texts that are not UTF-8 as DuckDB shows bytes, such as caf\\xE9.

    They come from another encoding.
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
