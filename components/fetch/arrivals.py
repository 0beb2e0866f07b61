"""When the rows of a landed file arrived, by the hour."""

from collections.abc import Sequence
from pathlib import Path

import ibis

from dawnlist.rows.coercions import coalesce_text
from dawnlist.rows.sql_dialects import UTC_TIMESTAMP
from dawnlist.rows.times import parse_moment


def count_rows_by_hour(
    landed: Path, places: Sequence[int], zone: str = "UTC", form: str = ""
) -> dict[str, int]:
    """Rows of a Parquet file by the UTC hour, as '2026-01-03T02:00:00Z', of the first of the columns that has a time.

    Rows without a time that can be read are left out: they belong to no window.
    """
    connection = ibis.duckdb.connect()
    try:
        connection.raw_sql("SET TimeZone = 'UTC'")
        rows = connection.read_parquet(str(landed))
        values = [rows[place] for place in places]
        # no need of a look at each one's text
        is_typed = (
            len(values) == 1
            and values[0].type().is_timestamp()
            and (zone == "UTC" or values[0].type().timezone)
        )
        time = (
            values[0].cast(UTC_TIMESTAMP)
            if is_typed
            else parse_moment(coalesce_text(values), zone, form)
        )
        hours = rows.select(hour=time.truncate("hour"))
        timed = hours.filter(hours.hour.notnull())
        counted = timed.group_by("hour").agg(rows=timed.count()).order_by("hour")
        named = counted.select(counted.hour.strftime("%Y-%m-%dT%H:%M:%SZ"), "rows")
        return dict(connection.raw_sql(str(named.compile())).fetchall())
    finally:
        connection.disconnect()
