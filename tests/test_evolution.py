"""A table written by an older version of the code -> the same rows under today's schema, or one line of why not."""

import multiprocessing
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from dawnlist.lake.evolution import add_missing_columns
from dawnlist.lake.lake import Lake
from dawnlist.schema import INTERACTIONS_SCHEMA, ITEMS_SCHEMA, QUARANTINE_SCHEMA, USERS_SCHEMA

OLD = pa.schema(
    [pa.field("user_id", pa.string(), nullable=False), pa.field("day", pa.date32(), nullable=False)]
)
NEW = pa.schema(
    [
        OLD.field(0),
        pa.field("device", pa.string()),
        pa.field("tags", pa.list_(pa.string())),
        OLD.field(1),
    ]
)
DAY = date(2026, 1, 1)


def written(root: Path, schema: pa.Schema = OLD) -> Lake:
    lake = Lake.open(str(root), "shop")
    rows = pa.Table.from_pylist([{"user_id": "1", "day": DAY, "weight": 1}], schema=schema)
    write_deltalake(lake.table_uri("visits"), rows, partition_by=["day"])
    return lake


def rows_of(lake: Lake, version: int | None = None) -> list[dict[str, Any]]:
    rows = lake.rows("visits", version)
    assert rows is not None
    return list(rows.to_table().sort_by("user_id").to_pylist())


def test_new_columns_are_a_commit_of_their_own(tmp_path: Path) -> None:
    lake = written(tmp_path)
    assert add_missing_columns(lake, "visits", NEW) == ["device", "tags"]
    table = lake.table("visits")
    assert table is not None and table.version() == 1
    assert rows_of(lake) == [{"user_id": "1", "day": DAY, "device": None, "tags": None}]
    write_deltalake(table, pa.table([["2"], ["phone"], [["a"]], [DAY]], schema=NEW), mode="append")
    assert rows_of(lake)[1] == {"user_id": "2", "day": DAY, "device": "phone", "tags": ["a"]}
    assert rows_of(lake, 0) == [{"user_id": "1", "day": DAY}]


def test_a_second_time_there_is_nothing_to_do(tmp_path: Path) -> None:
    lake = written(tmp_path)
    add_missing_columns(lake, "visits", NEW)
    assert add_missing_columns(lake, "visits", NEW) == []
    table = lake.table("visits")
    assert table is not None and table.version() == 1


def test_no_table_needs_no_columns(tmp_path: Path) -> None:
    assert add_missing_columns(Lake.open(str(tmp_path), "shop"), "visits", NEW) == []


@pytest.mark.parametrize(
    "schema", [INTERACTIONS_SCHEMA, QUARANTINE_SCHEMA, ITEMS_SCHEMA, USERS_SCHEMA]
)
def test_what_the_code_writes_needs_no_change(schema: pa.Schema, tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path), "shop")
    write_deltalake(lake.table_uri("visits"), schema.empty_table())
    assert add_missing_columns(lake, "visits", schema) == []


def test_arrows_other_strings_are_the_same(tmp_path: Path) -> None:
    large = OLD.set(0, pa.field("user_id", pa.large_string(), nullable=False))
    assert add_missing_columns(written(tmp_path), "visits", large) == []


@pytest.mark.parametrize(
    ("there", "wanted", "message"),
    [
        (
            NEW,
            OLD,
            "has the columns device, tags, which this version of dawnlist does not know: a newer one wrote it",
        ),
        (
            OLD,
            OLD.append(pa.field("n", pa.int64(), nullable=False)),
            "lacks the column n, which can't be NULL",
        ),
        (
            OLD,
            OLD.set(0, pa.field("user_id", pa.int64(), nullable=False)),
            "user_id is string not null, not long not",
        ),
        (
            OLD,
            OLD.set(0, pa.field("user_id", pa.string())),
            "user_id is string not null, not string: a column that",
        ),
        (NEW, NEW.set(2, pa.field("tags", pa.list_(pa.int64()))), '"elementType":"string"'),
    ],
)
def test_anything_else_is_one_line(
    there: pa.Schema, wanted: pa.Schema, message: str, tmp_path: Path
) -> None:
    lake = written(tmp_path, there)
    with pytest.raises(ValueError) as raised:
        add_missing_columns(lake, "visits", wanted)
    assert message in str(raised.value) and "\n" not in str(raised.value)
    table = lake.table("visits")
    assert table is not None and table.version() == 0


def _evolve(root: Path, barrier: Any, told: Any) -> None:
    lake = Lake.open(str(root), "shop")
    barrier.wait()
    told.put(add_missing_columns(lake, "visits", NEW))


def test_two_processes_add_the_columns_once(tmp_path: Path) -> None:
    lake = written(tmp_path)
    context = multiprocessing.get_context("spawn")
    barrier, told = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_evolve, args=(tmp_path, barrier, told)) for _ in range(2)]
    for process in processes:
        process.start()
    answers = [told.get(timeout=300) for _ in processes]
    for process in processes:
        process.join(300)
    assert sorted(answers) == [[], ["device", "tags"]]
    assert rows_of(lake) == [{"user_id": "1", "day": DAY, "device": None, "tags": None}]
