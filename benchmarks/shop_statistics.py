"""Print the statistics of real shops next to those of the simulated one: `python benchmarks/shop_statistics.py`.

Columns: the real data sets under --data, the simulated default shop (one column a seed: what its people did, and what a
pipeline sees that drops declared crawlers and staff but leaves the stealthy bots in), the range of the real ones, and
whether the simulated shop lies within it. Then the bootstrap interval of ALS minus popularity on the simulated shop.
"""

import argparse
import io
import itertools
import multiprocessing
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from dawnlist.schema import EVENT_WEIGHTS
from dawnlist.simulate import ShopConfig, ground_truth, simulate_shop

DAY = 86_400.0
K = 20
SIMULATED_DAYS = 10  # pooled, as for online-retail: single days differ a lot
POPULARITY_DAYS = (None, 7.0, 1.0)
# factors, alpha, regularization, half-life in days
Cell = tuple[int, float, float, float | None]
ALS_GRID: tuple[Cell, ...] = tuple(
    itertools.product((32,), (1.0, 10.0), (1.0, 30.0), (None, 60.0, 14.0, 4.0))
)
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Log:
    """Cleaned events of one shop: aligned arrays, sorted by time."""

    users: npt.NDArray[np.int64]  # dense
    items: npt.NDArray[np.int64]  # dense
    times: FloatArray  # epoch seconds
    weights: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.users.max()) + 1, int(self.items.max()) + 1

    def between(self, start: float, end: float) -> "Log":
        first, last = np.searchsorted(self.times, (start, end))
        return Log(
            self.users[first:last],
            self.items[first:last],
            self.times[first:last],
            self.weights[first:last],
        )


def log_of(frame: pd.DataFrame) -> Log:
    """A log from columns user, item, time (epoch seconds) and weight; ids of any kind."""
    frame = frame.sort_values("time", kind="stable")
    return Log(
        pd.factorize(frame["user"])[0].astype(np.int64),
        pd.factorize(frame["item"])[0].astype(np.int64),
        frame["time"].to_numpy(np.float64),
        frame["weight"].to_numpy(np.float64),
    )


def movietweetings(data: Path) -> Log:
    """Every rating counts as an event of weight rating / 10."""
    rows = np.loadtxt(
        io.StringIO((data / "movietweetings/ratings.dat").read_text().replace("::", " ")),
        dtype=np.int64,
    )
    return log_of(
        pd.DataFrame(
            {"user": rows[:, 0], "item": rows[:, 1], "time": rows[:, 3], "weight": rows[:, 2] / 10}
        )
    )


