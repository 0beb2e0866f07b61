"""What a group's list is worth to its members: the strategies on real ratings, beside a popular list.

    .venv/bin/python benchmarks/group_quality.py --data ../shared/data

MovieTweetings. Ratings from 7 are likes. What was rated before the last days is learnt from; groups of two to eight
are drawn by chance from people who liked films before and after that moment. A group's list has 20 films that not all
of them have rated before. Its worth to a member is NDCG@20 of the films that they liked later. The tables have the mean
of the members, the lowest of them, and the share of groups in which each member finds a film.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from related_items import Rows, read_movietweetings
from scipy.sparse import csr_matrix

from dawnlist.als.training import ALSTrainer
from dawnlist.model.config import ALSConfig
from dawnlist.model.popularity import compute_popularity
from dawnlist.model.score_scales import compute_score_scales
from dawnlist.model.user_items import UserItems
from dawnlist.ranking.coarse import QuantisedIndex
from dawnlist.serving.predictor.answers.group.group_members import MemberTaste
from dawnlist.serving.predictor.answers.group.group_scores import find_best_items
from dawnlist.serving.predictor.answers.own_items import NO_OWN_ITEMS

CONFIG = ALSConfig(factors=64, regularization=30, alpha=10, nu=0.5, half_life=14, iterations=12)
POPULARITY_HALF_LIFE = 7.0
SHARES = (0.0, 0.3, 1.0)
"""Shares of popularity in the members' scores; the nightly search chooses among such."""
K = 20
LIKED = 7
LEAST_LIKES = 3
"""Members of groups liked so many films before and after the cut."""
SIZES = range(2, 9)
MEAN_WEIGHTS = {
    "least misery": 0.0,
    "mix 0.25": 0.25,
    "mix 0.5": 0.5,
    "mix 0.75": 0.75,
    "mean": 1.0,
}
Group = npt.NDArray[np.int64]
"""The rows of its members."""
ListItems = Callable[[Group], npt.NDArray[Any]]
"""Returns a group's list, the best first."""


@dataclass(frozen=True)
class Ratings:
    """Films that people rated, as matrices of users and items."""

    before: csr_matrix
    ages: npt.NDArray[Any]
    later_likes: csr_matrix
    recent_counts: npt.NDArray[Any]
    """People who rated each film in the last 30 days before the cut."""


def cut_ratings(rows: Rows, test_days: int) -> Ratings:
    """Cut the ratings in time. Rows and columns of both matrices are the same users and items."""
    rows["item"] = np.unique(rows.item, return_inverse=True)[1]
    rows["user"] = np.unique(rows.user, return_inverse=True)[1]
    users, items = int(rows.user.max()) + 1, int(rows.item.max()) + 1
    cut = rows.time.max() - test_days * 86_400
    before, later = rows[rows.time < cut], rows[(rows.time >= cut) & (rows.rating >= LIKED)]
    shape = (users, items)
    met = csr_matrix((np.ones(len(before), np.float32), (before.user, before.item)), shape=shape)
    met.data[:] = 1
    ages = csr_matrix(((cut - before.time) / 86_400 + 1, (before.user, before.item)), shape=shape)
    likes = csr_matrix((np.ones(len(later), np.float32), (later.user, later.item)), shape=shape)
    likes = likes - likes.multiply(met)  # what they knew before is no truth
    likes.eliminate_zeros()
    recent = before[before.time >= cut - 30 * 86_400]
    counts = np.bincount(recent.item, minlength=items)
    return Ratings(met, ages.data.astype(np.float32), csr_matrix(likes), counts)


def draw_groups(ratings: Ratings, groups: int) -> list[Group]:
    """Draw groups of each size."""
    random = np.random.default_rng(11)
    has_past = np.diff(ratings.before.indptr) >= LEAST_LIKES
    has_future = np.diff(ratings.later_likes.indptr) >= LEAST_LIKES
    people = np.flatnonzero(has_past & has_future)
    print(f"{len(people):,} people, {groups} groups of each size from 2 to 8\n")
    drawn = []
    for size in SIZES:
        for _ in range(groups):
            drawn.append(random.choice(people, size, replace=False))
    return drawn


