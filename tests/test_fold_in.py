"""Fold-in: the exact solution of equation 2, with a start where the history is not whole, and what each item adds."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.sparse import csr_matrix

from dawnlist.als.notebook import IALS
from dawnlist.als.training import fit_als
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems
from dawnlist.ranking.fold_in import NO_PAIRS, FoldIn, UserPairs

CONFIG = {"alpha": 4.0, "alpha0": 0.5, "nu": 0.7, "half_life": 8.0, "ridge_scale": 0.3}
HISTORY = UserPairs(np.array([3, 0, 7]), np.array([1.0, 2.0, 5.0]), np.array([0.0, 8.0, 2.5]))
EVENTS = UserPairs(np.array([9, 0]), np.array([1.0, 3.0]), np.array([0.0, 0.25]))


def items(factors: int = 6) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((12, factors)).astype(np.float32)


def dense(
    y: npt.NDArray[np.float32], weights: dict[int, tuple[float, float]], nu: float = 0.7
) -> npt.NDArray[np.float64]:
    """Equation 2 as it is written, item by item over the whole catalogue; weights: item -> (weight, age)."""
    wide = y.astype(np.float64)
    c = np.array(
        [
            4 * weights[i][0] * 2 ** (-weights[i][1] / 8) if i in weights else 0.0
            for i in range(len(wide))
        ]
    )
    met = np.array([i in weights for i in range(len(wide))])
    ridge = 0.3 * (c.sum() + 0.5 * len(wide)) ** nu
    left = 0.5 * wide.T @ wide + ridge * np.eye(y.shape[1]) + (wide.T * c) @ wide
    found: npt.NDArray[np.float64] = np.linalg.solve(left, wide.T @ np.where(met, 0.5 + c, 0))
    return found


@pytest.mark.parametrize("factors", [1, 6, 33])
def test_stored_history_and_recent_events_give_the_exact_solution(factors: int) -> None:
    fold = FoldIn.of(items(factors), CONFIG)
    x = fold.vector(fold.build_equation(HISTORY, EVENTS, days=1.0))
    merged = {3: (1.0, 1.0), 0: (5.0, 0.25), 7: (5.0, 3.5), 9: (1.0, 0.0)}
    np.testing.assert_allclose(x, dense(items(factors), merged), rtol=1e-9, atol=1e-12)


def test_half_life_0_is_for_ever() -> None:
    fold = FoldIn.of(items(), {**CONFIG, "half_life": 0.0})
    old = UserPairs(np.array([3]), np.array([2.0]), np.array([400.0]))
    x = fold.vector(fold.build_equation(old, NO_PAIRS, 0.0))
    np.testing.assert_allclose(x, dense(items(), {3: (2.0, 0.0)}), rtol=1e-9)


def test_from_a_start_it_is_what_the_whole_history_gives() -> None:
    """With nu = 0, where lambda is the same for both; what is older than the history begins in x0 alone."""
    fold = FoldIn.of(items(), {**CONFIG, "nu": 0.0})
    start = fold.vector(fold.build_equation(HISTORY, NO_PAIRS, 0.0))
    np.testing.assert_allclose(
        start, dense(items(), {3: (1, 0), 0: (2, 8), 7: (5, 2.5)}, nu=0), rtol=1e-9
    )
    x = fold.vector(fold.build_equation(HISTORY, EVENTS, days=1.0, start=start))
    merged = {
        3: (1.0, 0.0),
        0: (5.0, 0.25),
        7: (5.0, 2.5),
        9: (1.0, 0.0),
    }  # ages as they were when start was computed
    np.testing.assert_allclose(x, dense(items(), merged, nu=0), rtol=1e-9)
    np.testing.assert_allclose(
        fold.vector(fold.build_equation(HISTORY, NO_PAIRS, 1.0, start)), start, atol=1e-12
    )


def test_nothing_met_is_nothing_known() -> None:
    fold = FoldIn.of(items(), CONFIG)
    np.testing.assert_array_equal(
        fold.vector(fold.build_equation(NO_PAIRS, NO_PAIRS, 0.0)), np.zeros(6)
    )
    none = FoldIn.of(items(0), CONFIG)
    assert none.vector(none.build_equation(HISTORY, EVENTS, 0.0)).shape == (0,)


def test_items_that_are_all_alike_without_regularization_still_have_a_solution() -> None:
    fold = FoldIn.of(np.ones((12, 6), np.float32), {**CONFIG, "ridge_scale": 0.0})
    x = fold.vector(fold.build_equation(HISTORY, NO_PAIRS, 0.0))
    c = np.array([4 * 1, 4 * 2 / 2, 4 * 5 * 2 ** (-2.5 / 8)])
    assert x.sum() == pytest.approx((0.5 + c).sum() / (0.5 * 12 + c.sum()))


def test_shares_add_up_to_the_score() -> None:
    fold = FoldIn.of(items(), CONFIG)
    equation = fold.build_equation(HISTORY, EVENTS, 0.0)
    shares = fold.explain_scores(equation, np.array([1, 2]))
    assert equation.index.tolist() == [3, 0, 7, 9]
    np.testing.assert_allclose(
        shares.sum(axis=1), items()[[1, 2]].astype(float) @ fold.vector(equation), rtol=1e-9
    )


def test_it_is_the_vector_that_training_gives_a_user() -> None:
    """The offline solver's own users, once its sweeps have come to rest; and implicit's interface of the same model."""
    rng = np.random.default_rng(1)
    weight = csr_matrix(
        rng.integers(1, 4, (40, 25)) * (rng.random((40, 25)) < 0.3), dtype=np.float32
    )
    config = ALSConfig(factors=5, regularization=2, alpha=3, alpha0=0.4, nu=0.5, iterations=400)
    model = IALS(config)
    model.fit(weight, show_progress=False)
    users, _ = fit_als(UserItems(weight, np.zeros(weight.nnz, np.float32)), config)
    fold = FoldIn.of(model.item_factors, {**config.as_dict(), "ridge_scale": model.ridge_scale})
    for user in range(3):
        row = weight[user]
        pairs = UserPairs(
            row.indices.astype(np.int64), row.data.astype(np.float64), np.zeros(row.nnz)
        )
        x = fold.vector(fold.build_equation(pairs, NO_PAIRS, 0.0))
        np.testing.assert_allclose(model.recalculate_user(user, row), x, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            model.item_factors @ users[user], model.item_factors @ x, rtol=2e-3, atol=2e-3
        )
