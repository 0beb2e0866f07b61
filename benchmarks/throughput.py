"""PostgreSQL to Parquet against the plain pandas way, memory at two sizes, and the share of what the wire gives.

python benchmarks/throughput.py --rows 10000000        (needs the extra local)

pandas holds all rows as Python objects, so it runs at the smaller size, a tenth; its rows/s do not grow with more.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from clicks import START, TABLE, child, fill, markdown, peak_megabytes, server

DAYS = 365
Way = Callable[[Path], int]
"""A folder to write to -> rows; it has met the database at `url` before, so that all is imported."""


def dawnlist(url: str) -> Way:
    """The source's reader into the landing writer"""
    from dawnlist.components.fetch.database import DatabaseSource
    from dawnlist.components.fetch.parquet import write_batches
    from dawnlist.settings import SourceSettings

    source = DatabaseSource(url, SourceSettings())
    assert sum(batch.num_rows for batch in source.interactions(START, START)) == 0

    def run(folder: Path) -> int:
        batches = source.interactions(START, START + timedelta(days=DAYS))
        return write_batches(batches, folder / "clicks.parquet", {})

    return run


def fetch(url: str) -> Way:
    """The whole fetch step into a new lake, arrivals counted"""
    import ibis

    from dawnlist.components.fetch.landing import fetch_source
    from dawnlist.lake.lake import Lake
    from dawnlist.settings import SourceSettings

    ibis.duckdb.connect().disconnect()  # ibis imports its backend then
    dawnlist(url)

    def run(folder: Path) -> int:
        lake = Lake.open(str(folder), "shop")
        landed = fetch_source(
            lake, url, SourceSettings(), START + timedelta(days=DAYS), "run", DAYS
        )
        return int(landed["rows"]["interactions"])

    return run


def pandas(url: str) -> Way:
    """pandas.read_sql + to_parquet"""
    import pandas as pd
    import pyarrow.parquet as pq
    import sqlalchemy as sa

    engine = sa.create_engine(url.replace("://", "+psycopg://", 1))
    assert pq and pd.read_sql(f"SELECT * FROM {TABLE} LIMIT 0", engine).empty

    def run(folder: Path) -> int:
        frame = pd.read_sql(f"SELECT * FROM {TABLE}", engine)
        frame.to_parquet(folder / "clicks.parquet")
        return len(frame)

    return run


def wire(url: str) -> Way:
    """Raw COPY (FORMAT binary), drained by psycopg, nothing decoded or written"""
    import psycopg

    def run(folder: Path) -> int:
        copy = f"COPY {TABLE} TO STDOUT (FORMAT binary)".encode()
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            with cursor.copy(copy) as source:
                for _ in source:
                    pass
            return cursor.rowcount

    return run


WAYS: dict[str, Callable[[str], Way]] = {
    way.__name__: way for way in (dawnlist, fetch, pandas, wire)
}


def measured(way: str, url: str) -> None:
    """In the child: do it, and print the figures; what the way imports is there before the clock starts."""
    run = WAYS[way](url)
    with tempfile.TemporaryDirectory() as folder:
        clock = time.perf_counter()
        rows = run(Path(folder))
        seconds = time.perf_counter() - clock
    print(json.dumps({"rows": rows, "seconds": seconds, "peak": peak_megabytes()}))


def measure(rows: int, ways: list[str]) -> dict[str, dict[str, Any]]:
    """Rows, rows/s, peak memory of each way over a table of `rows` rows."""
    found = {}
    with server() as url:
        fill(url, rows, DAYS)
        for way in ways:
            figures = child(__file__, "--way", way, "--url", url)
            assert figures["rows"] == rows, (way, figures)
            found[way] = {
                "way": str(WAYS[way].__doc__), "rows": rows, "rows/s": round(rows / figures["seconds"]),
                "peak MB": figures["peak"],
            }  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        measured(given.way, given.url)
        return
    small = measure(given.rows // 10, ["pandas", "dawnlist", "fetch", "wire"])
    large = measure(given.rows, ["dawnlist", "fetch", "wire"])
    markdown([*small.values(), *large.values()])
    for size, found in (("small", small), ("large", large)):
        speed = found["dawnlist"]["rows/s"]
        print(
            f"{size}: {speed / small['pandas']['rows/s']:.1f} times pandas, "
            f"{speed / found['wire']['rows/s']:.0%} of the wire"
        )
    grown = large["dawnlist"]["peak MB"] / small["dawnlist"]["peak MB"]
    print(f"memory: {grown:.2f} times as much at 10 times the rows")


if __name__ == "__main__":
    main()
