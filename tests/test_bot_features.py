"""The simulator's stealthy bots: no single feature tells any kind from people, and all features together do."""

import importlib
from dataclasses import replace

import pandas as pd
import pytest

from dawnlist.simulate import ShopConfig
from dawnlist.simulate.purposes import HELD_OUT_KIND, PURPOSES

yardstick = importlib.import_module("benchmarks.bot_features")


@pytest.fixture(scope="module", params=[True, False], ids=["night", "no-night"])
def users(request: pytest.FixtureRequest) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """Features and kinds of two shops' users; more robots than in the default, so that each kind has some dozens."""
    config = ShopConfig(2_000, days=60, robot_share=0.4, night=request.param)
    table, kinds = yardstick.measured([config, replace(config, seed=2)])
    return table, kinds


def test_auc_is_the_chance_that_a_bot_has_more() -> None:
    assert (
        yardstick.auc(pd.Series([3.0, 4.0]).to_numpy(), pd.Series([1.0, 2.0, 3.0]).to_numpy())
        == 5.5 / 6
    )


def test_no_single_feature_tells_a_stealthy_kind_from_people(
    users: tuple[pd.DataFrame, "pd.Series[str]"],
) -> None:
    alone = yardstick.single(*users)
    assert set(alone) == set(PURPOSES) and alone.shape[0] >= 50
    assert not alone.isna().any(axis=None)
    telling = alone.stack()
    assert telling[telling > 0.9].to_dict() == {}


def test_together_they_do(users: tuple[pd.DataFrame, "pd.Series[str]"]) -> None:
    table, kinds = users
    found = yardstick.together(table, kinds)
    assert yardstick.stealthy(kinds)[-1] == HELD_OUT_KIND
    assert found.drop(HELD_OUT_KIND).min() >= 0.97


def test_each_bot_does_enough_to_be_judged(users: tuple[pd.DataFrame, "pd.Series[str]"]) -> None:
    table, kinds = users
    assert (table.loc[kinds != "human", "events"] >= 40).mean() > 0.85
