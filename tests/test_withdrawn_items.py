"""Which items a run takes out of its lists, and which items tables it does not believe."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from dawnlist.als.engine import FitEngine
from dawnlist.components.clean.availability import parse_availability
from dawnlist.components.clean.items_coverage import judge_items_table
from dawnlist.components.recommend.device_segments import rank_items_by_device
from dawnlist.components.recommend.top_lists import build_top_lists
from dawnlist.components.recommend.withdrawn_items import (
    find_withdrawn_items,
    lists_nearly_all,
    read_store_withdrawals,
)
from dawnlist.components.train.fitting import fit_stage
from dawnlist.lake.items_seen import write_items_seen
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.splits import Splits
from dawnlist.schema import ITEMS_SCHEMA
from dawnlist.settings import ItemSettings
from dawnlist.store.client import connect_store
from dawnlist.store.toplists import TopLists
from dawnlist.store.withdrawals import withdraw_items
from tests.support.literal import AS_OF, interactions, two_tastes, write_interactions
from tests.support.servers import free_port

ALL = [f"i{number:02}" for number in range(20)]
META = {"popularity_window": "whole", "winner": "challenger", "as_of": "2026-01-31T00:00:00Z"}
AUTO = ItemSettings()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


def build_items(item_ids: Iterable[str], **available: bool | None) -> pa.Table:
    """Build an items table; `available` names the items of which the source says it."""
    rows = [{"item_id": item_id, "available": available.get(item_id)} for item_id in item_ids]
    return pa.Table.from_pylist(rows, schema=ITEMS_SCHEMA)


def list_items(lake: Lake, item_ids: Iterable[str], **available: bool | None) -> None:
    """Write the lake's items table."""
    rows = build_items(item_ids, **available)
    write_deltalake(lake.table_uri("items"), rows, mode="overwrite")


def see_items(lake: Lake, item_ids: Iterable[str], days_before: int = 1) -> None:
    """Let an earlier run have seen these items in the items table."""
    moment = AS_OF - timedelta(days=days_before)
    seen = pa.table({"item_id": list(item_ids)})
    times = pa.array([int(moment.timestamp() * 1e6)] * seen.num_rows)
    write_items_seen(lake, moment, seen.append_column("first_seen", times))


def find(
    lake: Lake, settings: ItemSettings = AUTO, withdrawn: Iterable[str] = (), **changes: Any
) -> tuple[list[str], dict[str, int]]:
    """Find the withdrawn items: their ids, and the counts."""
    splits = replace(two_tastes(), **changes)
    found = find_withdrawn_items(lake, splits, settings, withdrawn)
    ids = splits.item_ids.ids.filter(pa.array(found.mask)).to_pylist()
    return ids, found.counts


def test_without_an_items_table_every_item_stays(lake: Lake) -> None:
    assert find(lake) == ([], {})
    assert find(lake, ItemSettings(catalogue="full")) == ([], {})


def test_an_item_that_an_earlier_table_listed_has_left(lake: Lake) -> None:
    """The table lists half of the items, so it is no full catalogue: the others may stay."""
    see_items(lake, ["i00", "i01", "i02"])
    list_items(lake, ["i02", *ALL[10:]])
    assert find(lake) == (["i00", "i01"], {"left": 2})
    assert find(lake, ItemSettings(catalogue="partial")) == (["i00", "i01"], {"left": 2})
    assert find(lake, ItemSettings(catalogue="full"))[0] == [*ALL[:2], *ALL[3:10]]
    list_items(lake, ["i00", *ALL[10:]])  # it is back
    assert find(lake)[0] == ["i01", "i02"]


def test_a_run_of_an_earlier_day_knows_nothing_of_later_tables(lake: Lake) -> None:
    see_items(lake, ["i00"], days_before=-1)
    list_items(lake, ALL[10:])
    assert find(lake) == ([], {})


def test_a_table_of_nearly_all_that_people_meet_is_a_full_catalogue(lake: Lake) -> None:
    """Each item has 20 of 400 pairs: 19 items are 95%, which is enough, and 18 are not."""
    list_items(lake, ALL[1:])
    assert find(lake) == (["i00"], {"left": 1})
    assert find(lake, ItemSettings(catalogue="partial")) == ([], {})
    list_items(lake, ALL[2:])
    assert find(lake) == ([], {})


def age(splits: Splits, days: int) -> Splits:
    """Let all events of the first nineteen items be so many days older."""
    older = np.where(splits.item_index < 19, days * 86_400_000_000, 0)
    return replace(splits, last=np.where(splits.last > 0, splits.last - older, 0))


