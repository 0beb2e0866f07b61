"""Buckets of users and of histories: what is packed is found again, at every width and length."""

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from dawnlist.store import histories as store_histories
from dawnlist.store import user_buckets
from dawnlist.store.layout import verify_checksum

USERS, K, FACTORS = 300, 5, 8
IDS = [f"user {number} é" for number in range(USERS)]


@pytest.mark.parametrize(
    ("items", "width"), [(65_536, 2), (65_537, 3), (1 << 24, 3), ((1 << 24) + 1, 4)]
)
def test_lists_and_vectors(items: int, width: int) -> None:
    rng = np.random.default_rng(0)
    index = rng.integers(0, items, (USERS, K), dtype=np.uint32)
    index[0] = items - 1
    score = -np.sort(-rng.random((USERS, K)), axis=1).astype(np.float32)
    lengths = rng.integers(0, K + 1, USERS)
    sizes = 10.0 ** rng.integers(-3, 5, (USERS, 1))
    vectors = (sizes * rng.standard_normal((USERS, FACTORS))).astype(np.float32)
    vectors[1] = 0
    placed = user_buckets.assign_buckets(IDS, "seed")
    assert user_buckets.choose_id_width(items) == width
    columns, buckets = (index, score, lengths), range(placed.buckets)
    values = list(user_buckets.pack_user_buckets(placed, columns, vectors, width, buckets))
    kind = user_buckets.build_record_dtype(K, width, FACTORS)
    assert sum(map(len, values)) == 4 * placed.buckets + USERS * kind.itemsize
    for user, user_id in enumerate(IDS):
        bucket, fingerprint = user_buckets.locate_user(user_id, placed.salt, placed.buckets)
        found = user_buckets.find_user(verify_checksum(values[bucket]), fingerprint, kind)
        assert found is not None
        n = lengths[user]
        assert found.item_index.tolist() == index[user, :n].tolist()
        assert np.abs(found.score - score[user, :n]).max(initial=0) < 1 / 500
        assert np.abs(found.vector - vectors[user]).max() <= np.abs(vectors[user]).max() * (
            0.5 / 127 + 1e-6
        )
    bucket, fingerprint = user_buckets.locate_user("nobody", placed.salt, placed.buckets)
    assert user_buckets.find_user(verify_checksum(values[bucket]), fingerprint, kind) is None


def test_lists_that_are_too_long_are_refused() -> None:
    placed = user_buckets.assign_buckets(["ann"], "seed")
    long: Any = np.zeros((1, 256), np.uint32), np.zeros((1, 256), np.float32), np.array([256])
    with pytest.raises(ValueError, match="lists of 256 items can't be stored: k is at most 255"):
        user_buckets.pack_user_buckets(placed, long, np.zeros((1, 0), np.float32), 2, range(1))


def test_a_user_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="2 users can't be told apart: is one there twice"):
        user_buckets.assign_buckets(["ann", "ann"], "seed")


def test_histories() -> None:
    """Of none, of one, and of more than the newest; a rating of 0 is a pair, too."""
    rng = np.random.default_rng(0)
    met = rng.random((USERS, 2_000)) < (np.arange(USERS) / USERS / 10)[:, None]
    matrix = csr_matrix(met, dtype=np.float32)
    matrix.sort_indices()
    matrix.data[:] = rng.integers(0, 9, matrix.nnz)
    age = (rng.integers(0, 64 * 400, matrix.nnz) / 64).astype(np.float32)
    placed = user_buckets.assign_buckets(IDS, "seed")
    histories = store_histories.encode_histories(
        matrix.indptr.astype(np.int64), matrix.indices, matrix.data, age, 50
    )
    values = list(store_histories.pack_history_buckets(placed, histories, range(placed.buckets)))
    assert [len(value) for value in values] == store_histories.compute_bucket_sizes(
        placed, histories
    ).tolist()
    assert list(store_histories.pack_history_buckets(placed, histories, range(3, 5))) == values[3:5]
    longest = 0
    for user, user_id in enumerate(IDS):
        bucket, fingerprint = user_buckets.locate_user(user_id, placed.salt, placed.buckets)
        found = store_histories.find_history(verify_checksum(values[bucket]), fingerprint)
        pairs = slice(matrix.indptr[user], matrix.indptr[user + 1])
        items, ages, weights = matrix.indices[pairs], age[pairs], matrix.data[pairs]
        newest = np.sort(np.argsort(ages, kind="stable")[:50])
        assert found is not None
        assert found.item_index.tolist() == items[newest].tolist()
        assert (found.weight.tolist(), found.age.tolist()) == (
            weights[newest].tolist(),
            ages[newest].tolist(),
        )
        assert found.older.tolist() == np.delete(items, newest).tolist()
        longest = max(longest, len(found.older))
    assert longest > 100


def test_what_is_beyond_a_number_s_range_is_its_end() -> None:
    indptr, item = np.array([0, 2]), np.array([3, 70_000], dtype=np.int32)
    many = np.array([1e6, 0.1], np.float32), np.array([5_000.0, 0.0], np.float32)
    histories = store_histories.encode_histories(indptr, item, *many, 200)
    placed = user_buckets.assign_buckets(["ann"], "seed")
    [value] = store_histories.pack_history_buckets(placed, histories, range(1))
    found = store_histories.find_history(
        verify_checksum(value), user_buckets.locate_user("ann", placed.salt, 1)[1]
    )
    assert found is not None
    assert found.item_index.tolist() == [3, 70_000]
    assert found.weight.tolist() == [65_504.0, np.float16(0.1)]
    assert found.age.tolist() == [65_535 / 64, 0.0]
