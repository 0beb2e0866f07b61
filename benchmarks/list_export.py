"""Seconds and peak memory of `dawnlist export lists` for many users, and whether each row is what was published.

python benchmarks/list_export.py --users 1000000
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from clicks import markdown
from deltalake import write_deltalake
from predictor import shop

from dawnlist.arrays import UInt32Array
from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.schema import INTERACTIONS_SCHEMA, UTC_MICROSECONDS
from dawnlist.store import versions
from dawnlist.store.client import connect_store

AS_OF = parse_as_of("2026-01-01T03:00:00Z")
ITEMS = 20_000


def write_users(lake: Lake, user_ids: pa.Array) -> None:
    """Write an interaction for each user."""
    users = len(user_ids)
    same = {
        "item_id": "item-0",
        "event_type": "view",
        "weight": pa.scalar(1.0, pa.float32()),
        "event_time": pa.scalar(AS_OF, UTC_MICROSECONDS),
        "event_date": pa.scalar(AS_OF.date()),
        "source": "s",
    }
    columns = []
    for field in INTERACTIONS_SCHEMA:
        if field.name in ("event_id", "user_id"):
            columns.append(user_ids)
        elif field.name in same:
            columns.append(pa.repeat(same[field.name], users))
        else:
            columns.append(pa.nulls(users, field.type))
    rows = pa.table(columns, schema=INTERACTIONS_SCHEMA)
    write_deltalake(lake.table_uri("interactions"), rows, partition_by=["event_date"])


def count_rows(folder: Path, items: UInt32Array) -> tuple[int, int]:
    """Count the rows, and those whose item is not that of the list that was published."""
    rows = wrong = 0
    for path in folder.iterdir():
        table = pq.read_table(path, columns=["user_id", "rank", "item_id"])
        user = np.array([int(text[5:]) for text in table["user_id"].to_pylist()])
        item = np.array([int(text[5:]) for text in table["item_id"].to_pylist()])
        rows += len(user)
        wrong += int((items[user, table["rank"].to_numpy() - 1] != item).sum())
    return rows, wrong


def main() -> None:
    """Publish random lists, export them by a command of its own, and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=1_000_000)
    arguments = parser.parse_args()
    lists = shop(arguments.users, ITEMS)
    with (
        tempfile.TemporaryDirectory() as folder,
        run_embedded_valkey(Path(folder, "valkey")) as url,
    ):
        with connect_store(url) as client:
            versions.publish_version(client, "shop", lists, "run", AS_OF)
        items = lists.item_index
        write_users(Lake.open(f"{folder}/lake", "shop"), pa.array(lists.user_ids, pa.string()))
        del lists
        command = [
            "/usr/bin/time",
            "-v",
            sys.executable,
            "-m",
            "dawnlist.pipelines.cli",
            "export",
            "lists",
        ]
        place = [
            "--redis",
            url,
            "--namespace",
            "shop",
            "--lake",
            f"{folder}/lake",
            "--to",
            f"{folder}/out",
        ]
        began = time.perf_counter()
        done = subprocess.run([*command, *place], capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - began
        match = re.search(r"Maximum resident set size .*: (\d+)", done.stderr)
        assert match is not None
        rows, wrong = count_rows(Path(folder, "out"), items)
        size = sum(path.stat().st_size for path in Path(folder, "out").iterdir())
    row = {
        "users": f"{arguments.users:,}",
        "rows": f"{rows:,}",
        "seconds": f"{seconds:.0f}",
        "peak MB": f"{int(match[1]) / 1024:,.0f}",
        "MB of files": f"{size / 1e6:,.0f}",
        "wrong rows": str(wrong),
    }
    markdown([row])


if __name__ == "__main__":
    main()
