"""TopLists: what recommend writes, publish reads back; what contradicts itself is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.schema import CATALOGUE
from components.toplists import TopLists


def three_users() -> TopLists:
    return TopLists(
        user_ids=np.array(["ann", "bob", "new\nline"], dtype=object),
        item_index=np.array([[2, 0], [1, 0], [0, 0]], dtype=np.uint32),
        score=np.array([[0.5, 0.25], [1.5, 0.0], [0.0, 0.0]], dtype=np.float32),
        lengths=np.array([2, 1, 0]),
        catalogue=pa.table(
            [["a", "b", "c"], ["Alien", None, "<script>"], [["Horror", "Sci-Fi"], None, []]], schema=CATALOGUE
        ),
        popular_index=np.array([1, 2], dtype=np.uint32),
        popular_score=np.array([9.0, 4.0], dtype=np.float32),
        meta={"as_of": "2026-03-01T03:00:00Z", "run": "r1", "winner": "challenger", "k": 2, "metrics": {"ndcg": 0.5}},
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
    assert again.meta == lists.meta
    assert again.k == 2


def test_no_users_at_all_is_a_valid_answer(tmp_path: Path) -> None:
    """The first day of a shop whose winner is popularity."""
    empty = replace(
        three_users(),
        user_ids=np.array([], dtype=object),
        item_index=np.zeros((0, 2), dtype=np.uint32),
        score=np.zeros((0, 2), dtype=np.float32),
        lengths=np.zeros(0, dtype=np.int64),
    )
    empty.save(tmp_path)
    assert TopLists.load(tmp_path).item_index.shape == (0, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"item_index": np.array([[3, 0], [1, 0], [0, 0]], dtype=np.uint32)}, "names item 3, the catalogue ends at 2"),
        ({"popular_index": np.array([1, 7], dtype=np.uint32)}, "the popular list names item 7"),
        ({"lengths": np.array([2, 3, 0])}, "a length is not within 0 to k = 2"),
        ({"lengths": np.array([2, 1])}, "not both users x k"),
        ({"user_ids": np.array(["ann", "ann", "bob"], dtype=object)}, "a user has two lists"),
        ({"score": np.array([[np.nan, 0], [0, 0], [0, 0]], dtype=np.float32)}, "not a finite number"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(three_users(), **change).save(tmp_path)  # type: ignore[arg-type]


def test_a_directory_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    three_users().save(tmp_path)
    (tmp_path / "meta.json").write_text(json.dumps({"k": 1}))
    with pytest.raises(ValueError, match=r"a list of 2 entries, but meta\.json says k = 1"):
        TopLists.load(tmp_path)
