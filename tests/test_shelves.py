"""Shelves about items and everybody, what a user has met lately, and the order of a given list."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
import redis
from scipy.sparse import csr_matrix

from dawnlist.components.recommend.trends import measure_trends
from dawnlist.lake.lake import Lake
from dawnlist.model import associations as associations_module
from dawnlist.model.associations import Associations, associate_items
from dawnlist.model.item_relations import ItemRelations, add_relations, read_relations
from dawnlist.serving.predictor.answers.engine import ServingEngine
from dawnlist.serving.predictor.answers.shelves.shelf_question import (
    ShelfKind,
    ShelfQuestion,
    Similarity,
)
from dawnlist.store import recent
from dawnlist.store.client import connect_store
from dawnlist.store.withdrawals import withdraw_items
from tests.support.heard import Heard
from tests.support.literal import two_tastes, write_interactions
from tests.support.servers import running_predictor
from tests.test_engine import AS_OF as SHOP_AS_OF
from tests.test_engine import DAY, publish, shop

NOW = SHOP_AS_OF.timestamp()
ASSOCIATED = {"a": ["f", "b"], "c": ["a"]}
TREND = [0.0, 2.0, 0.0, -1.0, 3.0, 0.0, 0.5, 0.0]
ITEMS = list("abcdefgh")


def related_shop(**changes: Any) -> Any:
    """The engine's shop with associated items and trends."""
    lists = shop(**changes)
    lengths = [len(ASSOCIATED.get(item, [])) for item in ITEMS]
    neighbours = [ITEMS.index(other) for item in ITEMS for other in ASSOCIATED.get(item, [])]
    relations = ItemRelations(
        Associations(
            np.cumsum([0, *lengths]),
            np.array(neighbours),
            np.arange(len(neighbours), 0, -1, dtype=np.float32),
        ),
        np.array(TREND, dtype=np.float32),
    )
    return shop(catalogue=add_relations(lists.catalogue, relations), **changes)


def ask_shelf(url: str, kind: ShelfKind, **fields: Any) -> tuple[str, list[str]]:
    """The rung and the items of a shelf."""

    async def run() -> tuple[str, list[str]]:
        engine = ServingEngine(url, "shop", metrics=Heard(), timeout=10.0)
        await engine.start()
        try:
            catalogue, shelf = await engine.answer_shelf(ShelfQuestion(kind, **fields))
            return shelf.tier, catalogue.item_ids.take(shelf.items)
        finally:
            await engine.stop()

    return asyncio.run(run())


# Associations.


def test_associated_items_are_those_that_chance_does_not_explain() -> None:
    # 100 people: 20 met both 0 and 1, 20 others met 2, and item 3 was met by all.
    met = np.zeros((100, 4))
    met[:20, [0, 1]] = 1
    met[20:40, 2] = 1
    met[:, 3] = 1
    found = associate_items(csr_matrix(met))
    assert found.indptr.tolist() == [0, 1, 2, 2, 2]
    assert found.items.tolist() == [1, 0]
    lower_bound = np.log(20 * 100 / (20 * 20)) - 1.96 * np.sqrt(3 / 20)
    assert found.scores == pytest.approx([20 * lower_bound] * 2)


@pytest.mark.parametrize("both", range(1, 11))
def test_a_lift_whose_lower_bound_is_below_1_is_chance(both: int) -> None:
    # 10 of 40 people met item 0, 10 item 1, and all of them item 2.
    met = np.zeros((40, 3))
    met[:10, 0] = 1
    met[10 - both : 20 - both, 1] = 1
    met[:, 2] = 1
    lower_bound = np.log(both * 40 / 100) - 1.96 * np.sqrt(1 / both + 1 / 10 + 1 / 10)
    expected = [1, 0] if lower_bound > 0 else []
    assert associate_items(csr_matrix(met)).items.tolist() == expected
    assert (lower_bound > 0) == (both >= 8)


