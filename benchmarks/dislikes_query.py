"""What it takes to find the dislikes of a night, in a lake with a year of interactions.

    .venv/bin/python benchmarks/dislikes_query.py --rows 10000000 --events 2000000

The first row is a lake in which nobody disliked anything. Prints seconds of the clock and the peak of the memory.
"""

import argparse
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from dawnlist.events.disliked_pairs import find_disliked_pairs
from dawnlist.lake.lake import Lake
from dawnlist.schema import EVENTS_SCHEMA, INTERACTIONS_SCHEMA

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 365
USERS, ITEMS = 500_000, 50_000


def main() -> None:
    """Write the lakes and time the query."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--events", type=int, default=2_000_000)
    arguments = parser.parse_args()
    for dislikes in (0, 1_000, arguments.events // 20):
        measure_query(arguments.rows, arguments.events, dislikes)


def measure_query(rows: int, events: int, dislikes: int) -> None:
    """Write a lake and find its dislikes."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.open(folder, "shop")
        random = np.random.default_rng(1)
        for month in range(12):
            begin = AS_OF - timedelta(days=DAYS) + timedelta(days=30 * month)
            interactions = build_rows(random, rows // 12, begin)
            columns = {"event_type": "view", "weight": 1.0, "source": "s"}
            append(lake, "interactions", interactions, columns, INTERACTIONS_SCHEMA)
            views = build_rows(random, (events - dislikes) // 12, begin)
            append(lake, "events", views, {"event_type": "view"}, EVENTS_SCHEMA)
            disliked = build_rows(random, dislikes // 12, begin)
            append(lake, "events", disliked, {"event_type": "dislike"}, EVENTS_SCHEMA)
        began = time.perf_counter()
        pairs = find_disliked_pairs(lake, AS_OF, {})
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{rows:,} interactions, {events:,} events, {dislikes:,} dislikes: {len(pairs):,} pairs in "
        f"{seconds:.2f} s (peak of the process so far {peak:,.0f} MB)"
    )


def build_rows(random: np.random.Generator, count: int, begin: datetime) -> pa.Table:
    """Draw rows of 30 days."""
    times = begin.timestamp() + np.sort(random.integers(0, 30 * 86_400, count))
    stamps = pa.array((times * 1e6).astype(np.int64)).cast(pa.timestamp("us", "UTC"))
    users = pa.array(random.integers(0, USERS, count)).cast(pa.string())
    items = pa.array(random.integers(0, ITEMS, count)).cast(pa.string())
    ids = pa.array(random.integers(0, 2**62, count)).cast(pa.string())
    return pa.table({
        "event_id": ids, "user_id": users, "item_id": items, "event_time": stamps,
        "event_date": stamps.cast(pa.date32()), "received_time": stamps,
    })  # fmt: skip


def append(
    lake: Lake, name: str, rows: pa.Table, constants: dict[str, object], schema: pa.Schema
) -> None:
    """Append rows with constant columns to a table; columns that are not given are null."""
    values = {"is_program": False, "stream_id": "1-0", **constants}
    columns = []
    for field in schema:
        if field.name in rows.column_names:
            columns.append(rows[field.name].cast(field.type))
        else:
            columns.append(pa.array([values.get(field.name)] * len(rows), field.type))
    table = pa.table(columns, schema=schema)
    write_deltalake(lake.table_uri(name), table, mode="append", partition_by=["event_date"])


if __name__ == "__main__":
    main()
