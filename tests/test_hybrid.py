"""The hybrid's columns, what is predicted of new items, and whom newcomers are."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from dawnlist.als.engine import FitEngine
from dawnlist.als.training import fit_als
from dawnlist.components.train.fitting import fit_stage
from dawnlist.components.tune.newcomers import Newcomers
from dawnlist.lake.lake import Lake
from dawnlist.model import popularity
from dawnlist.model.config import ALSConfig
from dawnlist.model.content import ItemFeatures
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.hybrid import (
    SHRINKAGE,
    Hybrid,
    ModelColumns,
    blend_fitted_popularity,
    split_columns,
)
from dawnlist.model.ids import IdMap
from dawnlist.model.score_scales import compute_score_scales
from dawnlist.model.splits import Splits
from dawnlist.model.user_items import UserItems
from dawnlist.ranking.fold_in import NO_PAIRS, FoldIn, UserPairs
from dawnlist.ranking.normal_equations import compute_gram
from tests.support.literal import AS_OF, two_tastes

NEW, OLD = 1_700_000_000_000_000, 1
PLAIN = ALSConfig(factors=4, alpha=5.0, regularization=1.0, iterations=5)
SERVED = ALSConfig(4, 1.0, 5.0, 30.0, 5, popularity_share=0.5, content_share=0.4, content_pairs=2.0)


def stocked(seen: tuple[int, ...] = (OLD, OLD)) -> Splits:
    """Two tastes, whose items' words say so, and behind them an even new item (n0) and an odd one (n1)."""
    splits = two_tastes()
    content = np.zeros((22, 2), np.float32)
    content[np.arange(22), np.arange(22) % 2] = 1
    ids = IdMap(pa.concat_arrays([splits.item_ids.ids, pa.array(["n0", "n1"])]))
    stock = ItemFeatures(content, np.array([OLD] * 20 + list(seen)), OLD, 2)
    return Splits(
        splits.user_ids, ids, splits.user_index, splits.item_index, splits.weight, splits.last, splits.cuts,
        splits.about, stock,
    )  # fmt: skip


def test_the_columns_add_up_to_the_score() -> None:
    hybrid = Hybrid.of(stocked(), "train")
    x, y = fit_als(hybrid.fitted, SERVED)
    users, items = hybrid.factors((x, y), SERVED)
    popular = popularity.compute_popularity(hybrid.user_items, SERVED.popularity_half_life)
    even, met = np.arange(40) % 2 == 0, np.diff(hybrid.user_items.weight.indptr)
    alike = even[:, None] == (
        np.arange(22) % 2 == 0
    )  # a user meets items of one kind alone: p is that kind's word
    scales = np.sqrt((x @ y.T).astype(np.float64) ** 2 @ np.ones(20) / 55)[:, None]
    factor_scores = x @ items[:, :4].T / scales
    wanted = factor_scores + 0.5 * popular + (0.4 * 2 / (2 + met))[:, None] * alike
    np.testing.assert_allclose(users[:, 4:5], scales, rtol=1e-5)
    np.testing.assert_allclose(users @ items.T / scales, wanted, atol=1e-4)
    np.testing.assert_array_equal(items[:20, :4], y)


def test_a_model_comes_apart_into_its_columns() -> None:
    hybrid = Hybrid.of(stocked(), "train")
    fitted = fit_als(hybrid.fitted, SERVED)
    users, items = hybrid.factors(fitted, SERVED)
    ids = (
        IdMap(pa.array([str(n) for n in range(40)])),
        IdMap(pa.array([str(n) for n in range(22)])),
    )
    found = split_columns(FactorModel(*ids, users, items, SERVED.as_dict()))
    np.testing.assert_array_equal(found.vectors, fitted[0])
    np.testing.assert_array_equal(found.item_factors[:20], fitted[1])
    np.testing.assert_array_equal(found.item_bias, items[:, 4])
    np.testing.assert_array_equal(found.item_content, hybrid.content)
    plain = split_columns(FactorModel(*ids, *hybrid.factors(fitted, PLAIN), PLAIN.as_dict()))
    assert [part.shape for part in vars(plain).values()] == [(40, 4), (22, 4), (22,), (22, 0)]
    assert not plain.item_bias.any()
    counts = popularity.fit_popularity(hybrid.user_items, "whole")
    popular = split_columns(FactorModel(*ids, *counts, {"engine": "popularity", "window": "whole"}))
    assert (popular.vectors.shape, popular.item_factors.shape, popular.item_content.shape) == (
        (40, 0),
        (22, 0),
        (22, 0),
    )
    np.testing.assert_array_equal(popular.item_bias, counts[1][:, 0])