@pytest.mark.parametrize(("most", "counts"), [(12, True), (11, False)])
def test_people_who_met_too_many_items_do_not_count(
    monkeypatch: pytest.MonkeyPatch, most: int, counts: bool
) -> None:
    met = np.zeros((60, 12))
    met[:10, [0, 1]] = 1
    met[10:59, 2] = 1
    met[59, :] = 1  # a collector
    monkeypatch.setattr(associations_module, "MAX_ITEMS_PER_USER", most)
    found = associate_items(csr_matrix(met))
    people, both, everybody = (11, 11, 60) if counts else (10, 10, 59)
    lower_bound = np.log(both * everybody / people**2) - 1.96 * np.sqrt(3 / people)
    assert found.items[found.indptr[0]] == 1
    assert found.scores[found.indptr[0]] == pytest.approx(both * lower_bound)


def test_neighbours_are_bounded_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    groups = random.integers(0, 4, 200)
    met = (random.random((200, 40)) < 0.05) | (groups[:, None] == np.arange(40)[None, :] // 10)
    whole = associate_items(csr_matrix(met.astype(float)))
    monkeypatch.setattr(associations_module, "BLOCK_ITEMS", 7)
    parts = associate_items(csr_matrix(met.astype(float)))
    assert parts.items.tolist() == whole.items.tolist()
    monkeypatch.setattr(associations_module, "NEIGHBOURS", 3)
    short = associate_items(csr_matrix(met.astype(float)))
    assert np.diff(short.indptr).max() == 3
    first = whole.items[whole.indptr[5] : whole.indptr[6]][:3].tolist()
    assert short.items[short.indptr[5] : short.indptr[6]].tolist() == first


def test_nobody_and_one_person_have_no_associated_items() -> None:
    for shape in ((0, 3), (1, 3)):
        found = associate_items(csr_matrix(np.ones(shape)))
        assert (found.indptr.tolist(), len(found.items)) == ([0, 0, 0, 0], 0)


def test_relations_survive_the_catalogue_and_older_ones_have_none() -> None:
    catalogue = related_shop().catalogue
    relations = read_relations(catalogue)
    assert relations is not None
    assert relations.trend.tolist() == TREND
    assert relations.associations.indptr.tolist() == [0, 2, 2, 3, 3, 3, 3, 3, 3]
    assert relations.associations.items.tolist() == [5, 1, 0]
    assert read_relations(shop().catalogue) is None
    with pytest.raises(ValueError, match="not in the catalogue"):
        read_relations(catalogue.slice(0, 5))


# Trends.


def test_a_trend_is_what_is_met_more_often_than_usual(tmp_path: Path) -> None:
    splits = two_tastes()
    users, items = splits.user_ids.ids.to_pylist(), splits.item_ids.ids.to_pylist()
    rows = []
    for day in range(40):
        rows.append((users[0], items[0], 24.0 * day + 1))  # every day
    for user in users[:6]:
        rows.append((user, items[1], 2.0))  # only today
        rows.append((user, items[2], 24.0 * 20))  # only long ago
    rows.append(("a bot", items[3], 1.0))
    lake = Lake.open(str(tmp_path), "shop")
    write_interactions(lake, *rows)
    splits.about["interactions_version"] = 0
    trends = measure_trends(lake, splits)
    assert trends[1] > 2.0 > abs(trends[0])
    assert trends[2] < 0.0
    assert trends[3] == 0.0  # nobody of the splits met it
    assert (trends[4:] == 0.0).all()


def test_a_person_counts_once_a_day(tmp_path: Path) -> None:
    splits = two_tastes()
    user, item = splits.user_ids.ids[0].as_py(), splits.item_ids.ids[0].as_py()
    splits.about["interactions_version"] = 0
    trends = []
    for name, hours in (("one", [2.0]), ("three", [2.0, 2.5, 3.0])):
        lake = Lake.open(str(tmp_path / name), "shop")
        write_interactions(lake, *[(user, item, hour) for hour in hours])
        trends.append(measure_trends(lake, splits)[0])
    assert trends[0] == trends[1] > 0
    assert not measure_trends(Lake.open(str(tmp_path / "none"), "shop"), splits).any()


# Shelves.


@pytest.fixture
def store(valkey: str) -> str:
    publish(valkey, related_shop())
    return valkey


@pytest.mark.parametrize(
    ("fields", "tier", "items"),
    [
        # By factors: cosines of (8, 0) with the others of positive cosine; equal ones by row.
        ({"item_id": "a"}, "similar", ["f", "b", "e", "d"]),
        ({"item_id": "a", "similarity": Similarity.CONTENT}, "similar_content", ["g"]),
        ({"item_id": "g"}, "similar_content", ["a"]),  # it has no factors
        ({"item_id": "b", "similarity": Similarity.CONTENT}, "popular", ["a", "c", "h"]),
        ({"item_id": "h"}, "popular", ["b", "a", "c"]),  # it has neither
        ({"item_id": "unknown"}, "popular", ["b", "a", "c", "h"]),
        ({"item_id": "a", "k": 2}, "similar", ["f", "b"]),
        ({"item_id": "a", "k": 2, "offset": 1}, "similar", ["b", "e"]),
        ({"item_id": "a", "offset": 4}, "similar", []),
        ({"item_id": "a", "exclude": ("f", "unknown")}, "similar", ["b", "e", "d"]),
        ({"item_id": "a", "where": 'genres has "art"'}, "similar", ["b", "d"]),
    ],
)
def test_similar_items(store: str, fields: dict[str, Any], tier: str, items: list[str]) -> None:
    assert ask_shelf(store, ShelfKind.SIMILAR, **fields) == (tier, items)


@pytest.mark.parametrize(
    ("fields", "tier", "items"),
    [
        ({"item_id": "a"}, "associated", ["f", "b"]),
        ({"item_id": "a", "exclude": ("f",)}, "associated", ["b"]),
        ({"item_id": "a", "where": 'genres has "art"'}, "associated", ["b"]),
        ({"item_id": "b"}, "similar", ["a", "f", "e", "d", "c"]),  # it has no associated ones
        ({"item_id": "h"}, "popular", ["b", "a", "c"]),
    ],
)
def test_items_that_are_bought_together(
    store: str, fields: dict[str, Any], tier: str, items: list[str]
) -> None:
    found_tier, found = ask_shelf(store, ShelfKind.BOUGHT_TOGETHER, **fields)
    assert (found_tier, sorted(found)) == (tier, sorted(items))


@pytest.mark.parametrize(
    ("kind", "fields", "tier", "items"),
    [
        (ShelfKind.TRENDING, {}, "trending", ["e", "b", "g"]),
        (ShelfKind.TRENDING, {"where": 'genres has "war"'}, "trending", ["b"]),
        (ShelfKind.TRENDING, {"exclude": ("e", "b", "g")}, "popular", ["a", "c", "h"]),
        (ShelfKind.POPULAR, {}, "popular", ["b", "a", "c", "h"]),
        (ShelfKind.POPULAR, {"context": (("device", "mobile"),)}, "segment", ["f", "b"]),
        (ShelfKind.POPULAR, {"context": (("device", "tv"),)}, "popular", ["b", "a", "c", "h"]),
        (ShelfKind.POPULAR, {"k": 1, "offset": 2}, "popular", ["c"]),
    ],
)
def test_shelves_of_everybody(
    store: str, kind: ShelfKind, fields: dict[str, Any], tier: str, items: list[str]
) -> None:
    assert ask_shelf(store, kind, **fields) == (tier, items)


def test_a_version_of_an_older_release_has_the_rungs_below(valkey: str) -> None:
    publish(valkey, shop())
    assert ask_shelf(valkey, ShelfKind.TRENDING)[0] == "popular"
    assert ask_shelf(valkey, ShelfKind.BOUGHT_TOGETHER, item_id="a")[0] == "similar"


def test_withdrawn_items_are_on_no_shelf(store: str) -> None:
    with connect_store(store) as client:
        withdraw_items(client, "shop", ["b", "f"])
    for kind, item in (
        (ShelfKind.SIMILAR, "a"),
        (ShelfKind.BOUGHT_TOGETHER, "a"),
        (ShelfKind.TRENDING, ""),
        (ShelfKind.POPULAR, ""),
    ):
        items = ask_shelf(store, kind, item_id=item)[1]
        assert items and not {"b", "f"} & set(items), kind


def test_without_a_version_the_static_file_answers(valkey: str, tmp_path: Path) -> None:
    file = tmp_path / "static.json"
    file.write_text(
        '{"as_of": "2026-01-01T00:00:00Z", "items": [{"item_id": "x"}, {"item_id": "y"}, {"item_id": "z"}]}'
    )

    async def run() -> list[tuple[str, list[str]]]:
        engine = ServingEngine(valkey, "nobody", static=file, metrics=Heard(), timeout=10.0)
        await engine.start()
        shelves = []
        for kind, item in ((ShelfKind.SIMILAR, "x"), (ShelfKind.CONTINUE, "")):
            catalogue, shelf = await engine.answer_shelf(ShelfQuestion(kind, item, k=1, offset=1))
            shelves.append((shelf.tier, catalogue.item_ids.take(shelf.items)))
        await engine.stop()
        return shelves

    assert asyncio.run(run()) == [("static", ["z"]), ("none", [])]


def record_events(url: str, user: str, *events: tuple[str, str, float]) -> None:
    """Record recent events: item, type and seconds since the version's as_of."""
    with redis.from_url(url) as client:
        for item, event_type, seconds in events:
            recent.record_event(client, "shop", user, item, event_type, NOW + seconds)


def test_continue_has_what_the_user_met_last_first(store: str) -> None:
    # ann met c two days and e four days before as_of.
    assert ask_shelf(store, ShelfKind.CONTINUE, user_id="ann") == ("continue", ["c", "e"])
    record_events(store, "ann", ("a", "view", 10), ("e", "view", 20), ("unknown", "view", 30))
    assert ask_shelf(store, ShelfKind.CONTINUE, user_id="ann")[1] == ["e", "a", "c"]
    assert ask_shelf(store, ShelfKind.CONTINUE, user_id="ann", k=1, offset=1)[1] == ["a"]
    assert ask_shelf(store, ShelfKind.CONTINUE, user_id="ann", exclude=("e",))[1] == ["a", "c"]
    assert ask_shelf(store, ShelfKind.CONTINUE, user_id="ann", where='genres has "war"')[1] == ["a"]
    assert ask_shelf(store, ShelfKind.CONTINUE, user_id="nobody") == ("continue", [])


def test_continue_leaves_out_what_the_user_disliked_last(store: str) -> None:
    record_events(
        store, "ann",
        ("c", "dislike", 10), ("a", "dislike", 20), ("a", "view", 30), ("b", "view", 40), ("b", "dislike", 50),
    )  # fmt: skip
    assert ask_shelf(store, ShelfKind.CONTINUE, user_id="ann")[1] == ["a", "e"]
    assert ask_shelf(store, ShelfKind.CONTINUE, user_id="bob")[1] == ["a"]


# Over HTTP.


@pytest.fixture(scope="module")
def related(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from dawnlist.machine.embedded_valkey import run_embedded_valkey

    with run_embedded_valkey(tmp_path_factory.mktemp("related")) as url:
        publish(url, related_shop())
        with running_predictor(url, "shop") as running:
            yield running.url


def get(url: str, path: str, status: int = 200) -> Any:
    answer = httpx.get(url + path)
    assert answer.status_code == status, answer.text
    return answer.json()


def items_of(answer: Any) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def test_shelves_over_http_name_their_version_and_whom_they_are_about(related: str) -> None:
    similar = get(related, "/v1/similar/a?k=2&offset=1")
    assert items_of(similar) == ["b", "e"]
    assert (similar["item_id"], similar["tier"], similar["model_version"]) == ("a", "similar", "1")
    assert similar["token"].startswith("1-") and "user_id" not in similar
    assert similar["items"][0]["title"] == "B" and similar["items"][0]["score"] == pytest.approx(
        0.98995, abs=1e-4
    )
    assert items_of(get(related, "/v1/similar/a?by=content")) == ["g"]
    assert items_of(get(related, "/v1/bought-together/a")) == ["f", "b"]
    assert items_of(get(related, "/v1/trending?exclude=e&exclude=g")) == ["b"]
    popular = get(related, "/v1/popular?segment=country%3DDE%2Cdevice%3Dmobile")
    assert (popular["tier"], items_of(popular)) == ("segment", ["e", "b"])
    assert "item_id" not in popular and "user_id" not in popular
    seen = get(related, "/v1/continue/ann")
    assert (seen["user_id"], items_of(seen)) == ("ann", ["c", "e"])
    assert seen["items"][0]["score"] == pytest.approx(NOW - 2 * DAY, abs=200)


def test_a_given_list_is_ordered_for_the_user(related: str) -> None:
    everything = get(related, "/v1/recommendations/ann?k=100&repeats=false")
    order = [item for item in items_of(everything) if item in ("a", "b", "d")]
    ranked = get(related, "/v1/rank/ann?item=d&item=a&item=x&item=b")
    assert items_of(ranked) == order
    assert ranked["unknown"] == ["x"]
    # ann has met c, and the lists of this shop have no repeats.
    assert items_of(get(related, "/v1/rank/ann?item=c&item=a")) == ["a"]
    # For a user without a history the order is that of the popular list.
    assert items_of(get(related, "/v1/rank/nobody?item=c&item=a&item=b")) == ["b", "a", "c"]
    assert items_of(get(related, "/v1/rank/nobody?item=c&item=a&where=genres+has+%22art%22")) == [
        "c"
    ]


def test_an_offset_passes_over_the_best_items(related: str) -> None:
    whole = items_of(get(related, "/v1/recommendations/ann?k=4"))
    assert items_of(get(related, "/v1/recommendations/ann?k=2&offset=1")) == whole[1:3]
    assert items_of(get(related, "/v1/recommendations/nobody?k=2&offset=1")) == ["a", "c"]
    explained = get(related, "/v1/recommendations/ann?k=2&offset=1&explain=true")
    assert items_of(explained) == whole[1:3] and all(
        "because" in item for item in explained["items"]
    )
    body = {
        "instances": [
            {"user_id": "ann", "k": 2, "offset": 1},
            {"user_id": "ann", "only": ["b", "a"]},
        ]
    }
    answer = httpx.post(f"{related}/v1/models/dawnlist:predict", json=body).json()["predictions"]
    assert items_of(answer[0]) == whole[1:3]
    assert sorted(items_of(answer[1])) == ["a", "b"]
    assert items_of(get(related, "/v1/recommendations/ann?offset=400")) == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/v1/similar/a?by=colour", "'by' is 'colour': give factors or content"),
        ("/v1/similar/a?segment=a", "'segment' is not a parameter: use k, offset, exclude, where, by"),
        ("/v1/popular?segment=mobile", "'segment' is 'mobile': give conditions such as country=DE,device=mobile"),
        ("/v1/trending?k=0", '"k" has to be a whole number from 1 to 100'),
        ("/v1/trending?k=101", '"k" has to be a whole number from 1 to 100'),
        ("/v1/trending?offset=401", '"offset" has to be a whole number from 0 to 400'),
        ("/v1/trending?k=1&k=2", "'k' is given 2 times: give it once"),
        ("/v1/trending?where=price+%3C+3", "price"),
        ("/v1/rank/ann", "0 items to order: give item=… 1 to 100 times"),
        ("/v1/rank/ann?item=a&k=2", "'k' is not a parameter of this route: it orders all items"),
        ("/v1/rank/ann?" + "item=a&" * 101, "101 items to order: give item=… 1 to 100 times"),
        ("/v1/recommendations/ann?offset=401", '"offset" has to be a whole number from 0 to 400'),
        ("/v1/recommendations/ann?offset=-1", '"offset" has to be a whole number from 0 to 400'),
    ],
)  # fmt: skip
def test_what_is_no_question_for_a_shelf_is_refused(related: str, path: str, reason: str) -> None:
    assert reason in get(related, path, 400)["error"]


def test_values_on_the_bounds_are_answered(related: str) -> None:
    get(related, "/v1/trending?k=100&offset=400")
    get(related, "/v1/rank/ann?" + "&".join(["item=a"] * 100))
    get(related, "/v1/trending/x", 404)
    get(related, "/v1/similar/", 404)


def test_shelves_are_counted(related: str) -> None:
    get(related, "/v1/similar/a")
    metrics = httpx.get(f"{related}/metrics").text
    assert 'route="similar"' in metrics and 'tier="similar"' in metrics
    deadline = time.monotonic() + 30
    while httpx.get(f"{related}/v2/health/ready").status_code != 200:
        assert time.monotonic() < deadline


def test_columns_of_relations_are_no_attributes_to_filter_by(related: str) -> None:
    error = get(related, "/v1/trending?where=trend+%3E+1", 400)["error"]
    assert "dawnlist:" not in error
    assert pa.types.is_list(related_shop().catalogue["dawnlist:associated"].type)
