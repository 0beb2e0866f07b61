"""Nights on which the gate refuses every challenger: lists that stay against lists that are renewed (docs/GATE.md).

python benchmarks/frozen_gate.py --data ../shared/data

On the first night a configuration goes live. On each night after it every challenger is refused. Before, the lists of
the first night stayed. Now the same configuration is fitted on the rows up to that night. Both are served on the next
24 hours, to everybody who comes: their own list, or the popular list of the version for those without one. A user's
truth is what they meet and have not met before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import shops

from dawnlist.als.engine import FitEngine
from dawnlist.arrays import Float64Array, Int64Array
from dawnlist.components.dataset.split_pairs import build_splits
from dawnlist.components.train.fitting import fit_stage
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.metrics import score_lists
from dawnlist.model.popularity import fit_popularity
from dawnlist.model.splits import Splits

CONFIGS: dict[str, dict[str, Any]] = {
    "popularity of 24 hours": {"engine": "popularity", "window": "24h"},
    "popularity of 7 days": {"engine": "popularity", "window": "7d"},
    "factors and popularity": ALSConfig(
        factors=32, regularization=100.0, alpha=10.0, nu=0.5, half_life=60.0, iterations=10,
        popularity_share=1.0, popularity_half_life=3.0,
    ).as_dict(),
}  # fmt: skip
WINDOWS = {
    "popularity of 24 hours": "24h",
    "popularity of 7 days": "7d",
    "factors and popularity": "7d",
}
"""The window of the popular list of each configuration's version."""


@dataclass(frozen=True)
class Version:
    """The lists of one night: by the ids of users, and the popular list; items are ids, too."""

    lists: dict[str, list[str]]
    popular: list[str]

    @classmethod
    def publish(cls, splits: Splits, model: FactorModel, window: str) -> "Version":
        """Rank as recommend does, from the rows before the splits' holdout."""
        history = splits.user_items("train")
        aligned = model.align(splits.user_ids, splits.item_ids)
        users = np.flatnonzero(aligned.knows_user)
        items, _ = aligned.top_k(users, history.weight[users], shops.K)
        names = splits.item_ids.ids.to_pylist()
        ids = splits.user_ids.ids.to_pylist()
        lists = {}
        for user, row in zip(users, items, strict=True):
            lists[ids[user]] = [names[item] for item in row if item >= 0]
        counts = fit_popularity(history, window)[1][:, 0]
        best = np.argsort(-counts, kind="stable")[: shops.K]
        return cls(lists, [names[item] for item in best])

    def serve(self, splits: Splits, users: Int64Array) -> Int64Array:
        """Return the lists of users of other splits, shape (users, k), in their numbers of items."""
        number = {name: index for index, name in enumerate(splits.item_ids.ids.to_pylist())}
        ids = splits.user_ids.ids.to_pylist()
        served = np.full((len(users), shops.K), -1)
        for row, user in enumerate(users):
            names = self.lists.get(ids[user]) or self.popular
            known = [number[name] for name in names if name in number]
            served[row, : len(known)] = known
        return served


def cut_nights(shop: shops.Shop, nights: int) -> Iterator[Splits]:
    """The splits whose holdout is the day after each night, the oldest first."""
    for back in reversed(range(nights)):
        as_of = shop.as_of - timedelta(days=back)
        yield build_splits(shop.lake, shop.version, shop.verdicts, as_of, shops.WINDOW)[0]


def compare(shop: shops.Shop, nights: int) -> None:
    """Print a line of the table for each configuration."""
    cuts = list(cut_nights(shop, nights))
    for name, config in CONFIGS.items():
        frozen: Version | None = None
        stayed: list[Float64Array] = []
        renewed: list[Float64Array] = []
        for splits in cuts:
            with TemporaryDirectory() as folder:
                out = Path(folder) / "model"
                fit_stage(shop.lake, splits, "train", config, FitEngine(), out)
                fresh = Version.publish(splits, FactorModel.load(out), WINDOWS[name])
            if frozen is None:
                frozen = fresh
                continue
            truth = splits.truth("holdout")
            users = np.flatnonzero(np.diff(truth.indptr))
            for version, scores in ((frozen, stayed), (fresh, renewed)):
                scores.append(score_lists(version.serve(splits, users), truth[users]).ndcg)
        before, after = np.concatenate(stayed), np.concatenate(renewed)
        last = renewed[-1].mean() - stayed[-1].mean()
        print(
            f"| {shop.name} | {name} | {len(before):,} | {before.mean():.4f} | {after.mean():.4f} | "
            f"{shops.interval(after - before)} | {last:+.4f} |",
            flush=True,
        )


def main() -> None:
    parser = shops.options(__doc__, "movietweetings", "deskdrop", "simulated")
    parser.add_argument("--nights", type=int, default=10, help="the first one is published")
    given = parser.parse_args()
    print(
        "| shop | live configuration | visits | stayed | renewed | renewed - stayed | on the last night |"
    )
    print("|---|---|---:|---:|---:|---:|---:|")
    known = {
        "movietweetings": shops.movietweetings(given.data),
        "deskdrop": shops.deskdrop(given.data),
        "simulated": shops.simulated(given.users, 60, 3),
    }
    for _, shop in shops.opened(given, known):
        compare(shop, given.nights)


if __name__ == "__main__":
    main()