def test_without_shares_the_model_is_what_was_fitted() -> None:
    """Bit for bit, beside the users' scales; the new items come behind."""
    hybrid = Hybrid.of(stocked(), "train")
    fitted = fit_als(two_tastes().user_items("train"), PLAIN)
    users, items = hybrid.factors(fit_als(hybrid.fitted, PLAIN), PLAIN)
    np.testing.assert_array_equal(users[:, :4], fitted[0])
    np.testing.assert_array_equal(items[:20, :4], fitted[1])
    assert (users.shape, items.shape) == ((40, 5), (22, 5))
    assert not items[:, 4].any()
    bare = Hybrid.of(two_tastes(), "train")
    scales = compute_score_scales(fitted[0], compute_gram(fitted[1]))
    for config in (PLAIN, ALSConfig(4, popularity_share=0.3)):
        share = (config.popularity_share, config.popularity_half_life)
        wanted = popularity.blend_popularity(fitted, bare.user_items, *share, scales)
        for found, same in zip(bare.factors(fitted, config), wanted, strict=True):
            np.testing.assert_array_equal(found, same)


def test_popularity_of_a_fit_alone_ranks_as_the_served_model_does() -> None:
    """An ablation and a matrix serve no columns that are 0."""
    hybrid = Hybrid.of(two_tastes(), "train")
    config = ALSConfig(4, iterations=3, popularity_share=0.3)
    fitted = fit_als(hybrid.fitted, config)
    blended = blend_fitted_popularity(fitted, hybrid.user_items, config)
    for found, same in zip(blended, hybrid.factors(fitted, config), strict=True):
        np.testing.assert_array_equal(found, same)
    assert blend_fitted_popularity(fitted, hybrid.user_items, PLAIN) is fitted


def test_the_config_of_a_model_says_how_its_scores_are_scaled() -> None:
    splits = two_tastes()
    splits.about["repeat_gap"] = 12.5
    config = Hybrid.of(splits, "train").build_model_config(PLAIN)
    assert config == {**PLAIN.as_dict(), "score_scale": 55.0, "repeat_gap": 12.5}


def test_a_new_item_has_the_factors_of_those_it_is_like() -> None:
    hybrid = Hybrid.of(stocked(), "train")
    _, y = fit_als(hybrid.fitted, PLAIN)
    _, items = hybrid.factors((np.zeros((40, 4), np.float32), y), PLAIN)
    assert np.flatnonzero(hybrid.new).tolist() == [20, 21]
    np.testing.assert_allclose(
        items[20, :4], y[0::2].sum(axis=0) / (SHRINKAGE + 10), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        items[21, :4], y[1::2].sum(axis=0) / (SHRINKAGE + 10), rtol=1e-5, atol=1e-6
    )


def test_new_items_come_into_the_lists_of_those_who_like_their_kind(tmp_path: Path) -> None:
    splits = stocked()
    for config in (PLAIN, SERVED):
        fit_stage(
            Lake.open(str(tmp_path), "shop"),
            splits,
            "refit",
            config.as_dict(),
            FitEngine(),
            tmp_path / config.solver,
        )
        model = FactorModel.load(tmp_path / config.solver)
        assert model.item_ids.ids.equals(splits.item_ids.ids)
        assert model.config["fitted_items"] == 20
        aligned = model.align(splits.user_ids, splits.item_ids)
        lists, _ = aligned.top_k(np.arange(4), splits.user_items("refit").weight[:4], 1)
        assert lists[:, 0].tolist() == [20, 21, 20, 21]
        for file in (tmp_path / config.solver).iterdir():
            file.unlink()


