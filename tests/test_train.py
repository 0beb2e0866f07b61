from pathlib import Path

import numpy as np
import pytest

from components.lake import Lake
from components.model import FactorModel
from components.refit.winner import winning_config
from components.solver import ALSConfig, fit
from components.train.fitting import fit_stage
from tests.literal import two_tastes

CONFIG = ALSConfig(factors=4, iterations=3).as_dict()


def test_the_model_is_fitted_on_the_stage_and_says_where_it_is_from(tmp_path: Path) -> None:
    lake, splits = Lake.open(str(tmp_path / "lake"), "shop"), two_tastes()
    report = fit_stage(lake, splits, "train", CONFIG, "cpu", tmp_path / "model")
    model = FactorModel.load(tmp_path / "model")
    np.testing.assert_array_equal(model.user_factors, fit(splits.user_items("train"), ALSConfig(4, iterations=3))[0])
    assert (model.config, report["reused"], report["users"]) == (CONFIG, False, 40)
    assert (model.lineage["as_of"], model.lineage["stage"]) == ("2026-01-30T00:00:00Z", "train")
    assert model.lineage["interactions_version"] == 0


def test_a_rerun_copies_what_was_fitted_and_another_stage_does_not(tmp_path: Path) -> None:
    lake, splits = Lake.open(str(tmp_path / "lake"), "shop"), two_tastes()
    first = fit_stage(lake, splits, "train", CONFIG, "cpu", tmp_path / "one")
    again = fit_stage(lake, splits, "train", CONFIG, "cpu", tmp_path / "two")
    splits.about["interactions_version"] = 9  # another version of the table may hold the same rows
    third = fit_stage(lake, splits, "train", CONFIG, "cpu", tmp_path / "third")
    assert third["reused"]
    other = fit_stage(lake, splits, "refit", CONFIG, "cpu", tmp_path / "three")
    assert (first["model"], again["reused"], other["reused"]) == (again["model"], True, False)
    assert (tmp_path / "one/MANIFEST").read_text() == (tmp_path / "two/MANIFEST").read_text()


def test_popularity_is_refitted_like_any_model(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    config = winning_config({"winner": "popularity"}, CONFIG, {"popularity_window": "7d"})
    fit_stage(lake, two_tastes(), "refit", config, "cpu", tmp_path / "model")
    model = FactorModel.load(tmp_path / "model")
    assert (model.config, model.item_factors.shape) == ({"engine": "popularity", "window": "7d"}, (20, 1))


def test_only_a_winner_is_refitted() -> None:
    assert winning_config({"winner": "challenger"}, {**CONFIG, "fit_seconds": 3}, {}) == CONFIG
    with pytest.raises(ValueError, match="'incumbent': only a challenger or popularity"):
        winning_config({"winner": "incumbent"}, CONFIG, {})
