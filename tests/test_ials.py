"""Our own ALS: one set of tests for its arithmetic on the CPU, in whole arrays, and on a GPU where there is one."""

import os
from typing import Any

import numpy as np
import pytest
from implicit.cpu._als import calculate_loss
from scipy.sparse import csr_matrix, random_array

from dawnlist.als import on_arrays, on_cpu
from dawnlist.als.ials import IALSFit, prepare_pairs
from dawnlist.als.implicit import build_confidence_matrix
from dawnlist.als.notebook import IALS
from dawnlist.als.pairs import ALSBackend, PreparedPairs, SparsityPattern
from dawnlist.als.training import ALSTrainer, fit_als
from dawnlist.machine.free_memory import require_memory
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems


def shop(users: int = 60, items: int = 40, seed: int = 3) -> UserItems:
    """Random pairs; user 5 and item 7 have none."""
    random = np.random.default_rng(seed)
    dense = random_array((users, items), density=0.15, rng=random).toarray()
    dense[5, :] = dense[:, 7] = 0
    matrix = csr_matrix(dense.astype(np.float32))
    return UserItems(matrix, random.uniform(0, 90, matrix.nnz).astype(np.float32))


@pytest.fixture(params=["cpu", "arrays", "gpu"])
def device(request: pytest.FixtureRequest) -> ALSBackend:
    if request.param == "cpu":
        return on_cpu.CPUBackend()
    if request.param == "arrays":
        return on_arrays.ArrayBackend(np)
    try:
        from dawnlist.machine.gpu_libraries import import_cupy

        found: ALSBackend = on_arrays.ArrayBackend(import_cupy())
    except RuntimeError as error:
        pytest.skip(str(error))
    return found


def on(device: ALSBackend, user_items: UserItems) -> PreparedPairs:
    """The pairs on that device."""
    here = prepare_pairs(user_items, "cpu")
    users, items = (
        SparsityPattern(device.to_device(side.start), device.to_device(side.columns))
        for side in (here.users, here.items)
    )
    return PreparedPairs(
        device,
        users,
        items,
        device.to_device(here.item_order),
        device.to_device(here.weight),
        device.to_device(here.age),
    )


def solution(user_items: UserItems, items: Any, config: ALSConfig) -> Any:
    """User factors by the normal equations, docs/MODEL.md, equation 2: dense, and slow."""
    dense = user_items.decay_weights(config.half_life).toarray() * config.alpha
    total_users = dense.sum(axis=1) + config.alpha0 * dense.shape[1]
    total_items = dense.sum(axis=0) + config.alpha0 * dense.shape[0]
    mean = np.concatenate([total_users**config.nu, total_items**config.nu]).mean()
    found = []
    for row, total in zip(dense, total_users, strict=True):
        ridge = config.regularization * total**config.nu / mean
        left = items.T @ (items * (config.alpha0 + row)[:, None]) + ridge * np.eye(config.factors)
        found.append(np.linalg.solve(left, items.T @ ((config.alpha0 + row) * (row > 0))))
    return np.array(found)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("nu", [0.0, 0.5, 1.0])