def online_retail(data: Path) -> Log:
    """Every invoice line of a known customer that isn't a cancellation counts as one purchase."""
    with zipfile.ZipFile(data / "online-retail/by-day.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".csv"))
        rows = pd.concat([pd.read_csv(archive.open(name), dtype=str) for name in names])
    rows = rows[rows["CustomerID"].notna() & ~rows["InvoiceNo"].str.startswith("C")]
    rows = rows[rows["Quantity"].astype(float) > 0]
    times = pd.to_datetime(rows["InvoiceDate"]).astype("datetime64[s]").astype("int64")
    return log_of(
        pd.DataFrame(
            {"user": rows["CustomerID"], "item": rows["StockCode"], "time": times, "weight": 1.0}
        )
    )


def deskdrop(data: Path) -> Log:
    """The site's own events, weighted by type."""
    with zipfile.ZipFile(data / "deskdrop/users_interactions.csv.zip") as archive:
        rows = pd.read_csv(
            archive.open("users_interactions.csv"), dtype={"contentId": str, "personId": str}
        )
    kinds = rows["eventType"].str.lower().replace({"comment created": "comment"})
    weights = kinds.map(EVENT_WEIGHTS).fillna(1.0)
    return log_of(
        pd.DataFrame(
            {
                "user": rows["personId"],
                "item": rows["contentId"],
                "time": rows["timestamp"],
                "weight": weights,
            }
        )
    )


def gini(counts: FloatArray) -> float:
    """The Gini coefficient of positive counts: 0 when all are equal."""
    ordered = np.sort(counts)
    ranks = np.arange(1, len(ordered) + 1)
    return float(
        (2 * (ranks * ordered).sum() / (len(ordered) * ordered.sum()))
        - (len(ordered) + 1) / len(ordered)
    )


def shape_statistics(log: Log) -> dict[str, float]:
    """Gini of items by distinct users, and distinct items per user, over the whole log."""
    pairs = np.unique(log.users * log.shape[1] + log.items)
    per_user = np.bincount(pairs // log.shape[1])
    per_item = np.bincount(pairs % log.shape[1])
    per_user, per_item = per_user[per_user > 0], per_item[per_item > 0]
    return {
        "Gini of item popularity": gini(per_item.astype(np.float64)),
        "history: median": float(np.median(per_user)),
        "history: mean": float(per_user.mean()),
        "history: p90": float(np.percentile(per_user, 90)),
    }


@dataclass(frozen=True)
class Question:
    """One day: what was known at the cut, and what known users then did."""

    cut: float
    history: Log
    shape: tuple[int, int]
    users: npt.NDArray[np.int64]  # known users with at least one new item
    truth: csr_matrix  # (all users, all items), 1 where the pair is new
    seen: csr_matrix  # (all users, all items)
    repeats: int  # distinct next-day pairs of known users that were there before ...
    pairs: int  # ... of so many


def incidence(log: Log, shape: tuple[int, int]) -> csr_matrix:
    """(users, items) matrix with 1 for each pair that occurs."""
    matrix = csr_matrix((np.ones(len(log.users)), (log.users, log.items)), shape=shape)
    matrix.data[:] = 1.0
    return matrix


def questions(log: Log, days: int) -> Iterator[Question]:
    """The last `days` midnight-to-midnight days of the log, oldest first, without those that ask nothing."""
    end = np.ceil(log.times[-1] / DAY) * DAY
    for cut in end - DAY * np.arange(days, 0, -1):
        history, after = log.between(-np.inf, cut), log.between(cut, cut + DAY)
        seen, asked = incidence(history, log.shape), incidence(after, log.shape)
        known = np.diff(seen.indptr) > 0
        asked = csr_matrix(asked.multiply(known[:, None]))
        repeats = csr_matrix(asked.multiply(seen))
        truth = csr_matrix(asked - repeats)
        truth.eliminate_zeros()
        users = np.flatnonzero(np.diff(truth.indptr))
        if len(users):
            yield Question(
                float(cut), history, log.shape, users, truth, seen, int(repeats.nnz), int(asked.nnz)
            )


def ndcg(question: Question, scores: FloatArray) -> FloatArray:
    """NDCG@20 per user of `question.users`; scores (users, items), seen items are left out here."""
    users = question.users
    scores = np.array(scores, dtype=np.float64)
    rows, columns = question.seen[users].nonzero()
    scores[rows, columns] = -np.inf
    top = np.argpartition(-scores, K, axis=1)[:, :K]
    top = np.take_along_axis(
        top, np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable"), axis=1
    )
    truth = question.truth[users].toarray()
    hits = np.take_along_axis(truth, top, axis=1)
    discounts = 1 / np.log2(np.arange(2, K + 2))
    ideal = np.cumsum(discounts)[np.minimum(truth.sum(axis=1).astype(int), K) - 1]
    return np.asarray((hits @ discounts) / ideal)


def popularity(question: Question, days: float | None) -> FloatArray:
    """NDCG of the items with the most events in the last `days` (all, if None)."""
    recent = question.history.between(
        -np.inf if days is None else question.cut - days * DAY, question.cut
    )
    counts = np.bincount(recent.items, minlength=question.shape[1]).astype(np.float64)
    return ndcg(question, np.tile(counts, (len(question.users), 1)))


def als(
    question: Question, factors: int, alpha: float, regularization: float, half_life: float | None
) -> FloatArray:
    """NDCG of implicit's ALS, confidence 1 + alpha * weight * 0.5 ** (age / half_life)."""
    log = question.history
    decay = 1.0 if half_life is None else 0.5 ** ((question.cut - log.times) / (half_life * DAY))
    user_items = csr_matrix((log.weights * decay, (log.users, log.items)), shape=question.shape)
    user_items.data = (1 + alpha * user_items.data).astype(np.float32)
    model = AlternatingLeastSquares(
        factors=factors,
        regularization=regularization,
        alpha=1.0,
        iterations=8,
        random_state=1,
        num_threads=1,
    )
    model.fit(user_items.astype(np.float32), show_progress=False)
    return ndcg(question, model.user_factors[question.users] @ model.item_factors.T)


@dataclass(frozen=True)
class Verdict:
    """NDCG per (day, user) of the best popularity and the best ALS, chosen over the pooled days."""

    popularity: FloatArray
    als: FloatArray
    popularity_days: float | None
    als_parameters: Cell

    def interval(self, draws: int = 2_000) -> tuple[float, float]:
        """The 95 % bootstrap interval of ALS minus popularity."""
        generator = np.random.default_rng(0)
        difference = self.als - self.popularity
        means = difference[generator.integers(len(difference), size=(draws, len(difference)))].mean(
            axis=1
        )
        low, high = np.percentile(means, (2.5, 97.5))
        return float(low), float(high)


def compare(asked: list[Question], grid: tuple[Cell, ...] = ALS_GRID) -> Verdict:
    """The best popularity and the best ALS over the pooled days."""

    def pooled(score: Callable[[Question], FloatArray]) -> FloatArray:
        return np.concatenate([score(question) for question in asked])

    by_days = {days: pooled(partial(popularity, days=days)) for days in POPULARITY_DAYS}
    by_cell = {cell: pooled(partial(als_of_cell, cell=cell)) for cell in grid}
    best_days = max(by_days, key=lambda days: float(by_days[days].mean()))
    best_cell = max(by_cell, key=lambda cell: float(by_cell[cell].mean()))
    return Verdict(by_days[best_days], by_cell[best_cell], best_days, best_cell)


def als_of_cell(question: Question, cell: Cell) -> FloatArray:
    return als(question, *cell)


@dataclass(frozen=True)
class Column:
    """The statistics of one shop."""

    name: str
    numbers: dict[str, float]
    verdict: Verdict


def column(name: str, log: Log, days: int) -> Column:
    """All the statistics of one shop, the last `days` days pooled."""
    asked = list(questions(log, days))
    verdict = compare(asked)
    numbers = shape_statistics(log)
    numbers["repeat share, next 24 h"] = sum(q.repeats for q in asked) / sum(q.pairs for q in asked)
    numbers["popularity / ALS"] = float(verdict.popularity.mean() / verdict.als.mean())
    numbers["(popularity NDCG@20)"] = float(verdict.popularity.mean())
    numbers["(ALS NDCG@20)"] = float(verdict.als.mean())
    numbers["(ALS - popularity, low)"], numbers["(ALS - popularity, high)"] = verdict.interval()
    numbers["(days pooled)"] = len(asked)
    numbers["(users asked a day)"] = len(verdict.als) / len(asked)
    numbers["(events)"] = len(log.users)
    return Column(name, numbers, verdict)


REAL: dict[str, tuple[Callable[[Path], Log], int]] = {
    "movietweetings": (movietweetings, 5),
    "online-retail": (online_retail, 10),  # one of them is a Saturday, when the shop is closed
    "deskdrop": (deskdrop, 20),  # some days have 13 users, too few for a figure
}


def measure(job: tuple[str, str, int]) -> Column:
    """One column: ("movietweetings", folder, 0) or ("people" | "robots left", "", seed)."""
    name, data, seed = job
    with threadpool_limits(1):
        if data:
            load, days = REAL[name]
            return column(name, load(Path(data)), days)
        shop = simulate_shop(ShopConfig(seed=seed))
        events = ground_truth.recover_events(shop)
        kept = (
            ground_truth.select_people(events)
            if name == "people"
            else ground_truth.drop_declared_robots(events, shop)
        )
        return column(f"seed {seed}, {name}", log_of(kept), SIMULATED_DAYS)


def table(real: list[Column], simulated: list[Column]) -> str:
    """A Markdown table: a row a statistic, those in brackets are not compared."""
    names = [column.name for column in (*real, *simulated)]
    lines = [
        f"| statistic | {' | '.join(names)} | range of the real | within |",
        "|---" * (len(names) + 3) + "|",
    ]
    for statistic in simulated[0].numbers:
        values = [column.numbers[statistic] for column in (*real, *simulated)]
        verdict = " | "
        if real and not statistic.startswith("("):
            low, high = min(values[: len(real)]), max(values[: len(real)])
            inside = all(low <= value <= high for value in values[len(real) :])
            verdict = f"{show(low)} to {show(high)} | {'yes' if inside else 'NO'}"
        lines.append(f"| {statistic} | {' | '.join(show(value) for value in values)} | {verdict} |")
    title = "Best popularity window (days) and best (factors, alpha, regularization, half-life):"
    return "\n".join([*lines, "", title, *(chosen(column) for column in (*real, *simulated))])


def chosen(column: Column) -> str:
    return f"{column.name}: {column.verdict.popularity_days}, {column.verdict.als_parameters}"


def show(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 or value == int(value) else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder of the real data sets"
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[1, 2], help="of the simulated shops"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes, one column each")
    arguments = parser.parse_args()
    real = [(name, str(arguments.data), 0) for name in REAL if (arguments.data / name).is_dir()]
    simulated = [(name, "", seed) for seed in arguments.seeds for name in ("people", "robots left")]
    with ProcessPoolExecutor(arguments.jobs, multiprocessing.get_context("spawn")) as pool:
        columns = list(pool.map(measure, [*real, *simulated]))
    print(table(columns[: len(real)], columns[len(real) :]))


if __name__ == "__main__":
    main()
