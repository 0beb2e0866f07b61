"""Two versions compared, against a real Valkey."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from dawnlist.model.user_items import UserItems
from dawnlist.pipelines.cli import app
from dawnlist.schema import CATALOGUE_SCHEMA
from dawnlist.store import comparison
from dawnlist.store.client import connect_store
from tests.test_store import ANN_AND_BOB, publish


def test_what_differs(valkey: str) -> None:
    """ann keeps one of two, new got a list, carl came and b*b went; the items stand in another order."""
    later = replace(
        ANN_AND_BOB,
        user_ids=np.array(["carl", "new", "ann"], dtype=object),
        catalogue=pa.table([["d", "c", "a"], [None] * 3, [None] * 3], schema=CATALOGUE_SCHEMA),
        item_index=np.array([[0, 1], [1, 0], [2, 0]], dtype=np.uint32),
        lengths=np.array([1, 1, 2]),
        histories=UserItems(csr_matrix((3, 3), dtype=np.float32), np.zeros(0, np.float32)),
        meta={
            "k": 2,
            "winner": "popularity",
            "metrics": {"ndcg@20": 0.75},
            "config": {"factors": 2, "alpha": 3.0},
        },
    )
    publish(valkey, day=1)
    publish(valkey, day=2, lists=later)
    with connect_store(valkey) as client:
        assert comparison.compare_versions(client, "shop", 1, 2) == {
            "before": {"version": 1, "as_of": "2026-03-01T03:00:00Z", "run": "run-1", "winner": "challenger",
                       "users": 3, "items": 3},
            "after": {"version": 2, "as_of": "2026-03-02T03:00:00Z", "run": "run-2", "winner": "popularity",
                      "users": 3, "items": 3},
            "common": 2, "gone": 1, "new": 1, "churn": 0.5,
            "metrics": {"ndcg@20": [0.5, 0.75]},
            "parameters": {"alpha": [None, 3.0]},
        }  # fmt: skip
        same = comparison.compare_versions(client, "shop", 1, 1)
        assert (same["churn"], same["gone"], same["new"], same["metrics"], same["parameters"]) == (
            0.0,
            0,
            0,
            {},
            {},
        )
        with pytest.raises(LookupError, match="there is no version 9: choose of 1, 2"):
            comparison.compare_versions(client, "shop", 1, 9)
        [key] = client.scan_iter(match="*:1-*:u:0")
        client.delete(key)
        with pytest.raises(ValueError, match="version 1 is no longer whole in the store"):
            comparison.compare_versions(client, "shop", 1, 2)


def test_metrics_of_different_days_are_said_to_be(
    valkey: str, capsys: pytest.CaptureFixture[str]
) -> None:
    advice = "different days"
    publish(valkey, day=1)
    assert advice not in shown(valkey, capsys, "versions")
    better = replace(ANN_AND_BOB, meta={**ANN_AND_BOB.meta, "metrics": {"ndcg@20": 0.75}})
    publish(valkey, day=2, lists=better)
    listed = shown(valkey, capsys, "versions")
    # The table may be as narrow as a terminal of 80 columns, where a metric takes two lines.
    assert "0.5000" in listed and "0.7500" in listed
    assert "own as of, so they are of different days: a difference between them does" in listed
    days = "of different days, just before 2026-03-01T03:00:00Z and 2026-03-02T03:00:00Z: a diff"
    assert days in shown(valkey, capsys, "diff", "1", "2")
    assert advice not in shown(valkey, capsys, "diff", "2", "2")


def shown(valkey: str, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command on the shop's store prints."""
    app([*words, "--redis", valkey, "--namespace", "shop"], standalone_mode=False)
    return capsys.readouterr().out
