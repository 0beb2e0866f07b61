"""How long `dawnlist bots judge` takes on an access log, beside DuckDB's bare count of the same file's lines.

`.venv/bin/python benchmarks/access_log.py --lines 1000000`
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from dawnlist.simulate.agents import SIMULATED_AGENTS, SIMULATED_CRAWLERS

PEOPLE = len(SIMULATED_AGENTS) - len(SIMULATED_CRAWLERS)


def write_log(path: Path, lines: int) -> None:
    """A week of a site: 25 lines a person, of five pages and their 20 assets, and a tenth of robots."""
    people = lines // 25 + 1
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE agents AS SELECT unnest(?) AS agent, generate_subscripts(?, 1) AS a",
            [SIMULATED_AGENTS] * 2,
        )
        connection.execute(
            f"""
            COPY (
                SELECT printf('%s.%d.%d.%d - - [%s +0000] "GET %s HTTP/1.1" 200 %d "https://shop.example/" "%s"',
                    CASE WHEN robot THEN '66' ELSE '81' END, who // 65025, who // 255 % 255, who % 255,
                    strftime(TIMESTAMP '2026-01-01' + INTERVAL 1 SECOND * (n * 604800 // {lines}), '%d/%b/%Y:%H:%M:%S'),
                    CASE WHEN robot OR n % 5 = 0 THEN '/item/' || hash(n) % 5000 || '?ref=' || n
                        ELSE '/static/' || hash(n) % 900 || '.js' END, 200 + n % 90000, agent)
                FROM (
                    SELECT n, hash(n) % 10 = 0 AS robot, hash(-n) % (CASE WHEN robot THEN 60 ELSE {people} END) AS who
                    FROM generate_series(1, {lines}) AS lines(n))
                JOIN agents ON a = CASE
                    WHEN robot THEN {PEOPLE + 1} + who % {len(SIMULATED_CRAWLERS)} ELSE 1 + who % {PEOPLE} END
                ORDER BY n
            ) TO '{path}' (FORMAT csv, HEADER false, QUOTE '', DELIMITER '')
            """
        )


def count_lines(path: Path) -> float:
    """Seconds that DuckDB takes to read each line and count them."""
    begun = time.perf_counter()
    with duckdb.connect() as connection:
        connection.execute(
            f"SELECT count(*), sum(length(line)) FROM read_csv('{path}', columns = {{'line': 'VARCHAR'}}, "
            "auto_detect = false, header = false, delim = '', quote = '', escape = '', strict_mode = false)"
        ).fetchall()
    return time.perf_counter() - begun


def main() -> None:
    """Print the figures of one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "access.log"
        write_log(log, lines := parser.parse_args().lines)
        floor = count_lines(log)
        before, begun = os.times(), time.perf_counter()
        words = ["judge", str(log), "--output", f"{folder}/verdicts.parquet"]
        done = subprocess.run(
            [sys.executable, "-m", "dawnlist.pipelines.cli", "bots", *words],
            check=True,
            capture_output=True,
        )
        seconds, after = time.perf_counter() - begun, os.times()
        spent = (
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system
        )
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(re.sub(r"(?m)^", "  ", done.stderr.decode().rstrip()))
        print(
            f"{lines:,} lines, {log.stat().st_size / 1e6:,.0f} MB: judged in {seconds:.1f} s ({spent:.1f} s of CPU, "
            f"{lines / seconds:,.0f} lines a second, peak {peak:,.0f} MB), "
            f"{seconds / floor:.1f} times DuckDB's bare count of the lines, {floor:.1f} s"
        )


if __name__ == "__main__":
    main()