def test_a_table_without_the_new_items_is_not_kept_up_to_date() -> None:
    """It has all that is older than 28 days, and lacks the one item that people met since."""
    splits = two_tastes()
    is_listed = np.arange(20) < 19
    assert lists_nearly_all(splits, is_listed)  # all are new, and it has 95% of them
    assert not lists_nearly_all(age(splits, 28), is_listed)
    assert lists_nearly_all(age(splits, 28), np.ones(20, dtype=bool))


def test_an_item_that_is_not_available_and_blocked_ones(lake: Lake) -> None:
    list_items(lake, ALL, i03=False, i04=True, i05=False)
    settings = ItemSettings(blocked=["i05", "i06", "unknown"])
    ids, counts = find(lake, settings, ["i07", "i06", "other"])
    assert ids == ["i03", "i05", "i06", "i07"]
    assert counts == {"unavailable": 2, "blocked": 1, "withdrawn": 1}  # each has one reason


def test_a_table_of_an_older_dawnlist_has_no_availability(lake: Lake) -> None:
    rows = build_items(ALL).drop_columns(["available"])
    write_deltalake(lake.table_uri("items"), rows, mode="overwrite")
    assert find(lake) == ([], {})


def test_a_run_whose_items_are_all_withdrawn_stops(lake: Lake) -> None:
    with pytest.raises(ValueError, match=r"all 20 items are withdrawn \(20 blocked\)"):
        find(lake, ItemSettings(blocked=ALL))
    assert len(find(lake, ItemSettings(blocked=ALL[1:]))[0]) == 19


def test_what_people_withdrew_is_read_from_the_store(valkey: str) -> None:
    assert read_store_withdrawals(valkey, "shop") == frozenset()
    with connect_store(valkey) as client:
        withdraw_items(client, "shop", ["i00", "é"])
    assert read_store_withdrawals(valkey, "shop") == {"i00", "é"}
    assert read_store_withdrawals(valkey, "other") == frozenset()


def test_a_store_that_does_not_answer_stops_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_store_withdrawals(f"redis://127.0.0.1:{free_port()}/0", "shop") == frozenset()
    assert "the withdrawn items could not be read" in capsys.readouterr().out


@pytest.fixture
def lists(lake: Lake, tmp_path: Path) -> TopLists:
    """Lists of a shop in which i00 and i01 are blocked."""
    splits = two_tastes()
    write_interactions(lake, ("u00", "i00", 1.0), ("u01", "i02", 1.0))
    engine = FitEngine()
    config = ALSConfig(4, 0.1, 5.0).as_dict()
    fit_stage(lake, splits, "train", config, engine, tmp_path / "model")
    model = FactorModel.load(tmp_path / "model")
    withdrawn = find_withdrawn_items(lake, splits, ItemSettings(blocked=["i00", "i01"]), ())
    built = build_top_lists(lake, splits, model, META, 12, withdrawn, {}, {})
    built.save(tmp_path / "lists")
    return TopLists.load(tmp_path / "lists")


def test_no_list_has_a_withdrawn_item(lists: TopLists) -> None:
    """Everyone gets the ten items of the other taste, less the one that is withdrawn."""
    assert lists.lengths.tolist() == [9] * 40
    for number in range(40):
        other_taste = range(1 - number % 2 + 2, 20, 2)
        assert sorted(lists.item_index[number][:9]) == list(other_taste)
    assert sorted(lists.popular_index.tolist()) == list(range(2, 20))
    assert lists.meta["withdrawn"] == {"blocked": 2}


def test_histories_and_the_catalogue_keep_withdrawn_items(lists: TopLists) -> None:
    assert lists.withdrawn.tolist() == [0, 1]
    assert lists.catalogue["item_id"].to_pylist() == ALL
    assert lists.histories.weight[0].indices.tolist() == list(range(0, 20, 2))


def test_a_list_with_a_withdrawn_item_is_refused(lists: TopLists, tmp_path: Path) -> None:
    broken = replace(
        lists, popular_index=np.array([5, 1], np.uint32), popular_score=np.ones(2, np.float32)
    )
    with pytest.raises(ValueError, match="the popular list names item 1, which is withdrawn"):
        broken.save(tmp_path / "broken")
    broken = replace(lists, withdrawn=np.array([20]))
    with pytest.raises(ValueError, match="withdrawn names item 20, the catalogue ends at 19"):
        broken.save(tmp_path / "broken")


def test_lists_of_devices_leave_withdrawn_items_out(lake: Lake) -> None:
    rows = interactions(("u00", "i00", 1.0), ("u01", "i02", 1.0))
    agents = pa.array(["Mozilla/5.0 (Windows NT 10.0)"] * 2)
    rows = rows.set_column(rows.column_names.index("user_agent"), "user_agent", agents)
    write_deltalake(lake.table_uri("interactions"), rows, partition_by=["event_date"])
    segments = rank_items_by_device(lake, two_tastes(), 20, np.arange(20) == 2)
    assert segments["device=desktop"][0].tolist() == [0]


