"""benchmarks/real_shops.py in small: its rules on literal rows, and two nights of a tiny simulated shop."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ANN, BOB, CAT = 0, 1, 2
TEA, MUG, POT, JAM = 0, 1, 2, 3
# user, item, days before the moment; CAT has no rows
ROWS = [
    (ANN, TEA, 9.5),
    (ANN, TEA, 8.5),
    (ANN, MUG, 0.5),
    (BOB, TEA, 3.5),
    (BOB, POT, 0.75),
    (BOB, POT, 0.25),
]
EMPTY = -1


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("simple_rules")


def make_rows(rules: Any, rows: list[tuple[int, int, float]]) -> Any:
    user, item, age = (np.array(column) for column in zip(*rows, strict=True))
    return rules.PastRows(user, item, age, np.floor(-age).astype(np.int64), (3, 4))


def list_items(rules: Any, name: str, user: int) -> list[int]:
    [items] = rules.SIMPLE_RULES[name](make_rows(rules, ROWS), np.array([user]))
    assert len(items) == rules.K
    return [item for item in items.tolist() if item != EMPTY]


@pytest.mark.parametrize(
    ("name", "user", "items"),
    [
        ("popularity, a day", CAT, [MUG, POT]),
        ("popularity, 7 days", CAT, [TEA, MUG, POT]),
        # TEA has two users, the others have one: a user counts once, however often he comes
        ("popularity, all days", CAT, [TEA, MUG, POT]),
        ("popularity, half-life of a day", CAT, [POT, MUG, TEA]),
        ("the same, items not met", ANN, [POT]),
        ("the same, items not met", CAT, [POT, MUG, TEA]),
        ("own items by recency", ANN, [MUG, TEA, POT]),
        ("own items by frequency", ANN, [TEA, MUG, POT]),
        ("own items by frequency", BOB, [POT, TEA, MUG]),
        ("own items by recency", CAT, [TEA, MUG, POT]),
        ("item-kNN", BOB, [TEA, MUG, POT]),
        ("TIFU-KNN", ANN, [TEA, MUG, POT]),
        # the neighbour knows TEA, which two of three baskets of ANN hold
        ("TIFU-KNN", BOB, [TEA, POT, MUG]),
        ("TIFU-KNN", CAT, [TEA, MUG, POT]),
    ],
)
def test_a_rule_lists(rules: Any, name: str, user: int, items: list[int]) -> None:
    assert list_items(rules, name, user) == items


def test_a_users_vector_is_the_published_one(rules: Any) -> None:
    """ANN has eight baskets of one item: a group of seven, and before it a group of one."""
    rows = [(ANN, TEA if day == 7 else MUG, day + 0.5) for day in range(8)]
    [tea, mug, *others] = rules.build_tifu_vectors(make_rows(rules, rows)).toarray()[ANN]
    newest_group = sum(0.9**position for position in range(7)) / 7
    assert (tea, mug) == pytest.approx((0.7 / 2, newest_group / 2))
    assert others == [0, 0]


def test_two_nights_of_a_tiny_shop(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "real_shops.py"), "--shops", "simulated-tiny"]
    options = ["--nights", "2", "--grid", "small", "--out", str(tmp_path)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "simulated-tiny.json").read_text())
    assert [night["as_of"][:10] for night in told["nights"]] == ["2025-02-05", "2025-02-06"]
    assert [night["failed"] for night in told["nights"]] == [False, False]
    assert told["nights"][0]["outcome"].startswith("version 1: ")
    assert told["list_ages"][0] == 0
    assert set(told["tiers"]) <= {"list", "vector", "popular", "segment", "fold_in", "content"}
    for rows in told["tables"].values():
        assert [row["arm"] for row in rows][:2] == ["live", "popularity, a day"]
        assert all(0 < row["ndcg all"] < 1 for row in rows)
        assert all(row["ndcg"]["low"] <= row["ndcg"]["difference"] for row in rows)
    assert "below none: " in done.stdout
