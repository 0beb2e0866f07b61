"""Column statistics of a data set, in one pass of DuckDB, whatever types its columns were given.

Text that stands for NULL counts as NULL, by the rules of `dawnlist.rows.coercions`. Statistics are
kept for longer than the rows are, so no values are kept of columns with e-mail or network
addresses, or with JSON, which may have addresses in it.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import duckdb
import ibis
import pyarrow as pa

from dawnlist.cuts import format_iso
from dawnlist.rows import coercions, sql_dialects, times
from dawnlist.rows.column_aliases import (
    normalise_name,
)
from dawnlist.source_columns import (
    INTERACTION_ALIASES,
    USER_ALIASES,
)

ColumnProfile = dict[str, Any]
"""name, type, inferred, nulls, distinct (an estimate), min, max, examples, masked."""

SAMPLE_ROWS = 200_000
"""How many rows of a larger data set are read: the first ones."""
_MAX_VALUE_CHARACTERS = 40
_ADDRESS_PATTERN = (
    r"[\w.+-]@\w|\b\d{1,3}(\.\d{1,3}){3}\b|^[0-9a-fA-F]{0,4}(:[0-9a-fA-F]{0,4}){2,7}$"
)
_PERSONAL_WORDS = ("mail", "phone", "address", "password")
_EPOCH_SCALES = {"epoch seconds": 1, "epoch milliseconds": 1_000, "epoch microseconds": 1_000_000}
_EPOCH_SECONDS_RANGE = (946_684_800, 4_102_444_800)
"""2000 to 2100. Whole numbers in between are times, unless the column's name ends in id."""
_INFERRED_TYPES = ("boolean", "integer", "float", "date", "timestamp", "json")
"""What a text column may hold. The first that all values are is inferred."""
_RANGE_COUNTS = {
    "integer": ("lowest", "highest"),
    "float": ("low", "high"),
    "date": ("earliest", "latest"),
    "timestamp": ("earliest", "latest"),
}
"""Inferred type -> the counts that have the smallest and the largest value as that type."""


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator,unused-ignore]
def json_valid(value: str) -> bool:
    """Declare DuckDB's own function, which Ibis does not know."""
    raise NotImplementedError


@ibis.udf.agg.builtin  # type: ignore[untyped-decorator,unused-ignore]
def frequent(value: str) -> list[str]:
    """Declare the macro below. sqlglot would rewrite a call of approx_top_k itself."""
    raise NotImplementedError


_FREQUENT_MACRO = "CREATE MACRO frequent(value) AS approx_top_k(value, 3)"


def profile_columns(
    rows: Any, schema: pa.Schema, private: Iterable[str] = ()
) -> tuple[int, list[ColumnProfile]]:
    """Count what the columns of a data set hold.

    Args:
        rows: Anything of Arrow that DuckDB can scan.
        schema: The schema of the rows.
        private: Names of columns whose values are not kept, besides those that are found to have
            addresses.

    Returns how many rows were read, and the profile of each column.
    """
    kinds = tuple(_classify_type(field.type) for field in schema)
    counts = _count_values(rows, kinds)
    row_count = counts["n"]
    private_aliases = (*INTERACTION_ALIASES["ip"], *USER_ALIASES["email"], *private)
    private_names = set(map(normalise_name, private_aliases))
    profiles = []
    for position, (field, kind) in enumerate(zip(schema, kinds, strict=True)):
        column_counts = _select_counts(counts, f"c{position}_")
        is_private = normalise_name(field.name) in private_names
        profiles.append(_build_profile(field, kind, column_counts, row_count, is_private))
    return int(row_count), profiles


def _count_values(rows: Any, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Run the counting query; column 3's counts are named c3_nulls, c3_min and so on."""
    cleaning_sql, counting_sql = _compile_statements(kinds)
    # columns are named by position, since DuckDB takes 'Event' and 'event' for one name
    names = ", ".join(f"c{position}" for position in range(len(kinds)))
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": "1GB",
        "python_enable_replacements": False,
    }
    with duckdb.connect(config=config) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(_FREQUENT_MACRO)
        connection.register("scanned", rows)
        connection.execute(
            f"CREATE VIEW landed AS SELECT * FROM scanned AS scanned({names}) LIMIT {SAMPLE_ROWS}"
        )
        connection.execute(f"CREATE VIEW washed AS {cleaning_sql}")
        relation = connection.sql(counting_sql)
        return dict(zip(relation.columns, relation.fetchall()[0], strict=True))


def _select_counts(counts: dict[str, Any], prefix: str) -> dict[str, Any]:
    selected = {}
    for name, value in counts.items():
        if name.startswith(prefix):
            selected[name.removeprefix(prefix)] = value
    return selected


def _classify_type(declared: pa.DataType) -> str:
    """Choose the type that Ibis is given for a column; what can be counted depends on it alone."""
    types = pa.types
    if types.is_dictionary(declared):
        return _classify_type(declared.value_type)
    if _is_text(declared):
        return "string"
    if types.is_integer(declared):
        return "int64"
    if types.is_floating(declared) or types.is_decimal(declared):
        return "float64"
    if types.is_timestamp(declared):
        return sql_dialects.UTC_TIMESTAMP
    if types.is_date(declared):
        return "date"
    if types.is_boolean(declared):
        return "boolean"
    return "binary"


def _is_text(declared: pa.DataType) -> bool:
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(check(declared) for check in checks)


