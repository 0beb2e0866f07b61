"""What low ratings are worth to a model of what people like: ignored, hidden, or trained as confident zeros.

    python benchmarks/dislikes.py ../shared/data/movietweetings/ratings.dat

The file is that of MovieTweetings: user::film::rating::time. Ratings of 7 and more are positive, those of 4 and less
are dislikes. The last fifth of the time is the truth: hit is the share of lists of 20 with a film that the user then
rated 7 or more, recall the share of such films that are in a list, and disliked the share of places with a film that
the user then rated 4 or less. implicit takes a negative value as a preference of 0 with that confidence.
"""

import argparse
import warnings
from pathlib import Path

import implicit.als
import numpy as np
import pandas as pd
from clicks import markdown
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

POSITIVE, NEGATIVE = 7, 4
K = 20
FACTORS, ALPHA, REGULARISATION, SWEEPS = 64, 10.0, 5.0, 12


def read_ratings(path: Path) -> pd.DataFrame:
    """Read the ratings, with dense user and item numbers."""
    names = ["user", "item", "rating", "time"]
    ratings = pd.read_csv(path, sep="::", engine="python", names=names)
    for name in ("user", "item"):
        ratings[name] = ratings[name].astype("category").cat.codes
    return ratings.sort_values("time", kind="stable")


def build_matrix(rows: pd.DataFrame, value: float, shape: tuple[int, int]) -> csr_matrix:
    """Build a matrix that has a value for each pair of the rows."""
    rows = rows.drop_duplicates(["user", "item"])
    return csr_matrix((np.full(len(rows), value, np.float32), (rows["user"], rows["item"])), shape)


def rank(train: csr_matrix, hidden: csr_matrix, users: np.ndarray, seed: int) -> np.ndarray:
    """Fit implicit's model, and return the lists of users without what is hidden from them."""
    model = implicit.als.AlternatingLeastSquares(
        FACTORS, regularization=REGULARISATION, alpha=ALPHA, iterations=SWEEPS, random_state=seed
    )
    model.fit(train, show_progress=False)
    items, _ = model.recommend(users, hidden[users], K, filter_already_liked_items=True)
    return np.asarray(items)


def count_common(lists: np.ndarray, truth: csr_matrix, users: np.ndarray) -> np.ndarray:
    """Count the items of each list that the truth has."""
    rows = np.repeat(users, lists.shape[1])
    found: np.ndarray = np.asarray(truth[rows, lists.ravel()]).reshape(lists.shape).sum(axis=1)
    return found


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("ratings", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--weights", type=float, nargs="+", default=[0.2, 1.0, 3.0])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    threadpool_limits(1, "blas")
    ratings = read_ratings(arguments.ratings)
    shape = (ratings["user"].max() + 1, ratings["item"].max() + 1)
    cut = int(len(ratings) * 0.8)
    past, future = ratings[:cut], ratings[cut:]
    liked = build_matrix(past[past["rating"] >= POSITIVE], 1.0, shape)
    disliked = build_matrix(past[past["rating"] <= NEGATIVE], 1.0, shape)
    disliked = (disliked - disliked.multiply(liked)).tocsr()
    later = build_matrix(future[future["rating"] >= POSITIVE], 1.0, shape)
    later_disliked = build_matrix(future[future["rating"] <= NEGATIVE], 1.0, shape)
    has_all = (
        np.diff(liked.indptr)
        * np.diff(disliked.indptr)
        * np.diff((later + later_disliked).tocsr().indptr)
    )
    users = np.flatnonzero(has_all)
    seen = liked + disliked
    ways = {
        "dislikes ignored": (liked, liked),
        "hidden (ten lines)": (liked, seen),
        "counted as likes, hidden": (seen, seen),
    }
    for weight in arguments.weights:
        ways[f"confident zeros of {weight:g}, hidden"] = ((liked - weight * disliked).tocsr(), seen)
    print(f"{len(users):,} users with likes and dislikes before the cut and ratings after it\n")
    rows = []
    for name, (train, hidden) in ways.items():
        measures = []
        for seed in range(arguments.seeds):
            lists = rank(train, hidden, users, seed)
            hits, wrong = (
                count_common(lists, later, users),
                count_common(lists, later_disliked, users),
            )
            again = count_common(lists, disliked, users)
            truth = np.asarray(later[users].sum(axis=1)).ravel()
            wanted = truth > 0
            recall = (hits[wanted] / np.minimum(truth[wanted], K)).mean()
            places = len(users) * K
            measures.append(
                ((hits[wanted] > 0).mean(), recall, wrong.sum() / places, again.sum() / places)
            )
        middle = np.mean(measures, axis=0)
        spread = np.ptp(np.array(measures)[:, 1])
        rows.append(
            {
                "way": name,
                "hit": f"{middle[0]:.4f}",
                "recall": f"{middle[1]:.4f}",
                "range of recall": f"{spread:.4f}",
                "disliked later": f"{middle[2]:.3%}",
                "disliked before": f"{middle[3]:.3%}",
            }
        )
    markdown(rows)


if __name__ == "__main__":
    main()
