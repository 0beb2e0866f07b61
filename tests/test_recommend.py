from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from dawnlist.als.engine import FitEngine
from dawnlist.components.recommend.device_segments import rank_items_by_device
from dawnlist.components.recommend.top_lists import build_list_metadata, build_top_lists
from dawnlist.components.recommend.withdrawn_items import WithdrawnItems
from dawnlist.components.train.fitting import fit_stage
from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.evaluation import Evaluation, HoldoutFacts
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.score_scales import compute_score_scales
from dawnlist.ranking.normal_equations import compute_gram
from dawnlist.records.verdict import Verdict
from dawnlist.schema import ITEMS_SCHEMA
from dawnlist.store.toplists import TopLists
from tests.support.literal import interactions, two_tastes, write_interactions

META = {"popularity_window": "whole", "winner": "challenger", "as_of": "2026-01-31T00:00:00Z"}
NONE = WithdrawnItems(np.zeros(20, dtype=bool), {})


@pytest.fixture
def lists(tmp_path: Path) -> TopLists:
    lake, splits = Lake.open(str(tmp_path / "lake"), "shop"), two_tastes()
    titles = [
        {"item_id": "i00", "title": "Zero", "genres": ["a"]},
        {"item_id": "i99", "title": "Unseen"},
    ]
    write_deltalake(lake.table_uri("items"), pa.Table.from_pylist(titles, schema=ITEMS_SCHEMA))
    fit_stage(
        lake, splits, "train", ALSConfig(4, 0.1, 5.0).as_dict(), FitEngine(), tmp_path / "model"
    )
    found = build_top_lists(
        lake, splits, FactorModel.load(tmp_path / "model"), META, 12, NONE, {}, {}
    )
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
    assert len(lists.popular_index) == 20  # all that were met, although a list has 12
    assert (lists.meta["k"], lists.meta["users"], lists.meta["items"]) == (12, 40, 20)


def test_what_the_lists_carry() -> None:
    evaluation = Evaluation(
        k=20,
        metric="ndcg",
        evaluated_users=1,
        items=1,
        holdout=HoldoutFacts("2026-01-30T00:00:00Z", "2026-01-31T00:00:00Z"),
        popularity_window="7d",
        arms={"popularity": {"ndcg@20": 0.1}},
        differences={},
    )
    assert build_list_metadata(
        evaluation,
        Verdict(True, "popularity", "", [], None, True),
        None,
        {"name_in_lake": "m1", "engine": "popularity"},
        {"view": 1.0},
        parse_as_of("2026-01-31T00:00:00+00:00"),
        "run-1",
    ) == {
        "as_of": "2026-01-31T00:00:00Z",
        "run": "run-1",
        "model": "m1",
        "winner": "popularity",
        "engine": "popularity",
        "configured": "2026-01-31T00:00:00Z",
        "metrics": {"ndcg@20": 0.1},
        "popularity_window": "7d",
        "event_weights": {"view": 1.0},
    }


def test_what_stands_in_most_lists_comes_first(lists: TopLists) -> None:
    shown = lists.most_shown(20)
    assert {item["share"] for item in shown} == {0.5}  # each taste's ten items go to the other half
    assert shown[0] == {"item_id": "i00", "title": "Zero", "share": 0.5}


def test_what_computes_the_lists_anew_goes_with_them(lists: TopLists) -> None:
    """The scores of a list are computed from what is there; nobody's history is lost."""
    scales = compute_score_scales(lists.vectors, compute_gram(lists.item_factors))
    scores = lists.vectors @ lists.item_factors.T / scales[:, None] + lists.item_bias
    rows = np.arange(40)[:, None]
    assert np.allclose(scores[rows, lists.item_index[:, :10]], lists.score[:, :10], atol=1e-5)
    assert lists.meta["config"]["engine"] == "als"
    assert lists.item_content.shape == (20, 0)
    met = lists.histories
    assert met.weight.shape == (40, 20)
    assert [met.weight[user].indices.tolist() for user in (0, 1)] == [
        list(range(n, 20, 2)) for n in (0, 1)
    ]
    assert sorted(set(met.age.tolist())) == [0.5, 1.5, 3.0]


def test_users_that_the_model_does_not_know_are_left_out_with_their_histories(
    tmp_path: Path,
) -> None:
    lake, splits = Lake.open(str(tmp_path / "lake"), "shop"), two_tastes()
    fit_stage(
        lake, splits, "train", ALSConfig(2, iterations=1).as_dict(), FitEngine(), tmp_path / "model"
    )
    model = FactorModel.load(tmp_path / "model")
    some = np.array([3, 5])
    known = replace(
        model, user_ids=model.user_ids.subset(some), user_factors=model.user_factors[some]
    )
    found = build_top_lists(lake, splits, known, META, 3, NONE, {}, {})
    assert found.user_ids.tolist() == ["u03", "u05"]
    assert found.vectors.tolist() == model.user_factors[some, :2].tolist()
    assert (
        found.histories.weight.toarray().tolist()
        == splits.user_items("refit").weight[some].toarray().tolist()
    )
    assert len(found.histories.age) == found.histories.weight.nnz


AGENTS = {
    "mobile": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1",
    "mobile 2": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/126.0.0.0 Mobile Safari/537.36",
    "tablet": "Mozilla/5.0 (Linux; Android 13; SM-X906C) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36",
    "tablet 2": "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 Version/16.6 Mobile/15E148",
    "desktop": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0",
    "nothing": "curl/8.5.0",
}


def test_popular_lists_of_devices(tmp_path: Path) -> None:
    """Of users that the splits have, in the last 28 days; each user counts once for an item."""
    lake, splits = Lake.open(str(tmp_path / "lake"), "shop"), two_tastes()
    told = [
        ("u00", "i01", 1.0, "mobile"), ("u00", "i01", 2.0, "mobile"), ("u01", "i02", 3.0, "mobile 2"),
        ("u02", "i02", 3.0, "mobile"), ("u03", "i05", 24.0 * 29, "mobile"), ("bot", "i03", 3.0, "mobile"),
        ("u04", "i04", 3.0, "tablet"), ("u05", "i04", 3.0, "tablet 2"), ("u06", "i07", 3.0, "desktop"),
        ("u07", "i08", 3.0, "nothing"), ("u08", "gone", 3.0, "desktop"),
    ]  # fmt: skip
    rows = interactions(*((user, item, hours) for user, item, hours, _ in told))
    agents = pa.array([AGENTS[agent] for *_, agent in told])
    rows = rows.set_column(rows.column_names.index("user_agent"), "user_agent", agents)
    write_deltalake(lake.table_uri("interactions"), rows, partition_by=["event_date"])
    found = {
        name: [column.tolist() for column in popular]
        for name, popular in rank_items_by_device(lake, splits, 20, NONE.mask).items()
    }
    assert found == {
        "device=desktop": [[7], [1.0]],
        "device=mobile": [[2, 1], [2.0, 1.0]],
        "device=tablet": [[4], [2.0]],
    }
    assert (
        rank_items_by_device(Lake.open(str(tmp_path / "other"), "shop"), splits, 20, NONE.mask)
        == {}
    )


def test_without_user_agents_there_are_no_lists_of_devices(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    write_interactions(lake, ("u00", "i01", 1.0))
    assert rank_items_by_device(lake, two_tastes(), 20, NONE.mask) == {}
