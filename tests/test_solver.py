import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from dawnlist.als.engine import FitEngine
from dawnlist.als.training import fingerprint_inputs, fit_als
from dawnlist.arrays import Float32Array
from dawnlist.machine.gpu_libraries import import_cupy, import_implicit_als
from dawnlist.model import popularity
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems


def checkerboard(size: int = 40) -> UserItems:
    """Even users meet even items, odd users odd ones, but for the diagonal (implicit's own test)."""
    board = np.fromfunction(lambda row, column: (row + column) % 2 == 0, (size, size)).astype(
        np.float32
    )
    np.fill_diagonal(board, 0)
    matrix = csr_matrix(board)
    return UserItems(matrix, np.zeros(matrix.nnz, dtype=np.float32))


def assert_diagonal_comes_first(factors: tuple[Float32Array, Float32Array]) -> None:
    """Each held-out pair scores about 1, like the pairs that were seen, and all other unseen pairs about 0."""
    scores = factors[0] @ factors[1].T
    other_unseen = np.add.outer(range(40), range(40)) % 2 == 1
    assert scores.diagonal().min() > 0.9
    assert scores[other_unseen].max() < 0.1


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("solver", ["ials", "implicit"])
def test_the_held_out_diagonal_comes_first(solver: str, seed: int) -> None:
    """From every random start, with as many factors as the board has tastes.

    With more, the spare ones learn that the diagonal is missing, and about every other start ranks it lower.
    """
    config = ALSConfig(
        factors=2, regularization=0.05, alpha=20, iterations=20, seed=seed, solver=solver
    )
    assert_diagonal_comes_first(fit_als(checkerboard(), config))


def test_is_the_bare_library_on_the_same_confidence() -> None:
    config = ALSConfig(
        factors=8, regularization=0.5, alpha=3, iterations=3, seed=11, solver="implicit"
    )
    bare = AlternatingLeastSquares(8, regularization=0.5, iterations=3, random_state=11)
    bare.fit(
        csr_matrix(checkerboard().weight * 3 + checkerboard().weight.sign()), show_progress=False
    )
    users, items = fit_als(checkerboard(), config)
    np.testing.assert_allclose(users, bare.user_factors, rtol=1e-5)
    np.testing.assert_allclose(items, bare.item_factors, rtol=1e-5)


def test_the_same_seed_gives_the_same_model() -> None:
    config = ALSConfig(factors=8, iterations=2)
    np.testing.assert_array_equal(
        fit_als(checkerboard(), config)[0], fit_als(checkerboard(), config)[0]
    )


def test_alpha_and_half_life_change_the_model() -> None:
    aged = UserItems(
        checkerboard().weight, np.linspace(0, 90, checkerboard().weight.nnz, dtype=np.float32)
    )
    plain = fit_als(aged, ALSConfig(factors=4, iterations=2))[0]
    assert not np.allclose(plain, fit_als(aged, ALSConfig(factors=4, iterations=2, alpha=40))[0])
    assert not np.allclose(plain, fit_als(aged, ALSConfig(factors=4, iterations=2, half_life=7))[0])


def test_a_half_life_halves() -> None:
    weight = csr_matrix(np.array([[4.0, 4.0]], dtype=np.float32))
    aged = UserItems(weight, np.array([0, 10], dtype=np.float32))
    assert aged.decay_weights(10).toarray().tolist() == [[4, 2]]
    assert aged.decay_weights(0) is weight


@pytest.mark.parametrize(
    ("name", "value"), [("factors", 0), ("alpha", -1), ("iterations", 0), ("half_life", -1)]
)
def test_a_hyper_parameter_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}: give a number from"):
        ALSConfig(**{name: value})  # type: ignore[arg-type]


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ValueError, match="give cpu or gpu"):
        FitEngine("tpu")


@pytest.mark.parametrize("solver", ["ials", "implicit"])
def test_a_gpu_that_is_asked_for_and_missing_is_an_error(solver: str) -> None:
    config = ALSConfig(factors=2, regularization=0.05, alpha=20, iterations=20, solver=solver)
    try:
        {"ials": import_cupy, "implicit": import_implicit_als}[solver]()
    except RuntimeError:
        with pytest.raises(RuntimeError, match="a GPU was asked for"):
            fit_als(checkerboard(), config, FitEngine("gpu"))
    else:
        assert_diagonal_comes_first(fit_als(checkerboard(), config, FitEngine("gpu")))


@pytest.mark.parametrize("solver", ["implicit", "spark"])
def test_only_ials_scales_its_regularization(solver: str) -> None:
    with pytest.raises(
        ValueError, match=f"nu is 0.5 and the solver {solver}: only ials scales its regularization"
    ):
        ALSConfig(nu=0.5, solver=solver)


def test_a_configuration_survives_its_trial() -> None:
    config = ALSConfig(factors=16, half_life=30)
    assert ALSConfig.from_dict({**config.as_dict(), "ndcg@20": 0.1}) == config


def test_the_fingerprint_follows_every_input() -> None:
    one, other = checkerboard(), checkerboard()
    other.age[3] = 1
    assert fingerprint_inputs(one, "a") == fingerprint_inputs(checkerboard(), "a")
    assert (
        len(
            {
                fingerprint_inputs(one, "a"),
                fingerprint_inputs(one, "b"),
                fingerprint_inputs(other, "a"),
            }
        )
        == 3
    )


def test_popularity_counts_users_of_the_window() -> None:
    weight = csr_matrix(np.array([[9, 0, 1], [0, 1, 1], [0, 1, 0]], dtype=np.float32))
    aged = UserItems(
        weight, np.array([0.5, 30, 3, 30, 3], dtype=np.float32)
    )  # a:1 new; c: 30, 30; b: 3, 3
    order = {
        window: np.argsort(-popularity.fit_popularity(aged, window)[1][:, 0]).tolist()
        for window in popularity.POPULARITY_WINDOWS
    }
    assert order["24h"][0] == 0
    assert order["7d"][:2] == [1, 0]
    assert popularity.fit_popularity(aged, "whole")[1][:, 0].tolist() == [1, 2, 2]
