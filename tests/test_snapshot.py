"""What the predictor knows of a version in memory: records, texts, attributes, rankings."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dawnlist.filters.columns import AttributeIndex
from dawnlist.serving.predictor.answers.bucket import UserRecords
from dawnlist.serving.predictor.answers.columns import IdColumn, TextColumn
from dawnlist.serving.predictor.answers.popular_ranking import PopularRanking
from dawnlist.store import user_buckets
from dawnlist.store.layout import verify_checksum


@pytest.mark.parametrize("items", [300, 100_000, 20_000_000])
def test_a_record_reads_as_the_store_reads_it(items: int) -> None:
    rng = np.random.default_rng(0)
    users, k, factors = [f"u{i}" for i in range(50)], 5, 3
    placed, width = (
        user_buckets.assign_buckets(np.array(users, dtype=object), "seed"),
        user_buckets.choose_id_width(items),
    )
    lists = (
        rng.integers(0, items, (50, k)).astype(np.uint32),
        np.sort(rng.standard_normal((50, k)).astype(np.float32))[:, ::-1],
        rng.integers(0, k + 1, 50),
    )
    vectors = rng.standard_normal((50, factors)).astype(np.float32)
    values = list(
        user_buckets.pack_user_buckets(placed, lists, vectors, width, range(placed.buckets))
    )
    meta: dict[str, Any] = {"k": k, "id_width": width, "factors": factors}
    records = UserRecords(meta)
    for user in [*users, "nobody"]:
        bucket, fingerprint = user_buckets.locate_user(user, placed.salt, placed.buckets)
        value = values[bucket]
        wanted = user_buckets.find_user(
            verify_checksum(value), fingerprint, user_buckets.build_version_dtype(meta)
        )
        at = records.find_offset(value, fingerprint)
        if wanted is None:
            assert (at, user) == (-1, "nobody")
            continue
        index, scores = records.read_list(value, at)
        assert index == wanted.item_index.tolist()
        np.testing.assert_allclose(scores, wanted.score, atol=1e-6)
        np.testing.assert_allclose(records.read_vector(value, at), wanted.vector, rtol=1e-6)


def test_a_fingerprint_that_stands_across_two_records_is_not_taken_for_one() -> None:
    records = UserRecords({"k": 1, "id_width": 2, "factors": 0})
    size = user_buckets.build_record_dtype(1, 2, 0).itemsize
    body = bytearray(2 * size)
    body[3:9] = body[size : size + 6] = b"abcdef"
    assert records.find_offset(b"sum!" + bytes(body), b"abcdef") == 4 + size
    body[size] = 0
    assert records.find_offset(b"sum!" + bytes(body), b"abcdef") == -1


def test_texts_of_several_chunks_with_gaps_and_any_letters() -> None:
    words = ["é", None, "", "🦊 <b>", "a\x00b"]
    texts = TextColumn(pa.chunked_array([words[:2], words[2:]], type=pa.string()))
    assert (len(texts), texts.take([3, 1, 3, 0, 2, 4])) == (
        5,
        ["🦊 <b>", "", "🦊 <b>", "é", "", "a\x00b"],
    )
    assert texts.take([]) == TextColumn(pa.chunked_array([[]], type=pa.string())).take([]) == []


def test_ids_are_found() -> None:
    words = ["b", "a", "é", "z", "🦊", "aa"]
    ids = IdColumn(pa.chunked_array([words[:3], words[3:]], type=pa.string()))
    assert [ids.find_row(word) for word in words] == [0, 1, 2, 3, 4, 5]
    assert [ids.find_row(word) for word in ("", "ab", "zz", "🦊🦊", "\x00")] == [None] * 5
    assert ids.find_rows(["z", "none", "a"]) == {1, 3}
    assert IdColumn(pa.chunked_array([[]], type=pa.string())).find_row("a") is None


def test_attributes_of_texts_and_of_lists() -> None:
    def marked(column: pa.ChunkedArray, *values: str) -> list[int]:
        mask = np.zeros(len(column), dtype=bool)
        AttributeIndex(column).mark(values, mask)
        found: list[int] = np.flatnonzero(mask).tolist()
        return found

    genres = pa.chunked_array(
        [[["war", "art"], None], [[], ["art", None]]], type=pa.list_(pa.string())
    )
    assert [marked(genres, *values) for values in (["art"], ["war", "none"], ["none"], [])] == [
        [0, 3],
        [0],
        [],
        [],
    ]
    brands = pa.chunked_array([["x", None, "y", "x"]])
    assert marked(brands, "x") == [0, 3]
    assert marked(pa.chunked_array([pa.nulls(3, pa.list_(pa.string()))]), "x") == []


def test_a_ranking_goes_on_where_its_list_ends() -> None:
    ranking = PopularRanking(
        [4, 2], [9.0, 8.0], np.array([0, 1, 3]), np.array([0.5, 0.25, 0.125], dtype=np.float32)
    )
    assert ranking.select_best(1, set(), None) == ([4], [9.0])
    assert ranking.select_best(4, {2, 1}, None) == ([4, 0, 3], [9.0, 0.5, 0.125])
    assert ranking.select_best(2, set(), np.array([True, True, False, False, False])) == (
        [0, 1],
        [0.5, 0.25],
    )
    assert PopularRanking([4], [9.0]).select_best(3, set(), None) == ([4], [9.0])
