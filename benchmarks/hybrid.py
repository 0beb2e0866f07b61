"""NDCG@20 and recall@20 of CF alone against the hybrid: by length of history, for newcomers, and for young items.

python benchmarks/hybrid.py --data ../shared/data        (data sets that are not there are left out)

Each day is searched as the daily run does it, on its own validation, with and without a share of content; both winners
are fitted on what lies before the holdout and judged on it, pooled over users and days. Data sets do not say when an
item came: the catalogue is taken to list it a week before anybody meets it. Newcomers are judged users of whom nothing
but the newest one, two or three items is known. Differences are paired, with 95% intervals.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import duckdb
import numpy as np
import pyarrow as pa
from clicks import markdown
from deltalake import write_deltalake
from scipy.sparse import csr_matrix
from shops import K, Shop, interval, movietweetings, opened, options, shop, simulated

from dawnlist.als.training import ALSTrainer
from dawnlist.arrays import Float32Array, Float64Array
from dawnlist.components.tune.grid import NO_CONTENT_BLEND, Grid, with_content_blend
from dawnlist.components.tune.sample import Sample
from dawnlist.components.tune.search import search_configs
from dawnlist.cuts import MICROSECONDS_PER_DAY
from dawnlist.lake.lake import Lake
from dawnlist.model import popularity
from dawnlist.model.config import ALSConfig
from dawnlist.model.hybrid import Hybrid
from dawnlist.model.metric_names import METRICS
from dawnlist.model.splits import Splits
from dawnlist.schema import ITEMS_SCHEMA

GRID: dict[str, Any] = {
    "regularization": (30.0,),
    "alpha": (1.0,),
    "nu": (0.5,),
    "half_life": (14.0, 60.0),
}
SERVED: dict[str, Any] = {
    "popularity_share": (0.0, 0.1, 0.3, 1.0, 3.0),
    "popularity_half_life": (0.5, 3.0, 14.0),
    "content_share": (0.0, 0.03, 0.1, 0.3),
    "content_pairs": (10.0, 100.0),
}
FIXED = {"0.03/100": (0.03, 100.0), "0.1/10": (0.1, 10.0)}
"""content_share and content_pairs of two more arms, which nobody chose."""
HISTORY = {"1 to 3 items": (1, 3), "4 to 10": (4, 10), "11 and more": (11, 1 << 30)}
DAYS = {"movietweetings": 7, "online-retail": 28, "simulated": 6}
WEEK = 7 * MICROSECONDS_PER_DAY
TITLES = """SELECT trim(StockCode) item_id, mode(trim(Description)) title
FROM read_csv('{}/by-day/*.csv', all_varchar = true)
WHERE Description IS NOT NULL GROUP BY ALL ORDER BY ALL"""


@contextmanager
def online_retail(data: Path) -> Iterator[Shop]:
    """A real shop's invoices, whose articles' titles stand in each line; its last day is 2011-12-09."""
    settings = Path(__file__).parent.parent / "docs" / "examples" / "online-retail.yaml"
    with tempfile.TemporaryDirectory(prefix="dawnlist-benchmark-") as folder:
        with ZipFile(data / "online-retail" / "by-day.zip") as packed:
            packed.extractall(folder)
        titles = duckdb.connect().sql(TITLES.format(folder)).to_arrow_table()
        columns = [
            titles["item_id"],
            titles["title"],
            *(pa.nulls(titles.num_rows, ITEMS_SCHEMA.field(n).type) for n in (2, 3)),
        ]
        with shop(
            "online-retail", f"{folder}/by-day", datetime(2011, 12, 9, tzinfo=UTC), str(settings)
        ) as found:
            write_deltalake(found.lake.table_uri("items"), pa.table(columns, schema=ITEMS_SCHEMA))
            yield found


@dataclass(frozen=True)
class Day:
    """One day, searched and judged."""

    splits: Splits
    first_met: dict[str, int]
    iterations: int
    factors: int

    @cached_property
    def hybrid(self) -> Hybrid:
        """Of what is known before the holdout."""
        return Hybrid.of(self.splits, "train")

    @cached_property
    def arms(self) -> dict[str, ALSConfig]:
        """The winners of the day's own search, and shares of content that nobody chose."""
        grid = Grid((self.factors,), **GRID, **SERVED, iterations=self.iterations)
        with tempfile.TemporaryDirectory(prefix="dawnlist-benchmark-") as folder:
            found = [
                search_configs(
                    Lake.open(folder, name),
                    self.splits,
                    grid.configs(),
                    "ndcg",
                    K,
                    blends=grid.blends(),
                    contents=c,
                )
                for name, c in (("cf", [NO_CONTENT_BLEND]), ("hybrid", grid.contents()))
            ]
        cf, hybrid = (ALSConfig.from_dict(trials[0]) for trials in found)
        return {"CF": cf, "hybrid": hybrid} | {
            name: with_content_blend(cf, content) for name, content in FIXED.items()
        }

    @cached_property
    def fits(self) -> dict[str, tuple[tuple[Float32Array, Float32Array], float]]:
        """Each arm's factors before the holdout, and its scale of lambda."""
        found = {}
        for name, config in self.arms.items():
            fit = ALSTrainer(self.hybrid.fitted).start_fit(config)
            fit.advance(config.iterations)
            found[name] = (fit.factors, fit.ridge_scale)
        return found

    def young(self) -> csr_matrix:
        """The truth of all users, of items that nobody had met a week before the holdout."""
        cut = int(self.splits.end("train").timestamp() * 1e6)
        met = np.array(
            [self.first_met.get(item, 0) for item in self.splits.item_ids.ids.to_pylist()]
        )
        truth = self.splits.truth("holdout")
        truth.data = truth.data * (met[truth.indices] >= cut - WEEK)
        truth.eliminate_zeros()
        return truth

    def groups(self) -> Iterator[tuple[str, Sample]]:
        """Whom to judge by what."""
        users, truth = self.splits.judged("holdout"), self.splits.truth("holdout")
        met = np.diff(self.hybrid.user_items.weight.indptr)
        yield "everyone", Sample(self.hybrid, users, truth[users], K)
        for name, (low, high) in HISTORY.items():
            some = users[(met[users] >= low) & (met[users] <= high)]
            yield name, Sample(self.hybrid, some, truth[some], K)
        for clicks in (1, 2, 3):
            yield (
                f"newcomers of {clicks}",
                Sample(self.hybrid, users, truth[users], K, clicks=clicks).short_history_sample,
            )
        young = self.young()
        some = users[np.diff(young.indptr)[users] > 0]
        yield "young items", Sample(self.hybrid, some, young[some], K)

    def judged(self, name: str, sample: Sample, arm: str) -> Float32Array:
        """The metrics of each user."""
        (users, items), scale = self.fits[arm]
        last = len(sample.users)
        if sample.clicks:
            vectors = sample.newcomers.vectors(items, scale, self.arms[arm])
            return sample.score_newcomers((vectors, items), self.arms[arm], 0, last)
        return sample.values((users, items), self.arms[arm], 0, last)

    def nobodies(self) -> tuple[Sample, tuple[Float32Array, Float32Array]]:
        """Users of no history, and what they get in either arm: the popular items of a week."""
        truth, known = self.splits.truth("holdout"), np.diff(self.hybrid.user_items.weight.indptr)
        users = np.flatnonzero((np.diff(truth.indptr) > 0) & (known == 0))
        return Sample(self.hybrid, users, truth[users], K), popularity.fit_popularity(
            self.hybrid.user_items, "7d"
        )


