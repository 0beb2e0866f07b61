"""What the benchmarks of models share: shops, real and simulated, in lakes as the daily run would fill them."""

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pyarrow as pa

from dawnlist.arrays import Float32Array, Float64Array
from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.dataset.split_pairs import build_splits
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.components.filter_bots.verdicts import judge_interactions
from dawnlist.cuts import compute_window, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.model.metrics import bootstrap_interval, score_lists
from dawnlist.model.splits import EvaluationSplit, Splits, Stage
from dawnlist.pipelines.ablation.study import list_last_days
from dawnlist.ranking.topk import top_k
from dawnlist.settings import Settings
from dawnlist.simulate import ShopConfig, simulate_shop, write_shop

WINDOW = 365
K = 20


@dataclass(frozen=True)
class Shop:
    """A shop whose days can be cut."""

    name: str
    lake: Lake
    version: int
    verdicts: pa.Table
    as_of: datetime
    """The end of its last day."""

    def days(self, count: int) -> Iterator[Splits]:
        """The splits of each of the last so many days, the oldest first."""
        for as_of in list_last_days(self.as_of, count):
            yield build_splits(self.lake, self.version, self.verdicts, as_of, WINDOW)[0]


@contextmanager
def shop(name: str, source: str, as_of: datetime, settings: str = "") -> Iterator[Shop]:
    """A source, fetched, cleaned and judged by the bot rules once, for its last day."""
    with tempfile.TemporaryDirectory(prefix="dawnlist-benchmark-") as folder:
        lake, rules = Lake.open(folder, "benchmark"), Settings.load(settings)
        landed = fetch_source(lake, source, rules.source, as_of, "benchmark", WINDOW)
        version = clean_landed_objects(lake, landed, rules, as_of, "benchmark")[
            "interactions_version"
        ]
        verdicts, _ = judge_interactions(lake, version, compute_window(as_of, WINDOW), rules)
        yield Shop(name, lake, version, verdicts, as_of)


@contextmanager
def simulated(users: int, days: int, seed: int) -> Iterator[Shop]:
    """A shop of the simulator."""
    with tempfile.TemporaryDirectory(prefix="dawnlist-benchmark-") as folder:
        config, url = ShopConfig(users, days=days, seed=seed), f"sqlite:///{folder}/shop.db"
        write_shop(simulate_shop(config), url)
        with shop(f"simulated, seed {seed}", url, parse_as_of(f"{config.end}T00:00:00Z")) as found:
            yield found


@contextmanager
def movietweetings(data: Path) -> Iterator[Shop]:
    """Ratings as they were tweeted; the last full day of the file is 2013-11-05."""
    with shop(
        "movietweetings", str(data / "movietweetings"), datetime(2013, 11, 6, tzinfo=UTC)
    ) as found:
        yield found


@contextmanager
def deskdrop(data: Path) -> Iterator[Shop]:
    """A site's own log of a year."""
    settings = Path(__file__).parent.parent / "docs" / "examples" / "deskdrop.yaml"
    with tempfile.TemporaryDirectory(prefix="dawnlist-benchmark-") as folder:
        with ZipFile(data / "deskdrop" / "users_interactions.csv.zip") as packed:
            source = packed.extract("users_interactions.csv", folder)
        with shop("deskdrop", source, datetime(2017, 2, 28, tzinfo=UTC), str(settings)) as found:
            yield found


def options(description: str | None, *shops: str) -> argparse.ArgumentParser:
    """A parser that knows where the data sets lie, and which shops are asked for."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder of the real data sets"
    )
    parser.add_argument("--shops", nargs="+", choices=shops, default=shops)
    parser.add_argument("--users", type=int, default=4000, help="of the simulated shop")
    return parser


def opened(
    given: argparse.Namespace, shops: Mapping[str, AbstractContextManager[Shop]]
) -> Iterator[tuple[str, Shop]]:
    """Those that are asked for, open, by name; real ones whose data set is not there are told and left out."""
    for name in given.shops:
        if name != "simulated" and not (given.data / name).is_dir():
            print(f"{name}: not there")
            continue
        with shops[name] as found:
            yield name, found


def ndcg(splits: Splits, stage: Stage, factors: tuple[Float32Array, Float32Array]) -> Float64Array:
    """Of each judged user of the part that follows the stage's cut: validation after tune, the holdout after train."""
    part: EvaluationSplit = "validation" if stage == "tune" else "holdout"
    users, user_items = splits.judged(part), splits.user_items(stage)
    known = np.bincount(user_items.weight.indices, minlength=splits.shape[1]) > 0
    lists, _ = top_k(factors[0][users], factors[1], K, user_items.weight[users], known)
    return score_lists(lists, splits.truth(part)[users]).ndcg


def interval(difference: Float64Array) -> str:
    """A paired difference's mean and 95% interval, bootstrapped over users."""
    low, high = bootstrap_interval(difference, 7)
    return f"{difference.mean():+.4f} ({low:+.4f} to {high:+.4f})"
