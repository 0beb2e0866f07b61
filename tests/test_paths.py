"""Ids inside objects are found by a path in the settings, on files and databases alike."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.components.fetch.sources import open_source
from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.rows.column_aliases import ColumnPath, find_listed_columns, find_paths, match_columns
from dawnlist.settings import Settings, SourceSettings
from tests.test_clean import rows_of

AS_OF = parse_as_of("2026-01-04T00:00:00Z")
TIME = "2026-01-03T10:00:00Z"
COLUMNS = {
    "user_id": ["user.id"],
    "item_id": ["properties.product_id"],
    "event_time": ["context.times.0"],
}
EVENTS: list[dict[str, Any]] = [
    {
        "user": {"id": f"u{number}", "visits": number},
        "properties": {"product_id": 7.0 + number, "user.id": "no"},
        "context": {"times": [TIME]},
        "event": "view",
    }
    for number in range(3)
]


def write_jsonl(path: Path) -> str:
    file = path / "clicks.jsonl"
    file.write_text("\n".join(map(json.dumps, EVENTS)))
    return str(file)


def write_csv(path: Path) -> str:
    file = path / "clicks.tsv"
    lines = ["user\tproperties\tcontext\tevent"]
    for event in EVENTS:
        cells = [json.dumps(event[name]) for name in ("user", "properties", "context")]
        quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
        lines.append("\t".join([*quoted, "view"]))
    file.write_text("\n".join(lines) + "\n")
    return str(file)


def write_parquet(path: Path) -> str:
    file = path / "clicks.parquet"
    pq.write_table(pa.Table.from_pylist(EVENTS), file)
    return str(file)


def write_sqlite(path: Path) -> str:
    with closing(sqlite3.connect(path / "shop.db")) as connection, connection:
        connection.execute(
            'CREATE TABLE interactions ("user", properties, context, event, received_at)'
        )
        for event in EVENTS:
            cells = [json.dumps(event[name]) for name in ("user", "properties", "context")]
            connection.execute(
                "INSERT INTO interactions VALUES (?, ?, ?, 'view', ?)", [*cells, TIME]
            )
    return f"sqlite:///{path / 'shop.db'}"


@pytest.mark.parametrize("write", [write_jsonl, write_csv, write_parquet, write_sqlite])
def test_ids_inside_objects_are_read_by_their_paths(tmp_path: Path, write: Any) -> None:
    settings = SourceSettings(columns=COLUMNS, check_days=0)
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    landed = fetch_source(lake, write(tmp_path), settings, AS_OF, "r1", window_days=3)
    report = clean_landed_objects(lake, landed, Settings(source=settings), AS_OF, "r1")
    assert (report["rows_in"], report["clean"]) == (3, 3)
    pairs = rows_of(lake, "interactions", "user_id", "item_id")
    assert pairs == [("u0", "7"), ("u1", "8"), ("u2", "9")]


def test_cells_that_are_no_objects_have_no_id(tmp_path: Path) -> None:
    file = tmp_path / "clicks.csv"
    lines = ['"{""id"": ""a""}",1', "b,1", ",1", '"{""id"": null}",1', '"{""id"": {""x"": 1}}",1']
    file.write_text("user,item,event,ts\n" + "".join(f"{line},view,{TIME}\n" for line in lines))
    settings = SourceSettings(columns={"user_id": ["user.id"]})
    batches = open_source(str(file), settings).interactions(parse_as_of("2026-01-03T00:00Z"), AS_OF)
    landed = pa.Table.from_batches(batches)
    assert landed["user.id"].to_pylist() == ["a", None, None, None, '{"x":1}']


def test_a_mapping_file_may_have_paths(tmp_path: Path) -> None:
    write_jsonl(tmp_path)
    mapping = tmp_path / "shop.yaml"
    columns = json.dumps(COLUMNS)
    mapping.write_text(f"interactions: {{files: clicks.jsonl}}\ncolumns: {columns}\n")
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    settings = SourceSettings(check_days=0)
    landed = fetch_source(lake, str(mapping), settings, AS_OF, "r1", window_days=3)
    report = clean_landed_objects(lake, landed, Settings(source=settings), AS_OF, "r1")
    assert report["clean"] == 3


def test_paths() -> None:
    names = ["User", "a.b", "user.name", "item"]
    listed = {"user_id": ["user.id", "user.name", "sku"], "item_id": ["a.b.c.d", "item"]}
    assert find_paths(names, listed) == [
        ColumnPath("user.id", 0, ("id",)),
        ColumnPath("a.b.c.d", 1, ("c", "d")),
    ]


def test_a_path_is_not_mixed_with_a_column_that_is_spelled_alike() -> None:
    names = ["user_id", "user", "user.id"]
    assert find_listed_columns(names, ["user.id"]) == [2]
    assert find_listed_columns(names[:2], ["user.id", "USER"]) == [0, 1]
    assert match_columns(names, {"user_id": ("user",)}, {"user_id": ["user.id"]}) == {
        "user_id": [2, 0, 1]
    }
