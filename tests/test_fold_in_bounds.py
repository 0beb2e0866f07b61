"""The parts of fold-in, each against numbers that can be worked out by hand."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dawnlist.ranking import normal_equations
from dawnlist.ranking.fold_in import NO_PAIRS, FoldIn, UserPairs, merge_pairs
from dawnlist.ranking.normal_equations import (
    PIVOT_TOLERANCE,
    build_normal_matrix,
    cholesky,
    compute_gram,
    solve_cholesky,
    solve_user_vector,
)

Matrix = npt.NDArray[np.float64]
CONFIG = {"alpha": 4.0, "alpha0": 0.5, "nu": 0.7, "half_life": 8.0, "ridge_scale": 0.3}


def pairs(*rows: tuple[int, float, float]) -> UserPairs:
    """Pairs of (item, weight, age)."""
    columns = np.array(rows, dtype=float).reshape(-1, 3).T
    return UserPairs(columns[0].astype(np.int64), columns[1], columns[2])


def random_matrix(rows: int, columns: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(rows).standard_normal((rows, columns)).astype(np.float32)


def fold_of(rows: int = 12, factors: int = 6, **changed: Any) -> FoldIn:
    return FoldIn.of(random_matrix(rows, factors), {**CONFIG, **changed})


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 5, 8])
def test_the_gram_matrix_is_a_sum_over_blocks(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normal_equations, "GRAM_ROWS", 4)
    factors = random_matrix(rows, 3)
    wide = factors.astype(np.float64)
    np.testing.assert_allclose(compute_gram(factors), wide.T @ wide, atol=1e-12)


def test_items_that_were_not_fitted_are_in_no_sum_over_all_items() -> None:
    """Items 10 and 11 are new: their vectors are predicted, and a user may have met them."""
    factors = random_matrix(12, 6)
    fold = FoldIn.of(factors, {**CONFIG, "fitted_items": 10})
    fitted = factors[:10].astype(np.float64)
    assert fold.items == 10
    np.testing.assert_allclose(fold.gram, fitted.T @ fitted, rtol=1e-12)
    assert fold.compute_ridge(2.0) == pytest.approx(0.3 * (2 + 0.5 * 10) ** 0.7)
    met = pairs((11, 2.0, 0.0))
    x = fold.vector(fold.build_equation(met, NO_PAIRS, 0.0))
    y, c = factors[11].astype(np.float64), 8.0
    left = 0.5 * fitted.T @ fitted + fold.compute_ridge(c) * np.eye(6) + c * np.outer(y, y)
    np.testing.assert_allclose(x, np.linalg.solve(left, (0.5 + c) * y), rtol=1e-9)
    assert fold_of().items == 12


def test_confidence_halves_with_each_half_life() -> None:
    met = pairs((0, 1.0, 0.0), (1, 1.0, 8.0), (2, 3.0, 16.0))
    assert fold_of().compute_confidence(met).tolist() == [4.0, 2.0, 3.0]
    assert fold_of(half_life=0.0).compute_confidence(met).tolist() == [4.0, 4.0, 12.0]


def test_the_ridge_grows_with_the_sum_of_confidences() -> None:
    assert fold_of(nu=1.0).compute_ridge(4.0) == pytest.approx(0.3 * (4 + 0.5 * 12))
    assert fold_of(nu=0.0).compute_ridge(4.0) == pytest.approx(0.3)


def test_merged_pairs_add_weights_and_take_the_newest_age() -> None:
    merged = merge_pairs(
        pairs((5, 1.0, 2.0), (3, 2.0, 0.0), (9, 1.0, 7.0)),
        pairs((3, 4.0, 1.5), (8, 3.0, 0.25), (5, 1.0, 0.5)),
        days=1.0,
    )
    assert merged.pairs.index.tolist() == [5, 3, 9, 8]
    assert merged.pairs.weight.tolist() == [2.0, 6.0, 1.0, 3.0]
    assert merged.pairs.age.tolist() == [0.5, 1.0, 8.0, 0.25]
    assert merged.in_history.tolist() == [True, True, True, False]
    assert merged.has_event.tolist() == [True, True, False, True]
    assert len(merge_pairs(NO_PAIRS, NO_PAIRS, 1.0).pairs) == 0


def test_without_a_start_each_pair_pulls_and_ages() -> None:
    fold = fold_of()
    equation = fold.build_equation(pairs((3, 1.0, 0.0)), pairs((7, 2.0, 0.0)), days=8.0)
    assert equation.index.tolist() == [3, 7]
    assert equation.confidence.tolist() == [2.0, 8.0]
    assert equation.pull.tolist() == [2.5, 8.5]
    assert equation.ridge == fold.compute_ridge(10.0)
    assert len(equation.start) == 0


def test_from_a_start_only_events_pull_and_nothing_ages() -> None:
    fold = fold_of()
    start = np.linspace(-1, 1, 6)
    history, events = pairs((3, 1.0, 0.0), (0, 2.0, 8.0)), pairs((0, 1.0, 0.0), (7, 2.0, 0.0))
    equation = fold.build_equation(history, events, days=8.0, start=start)
    assert equation.index.tolist() == [3, 0, 7]
    assert equation.confidence.tolist() == [4.0, 12.0, 8.0]  # item 0: 3 of age 0 now
    scores = fold.factors.astype(np.float64) @ start
    # item 0 has gained 12 - 4 and was known to x0; item 7 is new and pulls by alpha0 beside it
    expected = [0.0, 8 - 8 * scores[0], 8.5 - 8 * scores[7]]
    np.testing.assert_allclose(equation.pull, expected, rtol=1e-6)
    assert equation.ridge == fold.compute_ridge(24.0)
    alone = fold.build_equation(history, NO_PAIRS, days=8.0, start=start)
    assert alone.pull.tolist() == [0.0, 0.0]
    np.testing.assert_array_equal(fold.vector(alone), start)


def symmetric(size: int) -> Matrix:
    square = random_matrix(size, size).astype(np.float64)
    return np.asarray(square @ square.T + np.eye(size))


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_cholesky_and_its_solution(size: int) -> None:
    matrix = symmetric(size)
    lower = matrix.copy()
    cholesky(lower)
    np.testing.assert_allclose(np.tril(lower), np.linalg.cholesky(matrix), rtol=1e-9)
    np.testing.assert_array_equal(np.triu(lower, 1), np.triu(matrix, 1))  # not written
    right = np.arange(1.0, size + 1)
    np.testing.assert_allclose(
        solve_cholesky(lower, right), np.linalg.solve(matrix, right), rtol=1e-8
    )
    assert right.tolist() == list(range(1, size + 1))


def test_a_pivot_of_nothing_is_infinite_and_a_small_one_is_not() -> None:
    """A matrix of [[1, 1], [1, 1 + e]] has the pivot e, which counts above 1e-13 of 1 + e."""

    def pivot(rest: float) -> float:
        matrix = np.array([[1.0, 1.0], [1.0, 1.0 + rest]])
        cholesky(matrix)
        return float(matrix[1, 1])

    assert PIVOT_TOLERANCE == 1e-13
    assert pivot(0.0) == np.inf
    assert pivot(0.9e-13) == np.inf
    assert pivot(1.2e-13) == pytest.approx(np.sqrt(1.2e-13), rel=0.01)
    zero = np.zeros((2, 2))
    cholesky(zero)
    assert zero[0, 0] == zero[1, 1] == np.inf
    assert solve_cholesky(zero, np.array([1.0, 2.0])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9])
def test_pairs_are_added_four_at_a_time(count: int) -> None:
    vectors = random_matrix(10, 3)
    index = np.arange(count)
    confidence = np.arange(1.0, count + 1)
    gram = symmetric(3)
    normal = build_normal_matrix(gram, vectors, index, confidence, 0.5, 0.25)
    wide = vectors[:count].astype(np.float64)
    expected = 0.5 * gram + 0.25 * np.eye(3) + (wide.T * confidence) @ wide
    np.testing.assert_allclose(np.tril(normal), np.tril(expected), rtol=1e-9)
    pull = confidence + 2
    x = solve_user_vector(gram, vectors, index, confidence, pull, 0.5, 0.25)
    np.testing.assert_allclose(x, np.linalg.solve(expected, wide.T @ pull), rtol=1e-8)


def test_what_a_pair_adds_to_a_score() -> None:
    """y' A^-1 y_i times its pull, for each item and pair (Hu et al. 2008)."""
    fold = fold_of()
    equation = fold.build_equation(pairs((3, 1.0, 0.0), (0, 2.0, 8.0)), NO_PAIRS, 0.0)
    y = fold.factors.astype(np.float64)
    met = y[[3, 0]]
    left = 0.5 * fold.gram + equation.ridge * np.eye(6) + (met.T * equation.confidence) @ met
    expected = y[[1, 2]] @ np.linalg.inv(left) @ met.T * equation.pull
    shares = fold.explain_scores(equation, np.array([1, 2]))
    np.testing.assert_allclose(shares, expected, rtol=1e-8)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_a_pivot_is_judged_by_the_scale_of_its_row(scale: float) -> None:
    for rest, is_infinite in ((0.9e-13, True), (1.2e-13, False)):
        matrix = np.array([[1.0, 1.0], [1.0, 1.0 + rest]]) * scale
        cholesky(matrix)
        assert np.isinf(matrix[1, 1]) == is_infinite


def test_a_history_ages_also_when_nothing_happened() -> None:
    merged = merge_pairs(pairs((3, 1.0, 2.0)), NO_PAIRS, 8.0)
    assert merged.pairs.age.tolist() == [10.0]
