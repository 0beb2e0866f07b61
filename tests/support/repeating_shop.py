"""A shop with repeats, and its scores by NumPy as docs/LADDER.md writes them, one item at a time."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import csr_matrix

from dawnlist.cuts import parse_as_of
from dawnlist.model.user_items import UserItems
from dawnlist.schema import CATALOGUE_SCHEMA
from dawnlist.store.toplists import TopLists
from tests.support.top_lists import bare

AS_OF = parse_as_of("2026-03-01T03:00:00Z")
LAST = AS_OF.timestamp()
DAY = 86_400
ITEMS, FITTED, FACTORS, TOPICS, K = 320, 300, 6, 3, 40
NEWEST = 200
CONFIG: dict[str, Any] = {
    "engine": "als",
    "factors": FACTORS,
    "alpha": 3.0,
    "alpha0": 0.25,
    "nu": 0.5,
    "half_life": 20.0,
    "ridge_scale": 0.5,
    "content_share": 0.4,
    "content_pairs": 5.0,
    "fitted_items": FITTED,
    "score_scale": 55.0,
    "repeat_share": 0.5,
    "repeat_half_life": 16.0,
    "repeat_gap": 12.0,
}
Floats = npt.NDArray[Any]
Pairs = dict[int, tuple[float, float]]
"""Item -> (weight, age in days at the cut)."""

_random = np.random.default_rng(11)
Y = _random.normal(0, 0.4, (ITEMS, FACTORS)).astype(np.float32)
BIAS = np.round(_random.random(ITEMS) * 0.3, 3).astype(np.float32)
Z = np.zeros((ITEMS, TOPICS), np.float32)
Z[np.arange(ITEMS), np.arange(ITEMS) % TOPICS] = 1.0
Y[310] = 0  # known of its content alone
Y[311] = 0  # known of nothing
Z[311] = 0


def draw_pairs(seed: int, pairs: int) -> Pairs:
    """Pairs of items below 300, with values that the store holds exactly."""
    random = np.random.default_rng(seed)
    items = np.sort(random.choice(FITTED, pairs, replace=False)).tolist()
    ages = random.choice(60 * 64, pairs, replace=False) / 64
    return {
        item: (float(random.integers(1, 9)), float(age))
        for item, age in zip(items, ages, strict=True)
    }


MET: dict[str, Pairs] = {
    "ann": {4: (9.0, 40.0), 17: (2.0, 1.0), 33: (5.0, 12.5), 120: (1.0, 0.25), 250: (4.0, 6.0)},
    "bob": {8: (1.0, 3.0)},
    "dee": draw_pairs(3, 60),
    "eve": draw_pairs(5, 260),
}


def split_newest(pairs: Pairs) -> tuple[Pairs, set[int]]:
    """The 200 pairs that were met last, and the items of the others."""
    by_age = sorted(pairs, key=lambda item: (pairs[item][1], item))
    return {item: pairs[item] for item in by_age[:NEWEST]}, set(by_age[NEWEST:])


def merge(history: Pairs, events: Pairs, days: float) -> Pairs:
    """The pairs at a cut that is `days` after as_of."""
    merged = {item: (weight, age + days) for item, (weight, age) in history.items()}
    for item, (weight, age) in events.items():
        earlier, earlier_age = merged.get(item, (0.0, age))
        merged[item] = (earlier + weight, min(age, earlier_age))
    return merged


def own_scores(
    pairs: Pairs, config: dict[str, Any] = CONFIG, share: float | None = None
) -> dict[int, float]:
    """own(u, i) of each pair that can be repeated."""
    newest, _ = split_newest(pairs)
    pause = max(0.25 * config.get("repeat_gap", 1.0), 0.5)
    frequency, readiness = {}, {}
    for item, (weight, age) in newest.items():
        decay = 2 ** (-age / config.get("repeat_half_life", 90.0))
        frequency[item] = weight**0.5 * decay
        readiness[item] = min(1.0, (age + 0.5) / pause)
    largest = sum(sorted(frequency.values())[-20:]) / 20
    share = config["repeat_share"] if share is None else share
    return {item: share * value * readiness[item] / largest for item, value in frequency.items()}


def confidence(pairs: Pairs, config: dict[str, Any] = CONFIG) -> Floats:
    """c of all items."""
    values = np.zeros(ITEMS)
    for item, (weight, age) in pairs.items():
        values[item] = config["alpha"] * weight * 2 ** (-age / config["half_life"])
    return values


def gram() -> Floats:
    return np.asarray(Y[:FITTED].astype(np.float64).T @ Y[:FITTED].astype(np.float64))


def normal_matrix(pairs: Pairs) -> Floats:
    """The left side of equation 2."""
    c, y = confidence(pairs), Y.astype(np.float64)
    ridge = CONFIG["ridge_scale"] * (c.sum() + CONFIG["alpha0"] * FITTED) ** CONFIG["nu"]
    return np.asarray(CONFIG["alpha0"] * gram() + ridge * np.eye(FACTORS) + (y.T * c) @ y)


def solve(pairs: Pairs) -> Floats:
    """x of a whole history, by equation 2."""
    pull = np.where(np.isin(np.arange(ITEMS), list(pairs)), CONFIG["alpha0"] + confidence(pairs), 0)
    return np.asarray(np.linalg.solve(normal_matrix(pairs), Y.astype(np.float64).T @ pull))


def solve_from(start: Floats, history: Pairs, events: Pairs) -> Floats:
    """x of a history of which only the newest pairs are known, from its x before the events."""
    merged = merge(history, events, 0.0)
    gain = confidence(merged) - confidence(history)
    y = Y.astype(np.float64)
    right = np.zeros(FACTORS)
    for item in events:
        base = 0.0 if item in history else CONFIG["alpha0"]
        right += (base + gain[item] - gain[item] * (y[item] @ start)) * y[item]
    return np.asarray(start + np.linalg.solve(normal_matrix(merged), right))


def stored(x: Floats) -> Floats:
    """The vector as the store holds it, in 8 bits."""
    scale = np.abs(x).max()
    return np.asarray(np.rint(x / scale * 127) * scale / 127)


def scale_of(x: Floats, config: dict[str, Any] = CONFIG) -> float:
    """s of the vector x."""
    if "score_scale" not in config:
        return 1.0
    squares = ((Y[:FITTED].astype(np.float64) @ x) ** 2).sum()
    return float((squares / config["score_scale"]) ** 0.5) or 1.0


def dense(x: Floats, newest: Pairs, met: int, config: dict[str, Any] = CONFIG) -> Floats:
    """The scores of all items without own(u, i)."""
    taste = confidence(newest) @ Z
    length = np.linalg.norm(taste) or 1.0
    weight = config["content_share"] * config["content_pairs"] / (config["content_pairs"] + met)
    return np.asarray(Y @ x / scale_of(x, config) + BIAS + weight * Z @ taste / length)


def explain(pairs: Pairs, item: int) -> dict[int, float]:
    """What each pair of a whole history adds to the item's score."""
    solution = np.linalg.solve(normal_matrix(pairs), Y[item].astype(np.float64))
    scale = scale_of(solve(pairs))
    c = confidence(pairs)
    length = np.linalg.norm(c @ Z)
    weight = (
        CONFIG["content_share"] * CONFIG["content_pairs"] / (CONFIG["content_pairs"] + len(pairs))
    )
    added = {}
    for past in pairs:
        by_factors = (CONFIG["alpha0"] + c[past]) * float(Y[past] @ solution) / scale
        added[past] = by_factors + weight * c[past] * float(Z[past] @ Z[item]) / length
    if item in pairs:
        added[item] += own_scores(pairs)[item]
    return added


