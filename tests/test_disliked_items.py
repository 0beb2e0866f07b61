"""Dislikes: an item that somebody disliked is in no list of theirs, until they take it back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from scipy.sparse import csr_matrix

from dawnlist.als.engine import FitEngine
from dawnlist.components.recommend.disliked_items import find_disliked_items, mark_disliked_pairs
from dawnlist.components.recommend.top_lists import build_top_lists
from dawnlist.components.recommend.withdrawn_items import WithdrawnItems
from dawnlist.components.train.fitting import fit_stage
from dawnlist.events.disliked_pairs import DISLIKED_DAYS
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.repeats import RepeatSettings
from dawnlist.model.user_items import DISLIKED_WEIGHT, UserItems
from dawnlist.schema import EVENTS_SCHEMA, INTERACTIONS_SCHEMA
from dawnlist.store.histories import encode_histories
from dawnlist.store.toplists import TopLists
from tests.support.literal import two_tastes
from tests.test_engine import ask, publish, shop

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
SPLITS = two_tastes()
USERS, ITEMS = SPLITS.user_ids.ids.to_pylist(), SPLITS.item_ids.ids.to_pylist()
ANN, BOB = USERS[:2]
HOUR = timedelta(hours=1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path), "shop")


def event(hours: float, kind: str, item: str | None = ITEMS[0], **fields: Any) -> dict[str, Any]:
    """An event so many hours before AS_OF."""
    time = AS_OF - hours * HOUR
    row = {
        "event_id": "e", "event_type": kind, "user_id": ANN, "item_id": item, "event_time": time,
        "event_date": time.date(), "received_time": time, "is_program": False, "stream_id": "1-0",
    }  # fmt: skip
    return {**row, **fields}


def write(lake: Lake, *events: dict[str, Any], bought: float | None = None) -> None:
    write_deltalake(lake.table_uri("events"), pa.Table.from_pylist(list(events), EVENTS_SCHEMA))
    rows = []
    if bought is not None:
        time = AS_OF - bought * HOUR
        row = {
            "event_id": "p",
            "user_id": ANN,
            "item_id": ITEMS[0],
            "event_type": "purchase",
            "weight": 5.0,
        }
        rows.append({**row, "event_time": time, "event_date": time.date(), "source": "s"})
    write_deltalake(lake.table_uri("interactions"), pa.Table.from_pylist(rows, INTERACTIONS_SCHEMA))


def find(lake: Lake, **names: str) -> list[tuple[str, str]]:
    found = find_disliked_items(lake, SPLITS, AS_OF, names).tocoo()
    return [(USERS[user], ITEMS[item]) for user, item in zip(found.row, found.col, strict=True)]


LIMIT = 24.0 * DISLIKED_DAYS


@pytest.mark.parametrize(
    ("events", "bought", "disliked"),
    [
        ([event(5, "dislike")], None, True),
        ([event(5, "mood", mood_weight=-0.5)], None, True),
        ([event(5, "mood", mood_weight=0.5)], None, False),
        ([event(5, "mood", mood_weight=0.0)], None, False),
        ([event(5, "mood")], None, False),
        ([event(5, "dislike"), event(4, "mood", mood_weight=1.0)], None, False),
        ([event(4, "dislike"), event(5, "mood", mood_weight=1.0)], None, True),
        ([event(5, "dislike"), event(5, "mood", mood_weight=1.0)], None, True),  # at the same time
        ([event(5, "dislike"), event(4, "impression")], None, True),
        ([event(5, "dislike")], 4, False),
        ([event(5, "dislike")], 6, True),
        ([event(5, "dislike", item=None)], None, False),
        ([event(5, "dislike", item="unknown")], None, False),
        ([event(5, "dislike", user_id="unknown")], None, False),
        ([event(0, "dislike")], None, False),  # of the next day
        ([event(LIMIT, "dislike")], None, True),
        ([event(LIMIT + 1, "dislike")], None, False),
    ],
)  # fmt: skip
def test_the_last_signed_event_counts(
    lake: Lake, events: list[dict[str, Any]], bought: float | None, disliked: bool
) -> None:
    write(lake, *events, bought=bought)
    assert find(lake) == [(ANN, ITEMS[0])] * disliked


def test_an_anonymous_dislike_is_its_users(lake: Lake) -> None:
    anonymous = {"user_id": None, "anonymous_id": "b1"}
    alias = event(1, "alias", item=None, user_id=BOB, anonymous_id="b1")
    write(
        lake,
        event(5, "dislike", **anonymous),
        event(4, "dislike", user_id=None, anonymous_id="b2"),
        alias,
    )
    assert find(lake) == [(BOB, ITEMS[0])]


def test_a_lake_without_events_has_no_dislikes(lake: Lake) -> None:
    assert find_disliked_items(lake, SPLITS, AS_OF, {}).shape == SPLITS.shape
    assert find(lake) == []


@pytest.mark.parametrize("names", [{}, {"thumbs": "dislike", "face": "mood"}], ids=["usual", "own"])
def test_a_shop_has_its_own_names_of_events(lake: Lake, names: dict[str, str]) -> None:
    write(
        lake,
        event(5, "thumbs"),
        event(5, "face", item=ITEMS[1], mood_weight=-1.0),
        event(5, "thumbs", item=ITEMS[2]),
        event(4, "face", item=ITEMS[2], mood_weight=1.0),
    )
    expected = [(ANN, ITEMS[0]), (ANN, ITEMS[1])] if names else []
    assert find(lake, **names) == expected


def test_programs_dislike_nothing(lake: Lake) -> None:
    write(lake, event(5, "dislike", is_program=True), event(4, "dislike", item=ITEMS[1]))
    assert find(lake) == [(ANN, ITEMS[1])]


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["without-repeats", "with-repeats"])
def test_only_the_lists_of_the_user_lose_what_was_disliked(
    lake: Lake, tmp_path: Path, share: float
) -> None:
    """ann gets the ten items of the other taste; with repeats, all twenty."""
    config = ALSConfig(4, 0.1, 5.0).as_dict()
    fit_stage(lake, SPLITS, "train", config, FitEngine(), tmp_path / "model")
    model = FactorModel.load(tmp_path / "model")
    model = replace(model, config={**model.config, "repeat_share": share, "repeat_gap": 1.0})
    before = rank_lists(lake, model)
    write(lake, event(5, "dislike", item=ITEMS[1]), event(5, "dislike", item=ITEMS[2]))
    after = rank_lists(lake, model)
    ranked = before.item_index[0][: before.lengths[0]].tolist()
    assert sorted(ranked) == (list(range(20)) if share else list(range(1, 20, 2)))
    left = [item for item in ranked if item not in (1, 2)]
    assert after.item_index[0][: after.lengths[0]].tolist() == left
    np.testing.assert_array_equal(after.item_index[1:], before.item_index[1:])
    np.testing.assert_array_equal(after.score[1:], before.score[1:])
    np.testing.assert_array_equal(after.popular_index, before.popular_index)


def rank_lists(lake: Lake, model: FactorModel) -> TopLists:
    withdrawn = WithdrawnItems(np.zeros(20, dtype=bool), {})
    meta = {"popularity_window": "whole", "as_of": "2026-01-31T00:00:00Z"}
    return build_top_lists(lake, SPLITS, model, meta, 20, withdrawn, {}, {})


def test_a_disliked_item_takes_no_place_of_an_own_item() -> None:
    """Beside 200 items that were met there is a disliked one, the newest of all."""
    columns = np.arange(201, dtype=np.int32)
    weights, ages = np.ones(201, np.float32), np.full(201, 3.0, np.float32)
    weights[7], ages[7] = DISLIKED_WEIGHT, 0.0
    matrix = csr_matrix((weights, columns, [0, 201]), shape=(1, 201))
    repeats = RepeatSettings(share=1.0, half_life=30.0, gap=1.0)
    own = repeats.score_all_own_items(UserItems(matrix, ages))
    assert own.indices.tolist() == [*range(7), *range(8, 201)]
    encoded = encode_histories(np.array([0, 201]), columns, weights, ages, newest=200)
    assert np.flatnonzero(~encoded.is_newest).tolist() == [7]


def test_histories_have_disliked_items_with_a_weight_below_0() -> None:
    weights = csr_matrix(np.array([[0, 2, 3], [1, 0, 0]], dtype=np.float32))
    history = UserItems(weights, np.array([5, 0, 7], dtype=np.float32))
    disliked = csr_matrix(np.array([[1, 0, 1], [0, 0, 0]], dtype=bool))
    marked = mark_disliked_pairs(history, disliked)
    assert marked.weight.indices.tolist() == [0, 1, 2, 0]
    assert marked.weight.data.tolist() == [-1, 2, -1, 1]
    assert marked.age.tolist() == [0, 5, 0, 7]
    assert mark_disliked_pairs(history, csr_matrix((2, 3), dtype=bool)) is history


@pytest.mark.parametrize("share", [0.0, 0.5], ids=["without-repeats", "with-repeats"])
def test_no_rung_shows_what_was_disliked(valkey: str, share: float) -> None:
    """ann's list is d, b; by her vector a, b, f, h, … come too, and she has met c and e."""
    lists = shop()
    config = {**lists.meta["config"], "repeat_share": share}
    disliked = np.zeros((2, 8), dtype=bool)
    disliked[0, [0, 4]] = True  # a, which she has not met, and e, which she has
    histories = mark_disliked_pairs(lists.histories, csr_matrix(disliked))
    publish(valkey, shop(histories=histories, meta={**lists.meta, "config": config}))
    for question in (
        {"k": 8},
        {"k": 8, "explain": True},
        {"k": 8, "where": "not genres is missing"},
    ):
        answered = ask(valkey, **question)
        assert answered.tier == "vector"
        assert not {"a", "e"} & set(answered.item_ids)
        assert "b" in answered.item_ids
    only = ask(valkey, k=8, repeats="only")
    assert only.item_ids == ["c"]
