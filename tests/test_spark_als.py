"""Spark's ALS against its definition, and against the library implicit."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.sparse import csr_matrix

from dawnlist.als.engine import FitEngine
from dawnlist.als.mllib import scale_regularization
from dawnlist.als.training import fit_als
from dawnlist.arrays import Float32Array
from dawnlist.components.train.fitting import fit_stage
from dawnlist.components.tune.grid import Grid
from dawnlist.components.tune.search import search_configs
from dawnlist.components.tune.trials import format_config_name
from dawnlist.lake.lake import Lake
from dawnlist.machine.spark import open_spark_session, stop_spark_session
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.metrics import score_lists
from dawnlist.model.score_scales import SCORE_ITEMS
from dawnlist.model.user_items import UserItems
from dawnlist.simulate.catalogue import draw_catalogue, draw_people
from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.traffic import Customers, SimulatedEvents
from tests.support.literal import two_tastes
from tests.support.spark_sessions import needs_spark
from tests.test_solver import checkerboard

Matrix = npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer[Any]]
URL = "local[1]"
SMALL = ALSConfig(
    factors=3, regularization=2.0, alpha=4.0, half_life=30.0, iterations=3, solver="spark"
)


@pytest.fixture(scope="module")
def spark(quick_java: None) -> Iterator[str]:
    open_spark_session(URL)
    yield URL
    stop_spark_session()


def irregular(users: int = 30, items: int = 20) -> UserItems:
    """Some met much and some little, one user and one item nothing, one pair without weight, ages up to a year."""
    random = np.random.default_rng(5)
    met = random.random((users, items)) < np.linspace(0.05, 0.6, items)
    met[7], met[:, 3] = False, False
    met[0, 1] = True
    weight = csr_matrix(np.where(met, random.integers(1, 9, met.shape), 0).astype(np.float32))
    age = random.uniform(0, 365, weight.nnz).astype(np.float32)
    weight.data[weight.indptr[0] + weight[0].indices.tolist().index(1)] = 0
    return UserItems(weight, age)


def counts(user_items: UserItems) -> tuple[Integers, Integers]:
    """How many items each user met, and how many users each item."""
    return np.diff(user_items.weight.indptr), np.diff(user_items.weight.tocsc().indptr)


def solved(user_items: UserItems, config: ALSConfig, items: Matrix) -> Matrix:
    """Each user's vector by the definition, for these item vectors and a lambda times the user's interactions."""
    weight, shrink = (
        user_items.decay_weights(config.half_life),
        scale_regularization(user_items, config.regularization),
    )
    vectors = np.zeros((weight.shape[0], items.shape[1]))
    for user in np.flatnonzero(np.diff(weight.indptr)):
        row = weight[user]
        met, extra = items[row.indices], config.alpha * row.data.astype(np.float64)
        left = items.T @ items + (met.T * extra) @ met + shrink * row.nnz * np.eye(items.shape[1])
        vectors[user] = np.linalg.solve(left, met.T @ (1 + extra))
    return vectors


def loss(
    user_items: UserItems, config: ALSConfig, factors: tuple[Float32Array, Float32Array]
) -> float:
    """Equation 3 of Hu, Koren and Volinsky."""
    users, items = factors
    weight = user_items.decay_weights(config.half_life).toarray()
    errors = (1 + config.alpha * weight) * ((weight > 0) - users @ items.T) ** 2
    return float(errors.sum() + config.regularization * ((users**2).sum() + (items**2).sum()))


@needs_spark
def test_each_user_is_what_the_definition_says(spark: str) -> None:
    users, items = fit_als(irregular(), SMALL, engine=FitEngine(spark_url=spark))
    assert (users.dtype.name, users.shape, items.shape) == ("float32", (30, 3), (20, 3))
    np.testing.assert_allclose(
        users, solved(irregular(), SMALL, items.astype(np.float64)), rtol=1e-3, atol=1e-5
    )
    counts_of_users, counts_of_items = counts(irregular())
    for vectors, met in ((users, counts_of_users), (items, counts_of_items)):
        np.testing.assert_array_equal(vectors.any(axis=1), met > 0)


@needs_spark
def test_the_same_seed_gives_the_same_model(spark: str) -> None:
    one, two, other = (
        fit_als(
            irregular(), dataclasses.replace(SMALL, seed=seed), engine=FitEngine(spark_url=spark)
        )[0]
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


@needs_spark
def test_is_implicit_where_all_have_equally_many_interactions(spark: str) -> None:
    config = ALSConfig(factors=2, regularization=30, alpha=20, iterations=20)
    assert scale_regularization(checkerboard(), 30) * 19 == pytest.approx(30)
    ours = fit_als(checkerboard(), config)
    theirs = fit_als(
        checkerboard(),
        dataclasses.replace(config, solver="spark"),
        engine=FitEngine(spark_url=spark),
    )
    np.testing.assert_allclose(theirs[0] @ theirs[1].T, ours[0] @ ours[1].T, atol=5e-3)
    assert loss(checkerboard(), config, theirs) == pytest.approx(
        loss(checkerboard(), config, ours), rel=1e-3
    )


def test_the_sum_of_all_regularization_is_that_of_implicit() -> None:
    met = np.concatenate(counts(irregular()))
    shrink = scale_regularization(irregular(), 2.0)
    assert shrink * met.sum() == pytest.approx(2.0 * np.count_nonzero(met))
    assert (
        scale_regularization(
            UserItems(csr_matrix((3, 3), dtype=np.float32), np.zeros(0, np.float32)), 2.0
        )
        == 0
    )


@needs_spark
def test_a_search_and_a_model_say_that_spark_fitted_them(spark: str, tmp_path: Path) -> None:
    lake, splits = Lake.open(str(tmp_path / "lake"), "shop"), two_tastes()
    both = [
        Grid([4], iterations=2, seed=1, solver=solver).configs()[0]
        for solver in ("implicit", "spark")
    ]
    trials = search_configs(lake, splits, both, "ndcg", k=5, engine=FitEngine(spark_url=spark))
    assert {trial["solver"] for trial in trials} == {"implicit", "spark"}
    assert len({format_config_name(config, "cpu") for config in both}) == 2
    assert all(trial["ndcg@5"] > 0.5 for trial in trials)
    reports = [
        fit_stage(
            lake,
            splits,
            "train",
            config.as_dict(),
            FitEngine(spark_url=spark),
            tmp_path / config.solver,
        )
        for config in both
    ]
    assert reports[0]["model"] != reports[1]["model"]
    told = {"ridge_scale": both[1].regularization, "fitted_items": 20}
    told |= {"score_scale": SCORE_ITEMS, "repeat_gap": 1.0}
    assert FactorModel.load(tmp_path / "spark").config == both[1].as_dict() | told


@needs_spark
def test_the_best_of_a_grid_ranks_like_the_best_of_implicit(spark: str) -> None:
    seen, truth = simulated()
    judged = np.flatnonzero((np.diff(truth.indptr) > 0) & (np.diff(seen.indptr) > 0))
    user_items = UserItems(seen, np.zeros(seen.nnz, dtype=np.float32))

    def ndcg(config: ALSConfig) -> float:
        users, items = fit_als(user_items, config, engine=FitEngine(spark_url=spark))
        scores = users[judged] @ items.T
        scores[seen[judged].toarray() > 0] = -np.inf
        return float(score_lists(np.argsort(-scores, axis=1)[:, :20], truth[judged]).ndcg.mean())

    theirs = Grid([16], [30, 100], [1, 10], iterations=5, solver="implicit")
    ours = Grid([16], [30, 100], [10], iterations=5, solver="spark")
    best_of_theirs, best_of_ours = (max(map(ndcg, grid.configs())) for grid in (theirs, ours))
    assert len(judged) > 500
    assert best_of_ours == pytest.approx(best_of_theirs, rel=0.05)


def simulated() -> tuple[csr_matrix, csr_matrix]:
    """People of a simulated shop: what they met, and what else in the week after it. Shapes (users, items)."""
    config = ShopConfig(users=1500, items=400, days=60)
    customers = Customers(config, draw_people(config), draw_catalogue(config))
    days = [customers.day(day) for day in range(config.days)]
    shape = 1 + max(day.actor.max() for day in days), 1 + max(day.item.max() for day in days)

    def matrix(some: list[SimulatedEvents]) -> csr_matrix:
        user, item = (
            np.concatenate([getattr(day, name) for day in some]) for name in ("actor", "item")
        )
        return csr_matrix((np.ones(len(user), dtype=np.float32), (user, item)), shape=shape)

    seen, later = matrix(days[:-7]), matrix(days[-7:])
    new = (later - later.multiply(seen > 0)).tocsr()
    new.eliminate_zeros()
    return seen, new


def test_spark_and_a_gpu_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="device is 'gpu': Spark fits on CPUs, so choose the cpu"):
        fit_als(irregular(), SMALL, FitEngine("gpu"))
    with pytest.raises(ValueError, match="solver is 'flink': give one of ials, implicit, spark"):
        ALSConfig(solver="flink")
