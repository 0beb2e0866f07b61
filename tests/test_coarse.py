"""The k best items by 8-bit integers and bounds: exactly what sorting all scores gives."""

import numpy as np
import numpy.typing as npt
import pytest

from dawnlist.ranking.coarse import NOTHING_HIDDEN, QuantisedIndex

Floats = npt.NDArray[np.float32]
NOTHING = np.zeros(0, np.int32)


def sorted_best(
    users: Floats, vectors: Floats, bias: Floats, k: int
) -> tuple[npt.NDArray[np.int64], Floats]:
    scores = (users.astype(np.float64) @ vectors.astype(np.float64).T + bias).astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(scores, order, axis=1)


@pytest.mark.parametrize(("items", "width"), [(5000, 0), (5000, 1), (3001, 16), (2500, 100)])
def test_it_is_what_sorting_gives(items: int, width: int) -> None:
    rng = np.random.default_rng(width)
    vectors = rng.standard_normal((items, width)).astype(np.float32) * np.exp(
        rng.standard_normal((items, 1))
    ).astype("f4")
    bias = (rng.random(items) ** 6).astype(np.float32)
    users = rng.standard_normal((4, width)).astype(np.float32)
    users[3] = 0
    found = QuantisedIndex.of(vectors, bias).best(users, 20, np.zeros(5, np.int64), NOTHING)
    wanted = sorted_best(users, vectors, bias, 20)
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_array_equal(found[1], wanted[1])


def test_hidden_and_masked_items_and_an_end() -> None:
    vectors, bias = np.array([[1.0], [2.0], [3.0], [4.0]], np.float32), np.zeros(4, np.float32)
    coarse, users = QuantisedIndex.of(vectors, bias), np.array([[1.0], [-1.0]], np.float32)
    found = coarse.best(users, 3, np.array([0, 1, 3]), np.array([3, 0, 2], np.int32))
    np.testing.assert_array_equal(found[0], [[2, 1, 0], [1, 3, -1]])
    np.testing.assert_array_equal(found[1], [[3, 2, 1], [-2, -4, 0]])
    masks = np.array([[True, False, False, True]])
    found = coarse.best(users, 2, np.zeros(3, np.int64), NOTHING, masks, np.array([0, -1]))
    np.testing.assert_array_equal(found[0], [[3, 0], [0, 1]])


def test_many_equal_scores_come_in_the_order_of_the_items() -> None:
    coarse = QuantisedIndex.of(np.ones((9000, 4), np.float32), np.zeros(9000, np.float32))
    found = coarse.best(np.ones((1, 4), np.float32), 5, NOTHING_HIDDEN, np.array([], np.int32))
    np.testing.assert_array_equal(found, ([[0, 1, 2, 3, 4]], [[4, 4, 4, 4, 4]]))


def test_what_is_no_number_is_never_listed() -> None:
    vectors = np.array([[1.0], [np.nan], [0.5], [np.inf]], np.float32)
    coarse = QuantisedIndex.of(vectors, np.array([0, 0, np.nan, 0], np.float32))
    np.testing.assert_array_equal(
        coarse.best(np.ones((1, 1), np.float32), 3, NOTHING_HIDDEN, NOTHING)[0], [[0, -1, -1]]
    )
    found = coarse.best(np.full((1, 1), np.nan, np.float32), 3, NOTHING_HIDDEN, NOTHING)
    np.testing.assert_array_equal(found[0], [[-1, -1, -1]])


def test_no_items_and_no_users() -> None:
    empty = QuantisedIndex.of(np.zeros((0, 3), np.float32), np.zeros(0, np.float32))
    np.testing.assert_array_equal(
        empty.best(np.ones((1, 3), np.float32), 2, NOTHING_HIDDEN, NOTHING)[0], [[-1, -1]]
    )
    assert empty.best(np.ones((0, 3), np.float32), 2, np.zeros(1, np.int64), NOTHING)[0].shape == (
        0,
        2,
    )


def test_few_rows_are_ranked_as_a_mask_ranks_them() -> None:
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((3000, 8)).astype(np.float32)
    vectors[7] = np.nan
    coarse = QuantisedIndex.of(vectors, rng.random(3000).astype(np.float32))
    user = rng.standard_normal(8).astype(np.float32)
    hidden = np.array([3, 40, 41], np.int32)
    for share in (0.0, 0.002, 0.1, 1.0):
        mask = rng.random(3000) < share
        mask[[7, 40]] = share > 0
        rows = np.flatnonzero(mask)
        listed = coarse.best_of_rows(user, 20, rows, hidden)
        ranked = coarse.best(user[None], 20, np.array([0, 3]), hidden, mask[None], np.array([0]))
        np.testing.assert_array_equal(listed[0], ranked[0][0])
        np.testing.assert_array_equal(listed[1], ranked[1][0])
