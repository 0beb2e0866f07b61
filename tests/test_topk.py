from collections.abc import Callable

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse import random as sparse_random

from dawnlist.ranking import topk
from dawnlist.ranking.topk import rank_by_chunks, rank_by_tiles, top_k


def exhaustive(
    users: np.ndarray, items: np.ndarray, k: int, seen: csr_matrix, allowed: np.ndarray
) -> np.ndarray:
    """All scores, sorted: by score, then by item."""
    scores = users @ items.T
    scores[seen.nonzero()] = -np.inf
    scores[:, ~allowed] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.where(np.take_along_axis(scores, order, axis=1) > -np.inf, order, -1)


def whole_numbers(rows: int, factors: int, seed: int) -> np.ndarray:
    """Small whole numbers: their sums are exact however they are added up, and many are equal."""
    return np.random.default_rng(seed).integers(-3, 4, (rows, factors)).astype(np.float32)


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray, csr_matrix, np.ndarray]:
    """More users than a block, more items than two tiles, seen items, items that may not be listed."""
    users, items = whole_numbers(600, 5, 1), whole_numbers(1300, 5, 2)
    seen = sparse_random(600, 1300, density=0.05, format="csr", dtype=np.float32, random_state=3)
    return users, items, seen, np.random.default_rng(4).random(1300) < 0.9


@pytest.mark.parametrize("k", [1, 20, 300])
def test_the_lists_are_those_of_a_full_sort(
    case: tuple[np.ndarray, np.ndarray, csr_matrix, np.ndarray], k: int
) -> None:
    users, items, seen, allowed = case
    found, scores = top_k(users, items, k, seen, allowed)
    np.testing.assert_array_equal(found, exhaustive(users, items, k, seen, allowed))
    np.testing.assert_array_equal(scores, np.take_along_axis(users @ items.T, found, axis=1))


@pytest.mark.parametrize("k", [1, 20, 300, 1300])
def test_the_gpus_way_gives_the_same(
    case: tuple[np.ndarray, np.ndarray, csr_matrix, np.ndarray],
    k: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    users, items, seen, allowed = case
    monkeypatch.setattr(topk, "MAX_GPU_SCORES", 1_000_000)  # so that there are several blocks
    found, scores = rank_by_chunks(np, users, items, k, seen, allowed)
    expected = top_k(users, items, k, seen, allowed)
    np.testing.assert_array_equal(np.where(scores > -np.inf, found, -1), expected[0])
    np.testing.assert_array_equal(np.where(scores > -np.inf, scores, 0), expected[1])


def test_real_factors_in_any_order_of_seen() -> None:
    rng = np.random.default_rng(5)
    users, items = (rng.standard_normal((rows, 16), dtype=np.float32) for rows in (300, 1500))
    seen = csr_matrix(
        (np.ones(4), np.array([1400, 3, 900, 7]), np.repeat([0, 4], [1, 300])), shape=(300, 1500)
    )
    expected = exhaustive(users, items, 20, seen, np.ones(1500, dtype=bool))
    # another order of summing may turn two around that are nearly equal
    np.testing.assert_allclose(
        top_k(users, items, 20, seen)[1], np.take_along_axis(users @ items.T, expected, 1), 1e-5
    )


def test_of_equal_scores_the_earlier_item_comes_first() -> None:
    ones = np.ones((1, 1), dtype=np.float32)
    found, scores = top_k(
        ones,
        np.ones((3000, 1), dtype=np.float32),
        3,
        csr_matrix(([1], [1], [0, 1]), shape=(1, 3000)),
    )
    assert (found.tolist(), scores.tolist()) == ([[0, 2, 3]], [[1, 1, 1]])


@pytest.mark.parametrize("way", [rank_by_tiles, rank_by_chunks])
def test_a_stored_zero_was_seen_too(way: Callable[..., tuple[np.ndarray, np.ndarray]]) -> None:
    seen = csr_matrix((np.zeros(1), np.array([0]), np.array([0, 1])), shape=(1, 2))
    arguments = (np.ones((1, 1)), np.ones((2, 1)), 1, seen, np.ones(2, dtype=bool))
    found, scores = way(*arguments) if way is rank_by_tiles else way(np, *arguments)
    assert (found.tolist(), scores.tolist()) == ([[1]], [[1]])


@pytest.mark.parametrize("way", ["cpu", "chunks"])
def test_no_number_is_never_listed(way: str) -> None:
    users, items = (
        np.ones((1, 1), dtype=np.float32),
        np.array([[1], [np.nan], [-np.inf], [2]], dtype=np.float32),
    )
    seen = csr_matrix((1, 4))
    if way == "cpu":
        assert top_k(users, items, 4, seen)[0].tolist() == [[3, 0, -1, -1]]
    else:
        found, scores = rank_by_chunks(np, users, items, 4, seen, np.ones(4, dtype=bool))
        assert (found[0, :2].tolist(), scores[0].tolist()) == ([3, 0], [2, 1, -np.inf, -np.inf])


def test_users_leave_the_block_when_no_item_is_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths as popularity gives them: most users are done after the first tiles."""
    monkeypatch.setattr(topk, "ITEMS_PER_TILE", 64)
    users, items = whole_numbers(700, 8, 6), whole_numbers(2000, 8, 7)
    items[200:] //= 3
    seen = sparse_random(700, 2000, density=0.02, format="csr", dtype=np.float32, random_state=8)
    expected = exhaustive(users, items, 10, seen, np.ones(2000, dtype=bool))
    np.testing.assert_array_equal(top_k(users, items, 10, seen)[0], expected)


def test_lists_longer_than_the_catalogue_and_nobody() -> None:
    users, items = whole_numbers(2, 3, 1), whole_numbers(2, 3, 2)
    assert top_k(users, items, 4, csr_matrix((2, 2)))[0][:, 2:].tolist() == [[-1, -1], [-1, -1]]
    assert (
        top_k(users, items, 4, csr_matrix((2, 2)), np.zeros(2, dtype=bool))[0].tolist()
        == [[-1] * 4] * 2
    )
    assert top_k(users[:0], items, 4, csr_matrix((0, 2)))[0].shape == (0, 4)


def test_bad_input_is_one_clear_line() -> None:
    one = whole_numbers(1, 1, 1)
    for k, device in ((1, "tpu"), (0, "cpu")):
        with pytest.raises(
            ValueError,
            match=f"k is {k} and device '{device}': give a length of 1 or more, and cpu or",
        ):
            top_k(one, one, k, csr_matrix((1, 1)), device=device)
    with pytest.raises(
        ValueError, match=r"seen has the shape \(2, 1\): give a row for each of 1 users, 1 wide"
    ):
        top_k(one, one, 1, csr_matrix((2, 1)))
