"""Recall@20 of a user's next click, with and without the last clicks folded in.

python benchmarks/next_click.py --data ../shared/data        (data sets that are not there are left out)

A model is fitted on all rows before a day begins. Then each user's clicks of that day are walked through: click j, on
an item that the user has not met yet and the model knows, is looked for in the 20 best by the history before the day
alone, and by that history with the day's clicks before j folded in, as the predictor does it. Both lists leave out the
same items: the history and the day's earlier clicks. A user's first click of the day has none before it: left out.
Newcomers, whom the model does not know, have what is popular (its bias, or without one how many users met an item) in
place of a history. A user and day is one value, the share of clicks found; differences are paired, with 95% intervals.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from clicks import markdown
from shops import WINDOW, K, Shop, deskdrop, interval, movietweetings, opened, options, simulated

from dawnlist.als.training import ALSTrainer
from dawnlist.components.dataset.split_pairs import build_splits
from dawnlist.components.dataset.verdicts import build_keep_filter
from dawnlist.cuts import MICROSECONDS_PER_DAY
from dawnlist.lake.interactions import scan_interactions
from dawnlist.model import popularity
from dawnlist.model.config import ALSConfig
from dawnlist.model.splits import Splits
from dawnlist.model.user_items import UserItems
from dawnlist.pipelines.ablation.study import list_last_days
from dawnlist.ranking.coarse import QuantisedIndex
from dawnlist.ranking.fold_in import NO_PAIRS, FoldIn, UserPairs

CONFIG = ALSConfig(factors=64, regularization=30, alpha=10, nu=0.5, half_life=14, iterations=12)
DAYS = {"movietweetings": 14, "deskdrop": 40, "simulated": 4}
MOST_RECENT = 50
"""Clicks that are folded in at most, as many as are recorded."""
Hits = dict[str, list[float]]
Click = tuple[int, float, float]
"""Item index, weight, and time in seconds since 1970."""


@dataclass(frozen=True)
class Fitted:
    """A model of the rows before a day, with its lists' arithmetic."""

    splits: Splits
    pairs: UserItems
    fold: FoldIn
    coarse: QuantisedIndex
    popular: QuantisedIndex

    @classmethod
    def of(cls, splits: Splits, share: float) -> "Fitted":
        """The factors' scores plus `share` times decayed popularity."""
        pairs = splits.user_items("refit")
        fit = ALSTrainer(pairs).start_fit(CONFIG)
        fit.advance(CONFIG.iterations)
        items = fit.factors[1]
        bias = popularity.compute_popularity(pairs, 1.0)
        config = {
            **CONFIG.as_dict(),
            "ridge_scale": fit.ridge_scale,
            "fitted_items": splits.met_item_count,
        }
        return cls(
            splits,
            pairs,
            FoldIn.of(items, config),
            QuantisedIndex.of(items, np.float32(share) * bias),
            QuantisedIndex.of(items[:, :0], bias),
        )

    def history(self, user: int) -> UserPairs:
        """What the user met before the day."""
        part = slice(*self.pairs.weight.indptr[user : user + 2])
        index, weight = self.pairs.weight.indices[part], self.pairs.weight.data[part]
        return UserPairs(
            index.astype(np.int64),
            weight.astype(np.float64),
            self.pairs.age[part].astype(np.float64),
        )

    def best(
        self, history: UserPairs, events: UserPairs, days: float, hidden: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """The 20 best."""
        x = self.fold.vector(self.fold.build_equation(history, events, days)).astype(np.float32)
        return shown(self.coarse, x, hidden)


def shown(
    coarse: QuantisedIndex, x: npt.NDArray[np.float32], hidden: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    left_out = np.unique(hidden).astype(np.int32)
    return np.asarray(coarse.best(x[None, :], K, np.array([0, len(left_out)]), left_out)[0][0])


def walked(shop: Shop, days: int, share: float) -> tuple[dict[str, Hits], dict[str, Hits]]:
    """Of known users and of newcomers: with and without -> user and day -> whether each click was found."""
    known: dict[str, Hits] = {name: defaultdict(list) for name in ("without", "with")}
    new: dict[str, Hits] = {name: defaultdict(list) for name in ("without", "with")}
    for as_of in list_last_days(shop.as_of, days + 1)[:-1]:
        splits = build_splits(shop.lake, shop.version, shop.verdicts, as_of, WINDOW)[0]
        model = Fitted.of(splits, share)
        for (user_id, user), clicks in day_of(shop, splits, as_of).items():
            arms, history = (new, NO_PAIRS) if user < 0 else (known, model.history(user))
            for name, hits in each(model, history, clicks, as_of.timestamp()):
                arms[name][f"{user_id} {as_of}"].append(hits)
    return known, new


def day_of(shop: Shop, splits: Splits, as_of: datetime) -> dict[tuple[str, int], list[Click]]:
    """User id and index (-1: a newcomer) -> the clicks within 24 hours, in their order, on items that are known."""
    begin = int(as_of.timestamp() * 1_000_000)
    rows = scan_interactions(shop.lake, shop.version, as_of + timedelta(days=1), 3).filter(
        build_keep_filter(shop.verdicts)
    )
    table = rows.to_table(columns=["user_id", "item_id", "weight", "event_time"])
    item, user = (
        splits.item_ids.indices(table["item_id"]),
        splits.user_ids.indices(table["user_id"]),
    )
    time = table["event_time"].cast("int64").to_numpy()
    fits = (item >= 0) & (time >= begin) & (time < begin + MICROSECONDS_PER_DAY)
    order = np.flatnonzero(fits)[np.argsort(time[fits], kind="stable")]
    users, weight = table["user_id"].to_numpy(), table["weight"].to_numpy()
    found: dict[tuple[str, int], list[Click]] = defaultdict(list)
    for row in order.tolist():
        found[users[row], int(user[row])].append(
            (int(item[row]), float(weight[row]), time[row] / 1e6)
        )
    return found


def each(
    model: Fitted, history: UserPairs, clicks: list[Click], begin: float
) -> Iterator[tuple[str, float]]:
    """Whether each click but the first is found, without and with those before it."""
    met = set(history.index.tolist())
    for j, (item, _, now) in enumerate(clicks):
        before = clicks[max(0, j - MOST_RECENT) : j]
        earlier = {row for row, _, _ in clicks[:j]}
        if not before or item in met | earlier:
            continue
        weights: dict[int, float] = defaultdict(float)
        times: dict[int, float] = {}
        for row, weight, moment in before:
            weights[row] += weight
            times[row] = moment
        index = np.array(list(weights), dtype=np.int64)
        ages = (now - np.array([times[row] for row in weights])) / 86_400
        events = UserPairs(index, np.array(list(weights.values())), ages)
        hidden = np.array([*met, *earlier], dtype=np.int64)
        days = (now - begin) / 86_400
        if len(history):
            plain = model.best(history, NO_PAIRS, days, hidden)
        else:
            plain = shown(model.popular, np.zeros(0, np.float32), hidden)
        yield "without", float(item in plain)
        yield "with", float(item in model.best(history, events, days, hidden))


def rows(
    name: str, share: float, found: tuple[dict[str, Hits], dict[str, Hits]]
) -> Iterator[dict[str, Any]]:
    """A line for known users and one for newcomers."""
    for who, arms in zip(("known", "newcomers"), found, strict=True):
        keys = list(arms["with"])
        if not keys:
            continue
        values = {arm: np.array([np.mean(hits[key]) for key in keys]) for arm, hits in arms.items()}
        yield {
            "shop": name,
            "popularity_share": f"{share:g}",
            "users": who,
            "users x days": len(keys),
            "clicks": sum(map(len, arms["with"].values())),
            "without": f"{values['without'].mean():.4f}",
            "with the last clicks": f"{values['with'].mean():.4f}",
            "difference (95%)": interval(values["with"] - values["without"]),
        }


def main() -> None:
    parser = options(__doc__, *DAYS)
    parser.add_argument("--shares", nargs="+", type=float, default=[0.0, 0.3])
    given = parser.parse_args()
    shops = {
        "movietweetings": movietweetings(given.data),
        "deskdrop": deskdrop(given.data),
        "simulated": simulated(given.users, 60, 1),
    }
    lines: list[dict[str, Any]] = []
    for name, shop in opened(given, shops):
        for share in given.shares:
            lines += rows(shop.name, share, walked(shop, DAYS[name], share))
    print(f"\n{CONFIG.as_dict()}\n")
    markdown(lines)


if __name__ == "__main__":
    main()
