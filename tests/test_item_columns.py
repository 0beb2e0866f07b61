"""Columns of items for filters: from the source by way of the items table and the store to answers."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dawnlist.als.engine import FitEngine
from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.recommend.top_lists import build_top_lists
from dawnlist.components.recommend.withdrawn_items import WithdrawnItems
from dawnlist.components.train.fitting import fit_stage
from dawnlist.filters.attributes import format_attributes, read_attributes
from dawnlist.filters.columns import ColumnKind
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.item_relations import RELATION_COLUMNS
from dawnlist.rows.column_aliases import match_interaction_columns
from dawnlist.serving.predictor.answers.item_filters import MAX_CACHED_MASKS, ItemFilters
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.settings import Settings
from dawnlist.store.item_chunks import pack_catalogue, unpack_catalogue
from dawnlist.store.toplists import TopLists
from tests.support.literal import two_tastes
from tests.test_clean import AS_OF, WINDOW, land
from tests.test_engine import answer, ask, asked, publish, shop

KINDS: dict[str, ColumnKind] = {
    "brand": "text",
    "price": "number",
    "sale": "boolean",
    "tags": "list",
    "released": "time",
}
SETTINGS = Settings.model_validate(
    {
        "items": {"columns": KINDS},
        "source": {"columns": {"price": ["unit_price"]}, "time_zone": "Europe/Berlin"},
    }
)
RELEASED = datetime(2026, 1, 1, 23, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


def clean_items(lake: Lake, items: pa.Table, settings: Settings = SETTINGS) -> dict[str, Any]:
    """Clean a table of items; return the report about it."""
    landed: dict[str, Any] = {
        "interactions": [],
        "windows": [WINDOW],
        "arrivals": {},
        "users": None,
    }
    landed["items"] = land(lake, items, kind="items")
    report: dict[str, Any] = clean_landed_objects(lake, landed, settings, AS_OF, "r1")["items"]
    return report


def read_columns(lake: Lake, kinds: dict[str, ColumnKind] = KINDS) -> dict[str, list[Any]]:
    table = lake.rows("items")
    assert table is not None
    rows = table.to_table(columns=["item_id", "attributes"]).sort_by("item_id")
    return {
        name: column.to_pylist()
        for name, column in read_attributes(rows["attributes"], kinds).items()
    }


def test_the_clean_step_reads_each_column_as_its_kind(lake: Lake) -> None:
    items = pa.table(
        {
            "id": ["1", "2", "3"],
            "Brand": [" Acme ", "null", "B"],
            "unit_price": ["12,50", "free", None],
            "sale": ["yes", "0", "maybe"],
            "tags": ["new|red", '["a", "b"]', None],
            "released": ["2026-01-02", "1767308400", "soon"],
        }
    )
    report = clean_items(lake, items)
    assert read_columns(lake) == {
        "brand": ["Acme", None, "B"],
        "price": [12.5, None, None],
        "sale": [True, False, None],
        "tags": [["new", "red"], ["a", "b"], None],
        "released": [RELEASED, RELEASED, None],
    }
    assert report["columns"] == {
        "brand": {"values": 2, "unreadable": 0},
        "price": {"values": 1, "unreadable": 1},
        "sale": {"values": 2, "unreadable": 1},
        "tags": {"values": 2, "unreadable": 0},
        "released": {"values": 2, "unreadable": 1},
    }


def test_types_of_files_are_read_too_and_a_column_that_is_not_there_is_empty(lake: Lake) -> None:
    items = pa.table(
        {
            "item_id": [7],
            "unit_price": pa.array([3], pa.int32()),
            "sale": [True],
            "tags": [["x, y", "z"]],
            "released": pa.array([RELEASED], pa.timestamp("us", "UTC")),
        }
    )
    report = clean_items(lake, items)
    assert read_columns(lake) == {
        "brand": [None], "price": [3.0], "sale": [True], "tags": [["x, y", "z"]], "released": [RELEASED]
    }  # fmt: skip
    assert report["columns"]["brand"] == {"values": 0, "unreadable": 0}


def test_names_of_columns_are_columns_of_interactions_or_of_items() -> None:
    """source.columns may name a column of items.columns, and no other that nobody reads."""
    assert SETTINGS.source.columns == {"price": ["unit_price"]}
    with pytest.raises(
        ValueError,
        match=r"source\.columns maps 'pric', which is no column that we read: use one of",
    ):
        Settings.model_validate({"source": {"columns": {"pric": "unit_price"}}})
    assert match_interaction_columns(["user", "item", "event", "ts"], SETTINGS.source, "x")[
        "user_id"
    ] == [0]


def test_without_the_setting_items_have_no_attributes(lake: Lake) -> None:
    report = clean_items(lake, pa.table({"item_id": ["1"], "brand": ["A"]}), Settings())
    assert "columns" not in report
    assert read_columns(lake, {"brand": "text"}) == {"brand": [None]}


def test_a_value_of_another_kind_is_none_until_the_next_clean_step() -> None:
    texts = pa.chunked_array(
        [['{"a": "x", "b": 1, "c": true, "d": ["p", 2], "e": "2026-01-01T00:00:00Z"}', None]]
    )
    wrong: dict[str, ColumnKind] = {
        "a": "number",
        "b": "text",
        "c": "number",
        "d": "boolean",
        "e": "list",
    }
    assert [column.to_pylist() for column in read_attributes(texts, wrong).values()] == [
        [None] * 2
    ] * 5
    right: dict[str, ColumnKind] = {
        "a": "text",
        "b": "number",
        "c": "boolean",
        "d": "list",
        "e": "time",
    }
    assert [column.to_pylist()[0] for column in read_attributes(texts, right).values()] == [
        "x", 1.0, True, ["p"], datetime(2026, 1, 1, tzinfo=UTC)
    ]  # fmt: skip
    assert read_attributes(pa.chunked_array([['{"e": "soon"}']]), {"e": "time"})[
        "e"
    ].to_pylist() == [None]


def test_attributes_that_nobody_of_us_wrote_are_none() -> None:
    texts = pa.chunked_array(
        [["[1]", '{"a": 1' + "0" * 400 + "}", '"x"', '{"t": "2026-01-01T00:00:00"}']]
    )
    read = read_attributes(texts, {"a": "number", "t": "time"})
    assert read["a"].to_pylist() == [None] * 4
    assert read["t"].to_pylist() == [None, None, None, datetime(2026, 1, 1, tzinfo=UTC)]


def test_attributes_are_the_same_after_they_were_written() -> None:
    released = pa.chunked_array([pa.array([RELEASED, None], pa.timestamp("us", "UTC"))])
    columns = {
        "brand": pa.chunked_array([['é"\n', None]]),
        "price": pa.chunked_array([pa.array([0.1, None])]),
        "released": released,
    }
    texts = format_attributes(columns, 2)
    assert texts[1].as_py() is None
    read = read_attributes(
        pa.chunked_array([texts]), {"brand": "text", "price": "number", "released": "time"}
    )
    assert {name: column.to_pylist() for name, column in read.items()} == {
        "brand": ["é\"\n", None], "price": [0.1, None], "released": [RELEASED, None]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"title": "text"}, "'title' is a column that all items have"),
        ({"available": "boolean"}, "'available' is a column that all items have"),
        ({"withdrawn": "boolean"}, "'withdrawn' is a column that all items have"),
        ({"a b": "text"}, "'a b' is not a name of 1 to 60 letters"),
        ({"x" * 61: "text"}, "is not a name of 1 to 60 letters"),
        ({"price": "money"}, "Input should be 'text', 'list', 'number', 'boolean' or 'time'"),
        ({f"c{i}": "text" for i in range(51)}, "at most 50 items"),
    ],
)  # fmt: skip
def test_wrong_columns_are_refused(columns: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Settings.model_validate({"items": {"columns": columns}})


def test_the_bounds_of_the_setting_are_exact() -> None:
    columns = {f"c{i}": "text" for i in range(49)} | {"x" * 60: "list"}
    assert len(Settings.model_validate({"items": {"columns": columns}}).items.columns) == 50


CATALOGUE = shop().catalogue.append_column(
    "price", pa.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, None, 8.0])
).append_column("brand", pa.array(list("xyxyxyxy")))  # fmt: skip


def test_the_store_keeps_the_columns() -> None:
    [chunk] = pack_catalogue(CATALOGUE, np.array([2]))
    assert unpack_catalogue(chunk).drop(["withdrawn"]).equals(CATALOGUE)


def test_the_files_of_lists_keep_the_columns(tmp_path: Path) -> None:
    shop(catalogue=CATALOGUE).save(tmp_path / "lists")
    assert TopLists.load(tmp_path / "lists").catalogue.equals(CATALOGUE)


def test_a_filter_narrows_each_rung(valkey: str) -> None:
    """ann's list is d, b; the popular one is b, a, c."""
    publish(valkey, shop(catalogue=CATALOGUE))
    assert ask(valkey, "new", where="price < 3").item_ids == ["b", "a"]
    assert ask(valkey, "new", where="price < 3 and brand = 'x'").item_ids == ["a"]
    assert ask(valkey, where="price > 100") == answer("vector", "", [])
    filtered = ask(valkey, k=8, where='price <= 4 and genres has "war"')
    assert (filtered.tier, filtered.item_ids) == ("vector", ["a", "b"])
    both = ask(valkey, k=8, where="price <= 4", filters=(("genres", ("art",)), ("brand", ("y",))))
    assert both.item_ids == ["b", "d"]
    with pytest.raises(
        ValueError, match=r"the columns are brand \(text\), genres \(list\), price \(number\)"
    ):
        ask(valkey, where="colour = 'red'")
    with pytest.raises(ValueError, match="the filter is wrong at character 1"):
        ask(valkey, where="< 3")


