"""The daily fetch reads its window only, and costs the same when the history is ten times longer.

python benchmarks/incremental.py --rows 1000000 --years 10       (needs the extra local)

`--rows` clicks a year lie in PostgreSQL, for one year and then for `--years`; the lake holds all but the last day.
Prints the plan of the very statement that is sent, what the server says it read for the whole fetch, and seconds.
"""

import argparse
import json
import statistics
import tempfile
import time
from datetime import datetime, timedelta
from typing import Any

import psycopg
from clicks import START, TABLE, child, fill, markdown, server

YEAR = 365
TIMES = 5
"""The daily fetch is run, each time as another run of the same day."""


def fetched(url: str, root: str, as_of: datetime, days: int, times: int) -> None:
    """In the child: so many real fetches; prints the rows and the median of their seconds, imports not counted."""
    import ibis

    from dawnlist.components.fetch.landing import fetch_source
    from dawnlist.lake.lake import Lake
    from dawnlist.settings import SourceSettings

    ibis.duckdb.connect().disconnect()  # ibis imports its backend then
    lake, seconds = Lake.open(root, "shop"), []
    for number in range(times):
        clock = time.perf_counter()
        landed = fetch_source(lake, url, SourceSettings(), as_of, f"run-{number}", days)
        seconds.append(time.perf_counter() - clock)
        assert not landed["late"], landed
    print(
        json.dumps({"rows": landed["rows"]["interactions"], "seconds": statistics.median(seconds)})
    )


def hold(url: str, root: str, end: datetime) -> None:
    """Make the lake's table as clean would have left it: it holds [START, end), with last week's hours on record."""
    from deltalake import CommitProperties, Transaction, write_deltalake

    from dawnlist.lake.lake import Lake
    from dawnlist.lake.ledger import build_ledger_metadata
    from dawnlist.lake.watermark import build_window_transactions
    from dawnlist.schema import INTERACTIONS_SCHEMA

    since = end - timedelta(days=10)
    hour = """to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:00:00"Z"')"""
    hours = f"""SELECT {hour}, count(*)
        FROM {TABLE} WHERE received_at >= %s AND received_at < %s GROUP BY 1"""
    with psycopg.connect(url) as connection:
        arrivals: dict[str, int] = dict(connection.execute(hours.encode(), (since, end)).fetchall())
    marks = [
        Transaction(app, version)
        for app, version in build_window_transactions((START, end)).items()
    ]
    said = build_ledger_metadata([(since, end)], arrivals)
    commit = CommitProperties(app_transactions=marks, custom_metadata=said)
    write_deltalake(
        Lake.open(root, "shop").table_uri("interactions"),
        INTERACTIONS_SCHEMA.empty_table(),
        commit_properties=commit,
    )


def plan(url: str, start: datetime, end: datetime) -> str:
    """EXPLAIN (ANALYZE, BUFFERS) of what the reader sends for a window."""
    from dawnlist.components.fetch.database import DatabaseSource
    from dawnlist.components.fetch.database_readers import compile_postgresql_query
    from dawnlist.settings import SourceSettings

    source = DatabaseSource(url, SourceSettings())
    with source._connect() as connection:
        table = source._timed(connection)
        [window] = source._windows(connection, table, [(start, end)])
    limits = str(window.first), str(window.last)
    with psycopg.connect(url) as connection:
        connection.execute(
            "SELECT set_config('dawnlist.start', %s, true), set_config('dawnlist.stop', %s, true)",
            limits,
        )
        lines = connection.execute(
            f"EXPLAIN (ANALYZE, BUFFERS) {compile_postgresql_query(table, window)}".encode()
        )
        return "\n".join(line for (line,) in lines)


def read_so_far(url: str) -> dict[str, int]:
    """What the server has read of the table so far: rows of scans, rows by an index, entries of the index."""
    time.sleep(1.5)  # a backend that ended tells its figures at once, others within a second
    query = (
        "SELECT seq_tup_read, idx_tup_fetch, (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes i "
        f"WHERE i.relname = t.relname)::bigint FROM pg_stat_user_tables t WHERE relname = '{TABLE}'"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row
    return dict(zip(("rows scanned", "rows by index", "index entries"), row, strict=True))


def measure(rows: int, years: int) -> dict[str, Any]:
    """One history: the plan is printed, the figures of the daily and, of a year, of a full fetch are returned."""
    days = YEAR * years
    end = START + timedelta(days=days)
    day = end - timedelta(days=1)
    words = "--as-of", end.isoformat(), "--days", days
    with server() as url, tempfile.TemporaryDirectory() as folder:
        fill(url, rows * years, days)
        print(
            f"## {rows * years:,} rows over {days} days\n\n```\n{plan(url, day - timedelta(hours=1), end)}\n```\n"
        )
        hold(url, f"{folder}/daily", day)
        before = read_so_far(url)
        daily = child(__file__, "--url", url, "--lake", f"{folder}/daily", *words, "--times", TIMES)
        after = read_so_far(url)
        full = (
            child(__file__, "--url", url, "--lake", f"{folder}/full", *words)
            if years == 1
            else None
        )
    found = {"history": f"{rows * years:,} rows", "landed": daily["rows"]}
    found |= {name: (after[name] - before[name]) // TIMES for name in after}
    return found | {
        "daily fetch, s": f"{daily['seconds']:.2f}",
        "full fetch, s": f"{full['seconds']:.2f}" if full else "",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="a year")
    parser.add_argument("--years", type=int, default=10, help="the longer history; 1: none")
    parser.add_argument("--lake", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--as-of", type=datetime.fromisoformat, help=argparse.SUPPRESS)
    parser.add_argument("--days", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--times", type=int, default=1, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.url:
        fetched(given.url, given.lake, given.as_of, given.days, given.times)
        return
    figures = [measure(given.rows, years) for years in dict.fromkeys((1, given.years))]
    markdown(figures)


if __name__ == "__main__":
    main()
