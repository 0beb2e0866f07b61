"""ALS of implicit and of Spark on the same pairs, on one machine: seconds of a fit, of Spark's start, and memory.

python benchmarks/spark_als.py --pairs 1000000 --spark 'local[2]'        (needs the extra spark and a Java)

Each runs in a process of its own and fits twice; the second fit counts, since a JVM compiles during the first.
"""

import argparse
import dataclasses
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from clicks import child, markdown, peak_megabytes
from scipy.sparse import csr_matrix

from dawnlist.als.engine import FitEngine
from dawnlist.als.training import fit_als
from dawnlist.machine.spark import open_spark_session, stop_spark_session
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems

CONFIG = ALSConfig(factors=32, regularization=30.0, alpha=10.0, iterations=5)


def pairs(count: int) -> UserItems:
    """About `count` pairs, 20 to a user, items as popular as Zipf has it."""
    random = np.random.default_rng(1)
    users, items = count // 20, max(100, count // 50)
    user = np.repeat(np.arange(users), 25)  # some come twice
    item = (items * random.random(len(user)) ** 3).astype(np.int64)
    weight = csr_matrix((np.ones(len(user), np.float32), (user, item)), shape=(users, items))
    return UserItems(weight, np.zeros(weight.nnz, np.float32))


def measured(solver: str, count: int, spark: str) -> dict[str, Any]:
    """In the child: the figures of one solver."""
    user_items, config = pairs(count), dataclasses.replace(CONFIG, solver=solver)
    clock = time.perf_counter()
    if solver == "spark":
        open_spark_session(spark)
    started = time.perf_counter()
    fit_als(user_items, config, engine=FitEngine(spark_url=spark))
    first = time.perf_counter()
    fit_als(user_items, config, engine=FitEngine(spark_url=spark))
    second = time.perf_counter()
    peak = peak_megabytes() + _peak_of_the_jvms()
    stop_spark_session()
    return {
        "solver": solver, "pairs": user_items.weight.nnz, "start s": round(started - clock, 1),
        "first fit s": round(first - started, 1), "second fit s": round(second - first, 1),
        "processor s in all": round(_processor(), 1), "peak MB": peak,
    }  # fmt: skip


def _processor() -> float:
    """What this process and those that it started and ended took, which other work on the machine changes little."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _peak_of_the_jvms() -> int:
    peak = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "status").read_text()
        except OSError:
            continue
        if status.startswith("Name:\tjava") and f"PPid:\t{os.getpid()}\n" in status:
            peak += int(status.partition("VmHWM:")[2].split()[0]) // 1024
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--spark", default="local[2]")
    parser.add_argument("--solver", choices=["implicit", "spark"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.solver:
        print(json.dumps(measured(given.solver, given.pairs[0], given.spark)))
        return
    found = [
        child(__file__, "--solver", solver, "--pairs", count, "--spark", given.spark)
        for count in given.pairs
        for solver in ("implicit", "spark")
    ]
    markdown(found)
    for one, other in zip(found[::2], found[1::2], strict=True):
        ratio = other["second fit s"] / one["second fit s"]
        print(
            f"{one['pairs']:,} pairs: Spark takes {ratio:.1f} times as long, and {other['start s']} s to start"
        )


if __name__ == "__main__":
    main()