def total(
    scores: Floats, own: dict[int, float], hidden: Collection[int], k: int
) -> list[tuple[int, float]]:
    """The k best items that are not hidden, with their scores and those of own items."""
    whole = [(item, float(score) + own.get(item, 0.0)) for item, score in enumerate(scores)]
    shown = [(item, score) for item, score in whole if item not in hidden]
    return sorted(shown, key=lambda pair: -pair[1])[:k]


def build_shop(
    config: dict[str, Any] = CONFIG, lists: dict[str, Sequence[tuple[int, float]]] | None = None
) -> TopLists:
    """The version that a night would publish; `lists` replaces the lists of users."""
    users = list(MET)
    own = config.get("repeat_share", 0.0) > 0
    rows: list[Sequence[tuple[int, float]]] = []
    for pairs in MET.values():
        scores = dense(solve(pairs), pairs, len(pairs), config)
        older = split_newest(pairs)[1]
        if own:
            rows.append(total(scores, own_scores(pairs, config), older, K))
        else:
            rows.append(total(scores, {}, pairs, K))
    if lists:
        rows = [lists.get(user, row) for user, row in zip(users, rows, strict=True)]
    matrix = csr_matrix((len(users), ITEMS), dtype=np.float32).tolil()
    ages: list[float] = []
    for row, pairs in enumerate(MET.values()):
        for item in sorted(pairs):
            matrix[row, item] = pairs[item][0]
            ages.append(pairs[item][1])
    ids = [f"i{item}" for item in range(ITEMS)]
    genres = [["even"] if item % 2 == 0 else ["odd"] for item in range(ITEMS)]
    return bare(
        user_ids=np.array(users, dtype=object),
        item_index=np.array([[item for item, _ in row] for row in rows], dtype=np.uint32),
        score=np.array([[score for _, score in row] for row in rows], dtype=np.float32),
        lengths=np.full(len(users), K),
        catalogue=pa.table([ids, ids, genres], schema=CATALOGUE_SCHEMA),
        popular_index=np.array([1, 17, 2], dtype=np.uint32),
        popular_score=np.array([9.0, 8.0, 7.0], dtype=np.float32),
        vectors=np.array([solve(pairs) for pairs in MET.values()], dtype=np.float32),
        item_factors=Y,
        item_content=Z,
        item_bias=BIAS,
        histories=UserItems(matrix.tocsr(), np.array(ages, dtype=np.float32)),
        meta={
            "k": K,
            "winner": "challenger",
            "config": config,
            "event_weights": {"view": 1.0, "purchase": 4.0},
        },
    )
