"""Column statistics of a data set, in one pass of DuckDB: what a column says, whatever type it was given.

Text that stands for none counts as null, by the rule of components.coercions. Columns that hold e-mail or network
addresses, or JSON, which may hold them, tell no values: statistics are kept for longer than the rows are.
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
from dawnlist.rows.column_aliases import INTERACTION_ALIASES, USER_ALIASES, normalise_name

ColumnProfile = dict[str, Any]
"""name, type, inferred, nulls, distinct (about), min, max, examples, masked."""

SAMPLE_ROWS = 200_000
"""Of a larger data set the first so many rows are read."""
_MAX_VALUE_CHARACTERS = 40
"""Characters of a value that are told."""
_ADDRESS_PATTERN = (
    r"[\w.+-]@\w|\b\d{1,3}(\.\d{1,3}){3}\b|^[0-9a-fA-F]{0,4}(:[0-9a-fA-F]{0,4}){2,7}$"
)
_PERSONAL_WORDS = ("mail", "phone", "address", "password")
_EPOCH_SCALES = {"epoch seconds": 1, "epoch milliseconds": 1_000, "epoch microseconds": 1_000_000}
_EPOCH_SECONDS_RANGE = (946_684_800, 4_102_444_800)
"""2000 to 2100: whole numbers in between are taken for times, unless the column's name ends in id."""


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator,unused-ignore]
def json_valid(value: str) -> bool:
    """DuckDB's own function: Ibis does not know it."""
    raise NotImplementedError


@ibis.udf.agg.builtin  # type: ignore[untyped-decorator,unused-ignore]
def frequent(value: str) -> list[str]:
    """The macro below: sqlglot has ideas of its own about approx_top_k."""
    raise NotImplementedError


_FREQUENT_MACRO = "CREATE MACRO frequent(value) AS approx_top_k(value, 3)"


def profile_columns(
    rows: Any, schema: pa.Schema, private: Iterable[str] = ()
) -> tuple[int, list[ColumnProfile]]:
    """How many rows were read, and what their columns hold; `rows` is anything of Arrow that DuckDB can scan.

    `private` names columns that tell no values, besides those that are found out.
    """
    kinds = tuple(_classify_type(field.type) for field in schema)
    washing, counting = _compile_statements(kinds)
    with duckdb.connect(
        config={"memory_limit": "1GB", "python_enable_replacements": False}
    ) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(_FREQUENT_MACRO)
        connection.register("scanned", rows)
        places = ", ".join(
            f"c{place}" for place in range(len(kinds))
        )  # by place: DuckDB takes 'Event' for 'event'
        connection.execute(
            f"CREATE VIEW landed AS SELECT * FROM scanned AS scanned({places}) LIMIT {SAMPLE_ROWS}"
        )
        connection.execute(f"CREATE VIEW washed AS {washing}")
        relation = connection.sql(counting)
        found = dict(zip(relation.columns, relation.fetchall()[0], strict=True))
    hidden = {
        normalise_name(name)
        for name in (*INTERACTION_ALIASES["ip"], *USER_ALIASES["email"], *private)
    }
    columns = []
    for place, (field, kind) in enumerate(zip(schema, kinds, strict=True)):
        own = f"c{place}_"
        counts = {
            name.removeprefix(own): value for name, value in found.items() if name.startswith(own)
        }
        columns.append(
            _build_profile(field, kind, counts, found["n"], normalise_name(field.name) in hidden)
        )
    return int(found["n"]), columns


def _classify_type(declared: pa.DataType) -> str:
    """What Ibis is told about a column: what can be counted of it depends on that alone."""
    types = pa.types
    if types.is_dictionary(declared):
        return _classify_type(declared.value_type)
    if (
        types.is_string(declared)
        or types.is_large_string(declared)
        or types.is_string_view(declared)
    ):
        return "string"
    if types.is_integer(declared):
        return "int64"
    if types.is_floating(declared) or types.is_decimal(declared):
        return "float64"
    if types.is_timestamp(declared):
        return sql_dialects.UTC_TIMESTAMP
    return (
        "date" if types.is_date(declared) else "boolean" if types.is_boolean(declared) else "binary"
    )


