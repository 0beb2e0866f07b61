"""What compaction is worth: one query over a table of many small files, before and after, in one run.

python benchmarks/compaction.py --days 60 --files 12 --rows 2000
"""

import argparse
import tempfile
import time
from datetime import UTC, date, datetime, timedelta

import ibis
import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from dawnlist.lake.lake import Lake
from dawnlist.schema import INTERACTIONS_SCHEMA
from dawnlist.upkeep.compaction import compact_table

FIRST = date(2026, 1, 1)


def main() -> None:
    """Print files, bytes and seconds before and after, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--files", type=int, default=12, help="commits a day")
    parser.add_argument("--rows", type=int, default=2000, help="rows of a commit and day")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.open(folder, "shop")
        for number in range(given.files):
            fill(lake, number, given.days, given.rows)
        before = measured(lake, "before")
        clock = time.perf_counter()
        report = compact_table(lake, "interactions")
        print(f"compacted {report['partitions']} days in {time.perf_counter() - clock:.2f} s")
        after = measured(lake, "after")
    assert before[1] == after[1], "the answers differ"
    print(f"the query takes {before[0] / after[0]:.1f} times as long before")


def fill(lake: Lake, number: int, days: int, rows: int) -> None:
    """One commit: `rows` events in each day."""
    rng = np.random.default_rng(number)
    total = rows * days
    dates = np.repeat([FIRST + timedelta(days=day) for day in range(days)], rows)
    columns = {
        "event_id": [f"{number}-{row}" for row in range(total)],
        "user_id": rng.integers(0, 5000, total).astype(str).tolist(),
        "item_id": rng.integers(0, 2000, total).astype(str).tolist(),
        "event_type": ["view"] * total,
        "weight": [1.0] * total,
        "event_time": [datetime(day.year, day.month, day.day, number, tzinfo=UTC) for day in dates],
        "event_date": dates.tolist(),
        "session_id": [None] * total,
        "user_agent": ["Mozilla/5.0"] * total,
        "ip": [None] * total,
        "source": [f"landing/{number}"] * total,
    }
    table = pa.table(columns, schema=INTERACTIONS_SCHEMA)
    write_deltalake(
        lake.table_uri("interactions"), table, mode="append", partition_by=["event_date"]
    )


def measured(lake: Lake, when: str) -> tuple[float, list[tuple[object, ...]]]:
    """Median seconds of five times reading the table and counting events and users a day, and the answer."""
    seconds = []
    for _ in range(5):
        clock = time.perf_counter()
        answer = asked(lake)
        seconds.append(time.perf_counter() - clock)
    table = lake.table("interactions")
    assert table is not None
    sizes = pa.table(table.get_add_actions(flatten=True))["size_bytes"].to_pylist()
    taken = sorted(seconds)[2]
    print(f"{when}: {len(sizes):,} files, {sum(sizes) / 1e6:.1f} MB, {taken:.3f} s")
    return taken, answer


def asked(lake: Lake) -> list[tuple[object, ...]]:
    """Events and users of each day."""
    connection = ibis.duckdb.connect()
    try:
        connection.con.register("interactions", lake.rows("interactions"))
        query = "SELECT event_date, count(*), count(DISTINCT user_id) FROM interactions GROUP BY 1 ORDER BY 1"
        rows: list[tuple[object, ...]] = connection.con.sql(query).fetchall()
        return rows
    finally:
        connection.disconnect()


if __name__ == "__main__":
    main()
