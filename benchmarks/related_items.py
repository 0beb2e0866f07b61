"""Which items follow one in the same session: associated and similar items against ten-line rules, on real shops.

    .venv/bin/python benchmarks/related_items.py --data ../shared/data

The rows before the last days are learnt from; then each item of a session asks for the next one in it, another item.
recall@20 is the share of next items among the first 20; "answered" is the share of items that have any related one.
Sessions are those of the data (Deskdrop), a person's day (MovieTweetings), or an invoice (online-retail, whose rows
without a customer count, too).
"""

import argparse
import csv
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_matrix

from dawnlist.als.training import ALSTrainer
from dawnlist.components.evaluate.item_knn import ItemKNN
from dawnlist.model.associations import associate_items
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems
from dawnlist.serving.predictor.answers.shelves.shelf_question import Similarity
from dawnlist.serving.predictor.answers.shelves.similar_items import SimilarItems

CONFIG = ALSConfig(factors=64, regularization=30, alpha=10, nu=0.5, half_life=0, iterations=12)
K = 20
MOST_QUERIES = 20_000
TEST_DAYS = {"movietweetings": 30, "deskdrop": 40, "online-retail": 30}
Rows = pd.DataFrame
"""The columns user, item, time (seconds) and session."""
FindItems = Callable[[int], npt.NDArray[Any]]
"""Returns the related items of one, the best first."""


@dataclass(frozen=True)
class Task:
    """What is learnt from, and what is asked."""

    user_items: csr_matrix
    session_items: csr_matrix
    ages: npt.NDArray[Any]
    asked: npt.NDArray[Any]
    following: npt.NDArray[Any]