@cache
def _compile_statements(kinds: tuple[str, ...]) -> tuple[str, str]:
    """The SQL that washes the text columns of `landed`, and the one that counts what is in `washed`."""
    schema = {f"c{place}": kind for place, kind in enumerate(kinds)}
    landed, washed = ibis.table(schema, name="landed"), ibis.table(schema, name="washed")
    washing = landed.select(
        **{
            name: coercions.clean_text(landed[name]) if kind == "string" else landed[name]
            for name, kind in schema.items()
        }
    )
    counts = {"n": washed.count()}
    for name, kind in schema.items():
        counts |= {
            f"{name}_{count}": value for count, value in _build_counts(washed[name], kind).items()
        }
    return str(ibis.to_sql(washing, dialect="duckdb")), str(
        ibis.to_sql(washed.aggregate(**counts), dialect="duckdb")
    )


def _build_counts(value: Any, kind: str) -> dict[str, Any]:
    counts = {"nulls": value.isnull().sum()}
    if kind == "binary":
        return counts
    counts["distinct"] = ibis.least(
        value.approx_nunique(), value.count()
    )  # an estimate may be more than there are
    counts |= {"min": value.min(), "max": value.max()}
    return counts | _build_text_counts(value) if kind == "string" else counts


def _build_text_counts(value: Any) -> dict[str, Any]:
    number, moment = coercions.parse_number(value), times.parse_moment(value)
    whole = value.try_cast("decimal(38, 0)")  # ids of 19 digits are no floats
    is_date = value.re_search(r"^\d{4}-\d\d-\d\d$")
    is_time = value.re_search(r"^\d{4}-\d\d-\d\d[T ]")
    is_json = value.re_search(r"^\s*[\[{]")
    padded = value.re_search(r"^[+-]?0\d")  # an id: 0770828 is no number
    return {
        "boolean": value.re_search(r"^(?i:true|false)$").sum(),
        "integer": value.re_search(r"^[+-]?(0|[1-9]\d{0,36})$").sum(),
        "float": (number.notnull() & ~padded).sum(),
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
    field: pa.Field, kind: str, counts: dict[str, Any], rows: int, private: bool
) -> ColumnProfile:
    said = rows - int(counts["nulls"] or 0)
    low, high, inferred = counts.get("min"), counts.get("max"), None
    if kind == "string" and said:
        inferred = next((name for name in _INFERRED_TYPES if counts[name] == said), "text")
        if inferred == "integer":
            low, high = int(counts["lowest"]), int(counts["highest"])
        elif inferred == "float":
            low, high = counts["low"], counts["high"]
        elif inferred in ("date", "timestamp"):
            low, high = counts["earliest"], counts["latest"]
    if (
        isinstance(low, int)
        and isinstance(high, int)
        and (unit := _detect_epoch_unit(field.name, low, high))
    ):
        inferred = unit
    private = private or any(part in normalise_name(field.name) for part in _PERSONAL_WORDS)
    masked = private or inferred == "json" or (inferred == "text" and bool(counts["addresses"]))
    return {
        "name": field.name,
        "type": str(field.type),
        "inferred": inferred,
        "nulls": rows - said,
        "distinct": counts.get("distinct"),
        "min": None if masked else to_catalogue_value(low),
        "max": None if masked else to_catalogue_value(high),
        "examples": []
        if masked
        else [to_catalogue_value(value) for value in counts.get("examples") or []],
        "masked": masked,
    }


_INFERRED_TYPES = ("boolean", "integer", "float", "date", "timestamp", "json")


def _detect_epoch_unit(name: str, low: int, high: int) -> str | None:
    if normalise_name(name).endswith("id"):
        return None
    within = (
        unit
        for unit, scale in _EPOCH_SCALES.items()
        if _EPOCH_SECONDS_RANGE[0] * scale <= low and high < _EPOCH_SECONDS_RANGE[1] * scale
    )
    return next(within, None)


def to_catalogue_value(value: Any) -> Any:
    """A value as the catalogue keeps it: numbers as they are, times as ISO text, text cut short."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None  # NaN and infinity are no JSON
    if hasattr(value, "tzinfo"):
        return format_iso(value) if value.tzinfo else value.isoformat()
    text = str(value)
    return text if len(text) <= _MAX_VALUE_CHARACTERS else f"{text[: _MAX_VALUE_CHARACTERS - 1]}…"


def holds_address(text: Any) -> bool:
    """Whether a text has an e-mail or network address in it."""
    return isinstance(text, str) and bool(re.search(_ADDRESS_PATTERN, text))
