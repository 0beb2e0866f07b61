"""Count the rows of a landed file by the hour in which they arrived."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import ibis

from dawnlist.rows.coercions import coalesce_text
from dawnlist.rows.sql_dialects import UTC_TIMESTAMP, IbisValue
from dawnlist.rows.time_forms import find_latest_event_time, is_implausible
from dawnlist.rows.times import parse_moment


def count_rows_by_hour(
    landed: Path,
    column_indices: Sequence[int],
    zone: str = "UTC",
    time_format: str = "",
) -> dict[str, int]:
    """Count the rows of a Parquet file by UTC hour, written as '2026-01-03T02:00:00Z'.

    A row's time is the first that the columns at `column_indices` have. `zone` and `time_format`
    are those of the source's settings. Rows without a readable time, and those with an
    implausible one, are left out: they belong to no window.
    """
    connection = ibis.duckdb.connect()
    try:
        connection.raw_sql("SET TimeZone = 'UTC'")
        rows = connection.read_parquet(str(landed))
        values = [rows[index] for index in column_indices]
        time = _parse_times(values, zone, time_format)
        hours = rows.select(hour=time.truncate("hour"))
        latest = find_latest_event_time(datetime.now(UTC))
        timed_rows = hours.filter(~is_implausible(hours.hour, latest))
        counts = timed_rows.group_by("hour").agg(rows=timed_rows.count()).order_by("hour")
        formatted = counts.select(counts.hour.strftime("%Y-%m-%dT%H:%M:%SZ"), "rows")
        return dict(connection.raw_sql(str(formatted.compile())).fetchall())
    finally:
        connection.disconnect()


def _parse_times(
    values: list[IbisValue],
    zone: str,
    time_format: str,
) -> IbisValue:
    """Parse the times of rows. A column of UTC timestamps is only cast, which is faster."""
    if len(values) == 1 and _is_utc_timestamp(values[0], zone):
        return values[0].cast(UTC_TIMESTAMP)
    return parse_moment(coalesce_text(values), zone, time_format)


def _is_utc_timestamp(value: IbisValue, zone: str) -> bool:
    """Whether the column has timestamps that are UTC by their type or by the source's zone."""
    kind = value.type()
    if not kind.is_timestamp():
        return False
    return zone == "UTC" or bool(kind.timezone)