def test_a_withdrawn_item_passes_no_filter(valkey: str) -> None:
    publish(valkey, shop(catalogue=CATALOGUE, withdrawn=np.array([1])))
    assert ask(valkey, "new", where="price < 3").item_ids == ["a"]


def test_without_a_version_a_filter_leaves_nothing(valkey: str, tmp_path: Path) -> None:
    """The static file says nothing about columns, so its items may be what must not be shown."""
    static = tmp_path / "static.json"
    static.write_text(
        '{"as_of": "2026-01-01T00:00:00Z", "items": [{"item_id": "17", "title": "Alien"}]}'
    )
    questions = [
        Question("ann"),
        Question("ann", where="price < 3"),
        Question("ann", filters=(("genres", ("war",)),)),
    ]
    assert [found.item_ids for found in asked(valkey, *questions, static=static)] == [
        ["17"],
        [],
        [],
    ]


def test_masks_of_the_last_expressions_are_kept() -> None:
    filters = ItemFilters.from_catalogue(CATALOGUE, ("item_id", "title"))
    first = filters.compute_mask("price < 3")
    for number in range(MAX_CACHED_MASKS - 1):
        filters.compute_mask(f"price < {number + 10}")
    assert filters.compute_mask("price < 3") is first
    filters.compute_mask("price < 999")
    assert filters.compute_mask("price < 3") is first
    for number in range(MAX_CACHED_MASKS):
        filters.compute_mask(f"price < {number + 1000}")
    assert filters.compute_mask("price < 3") is not first


