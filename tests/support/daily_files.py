"""A table of interactions with a file for each day, committed as clean does it."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from dawnlist.lake.commits import DayFile, add_files
from dawnlist.lake.lake import Lake
from dawnlist.schema import INTERACTIONS_SCHEMA

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
LAST_MICROSECOND = timedelta(days=1) - timedelta(microseconds=1)


def commit_daily_files(lake: Lake, days: int) -> None:
    """Commit a file for each day from FIRST_DAY, with an event at its first and last microsecond."""
    files = [write_day(lake, FIRST_DAY + timedelta(days=number)) for number in range(days)]
    add_files(lake, "interactions", None, files, INTERACTIONS_SCHEMA, {}, {})


def write_day(lake: Lake, start: datetime) -> DayFile:
    schema = INTERACTIONS_SCHEMA.remove(INTERACTIONS_SCHEMA.get_field_index("event_date"))
    day = f"{start:%Y-%m-%d}"
    columns = {name: [f"{day}-first", f"{day}-last"] for name in schema.names}
    times = [start, start + LAST_MICROSECOND]
    rows = pa.table({**columns, "event_time": times, "weight": [1.0, 1.0]}, schema)
    buffer = pa.BufferOutputStream()
    pq.write_table(rows, buffer)
    data = buffer.getvalue().to_pybytes()
    lake.write(data, "tables", "interactions", f"event_date={day}", "part.parquet")
    nulls = dict.fromkeys(schema.names, 0)
    return DayFile(f"event_date={day}/part.parquet", day, rows.num_rows, len(data), nulls)