TEXTS = (
    ("true", True), ("TRUE", True), ("Yes", True), ("1", True), ("12.0", True), ("In Stock", True), ("in_stock", True),
    ("https://schema.org/InStock", True), ("0.5", True),
    ("false", False), ("no", False), ("0", False), ("0.0", False), ("-3", False), ("Out of stock", False),
    ("OutOfStock", False), ("http://schema.org/OutOfStock", False), ("sold-out", False), ("Discontinued", False),
    (None, None), ("new", None), ("ask us", None),
)  # fmt: skip


@pytest.mark.parametrize("name", ["available", "stock"])
def test_spellings_of_availability(name: str) -> None:
    texts = [text for text, _ in TEXTS]
    assert parse(**{name: texts}) == [answer for _, answer in TEXTS]


def parse(*words: str, **columns: list[str | None]) -> list[bool | None]:
    length = len(next(iter(columns.values())))
    nothing: list[str | None] = [None] * length
    names = ("available", "stock", "discontinued")
    table = pa.table({name: pa.array(columns.get(name, nothing), pa.string()) for name in names})
    found: list[bool | None] = parse_availability(table, words).to_pylist()
    return found


def test_one_column_that_says_no_is_enough() -> None:
    assert parse(available=["yes", "yes", None, "no"], stock=["0", "7", "0", "7"]) == [
        False,
        True,
        False,
        False,
    ]
    assert parse(discontinued=["false", "0", "true", "2026-01-02", None]) == [
        True,
        True,
        False,
        False,
        None,
    ]


def test_a_shop_has_words_of_its_own() -> None:
    texts: list[str | None] = ["CONTENT REMOVED", "content shared", "5"]
    assert parse(available=texts) == [None, None, True]
    assert parse("content removed", available=texts) == [False, None, True]


def use(lake: Lake, *counts: int) -> None:
    """Let people use the items i00, i01, … so many times."""
    rows = []
    for number, count in enumerate(counts):
        rows += [(f"u{event}", ALL[number], 1.0) for event in range(count)]
    write_interactions(lake, *rows)


def judge(lake: Lake, rows: pa.Table, max_coverage_fall: float = 0.5) -> tuple[Any, str]:
    """Judge a new items table: its available column, or None if it is refused; and the problem."""
    judged = judge_items_table(lake, rows, max_coverage_fall, AS_OF)
    available = None
    if judged.rows is not None:
        available = judged.rows["available"].to_pylist()
    return available, judged.problem


def test_a_table_that_covers_less_than_half_of_the_use_is_damaged(lake: Lake) -> None:
    use(lake, 4, 3, 1)
    list_items(lake, ["i00", "i01", "i02"])
    assert judge(lake, build_items(["i00"])) == ([None], "")  # 4 of 8: exactly half
    available, problem = judge(lake, build_items(["i01"]))
    assert available is None
    assert problem == (
        "the items table covers 38% of what people used in the last 28 days, the one before covered "
        "100%: it seems to be damaged, so the one before is kept; if it is right, set "
        "items.max_coverage_fall to 1"
    )
    assert judge(lake, build_items(["i01"]), max_coverage_fall=1) == ([None], "")
    assert judge(lake, build_items(["i00"]), max_coverage_fall=0.4)[0] is None


def test_a_first_table_and_a_table_without_use_are_accepted(lake: Lake) -> None:
    assert judge(lake, build_items(["i09"])) == ([None], "")
    use(lake, 4, 3, 1)
    assert judge(lake, build_items(["i09"])) == ([None], "")
    list_items(lake, ["i08"])  # what it lists was not used either
    assert judge(lake, build_items(["i09"])) == ([None], "")


def test_a_column_that_says_that_most_is_not_available_is_ignored(lake: Lake) -> None:
    use(lake, 4, 3, 1)
    ids = ["i00", "i01", "i02"]
    assert judge(lake, build_items(ids, i01=False, i02=False)) == ([None, False, False], "")
    available, problem = judge(lake, build_items(ids, i00=False, i01=True, i02=False))
    assert available == [None, None, None]
    assert problem.startswith("available items are 38% of what people used in the last 28 days")
    kept = judge(lake, build_items(ids, i00=False, i02=False), max_coverage_fall=1)
    assert kept == ([False, None, False], "")


def test_the_setting_refuses_blank_ids() -> None:
    with pytest.raises(ValueError, match="a blank text names nothing"):
        ItemSettings(blocked=[" "])