def read_movietweetings(data: Path) -> Rows:
    """Read the ratings."""
    names = ["user", "item", "rating", "time"]
    path = data / "movietweetings" / "ratings.dat"
    rows = pd.read_csv(path, sep="::", engine="python", names=names)
    rows["session"] = rows.user.astype(str) + "|" + (rows.time // 86_400).astype(str)
    return rows


def read_deskdrop(data: Path) -> Rows:
    """Read the views and other events of the articles."""
    rows = pd.read_csv(data / "deskdrop" / "users_interactions.csv.zip")
    rows = rows.rename(columns={"personId": "user", "contentId": "item", "timestamp": "time"})
    rows["session"] = rows.user.astype(str) + "|" + rows.sessionId.astype(str)
    return rows


def read_online_retail(data: Path) -> Rows:
    """Read the bought lines of invoices; an invoice is the user, too, as many have no customer."""
    rows = pd.DataFrame(iterate_invoice_lines(data / "online-retail" / "by-day.zip"))
    rows["session"] = rows.user
    return rows


def iterate_invoice_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read the lines with a positive quantity of all daily files."""
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith(".csv"):
                continue
            with archive.open(name) as file:
                for line in csv.DictReader(io.TextIOWrapper(file, "utf-8")):
                    if float(line["Quantity"]) > 0:
                        time = datetime.fromisoformat(line["InvoiceDate"]).replace(tzinfo=UTC)
                        yield {
                            "user": line["InvoiceNo"],
                            "item": line["StockCode"],
                            "time": time.timestamp(),
                        }


READERS = {
    "movietweetings": read_movietweetings,
    "deskdrop": read_deskdrop,
    "online-retail": read_online_retail,
}


def build_task(rows: Rows, test_days: int) -> Task:
    """Cut the rows in time, and pair each item of a later session with the next one."""
    rows = rows.sort_values("time", kind="stable")
    rows["item"] = np.unique(rows.item, return_inverse=True)[1]
    items = int(rows.item.max()) + 1
    cut = rows.time.max() - test_days * 86_400
    learnt, later = rows[rows.time < cut], rows[rows.time >= cut]
    user_items, ages = build_matrix(learnt, "user", items, cut)
    session_items, _ = build_matrix(learnt, "session", items, cut)
    steps = later.sort_values(["session", "time"], kind="stable")
    session, item = steps.session.to_numpy(), steps.item.to_numpy()
    is_step = (session[1:] == session[:-1]) & (item[1:] != item[:-1])
    asked, following = item[:-1][is_step], item[1:][is_step]
    if len(asked) > MOST_QUERIES:
        chosen = np.random.default_rng(0).choice(len(asked), MOST_QUERIES, replace=False)
        asked, following = asked[chosen], following[chosen]
    return Task(user_items, session_items, ages, asked, following)


def build_matrix(
    rows: Rows, group: str, items: int, cut: float
) -> tuple[csr_matrix, npt.NDArray[Any]]:
    """Build a matrix of 1 for each item of a group, and the age of each pair in days."""
    pairs = rows.groupby([group, "item"]).time.max().reset_index()
    groups = np.unique(pairs[group], return_inverse=True)[1]
    shape = (int(groups.max()) + 1, items)
    matrix = csr_matrix((np.ones(len(pairs), np.float32), (groups, pairs.item)), shape=shape)
    ages = csr_matrix(((cut - pairs.time) / 86_400 + 1, (groups, pairs.item)), shape=shape)
    return matrix, ages.data.astype(np.float32)


def list_methods(task: Task) -> dict[str, FindItems]:
    """List what is compared."""
    popular = np.argsort(-np.bincount(task.session_items.indices), kind="stable")[: K + 1]
    knn = ItemKNN.from_interactions(task.user_items).similar
    associations = associate_items(task.user_items)
    fit = ALSTrainer(UserItems(task.user_items, task.ages)).start_fit(CONFIG)
    fit.advance(CONFIG.iterations)
    similar = SimilarItems(fit.factors[1], CONFIG.factors)

    def find_associated(item: int) -> npt.NDArray[Any]:
        return associations.items[associations.indptr[item] : associations.indptr[item + 1]]

    def find_similar(item: int) -> npt.NDArray[Any]:
        return np.array(similar.find_similar(item, Similarity.FACTORS, None)[0][:K], dtype=int)

    return {
        "popular (ten lines)": lambda item: popular[popular != item],
        "co-counts of sessions (ten lines)": rank_row(count_together(task.session_items)),
        "co-counts of people (ten lines)": rank_row(count_together(task.user_items)),
        "item-kNN (cosine of people)": rank_row(knn),
        "bought-together (associated)": find_associated,
        "similar (factors)": find_similar,
    }


def count_together(matrix: csr_matrix) -> csr_matrix:
    """Count the groups of at most 500 items that have both items of a pair."""
    few = matrix[np.flatnonzero(np.diff(matrix.indptr) <= 500)]
    return (few.T @ few).tocsr()


def rank_row(matrix: csr_matrix) -> FindItems:
    """Rank the entries of an item's row, the largest first."""

    def find_items(item: int) -> npt.NDArray[Any]:
        row = slice(matrix.indptr[item], matrix.indptr[item + 1])
        items, values = matrix.indices[row], matrix.data[row]
        items, values = items[items != item], values[items != item]
        order = np.lexsort((items, -values))
        return np.asarray(items[order])

    return find_items


def main() -> None:
    """Print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    data = parser.parse_args().data
    for name, read in READERS.items():
        task = build_task(read(data), TEST_DAYS[name])
        print(f"\n{name}: {len(task.asked):,} steps from one item to the next\n")
        print("| related items | recall@20 | MRR@20 | answered |\n|---|--:|--:|--:|")
        for method, find_items in list_methods(task).items():
            print(f"| {method} | {' | '.join(judge(task, find_items))} |", flush=True)


def judge(task: Task, find_items: FindItems) -> tuple[str, str, str]:
    """Return recall, mean reciprocal rank, and the share of items that have related ones."""
    lists = {item: find_items(item)[:K] for item in np.unique(task.asked)}
    ranks = []
    answered = 0
    for item, following in zip(task.asked, task.following, strict=True):
        answered += len(lists[item]) > 0
        places = np.flatnonzero(lists[item] == following)
        ranks.append(1 / (places[0] + 1) if len(places) else 0.0)
    recall = np.mean(np.array(ranks) > 0)
    return f"{recall:.4f}", f"{np.mean(ranks):.4f}", f"{answered / len(task.asked):.1%}"


if __name__ == "__main__":
    main()