def find_allowed(ratings: Ratings, group: Group) -> npt.NDArray[np.bool_]:
    """Find the films that not all members have rated."""
    met = np.asarray(ratings.before[group].sum(axis=0)).ravel()
    return met < len(group)


def list_methods(ratings: Ratings, share: float) -> dict[str, ListItems]:
    """List what is compared; `share` is the model's share of popularity."""
    fit = ALSTrainer(UserItems(ratings.before, ratings.ages)).start_fit(CONFIG)
    fit.advance(CONFIG.iterations)
    users, items = (np.asarray(factors, np.float32) for factors in fit.factors)
    scales = compute_score_scales(users, items.T.astype(np.float64) @ items)
    vectors = (users / scales[:, None]).astype(np.float32)
    pairs = UserItems(ratings.before, ratings.ages)
    bias = np.float32(share) * compute_popularity(pairs, POPULARITY_HALF_LIFE)
    coarse = QuantisedIndex.of(items, bias.astype(np.float32))

    def list_popular(group: Group) -> npt.NDArray[Any]:
        allowed = find_allowed(ratings, group)
        return np.argsort(-ratings.recent_counts * allowed, kind="stable")[:K]

    def list_for_first(group: Group) -> npt.NDArray[Any]:
        return list_by_weight(1.0, group[:1], find_allowed(ratings, group))

    def list_by_weight(
        weight: float, group: Group, allowed: npt.NDArray[np.bool_]
    ) -> npt.NDArray[Any]:
        tastes = [MemberTaste(str(user), vectors[user], NO_OWN_ITEMS) for user in group]
        return find_best_items(coarse, tastes, weight, K, allowed)[0]

    methods: dict[str, ListItems] = {
        "popular in the last 30 days": list_popular,
        "the list of one member": list_for_first,
    }

    def weigh(weight: float) -> ListItems:
        return lambda group: list_by_weight(weight, group, find_allowed(ratings, group))

    for name, mean_weight in MEAN_WEIGHTS.items():
        methods[name] = weigh(mean_weight)
    return methods


def judge_list(ratings: Ratings, group: Group, listed: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Compute NDCG@20 of a list for each member."""
    discounts = 1 / np.log2(np.arange(2, K + 2))
    worths = []
    for user in group:
        liked = ratings.later_likes[user].indices
        gain = (np.isin(listed, liked) * discounts[: len(listed)]).sum()
        worths.append(gain / discounts[: min(K, len(liked))].sum())
    return np.array(worths)


def main() -> None:
    """Print a table for each share of popularity."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--groups", type=int, default=300, help="of each size")
    parser.add_argument("--test-days", type=int, default=30)
    given = parser.parse_args()
    ratings = cut_ratings(read_movietweetings(given.data), given.test_days)
    groups = draw_groups(ratings, given.groups)
    for share in SHARES:
        print(f"\nshare of popularity in the members' scores: {share}\n")
        print(
            "| list | mean | lowest | each finds one | mean, 2 to 4 | lowest, 2 to 4 | mean, 5 to 8 | lowest, 5 to 8 |"
        )
        print("|---|--:|--:|--:|--:|--:|--:|--:|")
        for name, list_items in list_methods(ratings, share).items():
            worths = [judge_list(ratings, group, list_items(group)) for group in groups]
            print(f"| {name} | {' | '.join(format_worths(worths))} |", flush=True)


def format_worths(worths: list[npt.NDArray[Any]]) -> list[str]:
    """Format the cells of a row from the worths of all groups."""
    small = [worth for worth in worths if len(worth) <= 4]
    large = [worth for worth in worths if len(worth) > 4]
    cells = [f"{value:.4f}" for value in summarise(worths)]
    cells.append(f"{np.mean([worth.min() > 0 for worth in worths]):.1%}")
    for part in (small, large):
        cells += [f"{value:.4f}" for value in summarise(part)]
    return cells


def summarise(worths: list[npt.NDArray[Any]]) -> tuple[float, float]:
    """Return the mean over groups of the members' mean, and of the lowest member."""
    means = [worth.mean() for worth in worths]
    lowest = [worth.min() for worth in worths]
    return float(np.mean(means)), float(np.mean(lowest))


if __name__ == "__main__":
    main()
