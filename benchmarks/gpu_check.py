"""Our ALS on a GPU: sweeps a second against implicit's GPU model, the CPU and the bandwidth of the GPU's memory, and
the time of a grid. `make gpu-check` runs the GPU's tests first.

python benchmarks/gpu_check.py                                (20 million interactions, 128 factors, 24 trials)
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from clicks import markdown
from matrices import synthetic
from scipy.sparse import csr_matrix

from dawnlist.als.engine import FitEngine
from dawnlist.als.pairs import CG_STEPS
from dawnlist.als.training import ALSTrainer
from dawnlist.components.tune.grid import Grid
from dawnlist.components.tune.search import search_configs
from dawnlist.lake.lake import Lake
from dawnlist.machine import cpu_cores
from dawnlist.machine.gpu_libraries import import_cupy
from dawnlist.model.config import ALSConfig
from dawnlist.model.matrices import build_splits_from_matrices, hold_out_pairs
from dawnlist.model.user_items import UserItems

REGULARIZATION, ALPHA = 30.0, 10.0
GRID_AIM_SECONDS = 60


def main() -> None:
    """Print the tables, or the one line that says what is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=400_000)
    parser.add_argument("--items", type=int, default=60_000)
    parser.add_argument("--pairs", type=int, default=20_000_000)
    parser.add_argument("--factors", type=int, default=128)
    given = parser.parse_args()
    try:
        xp = import_cupy()
    except RuntimeError as error:
        sys.exit(f"gpu-check: {error}")
    name = xp.cuda.runtime.getDeviceProperties(0)["name"].decode()
    weight = synthetic(given.users, given.items, given.pairs)
    user_items = UserItems(
        weight, np.random.default_rng(2).uniform(0, 365, weight.nnz).astype(np.float32)
    )
    print(f"{name}, CuPy {xp.__version__}; {weight.nnz:,} pairs, {given.factors} factors\n")
    floor = least_bytes(user_items, given.factors) / bandwidth(xp)
    found = {
        "ours, GPU": a_sweep(
            user_items, given.factors, "ials", "gpu", xp.cuda.Device().synchronize
        ),
        "implicit, GPU": a_sweep(
            user_items, given.factors, "implicit", "gpu", xp.cuda.Device().synchronize
        ),
        f"ours, CPU ({cpu_cores.count_cores()} cores)": a_sweep(
            user_items, given.factors, "ials", "cpu"
        ),
        "reading the vectors once a pass": floor,
    }
    ours = found["ours, GPU"]
    rows: list[dict[str, Any]] = [
        {
            "what": what,
            "s a sweep": f"{seconds:.4f}",
            "sweeps/s": f"{1 / seconds:.2f}",
            "ours is": f"{seconds / ours:.2f}x",
        }
        for what, seconds in found.items()
    ]
    markdown(rows)
    trials, seconds = a_grid(weight, given.factors)
    print(f"\na search of {trials} trials: {seconds:.1f} s (aim: below {GRID_AIM_SECONDS} s)")


def a_sweep(
    user_items: UserItems,
    factors: int,
    solver: str,
    device: str,
    wait: Callable[[], None] = lambda: None,
) -> float:
    """Median seconds of a sweep; the first, which compiles and uploads, is not counted."""
    fitting = ALSTrainer(user_items, FitEngine(device)).start_fit(
        ALSConfig(factors, REGULARIZATION, ALPHA, solver=solver)
    )
    seconds = []
    for _ in range(5 if device == "gpu" else 3):
        clock = time.perf_counter()
        fitting.advance(1)
        wait()
        seconds.append(time.perf_counter() - clock)
    return statistics.median(seconds[1:])


def bandwidth(xp: Any) -> float:
    """Bytes a second that a copy within the GPU's memory reads and writes."""
    source = xp.zeros(1 << 28, xp.float32)
    target = xp.empty_like(source)
    best = 1e9
    for _ in range(5):
        xp.cuda.Device().synchronize()
        clock = time.perf_counter()
        target[:] = source
        xp.cuda.Device().synchronize()
        best = min(best, time.perf_counter() - clock)
    return float(2 * source.nbytes / best)


def least_bytes(user_items: UserItems, factors: int) -> float:
    """What a sweep reads if each product of a pair and a vector reads that vector, and nothing else is read."""
    products = 2 + 1 + 2 * CG_STEPS
    return float(2 * products * 4 * factors * user_items.weight.nnz)


def a_grid(weight: csr_matrix, factors: int) -> tuple[int, float]:
    """Trials of the daily pipeline's search, one interaction of each user held out, and its seconds with judging."""
    splits = build_splits_from_matrices(*hold_out_pairs(weight, seed=3))
    grid = Grid(
        (factors,), (3.0, 10.0, 30.0, 100.0), (1.0,), (1.0, 0.3, 0.1), (0.0, 1.0), iterations=12
    )
    with tempfile.TemporaryDirectory() as folder:
        clock = time.perf_counter()
        trials = search_configs(
            Lake.open(folder, "check"), splits, grid.configs(), "ndcg", 20, FitEngine("gpu")
        )
        return len(trials), time.perf_counter() - clock


if __name__ == "__main__":
    main()
