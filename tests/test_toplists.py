"""TopLists: what recommend writes, publish reads back; what contradicts itself is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from dawnlist.lake.manifest import write_manifest
from dawnlist.model.user_items import UserItems
from dawnlist.schema import CATALOGUE_SCHEMA
from dawnlist.store.toplists import TopLists
from tests.support.top_lists import bare, of_many


def three_users() -> TopLists:
    return bare(
        user_ids=np.array(["ann", "bob", "new\nline"], dtype=object),
        item_index=np.array([[2, 0], [1, 0], [0, 0]], dtype=np.uint32),
        score=np.array([[0.5, 0.25], [1.5, 0.0], [0.0, 0.0]], dtype=np.float32),
        lengths=np.array([2, 1, 0]),
        catalogue=pa.table(
            [["a", "b", "c"], ["Alien", None, "<script>"], [["Horror", "Sci-Fi"], None, []]],
            schema=CATALOGUE_SCHEMA,
        ),
        popular_index=np.array([1, 2], dtype=np.uint32),
        popular_score=np.array([9.0, 4.0], dtype=np.float32),
        segments={
            "device=mobile": (np.array([2], dtype=np.uint32), np.array([3.0], dtype=np.float32))
        },
        vectors=np.array([[1.0], [2.0], [0.0]], dtype=np.float32),
        item_factors=np.array([[3.0], [0.0], [1.0]], dtype=np.float32),
        item_bias=np.array([0.5, 0.0, 0.0], dtype=np.float32),
        item_content=np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]], dtype=np.float32),
        histories=UserItems(
            csr_matrix(np.array([[0, 2, 0], [1, 0, 3], [0, 0, 0]], dtype=np.float32)),
            np.array([0.5, 1.5, 2.5], dtype=np.float32),
        ),
        meta={
            "as_of": "2026-03-01T03:00:00Z",
            "run": "r1",
            "winner": "challenger",
            "k": 2,
            "metrics": {"ndcg": 0.5},
        },
    )


def test_a_directory_reads_back_as_it_was_written(tmp_path: Path) -> None:
    lists = three_users()
    lists.save(tmp_path / "lists")
    again = TopLists.load(tmp_path / "lists")
    assert again.user_ids.tolist() == ["ann", "bob", "new\nline"]
    assert again.item_index.tolist() == [[2, 0], [1, 0], [0, 0]]
    assert again.score.tolist() == [[0.5, 0.25], [1.5, 0.0], [0.0, 0.0]]
    assert again.lengths.tolist() == [2, 1, 0]
    assert again.catalogue.to_pylist() == lists.catalogue.to_pylist()
    assert (again.popular_index.tolist(), again.popular_score.tolist()) == ([1, 2], [9.0, 4.0])
    assert [[column.tolist() for column in found] for found in again.segments.values()] == [
        [[2], [3.0]]
    ]
    assert (list(again.segments), again.meta, again.k) == (["device=mobile"], lists.meta, 2)
    for name in ("vectors", "item_factors", "item_bias", "item_content"):
        assert getattr(again, name).tolist() == getattr(lists, name).tolist()
    assert again.histories.weight.toarray().tolist() == [[0, 2, 0], [1, 0, 3], [0, 0, 0]]
    assert again.histories.age.tolist() == [0.5, 1.5, 2.5]


def test_the_digest_is_the_content_s(tmp_path: Path) -> None:
    lists = three_users()
    for name in ("one", "two"):
        lists.save(tmp_path / name)
    replace(lists, score=lists.score + 1).save(tmp_path / "other")
    one, two, other = (TopLists.load(tmp_path / name).digest for name in ("one", "two", "other"))
    assert (one == two, one == other, len(one)) == (True, False, 16)


def test_no_users_at_all_is_a_valid_answer(tmp_path: Path) -> None:
    """The first day of a shop whose winner is popularity."""
    nothing: dict[str, Any] = {
        "popular_index": np.zeros(0, np.uint32),
        "popular_score": np.zeros(0, np.float32),
    }
    of_many(three_users(), 0, **nothing).save(tmp_path)
    loaded = TopLists.load(tmp_path)
    assert (loaded.item_index.shape, len(loaded.popular_index)) == ((0, 2), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"item_index": np.array([[3, 0], [1, 0], [0, 0]], dtype=np.uint32)},
            "names item 3, the catalogue ends at 2",
        ),
        ({"popular_index": np.array([1, 7], dtype=np.uint32)}, "the popular list names item 7"),
        ({"lengths": np.array([2, 3, 0])}, "a length is not within 0 to k = 2"),
        ({"lengths": np.array([2, 1])}, "not both users x k"),
        ({"user_ids": np.array(["ann", "ann", "bob"], dtype=object)}, "a user has two lists"),
        (
            {"vectors": np.zeros((3, 2), dtype=np.float32)},
            "vectors and item factors differ in length",
        ),
        (
            {"vectors": np.zeros((2, 1), dtype=np.float32)},
            "vectors or histories are not one a user",
        ),
        (
            {"item_bias": np.array([np.inf, 0, 0], dtype=np.float32)},
            "a row of item_bias has a value that is not a finite",
        ),
        (
            {"item_content": np.zeros((2, 1), dtype=np.float32)},
            "item bias or content is not one an item",
        ),
        (
            {"score": np.array([[np.nan, 0], [0, 0], [0, 0]], dtype=np.float32)},
            "not a finite number",
        ),
    ],
)
def test_contradictions_are_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        replace(three_users(), **change).save(tmp_path)  # type: ignore[arg-type]


def test_a_directory_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    three_users().save(tmp_path)
    (tmp_path / "meta.json").write_text(json.dumps({"k": 1}))
    with pytest.raises(ValueError, match=r"meta\.json is not the file that MANIFEST names"):
        TopLists.load(tmp_path)
    write_manifest(tmp_path)
    with pytest.raises(ValueError, match=r"a list of 2 entries, but meta\.json says k = 1"):
        TopLists.load(tmp_path)