def test_what_came_after_the_cut_is_not_known_at_it() -> None:
    """Nor is what only the holdout met, unless it had been seen before; the first run's items are of any age."""
    splits = stocked(
        (int((AS_OF - timedelta(hours=36)).timestamp() * 1e6), int(AS_OF.timestamp() * 1e6))
    )
    found = [
        np.flatnonzero(splits.new_items(stage)).tolist() for stage in ("tune", "train", "refit")
    ]
    assert found == [[], [20], [20, 21]]
    splits.last[:2, splits.item_index == 5] = 0  # met in the holdout alone
    assert [np.flatnonzero(splits.new_items(stage)).tolist() for stage in ("train", "refit")] == [
        [5, 20],
        [20, 21],
    ]
    splits.stock.first_seen[5] = NEW  # type: ignore[union-attr]
    splits.stock.first_seen[6] = 0  # type: ignore[union-attr]
    splits.last[:2, splits.item_index == 6] = 0
    assert np.flatnonzero(splits.new_items("train")).tolist() == [5, 20]


def test_the_holdout_changes_nothing_that_is_served_before_it() -> None:
    """Neither weights nor items of the holdout reach the challenger's columns."""
    splits, other = stocked(), stocked()
    kept = np.random.default_rng(1).random(len(other.user_index)) < 0.5
    other.weight[2, kept], other.last[2, kept] = 0, 0
    other.weight[2, ~kept] *= 9
    for found, same in zip(*(_columns(one) for one in (splits, other)), strict=True):
        np.testing.assert_array_equal(found, same)


def _columns(splits: Splits) -> tuple[np.ndarray, ...]:
    hybrid = Hybrid.of(splits, "train")
    return (*hybrid.factors(fit_als(hybrid.fitted, SERVED), SERVED), hybrid.known_items)


def test_nothing_alike_is_nothing_predicted() -> None:
    splits = stocked()
    splits.stock.content[:20] = 0  # type: ignore[union-attr]
    hybrid = Hybrid.of(splits, "train")
    _, items = hybrid.factors(fit_als(hybrid.fitted, PLAIN), PLAIN)
    assert not items[20:].any()
    users, _ = hybrid.factors(fit_als(hybrid.fitted, SERVED), SERVED)
    assert not users[:, 5:].any()  # nobody met anything that words are known of


def test_splits_with_a_stock_survive_the_disk_and_lose_what_nobody_met(tmp_path: Path) -> None:
    splits = stocked()
    splits.save(tmp_path / "splits")
    loaded = Splits.load(tmp_path / "splits")
    assert loaded.stock is not None and splits.stock is not None
    assert loaded.stock.digest == splits.stock.digest
    assert (loaded.met_item_count, loaded.shape) == (20, (40, 22))
    bare = loaded.drop_unmet_items()
    assert (bare.shape, bare.content.shape, bare.met_item_count) == ((40, 20), (20, 2), 20)
    assert (
        bare.holdout_fingerprint == loaded.holdout_fingerprint == two_tastes().holdout_fingerprint
    )


@pytest.mark.parametrize(("nu", "alpha0"), [(0.0, 1.0), (0.5, 0.3)])
def test_newcomers_are_solved_as_the_predictor_does(nu: float, alpha0: float) -> None:
    y = np.random.default_rng(3).standard_normal((12, 5)).astype(np.float32)
    weight = csr_matrix(
        np.array([[1, 0, 3, 0, 5, 2], [0, 2, 0, 0, 0, 0]], np.float32), shape=(2, 6)
    )
    weight.resize((2, 12))
    history = UserItems(weight, np.array([4, 1, 2, 3, 9], np.float32))
    config = ALSConfig(5, 0.7, 4.0, 14.0, nu=nu, alpha0=alpha0)
    found = Newcomers.from_users(history, np.array([1, 0]))
    assert (found.met.tolist(), found.index[1, :2].tolist()) == ([1, 2], [2, 4])
    assert found.weights(12).toarray()[:, [1, 2, 4]].tolist() == [[2, 0, 0], [0, 3, 5]]
    fold = FoldIn.of(y, {**config.as_dict(), "ridge_scale": 0.7})
    clicks = UserPairs(np.array([2, 4]), np.array([3.0, 5.0]), np.zeros(2))
    wanted = fold.vector(fold.build_equation(clicks, NO_PAIRS, 0.0))
    np.testing.assert_allclose(found.vectors(y, 0.7, config)[1], wanted, rtol=1e-4, atol=1e-6)
    assert Newcomers.from_users(history, np.array([0]), most=3).index.tolist() == [[2, 4, 5]]


def test_parts_are_arrays_alone() -> None:
    assert list(ModelColumns.__dataclass_fields__) == [
        "vectors",
        "item_factors",
        "item_bias",
        "item_content",
    ]
