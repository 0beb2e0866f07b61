"""Messy rows of the simulator, cleaned and written: against vectorised pandas 3, against DuckDB's bare scan and write,
and the peak of memory as rows grow.

python benchmarks/cleaning.py --rows 10000000
python benchmarks/cleaning.py --rows 50000000 --only clean        (memory)

pandas 3 runs in an environment of its own, which uv makes: the project's other packages want pandas 2.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from clicks import markdown

DAYS, ROWS_A_USER = 365, 138
PART_USERS = 73_000
"""Users of the shop whose rows are one part: more rows are more shops, whose ids differ by their seeds."""
WAYS = ("floor", "by day", "clean", "pandas")
PANDAS = (
    "run",
    "--quiet",
    "--no-project",
    "--isolated",
    "--with",
    "pandas>=3,<4",
    "--with",
    "pyarrow",
)
Report = dict[str, Any]


def messy(rows: int, path: Path) -> int:
    """Write so many rows (about) of simulated shops as fetch lands them; how many they are."""
    import pyarrow.parquet as pq

    from dawnlist.simulate import ShopConfig, simulate_shop

    written = 0
    writer = None
    for seed in range(max(1, round(rows / (PART_USERS * ROWS_A_USER)))):
        users = min(PART_USERS, rows // ROWS_A_USER)
        table = simulate_shop(
            ShopConfig(users=users, items=4400, days=DAYS, seed=3 + seed)
        ).interactions
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=200_000)
        written += table.num_rows
    if writer:
        writer.close()
    return written


def floor(source: Path, out: Path, by_day: bool) -> None:
    """DuckDB reads the rows and writes them again, and nothing else."""
    import duckdb

    how = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
    rows, target = f"SELECT * FROM '{source}'", out / "rows.parquet"
    if by_day:
        rows, how, target = (
            f"SELECT *, received_at[:10] AS day FROM '{source}'",
            f"{how}, PARTITION_BY (day)",
            out,
        )
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({rows}) TO '{target}' ({how})")


def clean(source: Path, out: Path) -> Report:
    """The clean step, into a lake."""
    from dawnlist.components.clean.cleaning import clean_landed_objects as step
    from dawnlist.cuts import parse_as_of
    from dawnlist.lake.lake import Lake
    from dawnlist.settings import Settings

    lake, name = Lake.open(str(out), "shop"), "landing/interactions/w/r1.parquet"
    path = Path(lake.path(*name.split("/")))
    path.parent.mkdir(parents=True)
    os.link(source, path)
    end = "2026-01-01T00:00:00Z"
    landed: Report = {"interactions": [name], "items": None, "users": None, "arrivals": {}}
    report = step(
        lake,
        landed | {"windows": [["2025-01-01T00:00:00Z", end]]},
        Settings(),
        parse_as_of(end),
        "r1",
    )
    names = {"clean": "clean", "duplicates": "duplicate", "double_clicks": "double click"}
    return {"counts": {**report["reasons"], **{fate: report[name] for name, fate in names.items()}}}


def work(way: str, source: Path, out: Path) -> Report:
    """One way, in this process."""
    if way == "messy":
        messy(int(out.name), source)
        return {}
    if way == "clean":
        return clean(source, out)
    floor(source, out, way == "by day")
    return {}


def child(way: str, source: Path) -> Report:
    """One way in a process of its own: seconds, the processor's seconds, megabytes at the peak, counts."""
    out = Path(tempfile.mkdtemp(dir=source.parent))
    command = [sys.executable, __file__, "--child", way, "--source", str(source), "--out", str(out)]
    if way == "pandas":
        uv = str(Path(sys.executable).with_name("uv"))
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        script = str(Path(__file__).with_name("cleaning_pandas.py"))
        subprocess.run(
            [uv, *PANDAS, "--python", version, "python", "-c", "import pandas"], check=True
        )
        command = [uv, *PANDAS, "--python", version, "python", script, str(source), str(out)]
    clock = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{way} ended with {process.returncode}")
        said.seek(0)
        lines = said.read().splitlines()
    seconds = time.perf_counter() - clock
    shutil.rmtree(out)
    found: Report = json.loads(lines[-1]) if lines else {}
    return found | {
        "seconds": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "megabytes": usage.ru_maxrss / 1024,
    }


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", choices=WAYS, default=None)
    parser.add_argument("--child", choices=(*WAYS, "messy"), default=None, help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help="rows that an earlier run left with --keep")
    parser.add_argument("--keep", type=Path, help="leave the messy rows here")
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(work(given.child, given.source, given.out)))
        return
    with tempfile.TemporaryDirectory() as folder:
        source = given.source or given.keep or Path(folder) / "messy.parquet"
        if not given.source:
            # in a process of its own: a child's peak of memory counts what its parent had when it was started
            make = ["--child", "messy", "--source", str(source), "--out", str(given.rows)]
            subprocess.run([sys.executable, __file__, *make], check=True, stdout=subprocess.DEVNULL)
        found = {way: child(way, source) for way in ([given.only] if given.only else WAYS)}
    show(found)


def show(found: dict[str, Report]) -> None:
    """One row a way; ways that count must agree."""
    counts = [report["counts"] for report in found.values() if "counts" in report]
    if any(count != counts[0] for count in counts):
        raise RuntimeError(f"the ways don't agree: {counts}")
    print(f"{sum(counts[0].values()) if counts else 0:,} rows: {counts[0] if counts else {}}")
    print("memory is that of the largest process of each way")
    floor_seconds = found.get("floor", {}).get("seconds")
    rows = []
    for way, report in found.items():
        ratio = (
            {"times the floor": f"{report['seconds'] / floor_seconds:.2f}"} if floor_seconds else {}
        )
        seconds = {
            "seconds": f"{report['seconds']:.1f}",
            "processor seconds": f"{report['cpu']:.1f}",
        }
        rows.append({"way": way, **seconds, "MB at the peak": round(report["megabytes"]), **ratio})
    markdown(rows)


if __name__ == "__main__":
    main()