def test_a_half_sweep_solves_the_normal_equations(
    device: ALSBackend, nu: float, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six steps solve them; many more must leave what is solved as it is."""
    monkeypatch.setattr(on_cpu, "CG_STEPS", 400)
    monkeypatch.setattr(on_arrays, "CG_STEPS", 400)
    config = ALSConfig(factors=6, regularization=2, alpha=7, alpha0=0.3, nu=nu, half_life=30)
    fitting = IALSFit(on(device, shop(seed=seed)), config, None)
    start = fitting.factors[1]
    pairs = fitting._pairs
    device.run_half_sweep(
        pairs.users,
        fitting._confidence[0],
        fitting._users,
        fitting._items,
        fitting._ridge[0],
        config.alpha0,
    )
    users, items = fitting.factors
    expected = solution(shop(seed=seed), start.astype(np.float64), config)
    np.testing.assert_allclose(users @ items.T, expected @ start.T, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        np.linalg.norm(items, axis=1), np.linalg.norm(start, axis=1), rtol=1e-5
    )  # only rotated
    assert not users[5].any()


def test_all_devices_compute_the_same(device: ALSBackend) -> None:
    config = ALSConfig(factors=8, regularization=1, alpha=5, alpha0=0.5, nu=0.8, half_life=20)
    fits = [
        IALSFit(pairs, config, None) for pairs in (prepare_pairs(shop(), "cpu"), on(device, shop()))
    ]
    for fitting in fits:
        fitting.advance(3)
    (users, items), (other_users, other_items) = (fitting.factors for fitting in fits)
    np.testing.assert_allclose(users @ items.T, other_users @ other_items.T, atol=2e-4)
    assert not users[5].any() and not items[7].any()


def test_blocks_change_nothing(device: ALSBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ALSConfig(factors=4, iterations=2)
    whole = IALSFit(on(device, shop()), config, None)
    whole.advance(2)
    monkeypatch.setattr(on_cpu, "BLOCK_PAIRS", 16)
    monkeypatch.setattr(on_cpu, "BLOCK_ROWS", 16)
    monkeypatch.setattr(on_arrays, "ALS_BLOCK_BYTES", 4096)
    parts = IALSFit(on(device, shop()), config, None)
    parts.advance(2)
    np.testing.assert_allclose(
        whole.factors[0] @ whole.factors[1].T, parts.factors[0] @ parts.factors[1].T, atol=1e-4
    )


@pytest.mark.parametrize(("alpha", "regularization"), [(10, 1.0), (1, 30.0), (40, 0.01)])
def test_the_loss_is_not_above_implicits(alpha: float, regularization: float) -> None:
    """Same objective (nu 0, alpha0 1), same number of sweeps and of steps of conjugate gradients."""
    user_items, losses = shop(400, 200), {}
    for solver in ("ials", "implicit"):
        config = ALSConfig(16, regularization, alpha, iterations=8, solver=solver)
        users, items = fit_als(user_items, config)
        losses[solver] = calculate_loss(
            build_confidence_matrix(user_items, config), users, items, regularization
        )
    assert losses["ials"] < 1.01 * losses["implicit"]


def test_only_the_ratio_to_alpha0_counts() -> None:
    one = fit_als(
        shop(), ALSConfig(factors=4, regularization=2, alpha=6, alpha0=1, nu=0.5, iterations=3)
    )
    other = fit_als(
        shop(),
        ALSConfig(factors=4, regularization=0.2, alpha=0.6, alpha0=0.1, nu=0.5, iterations=3),
    )
    np.testing.assert_allclose(one[0] @ one[1].T, other[0] @ other[1].T, atol=1e-4)
    bare = fit_als(
        shop(), ALSConfig(factors=4, regularization=2, alpha=6, iterations=9, solver="implicit")
    )
    scaled = fit_als(
        shop(),
        ALSConfig(
            factors=4, regularization=0.2, alpha=0.6, alpha0=0.1, iterations=9, solver="implicit"
        ),
    )
    np.testing.assert_allclose(bare[0] @ bare[1].T, scaled[0] @ scaled[1].T, atol=1e-3)


def test_regularization_is_the_mean_of_all_rows() -> None:
    pairs = prepare_pairs(shop(), "cpu")
    for nu in (0.0, 0.5, 1.0):
        fitting = IALSFit(pairs, ALSConfig(factors=2, regularization=3, nu=nu), None)
        assert np.concatenate(fitting._ridge).mean() == pytest.approx(3, rel=1e-5)
    assert fitting._ridge[0][5] == fitting._ridge[0].min()  # the user without pairs


@pytest.mark.parametrize("solver", ["ials", "implicit"])
def test_a_fit_goes_on_from_its_factors(solver: str) -> None:
    config = ALSConfig(factors=6, solver=solver)
    at_once, in_parts = (ALSTrainer(shop()).start_fit(config) for _ in range(2))
    at_once.advance(5)
    in_parts.advance(2)
    early = in_parts.factors
    in_parts.advance(3)
    assert in_parts.sweeps == 5
    for one, other in zip(at_once.factors, in_parts.factors, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    later = ALSTrainer(shop()).start_fit(config, early)
    later.advance(3)
    np.testing.assert_allclose(later.factors[0] @ later.factors[1].T, one_score(at_once), atol=1e-3)


def one_score(fitting: Any) -> Any:
    users, items = fitting.factors
    return users @ items.T


def test_the_number_of_cores_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ALSConfig(factors=8, iterations=3)
    user_items = shop(3000, 500)
    many = fit_als(user_items, config)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    one = fit_als(user_items, config)
    for a, b in zip(many, one, strict=True):
        np.testing.assert_array_equal(a, b)


def test_too_little_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_cpu, "measure_free_memory", lambda: 10_000)
    with pytest.raises(
        MemoryError,
        match=r"^\d+ pairs from both sides need 0.00 GB, and 0.00 GB are free: give the",
    ):
        ALSTrainer(shop()).start_fit(ALSConfig())
    with pytest.raises(MemoryError, match=r"^a lot need 2.00 GB, and 1.00 GB are free"):
        require_memory(2_000_000_000, "a lot", 1_000_000_000)


def test_without_any_pair_everything_is_zero(device: ALSBackend) -> None:
    empty = UserItems(csr_matrix((3, 2), dtype=np.float32), np.empty(0, np.float32))
    fitting = IALSFit(on(device, empty), ALSConfig(factors=2), None)
    fitting.advance(2)
    assert not any(factors.any() for factors in fitting.factors)


def test_no_regularization_at_all_is_finite(device: ALSBackend) -> None:
    fitting = IALSFit(on(device, shop()), ALSConfig(factors=8, regularization=0, alpha=40), None)
    fitting.advance(4)
    assert all(np.isfinite(factors).all() for factors in fitting.factors)


@pytest.mark.parametrize("factors", [16, 32])
def test_nor_does_it_grow_with_more_factors_than_there_are_directions(
    device: ALSBackend, factors: int
) -> None:
    """Of what is forgotten nearly: sixteen factors had no eigenvalues any more, thirty-two were no numbers."""
    random = np.random.default_rng(1)
    weight = csr_matrix(
        random.integers(1, 6, (30, 12)) * (random.random((30, 12)) < 0.15), dtype=np.float32
    )
    forgotten = UserItems(weight, random.uniform(0, 365, weight.nnz).astype(np.float32))
    config = ALSConfig(factors=factors, regularization=0, alpha=10, half_life=1)
    fitting = IALSFit(on(device, forgotten), config, None)
    fitting.advance(10)
    assert all(np.abs(found).max() < 1000 for found in fitting.factors)


def model(**changed: Any) -> IALS:
    found = IALS(
        ALSConfig(
            **{
                "factors": 8,
                "regularization": 0.5,
                "alpha": 20,
                "alpha0": 0.5,
                "nu": 0.5,
                **changed,
            }
        )
    )
    found.fit(shop().weight)
    return found


def test_implicits_calls_work_as_they_do_there() -> None:
    found, weights = model(), shop().weight
    ids, scores = found.recommend(3, weights[3], N=5)
    assert len(set(ids) & set(weights[3].indices)) == 0
    np.testing.assert_allclose(
        scores, found.user_factors[3] @ found.item_factors[ids].T, rtol=1e-5, atol=1e-6
    )
    assert found.similar_items(4, N=3)[0][0] == 4
    many, _ = found.recommend([1, 2], weights[[1, 2]], N=4)
    assert many.shape == (2, 4)


def test_a_user_who_is_folded_in_is_where_the_fit_put_them() -> None:
    found, weights = model(iterations=200), shop().weight
    folded = found.recalculate_user([0, 1, 5], weights[[0, 1, 5]])
    np.testing.assert_allclose(
        folded @ found.item_factors.T,
        found.user_factors[[0, 1, 5]] @ found.item_factors.T,
        atol=1e-3,
    )
    assert found.recalculate_user(2, weights[2]).shape == (8,)
    assert found.recalculate_item(3, weights.T.tocsr()[3]).shape == (8,)
    with pytest.raises(
        ValueError, match="1 rows for 2 ids: give one row of interactions for each id"
    ):
        found.recalculate_user([1, 2], weights[1])


def test_an_explanation_adds_up_to_the_score() -> None:
    found, weights = model(), shop().weight
    total, best, again = found.explain(3, weights, 9, N=100)
    folded = found.recalculate_user(3, weights[3])
    assert total == pytest.approx(float(folded @ found.item_factors[9]), abs=1e-4)
    assert sorted(item for item, _ in best) == sorted(weights[3].indices)
    assert sum(score for _, score in best) == pytest.approx(total, abs=1e-5)
    assert found.explain(3, weights, 9, again, N=1)[1] == best[:1]
    assert not np.triu(
        again[0], 1
    ).any()  # else it holds whatever memory held, and scipy refuses what is not finite
