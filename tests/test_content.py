"""Content vectors: what words say, and what they don't."""

import numpy as np
import pyarrow as pa

from dawnlist.model.content import build_content_vectors, normalise_rows
from dawnlist.model.ids import IdMap
from dawnlist.schema import ITEMS_SCHEMA

ROWS: tuple[tuple[str, str | None, list[str] | None, str | None], ...] = (
    ("a", "The Red Fox", ["Animals"], "a fox in a forest"),
    ("b", "Red Fox Again", ["Animals"], "the fox of the forest"),
    ("c", "Night Train", ["Crime"], "a murder on rails"),
    ("d", "Rails at Night", ["Crime"], None),
    ("e", None, [], None),
    ("f", "Unlike", None, "anything"),
)


def items(*rows: tuple[str, str | None, list[str] | None, str | None]) -> pa.Table:
    """An items table."""
    return pa.Table.from_pylist(
        [dict(zip(ITEMS_SCHEMA.names[:4], row, strict=True)) for row in rows], schema=ITEMS_SCHEMA
    )


def test_items_that_share_words_are_alike() -> None:
    found = build_content_vectors(items(*ROWS), IdMap.of(pa.array(list("abcdef"))))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 1, 1, 1, 0, 0], atol=1e-6)
    alike = found @ found.T
    assert alike[0, 1] > 0.8 and alike[2, 3] > 0.3
    assert alike[:2, 2:4].max() < 0  # what all have in common was taken off


def test_vectors_follow_the_ids_and_unknown_ones_have_none() -> None:
    whole = build_content_vectors(items(*ROWS), IdMap.of(pa.array(list("abcd"))))
    some = build_content_vectors(items(*reversed(ROWS)), IdMap(pa.array(["z", "d", "c", "b", "a"])))
    np.testing.assert_allclose(some[1:][::-1], whole, atol=1e-6)
    assert not some[0].any()


def test_a_genre_is_one_token_and_no_word_of_a_title() -> None:
    rows = items(
        ("a", "one", ["Science Fiction"], None),
        ("b", "two", ["science fiction"], None),
        ("c", "Science fiction", ["Music"], None),
        ("d", "three", ["Music"], None),
    )
    alike = build_content_vectors(rows, IdMap.of(rows["item_id"]))
    assert alike[0] @ alike[1] > 0.99 and alike[2] @ alike[3] > 0.99
    assert alike[0] @ alike[2] < 0


def test_many_words_are_reduced_and_twice_to_the_same_bytes() -> None:
    random = np.random.default_rng(0)
    words = [f"word{n}" for n in range(300)]
    rows = items(
        *((f"i{n:03}", " ".join(random.choice(words, 12)), None, None) for n in range(200))
    )
    ids = IdMap.of(rows["item_id"])
    found = build_content_vectors(rows, ids, dimensions=16)
    assert found.shape == (200, 16) and found.dtype == np.float32
    np.testing.assert_array_equal(found, build_content_vectors(rows, ids, dimensions=16))


def test_without_a_common_word_there_is_nothing() -> None:
    rows = items(("a", "one", None, None), ("b", "two", ["Music"], None), ("c", None, None, None))
    assert build_content_vectors(rows, IdMap.of(rows["item_id"])).shape == (3, 0)
    assert build_content_vectors(rows, IdMap.of(pa.array(["z"]))).shape == (1, 0)
    assert build_content_vectors(items(), IdMap.of(pa.array(["z"]))).shape == (1, 0)


def test_unit_leaves_nothing_as_nothing() -> None:
    assert normalise_rows(np.array([[3, 4], [0, 0]], np.float32)).tolist() == [
        [np.float32(0.6), np.float32(0.8)],
        [0, 0],
    ]