def days(found: Shop, count: int, factors: int, iterations: int) -> Iterator[Day]:
    """The last days, their items listed from a week before anybody met them."""
    rows = found.lake.rows("interactions", found.version)
    assert rows is not None
    query = "SELECT item_id, min(epoch_us(event_time)) FROM rows GROUP BY ALL"
    first_met = dict(duckdb.connect().register("rows", rows).sql(query).fetchall())
    for splits in found.days(count):
        assert splits.stock is not None
        ids = splits.item_ids.ids.to_pylist()
        listed = np.array(
            [max(1, first_met[item] - WEEK) if item in first_met else 0 for item in ids]
        )
        yield Day(
            replace(splits, stock=replace(splits.stock, first_seen=listed, since=-1)),
            first_met,
            iterations,
            factors,
        )


def compared(found: Shop, count: int, factors: int, iterations: int) -> Iterator[dict[str, str]]:
    """A row for each group."""
    values: dict[str, dict[str, list[Float32Array]]] = defaultdict(lambda: defaultdict(list))
    for day in days(found, count, factors, iterations):
        if not len(day.splits.judged("holdout")) or not len(day.splits.judged("validation")):
            continue  # a shop that is closed on some days
        print(
            found.name,
            day.splits.cuts.as_of.date(),
            *(said(c) for c in day.arms.values()),
            sep="; ",
            flush=True,
        )
        for name, sample in day.groups():
            for arm in day.arms:
                values[name][arm].append(day.judged(name, sample, arm))
        sample, popular = day.nobodies()
        flat = ALSConfig(1)
        for arm in day.arms:
            values["no history (popular list)"][arm].append(
                sample.values(popular, flat, 0, len(sample.users))
            )
    for name, by_arm in values.items():
        joined = {arm: np.hstack(parts).astype(np.float64) for arm, parts in by_arm.items()}
        if joined["CF"].shape[1]:
            yield {
                "shop": found.name,
                "": name,
                "users x days": f"{joined['CF'].shape[1]:,}",
                **scores(joined),
            }


def scores(joined: dict[str, Float64Array]) -> dict[str, str]:
    """NDCG and recall of CF and what the others add."""
    found = {}
    for metric in ("ndcg", "recall"):
        of = {arm: values[METRICS.index(metric)] for arm, values in joined.items()}
        found[f"{metric} CF"] = f"{of['CF'].mean():.4f}"
        found[f"{metric} hybrid - CF"] = interval(of["hybrid"] - of["CF"])
        if metric == "ndcg":
            found |= {f"ndcg {name} - CF": interval(of[name] - of["CF"]) for name in FIXED}
    return found


def said(config: ALSConfig) -> str:
    """What was chosen."""
    return (
        f"half_life {config.half_life:g}, popularity {config.popularity_share:g}/{config.popularity_half_life:g}, "
        f"content {config.content_share:g}/{config.content_pairs:g}"
    )


def main() -> None:
    parser = options(__doc__, *DAYS)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--days", type=int, default=0, help="0: 7, 28 and 6 of the three shops")
    given = parser.parse_args()
    shops = {
        "movietweetings": movietweetings(given.data),
        "online-retail": online_retail(given.data),
        "simulated": simulated(given.users, 90, 1),
    }
    for name, found in opened(given, shops):
        markdown(list(compared(found, given.days or DAYS[name], given.factors, given.iterations)))


if __name__ == "__main__":
    main()
