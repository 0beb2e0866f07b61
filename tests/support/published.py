"""A tiny shop in the store, and a predictor that has it."""

import time
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from dawnlist.cuts import parse_as_of
from dawnlist.model.user_items import UserItems
from dawnlist.schema import CATALOGUE_SCHEMA
from dawnlist.store import versions
from dawnlist.store.client import connect_store
from dawnlist.store.toplists import TopLists
from tests.support.top_lists import bare

GENRES = [["Horror"], None, ["Drama"], ["Drama", "Action"]]


def shop(prefix: str = "") -> TopLists:
    """Build a shop of four items, whose ids begin with the prefix.

    ann's list is c, a, and bob's is b, a; ann has met b. The popular list is b, d; on a mobile c, a.
    """
    ids = [f"{prefix}{letter}" for letter in "abcd"]
    return bare(
        user_ids=np.array(["ann", "bob", "xSET a b🦊*<script>/"], dtype=object),
        item_index=np.array([[2, 0], [1, 0], [0, 1]], dtype=np.uint32),
        score=np.array([[0.5, 0.25], [1.5, 0.75], [1.0, 0.5]], dtype=np.float32),
        lengths=np.array([2, 2, 2]),
        catalogue=pa.table([ids, ["Alien", None, "<b>", "Drive"], GENRES], schema=CATALOGUE_SCHEMA),
        popular_index=np.array([1, 3], dtype=np.uint32),
        popular_score=np.array([9.0, 8.0], dtype=np.float32),
        segments={
            "device=mobile": (
                np.array([2, 0], dtype=np.uint32),
                np.array([4.0, 3.0], dtype=np.float32),
            )
        },
        vectors=np.array([[5.0, 0.0], [-1.0, 0.0], [1.0, 0.0]], dtype=np.float32),
        item_factors=np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.25, 0.0]], dtype=np.float32),
        item_bias=np.array([0.1, 0.2, 0.3, 0.0], dtype=np.float32),
        histories=UserItems(
            csr_matrix(np.array([[0, 5, 0, 0], [0, 0, 0, 2], [0, 0, 0, 0]], dtype=np.float32)),
            np.array([0.5, 1.0], dtype=np.float32),
        ),
        meta={
            "k": 2,
            "winner": "challenger",
            "model": "m",
            "metrics": {"ndcg@20": 0.5},
            "config": CONFIG,
            "event_weights": {"view": 1.0, "purchase": 5.0},
        },
    )


CONFIG: dict[str, Any] = {
    "engine": "ials",
    "factors": 2,
    "alpha": 1.0,
    "alpha0": 0.1,
    "nu": 1.0,
    "half_life": 30.0,
    "regularization": 0.01,
    "popularity_share": 0.1,
    "ridge_scale": 0.01,
}


def publish(redis_url: str, lists: TopLists, day: int = 1, namespace: str = "shop") -> None:
    """Publish a version with as_of on that day of March 2026."""
    with connect_store(redis_url) as client:
        versions.publish_version(
            client, namespace, lists, f"run-{day}", parse_as_of(f"2026-03-{day:02d}T03:00:00Z")
        )


def serve_shop(redis_url: str, url: str, lists: TopLists | None = None, day: int = 1) -> None:
    """Publish a version, and return when the predictor answers from it."""
    loads_before = loads(url)
    publish(redis_url, lists or shop(), day)
    deadline = time.monotonic() + 60
    while loads(url) == loads_before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def loads(url: str) -> int:
    """Return how many versions a predictor has loaded."""
    return int(metric(url, "dawnlist_loads_total"))


def metric(url: str, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have the labels."""
    return counted(url)(name, **labels)


def counted(url: str) -> Callable[..., float]:
    """Read /metrics once, and return a function that gives `metric` as of now."""
    # Not httpx, which reads all certificates for each call.
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        text = answer.read().decode()
    samples = [line.rpartition(" ") for line in text.splitlines()]

    def total(name: str, **labels: str) -> float:
        label_texts = [f'{label}="{value}"' for label, value in labels.items()]
        values = []
        for sample, _, value in samples:
            has_labels = all(label_text in sample for label_text in label_texts)
            if sample.partition("{")[0] == name and has_labels:
                values.append(float(value))
        return sum(values)

    return total
