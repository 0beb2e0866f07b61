"""Seconds to fetch a Parquet file, of this checkout and of an older one in turn.

    python benchmarks/parquet_fetch.py --against CHECKOUT

Each fetch runs in a process of its own, and the two checkouts take turns, so that other work on the
machine slows both alike. The ratio is that of the medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT: Final = Path(__file__).parents[1]
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
DAYS: Final = 30
FETCH: Final = """
import sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from dawnlist.components.fetch.parquet import write_batches
from dawnlist.components.fetch.sources import open_source
from dawnlist.settings import SourceSettings
file, target, days = sys.argv[1:]
start = datetime(2026, 1, 1, tzinfo=UTC)
source = open_source(file, SourceSettings())
for batch in source.interactions(start, start):
    assert batch.num_rows == 0  # everything is imported now
started = time.perf_counter()
write_batches(source.interactions(start, start + timedelta(days=int(days))), Path(target), {})
print(time.perf_counter() - started)
"""


def write_events(path: Path, rows: int) -> None:
    """Write events as a shop's export has them: ids as texts, an address and an agent."""
    random = np.random.default_rng(1)
    seconds = np.sort(random.integers(0, DAYS * 86_400, rows))
    base = int(START.timestamp())
    times = pa.array((base + seconds) * 1_000_000, pa.timestamp("us", "UTC"))
    columns = {
        "user_id": pa.array(random.integers(0, 100_000, rows)).cast(pa.string()),
        "item_id": pa.array(random.integers(0, 20_000, rows)).cast(pa.string()),
        "event": pa.array(["view", "purchase"]).take(pa.array(random.integers(0, 2, rows))),
        "ts": times,
        "user_agent": pa.array(["Mozilla/5.0 (X11; Linux x86_64)"] * rows),
        "ip": pa.array(["203.0.113.7"] * rows),
    }
    pq.write_table(pa.table(columns), path)


def measure_fetch(checkout: Path, file: Path) -> float:
    """Fetch the file into a landing object by the code of a checkout, and return the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        command = [sys.executable, "-c", FETCH, str(file), f"{folder}/x.parquet", str(DAYS)]
        done = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, check=False
        )
    if done.returncode:
        sys.exit(done.stderr)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print the median of each checkout and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, required=True, help="an older checkout")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {"before": [], "now": []}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events.parquet"
        write_events(file, given.rows)
        for _ in range(given.turns):
            seconds["before"].append(measure_fetch(given.against.resolve(), file))
            seconds["now"].append(measure_fetch(ROOT, file))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, values in seconds.items():
        listed = ", ".join(f"{value:.2f}" for value in values)
        print(f"{name}: {medians[name]:.2f} s ({listed})")
    print(f"ratio: {medians['now'] / medians['before']:.2f}, {given.rows:,} rows")


if __name__ == "__main__":
    main()
