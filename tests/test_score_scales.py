"""The scales by which a user's factor scores are divided."""

import numpy as np
import pytest

from dawnlist.model import score_scales
from dawnlist.model.score_scales import compute_score_scales
from dawnlist.ranking.normal_equations import compute_gram


def compute_slowly(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """The root of the sum of the squares of each user's scores, divided among 55 items."""
    scores = users.astype(np.float64) @ items.astype(np.float64).T
    return np.asarray(np.sqrt((scores**2).sum(axis=1) / 55))


def test_a_scale_is_the_root_of_the_sum_of_squared_scores_among_55_items() -> None:
    users = np.array([[3.0, 4.0], [0.0, 11.0]], np.float32)
    gram = np.eye(2) * 55
    np.testing.assert_array_equal(compute_score_scales(users, gram), np.array([5, 11], np.float32))


@pytest.mark.parametrize("block", [1, 3, 100])
def test_scales_are_those_of_all_scores(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(score_scales, "USERS_PER_BLOCK", block)
    random = np.random.default_rng(5)
    users = random.standard_normal((7, 4)).astype(np.float32)
    items = random.standard_normal((30, 4)).astype(np.float32)
    scales = compute_score_scales(users, compute_gram(items))
    np.testing.assert_allclose(scales, compute_slowly(users, items), rtol=1e-5)
    assert scales.dtype == np.float32


def test_factors_of_another_length_give_the_same_divided_scores() -> None:
    """What is added to a score means the same whatever the user's vector is multiplied by."""
    random = np.random.default_rng(6)
    items = random.standard_normal((30, 4)).astype(np.float32)
    user = random.standard_normal((1, 4)).astype(np.float32)
    divided = []
    for length in (1e-3, 1.0, 1e3):
        users = user * np.float32(length)
        scales = compute_score_scales(users, compute_gram(items))
        divided.append(users @ items.T / scales[:, None])
    np.testing.assert_allclose(divided[0], divided[1], rtol=1e-4)
    np.testing.assert_allclose(divided[2], divided[1], rtol=1e-4)


def test_a_user_without_scores_has_the_scale_1() -> None:
    users = np.array([[0.0, 0.0], [0.0, 2.0], [1.0, 0.0]], np.float32)
    gram = np.array([[55.0, 0.0], [0.0, 0.0]])  # no item has anything of the second factor
    assert compute_score_scales(users, gram).tolist() == [1, 1, 1]
    assert compute_score_scales(users[:0], gram).shape == (0,)


def test_a_scale_counts_above_the_smallest_one_alone() -> None:
    smallest = score_scales.SMALLEST_SCALE
    gram = np.eye(1) * score_scales.SCORE_ITEMS
    users = np.array([[smallest / 2], [-smallest * 2]])
    np.testing.assert_allclose(compute_score_scales(users, gram), [1, smallest * 2], rtol=1e-6)


def test_rounding_that_makes_a_sum_of_squares_negative_is_no_error() -> None:
    assert compute_score_scales(np.ones((1, 1)), np.array([[-1e-9]])).tolist() == [1]