@cache
def _compile_statements(kinds: tuple[str, ...]) -> tuple[str, str]:
    """Compile the SQL that cleans the text of `landed`, and the SQL that counts `washed`."""
    schema = {f"c{position}": kind for position, kind in enumerate(kinds)}
    landed = ibis.table(schema, name="landed")
    washed = ibis.table(schema, name="washed")
    cleaned = {}
    counts = {"n": washed.count()}
    for name, kind in schema.items():
        cleaned[name] = coercions.clean_text(landed[name]) if kind == "string" else landed[name]
        for count_name, count in _build_counts(washed[name], kind).items():
            counts[f"{name}_{count_name}"] = count
    cleaning_sql = ibis.to_sql(landed.select(**cleaned), dialect="duckdb")
    counting_sql = ibis.to_sql(washed.aggregate(**counts), dialect="duckdb")
    return str(cleaning_sql), str(counting_sql)


def _build_counts(value: Any, kind: str) -> dict[str, Any]:
    counts = {"nulls": value.isnull().sum()}
    if kind == "binary":
        return counts
    # an estimate may be more than there are values
    counts["distinct"] = ibis.least(value.approx_nunique(), value.count())
    counts |= {"min": value.min(), "max": value.max()}
    if kind == "string":
        counts |= _build_text_counts(value)
    return counts


def _build_text_counts(value: Any) -> dict[str, Any]:
    number = coercions.parse_number(value)
    moment = times.parse_moment(value)
    # a float can't hold an id of 19 digits
    whole = value.try_cast("decimal(38, 0)")
    is_date = value.re_search(r"^\d{4}-\d\d-\d\d$")
    is_time = value.re_search(r"^\d{4}-\d\d-\d\d[T ]")
    is_json = value.re_search(r"^\s*[\[{]")
    # 0770828 is an id, not a number
    is_padded = value.re_search(r"^[+-]?0\d")
    return {
        "boolean": value.re_search(r"^(?i:true|false)$").sum(),
        "integer": value.re_search(r"^[+-]?(0|[1-9]\d{0,36})$").sum(),
        "float": (number.notnull() & ~is_padded).sum(),
        "date": (is_date & value.try_cast("date").notnull()).sum(),
        "timestamp": (is_time & moment.notnull()).sum(),
        "json": ibis.ifelse(is_json, json_valid(value), False).sum(),
        "addresses": value.re_search(_ADDRESS_PATTERN).sum(),
        "lowest": whole.min(),
        "highest": whole.max(),
        "low": number.min(),
        "high": number.max(),
        "earliest": moment.min(where=is_date | is_time),
        "latest": moment.max(where=is_date | is_time),
        "examples": frequent(value),
    }


def _build_profile(
    field: pa.Field, kind: str, counts: dict[str, Any], rows: int, is_private: bool
) -> ColumnProfile:
    values = rows - int(counts["nulls"] or 0)
    inferred = None
    if kind == "string" and values:
        inferred = _infer_text_type(counts, values)
    low, high = _select_range(counts, inferred)
    epoch_unit = _detect_epoch_unit(field.name, low, high)
    if epoch_unit is not None:
        inferred = epoch_unit
    has_addresses = inferred == "text" and bool(counts["addresses"])
    masked = is_private or _has_personal_name(field.name) or inferred == "json" or has_addresses
    profile: ColumnProfile = {
        "name": field.name,
        "type": str(field.type),
        "inferred": inferred,
        "nulls": rows - values,
        "distinct": counts.get("distinct"),
        "min": None,
        "max": None,
        "examples": [],
        "masked": masked,
    }
    if not masked:
        profile["min"] = to_catalogue_value(low)
        profile["max"] = to_catalogue_value(high)
        profile["examples"] = list(map(to_catalogue_value, counts.get("examples") or []))
    return profile


def _infer_text_type(counts: dict[str, Any], values: int) -> str:
    for name in _INFERRED_TYPES:
        if counts[name] == values:
            return name
    return "text"


def _select_range(counts: dict[str, Any], inferred: str | None) -> tuple[Any, Any]:
    """Select the smallest and the largest value of a column."""
    if inferred in _RANGE_COUNTS:
        low_count, high_count = _RANGE_COUNTS[inferred]
        low, high = counts[low_count], counts[high_count]
    else:
        low, high = counts.get("min"), counts.get("max")
    if inferred == "integer":
        # DuckDB returns decimals
        low, high = int(low), int(high)
    return low, high


def _has_personal_name(name: str) -> bool:
    normalised = normalise_name(name)
    return any(word in normalised for word in _PERSONAL_WORDS)


def _detect_epoch_unit(name: str, low: Any, high: Any) -> str | None:
    if not isinstance(low, int) or not isinstance(high, int):
        return None
    if normalise_name(name).endswith("id"):
        return None
    first, end = _EPOCH_SECONDS_RANGE
    for unit, scale in _EPOCH_SCALES.items():
        if first * scale <= low and high < end * scale:
            return unit
    return None


def to_catalogue_value(value: Any) -> Any:
    """Convert a value for the catalogue: numbers stay, times become ISO text, long text is cut."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        # JSON has no NaN and no infinity
        return value if abs(value) < float("inf") else None
    if hasattr(value, "tzinfo"):
        return format_iso(value) if value.tzinfo else value.isoformat()
    text = str(value)
    if len(text) > _MAX_VALUE_CHARACTERS:
        return f"{text[: _MAX_VALUE_CHARACTERS - 1]}…"
    return text


def holds_address(text: Any) -> bool:
    """Say whether a value is text with an e-mail or network address in it."""
    return isinstance(text, str) and bool(re.search(_ADDRESS_PATTERN, text))
