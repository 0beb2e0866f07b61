"""How each step's memory grows with the shop (docs/NODES.md): nights of simulated shops, and lines through peaks.

A shop that was measured before is read from its lake. Prints the peaks, and the lines as
pipelines/resources/step_memory.py has them.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import astuple, dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from matrices import synthetic
from scipy.optimize import nnls

from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.model.matrices import build_splits_from_matrices, hold_out_pairs
from dawnlist.pipelines.resources.step_memory import MEMORY_LINES, MemoryLine, ShopSize
from dawnlist.records.run_records import StepRecord, find_step_report, read_step_records
from dawnlist.simulate import ShopConfig, simulate_shop, write_shop

DAYS = 366
STEPS = ("fetch", "clean", "filter_bots", "dataset", "tune", "train", "evaluate", "gate", "refit", "recommend",
         "publish", "notify")  # fmt: skip


@dataclass(frozen=True)
class Shop:
    """What is simulated: what models learn from grows in one direction at a time."""

    name: str
    users: int
    items: int
    sessions_a_day: float = 0.07
    factors: str = "32,64"


SHOPS = (
    Shop("small", 3_000, 1_000),
    Shop("usual", 8_000, 2_200),
    Shop("wide", 8_000, 40_000),
    Shop("long", 30_000, 2_200, sessions_a_day=0.015, factors="256"),
    Shop("crowded", 60_000, 2_200, sessions_a_day=0.015),
    Shop("busy", 8_000, 2_200, sessions_a_day=0.2),
)


@dataclass(frozen=True)
class Measured:
    """A shop's size as the steps saw it, and the greater peak of the two nights, by step, in megabytes."""

    shop: Shop
    rows: int
    """Clean interactions."""
    size: ShopSize
    """Its interactions are different pairs of user and item: the steps after the dataset know nothing else."""
    peaks: dict[str, float]


def measured(shop: Shop, home: Path) -> Measured:
    """Simulate the shop and run its nights, if that was not done before."""
    place = home / shop.name
    source, opening = f"sqlite:///{place}/shop.db", date(2025, 1, 1)
    if not (place / "shop.db").exists():
        config = ShopConfig(
            shop.users, shop.items, DAYS, sessions_a_day=shop.sessions_a_day, start=opening
        )
        write_shop(simulate_shop(config), source)
    lake = Lake.open(str(place / "lake"), "default")
    nights = [f"{opening + timedelta(days=day)}T00:00:00Z" for day in (DAYS - 1, DAYS)]
    return _read(shop, [_night(lake, source, as_of, shop, place) for as_of in nights])


def _night(lake: Lake, source: str, as_of: str, shop: Shop, place: Path) -> list[StepRecord]:
    """The records of a night, which is run now unless it was."""
    moment = as_of.replace("-", "").replace(":", "")
    if not lake.names("runs", moment):
        words = ["run", "--local", "--source", source, "--as-of", as_of, "--home", str(place)]
        words += ["--factors", shop.factors, "--force", "to measure the steps behind the gate"]
        # a pod compiles what it runs, too
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(place / f"compiled-{moment}")}
        clock = time.perf_counter()
        dawnlist = Path(sys.executable).parent / "dawnlist"
        done = subprocess.run(
            [dawnlist, *words], capture_output=True, text=True, check=False, env=environment
        )
        if done.returncode:
            sys.exit(f"{done.stdout}\n{done.stderr}\nremove {place} before another try")
        print(
            f"{shop.name}, {as_of}: {time.perf_counter() - clock:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    return read_step_records(lake, parse_as_of(as_of), lake.names("runs", moment)[0])


def _read(shop: Shop, nights: list[list[StepRecord]]) -> Measured:
    rows, cut = (
        find_step_report(nights[0], "clean")["clean"],
        find_step_report(nights[0], "dataset"),
    )
    longest = max(map(int, shop.factors.split(",")))
    size = ShopSize(cut["pairs"], cut["users"], cut["items"], longest)
    peaks: dict[str, float] = {}
    for record in (record for night in nights for record in night):
        peaks[record["step"]] = max(peaks.get(record["step"], 0.0), record["peak_memory_mb"])
    return Measured(shop, rows, size, peaks)


def features(size: ShopSize) -> list[float]:
    """As Line has them."""
    return [
        1.0, size.interactions / 1e6, size.users / 1e5, size.items / 1e5,
        (size.users + size.items) * size.factors / 1e6,
    ]  # fmt: skip


def fitted(found: list[Measured], step: str) -> MemoryLine:
    """The line of least relative error; nothing takes less than no memory."""
    peaks = np.array([one.peaks[step] for one in found])
    values = np.array([features(one.size) for one in found])
    slopes, _ = nnls(values / peaks[:, None], np.ones(len(found)))
    return MemoryLine(*(round(float(slope), 1) for slope in slopes))


FAR = """
import resource, sys
from pathlib import Path

from dawnlist.lake.lake import Lake
from dawnlist.als.training import ALSConfig
from dawnlist.model.splits import Splits
from dawnlist.components.train.fitting import fit_stage

home, config = Path(sys.argv[1]), ALSConfig(factors=int(sys.argv[2]), iterations=1).as_dict()
fit_stage(Lake.open(str(home), "far"), Splits.load(home / "splits"), "train", config, FitEngine(), home / "model")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def far(pairs: int, home: Path) -> None:
    """A sweep of the train step at a size that no shop here has, and what its line says of it."""
    size = ShopSize(pairs, pairs // 50, pairs // 400, 64)
    shutil.rmtree(home, ignore_errors=True)
    train, holdout = hold_out_pairs(synthetic(size.users, size.items, pairs), seed=1)
    build_splits_from_matrices(train, None, holdout).save(home / "splits")
    command = [sys.executable, "-c", FAR, str(home), str(size.factors)]
    peak = float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    drawn = replace(size, interactions=train.nnz)
    print(
        f"train, {drawn}: {peak:,.0f} MB; the line says {MEMORY_LINES['train'].megabytes(drawn):,.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--home", type=Path, default=Path(".dawnlist/memory"), help="where the shops are kept"
    )
    parser.add_argument(
        "--far", type=int, default=0, help="pairs of a matrix to fit one model to, instead of shops"
    )
    parser.add_argument("--only", default="", help="names of the shops, with commas; default: all")
    arguments = parser.parse_args()
    if arguments.far:
        far(arguments.far, arguments.home / "far")
        return
    chosen = [
        shop for shop in SHOPS if not arguments.only or shop.name in arguments.only.split(",")
    ]
    found = [measured(shop, arguments.home) for shop in chosen]
    print(f"| shop | rows | pairs | users | items | factors | {' | '.join(STEPS)} |")
    print("|---|" + "--:|" * (5 + len(STEPS)))
    for one in found:
        numbers = [one.rows, *astuple(one.size), *(round(one.peaks[step]) for step in STEPS)]
        print(f"| {one.shop.name} | {' | '.join(f'{number:,}' for number in numbers)} |")
    for step in STEPS:
        line = fitted(found, step)
        worst = max(abs(line.megabytes(one.size) / one.peaks[step] - 1) for one in found)
        print(f'    "{step.replace("_", "-")}": {line},  # within {worst:.0%}')


if __name__ == "__main__":
    main()
