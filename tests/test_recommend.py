from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from components.lake import Lake
from components.model import FactorModel
from components.recommend.lists import about, recommend
from components.schema import ITEMS
from components.solver import ALSConfig
from components.toplists import TopLists
from components.train.fitting import fit_stage
from tests.literal import two_tastes

META = {"popularity_window": "whole", "winner": "challenger"}


@pytest.fixture
def lists(tmp_path: Path) -> TopLists:
    lake, splits = Lake.open(str(tmp_path / "lake"), "shop"), two_tastes()
    titles = [{"item_id": "i00", "title": "Zero", "genres": ["a"]}, {"item_id": "i99", "title": "Unseen"}]
    write_deltalake(lake.table_uri("items"), pa.Table.from_pylist(titles, schema=ITEMS))
    fit_stage(lake, splits, "train", ALSConfig(4, 0.1, 5.0).as_dict(), "cpu", tmp_path / "model")
    found = recommend(lake, splits, FactorModel.load(tmp_path / "model"), META, k=12)
    found.save(tmp_path / "lists")
    return TopLists.load(tmp_path / "lists")


def test_nobody_is_shown_what_they_have_seen(lists: TopLists) -> None:
    """Everyone has met all ten items of their own taste, so only the ten of the other are left."""
    assert lists.lengths.tolist() == [10] * 40
    for number in range(40):
        assert sorted(lists.item_index[number][:10]) == list(range(1 - number % 2, 20, 2))


def test_the_catalogue_has_titles_where_there_are_any(lists: TopLists) -> None:
    assert lists.catalogue["item_id"].to_pylist() == [f"i{n:02}" for n in range(20)]
    assert lists.catalogue["title"].to_pylist() == ["Zero"] + [None] * 19


def test_the_popular_list_and_meta(lists: TopLists) -> None:
    assert len(lists.popular_index) == 12
    assert (lists.meta["k"], lists.meta["users"], lists.meta["items"]) == (12, 40, 20)


def test_what_the_lists_carry() -> None:
    evaluation = {"arms": {"popularity": {"ndcg@20": 0.1}}, "popularity_window": "7d"}
    assert about(evaluation, {"winner": "popularity"}, "m1", "2026-01-31T00:00:00+00:00", "run-1") == {
        "as_of": "2026-01-31T00:00:00Z",
        "run": "run-1",
        "model": "m1",
        "winner": "popularity",
        "engine": "popularity",
        "metrics": {"ndcg@20": 0.1},
        "popularity_window": "7d",
    }


def test_what_stands_in_most_lists_comes_first(lists: TopLists) -> None:
    shown = lists.most_shown(20)
    assert {item["share"] for item in shown} == {0.5}  # each taste's ten items go to the other half
    assert shown[0] == {"item_id": "i00", "title": "Zero", "share": 0.5}