def test_the_recommend_step_takes_the_columns_of_the_setting(lake: Lake, tmp_path: Path) -> None:
    clean_items(
        lake,
        pa.table({"item_id": ["i00", "i05"], "unit_price": ["1.5", "2"], "brand": ["A", None]}),
    )
    splits = two_tastes()
    config = ALSConfig(4, 0.1, 5.0).as_dict()
    fit_stage(lake, splits, "train", config, FitEngine(), tmp_path / "model")
    model = FactorModel.load(tmp_path / "model")
    meta = {"popularity_window": "whole", "winner": "challenger", "as_of": "2026-01-31T00:00:00Z"}
    none = WithdrawnItems(np.zeros(20, dtype=bool), {})
    kinds: dict[str, ColumnKind] = {"price": "number", "brand": "text"}
    lists = build_top_lists(lake, splits, model, meta, 12, none, kinds, {})
    names = ["item_id", "title", "genres", "price", "brand", *RELATION_COLUMNS]
    assert lists.catalogue.column_names == names
    assert lists.catalogue["price"].to_pylist() == [1.5, *[None] * 4, 2.0, *[None] * 14]
    assert lists.catalogue["brand"].to_pylist() == ["A", *[None] * 19]


def test_times_without_a_zone_are_of_utc_wherever_the_process_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        kinds: dict[str, ColumnKind] = {"released": "time"}
        texts = ["2026-01-01T02:00:00", "2026-01-01T02:00:00+02:00"]
        attributes = [json.dumps({"released": text}) for text in texts]
        read = read_attributes(pa.chunked_array([attributes]), kinds)["released"].to_pylist()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert read == [datetime(2026, 1, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)]
