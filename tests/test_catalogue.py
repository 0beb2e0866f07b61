import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from dawnlist.explore import catalogue_entries, column_profiles
from dawnlist.explore.column_profiles import profile_columns
from dawnlist.explore.lake_catalogue import crawl_lake, load_newest_catalogue, save_catalogue
from dawnlist.explore.schema_changes import compare_columns, format_schema_change, widen_type
from dawnlist.lake.lake import Lake
from dawnlist.settings import SourceSettings
from tests.support.literal import write_interactions

SETTINGS = SourceSettings()
TIMES = ["2026-01-29T05:00:00Z", "2026-01-29T07:00:00Z"]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path), "shop")


def land(lake: Lake, day: int, table: str = "interactions", run: str = "a", **columns: Any) -> str:
    """A landing object of January's `day`."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    name = f"landing/{table}/202601{day:02}T000000Z_202601{day + 1:02}T000000Z/{run}.parquet"
    lake.write(sink.getvalue(), *name.split("/"))
    return name


def looked(lake: Lake, settings: SourceSettings = SETTINGS) -> list[str]:
    """Crawl and keep; what changed, in words."""
    found = crawl_lake(lake, settings)
    save_catalogue(lake, found, settings)
    return [format_schema_change(change) for change in found["changes"]]


@pytest.mark.parametrize(
    ("values", "inferred", "low", "high"),
    [
        (["1", "-20", " 3 ", "NULL"], "integer", -20, 3),
        (["-9222795471790223361", "9222265156747237377"], "integer", -9222795471790223361, 9222265156747237377),
        (["1.5", "2", "3,25"], "float", 1.5, 3.25),
        (["0770828", "12"], "text", "0770828", "12"),  # an id: its zero counts
        (["true", "False"], "boolean", "False", "true"),
        (["2026-01-30", "2026-01-29"], "date", "2026-01-29T00:00:00Z", "2026-01-30T00:00:00Z"),
        (["2026-01-29 07:00:00", "2026-01-29T07:00:00+02:00"], "timestamp", *TIMES),
        (["1769662800", "1769662801"], "epoch seconds", 1769662800, 1769662801),
        (["1769662800000"], "epoch milliseconds", 1769662800000, 1769662800000),
        ([1769662800000000], "epoch microseconds", 1769662800000000, 1769662800000000),
        (['{"a": 1}', "[2]"], "json", None, None),
        (["{a", "b"], "text", "b", "{a"),
        (["", "nan", None], None, None, None),
        ([1, 2], None, 1, 2),
        ([1.5, float("nan")], None, 1.5, None),
        ([date(2026, 1, 2)], None, "2026-01-02", "2026-01-02"),
        ([datetime(2026, 1, 2, tzinfo=UTC)], None, "2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z"),
        ([["a"], None], None, None, None),
    ],
)  # fmt: skip
def test_what_a_column_says(values: list[Any], inferred: str | None, low: Any, high: Any) -> None:
    rows = pa.table({"x": values})
    _, [column] = profile_columns(rows, rows.schema)
    assert (column["inferred"], column["min"], column["max"]) == (inferred, low, high)


def test_a_column_whole() -> None:
    rows = pa.table(
        {"Event": ["view", "view", " view\u200b", "buy", "n/a", None], "event": [1, 2, 3, 4, 5, 6]}
    )
    read, [text, number] = profile_columns(rows, rows.schema)
    assert (read, number["name"], number["distinct"]) == (6, "event", 6)
    assert text == {"name": "Event", "type": "string", "inferred": "text", "nulls": 2, "distinct": 2, "min": "buy",
                    "max": "view", "examples": ["view", "buy"], "masked": False}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ip", "17"),
        ("client_ip", "10.1.2.3"),
        ("visitor", "10.1.2.3"),
        ("visitor", "2001:db8::1"),
        ("visitor", "ada@example.org"),
        ("Email", "none of yours"),
        ("delivery_address", "12 Main Street"),
        ("agent", "Mozilla/5.0 from 10.1.2.3"),
        ("payload", '{"remote": "2001:db8::1"}'),
        ("wohin", "somewhere"),
    ],
)
def test_what_may_be_an_address_is_not_told(name: str, value: str) -> None:
    rows = pa.table({name: [value, "x", None] if value[0] != "{" else [value]})
    _, [column] = profile_columns(rows, rows.schema, private=["wohin"])
    assert (column["min"], column["max"], column["examples"], column["masked"]) == (
        None,
        None,
        [],
        True,
    )
    assert value not in json.dumps(column)


def test_times_and_versions_are_no_addresses() -> None:
    rows = pa.table({"t": ["2026-01-30T05:00:00Z"], "version": ["1.2.3"]})
    assert [column["masked"] for column in profile_columns(rows, rows.schema)[1]] == [False, False]


def test_a_large_object_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_profiles, "SAMPLE_ROWS", 2)
    rows = pa.table({"x": [1, 2, 3]})
    read, [column] = profile_columns(rows, rows.schema)
    assert (read, column["distinct"]) == (2, 2)


def test_a_lake_is_looked_at_whole(lake: Lake) -> None:
    write_interactions(lake, ("u1", "a", 1), ("u2", "b", 25), ("u2", "c", 26))
    write_deltalake(
        lake.table_uri("items"), pa.table({"item_id": ["a", "b"], "title": ["Tea", None]})
    )
    land(lake, 28, user=["u1", "u2"], ts=TIMES)
    last = land(lake, 29, user=["u3", "NULL"], ts=[TIMES[0], "x"], film=["f", "g"])
    found = crawl_lake(lake, SETTINGS)["tables"]
    assert list(found) == ["interactions", "items", "landing.interactions"]

    table = {column["name"]: column for column in found["interactions"]["columns"]}
    days = {"by": "event_date", "count": 2, "first": "2026-01-29", "last": "2026-01-30"}
    assert [found["interactions"][key] for key in ("version", "rows", "files", "partitions")] == [
        0,
        3,
        2,
        days,
    ]
    assert (table["user_id"]["min"], table["user_id"]["max"], table["ip"]["nulls"]) == (
        "u1",
        "u2",
        3,
    )  # of all days
    assert (table["user_id"]["distinct"], table["user_id"]["examples"]) == (
        1,
        ["u1"],
    )  # of the newest
    assert (table["event_date"]["min"], table["event_date"]["max"]) == ("2026-01-29", "2026-01-30")

    title = found["items"]["columns"][1]
    assert (found["items"]["partitions"], title["nulls"], title["distinct"], title["min"]) == (
        None,
        1,
        1,
        "Tea",
    )

    landed = found["landing.interactions"]
    columns = {column["name"]: column for column in landed["columns"]}
    windows = {"by": "window", "count": 2, "first": "20260128T000000Z_20260129T000000Z",
               "last": "20260129T000000Z_20260130T000000Z"}  # fmt: skip
    assert [landed[key] for key in ("rows", "files", "newest", "partitions")] == [
        4,
        2,
        last,
        windows,
    ]
    assert list(columns) == ["user", "ts", "film"]
    assert [columns["user"][key] for key in ("nulls", "min", "max", "inferred")] == [
        1,
        "u1",
        "u3",
        "text",
    ]
    assert (columns["ts"]["inferred"], columns["film"]["nulls"]) == ("text", 0)


def test_only_what_is_new_is_read(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counted(rows: Any, schema: pa.Schema, private: list[str]) -> Any:
        read.append(rows.count_rows())
        return profile_columns(rows, schema, private)

    monkeypatch.setattr(catalogue_entries, "profile_columns", counted)
    write_interactions(lake, ("u1", "a", 1))
    land(lake, 28, user=["u1", "u2"], item=["a", "b"], ts=TIMES, event=["view"] * 2)
    assert (looked(lake), read) == ([], [1, 2])
    assert (looked(lake), read, lake.names("catalogue")) == ([], [1, 2], ["00000001.json"])
    land(lake, 29, user=["u1"] * 3, item=["a"] * 3, ts=[TIMES[0]] * 3, event=["view"] * 3)
    assert (looked(lake), read[2:], lake.names("catalogue")) == (
        [],
        [3],
        ["00000001.json", "00000002.json"],
    )
    write_deltalake(lake.table_uri("items"), pa.table({"item_id": ["a"] * 4}))
    lake.delete(*land(lake, 28, user=["gone"]).split("/"))  # expired
    assert (looked(lake), read[3:]) == (["new table items"], [4])
    kept = load_newest_catalogue(lake)
    assert kept and (kept["number"], kept["tables"]["landing.interactions"]["rows"]) == (3, 3)


def test_a_change_is_told_once(lake: Lake) -> None:
    land(lake, 27, user=["u1"], item=["1"], ts=TIMES[:1], event=["view"], price=["1.5"], note=["x"])
    land(lake, 27, "items", sku=["1"], name=["Tea"])
    assert looked(lake) == []
    land(
        lake,
        28,
        visitor_id=["u1"],
        item=["A7"],
        ts=[1769662800],
        event=["view"],
        price=["2"],
        colour=["red"],
    )
    land(lake, 28, "items", sku=["1"], title=["Tea"])
    told = [
        "landing.interactions: lost user (string)",
        "landing.interactions: lost note (string)",
        "landing.interactions: new visitor_id (string)",
        "landing.interactions: new colour (string)",
        "landing.interactions: maybe renamed: user -> visitor_id",
        "landing.interactions: retyped item (string of integer -> string)",
        "landing.interactions: retyped ts (string of timestamp -> int64 of epoch seconds)",
        "landing.items: lost name (string)",
        "landing.items: new title (string)",
        "landing.items: maybe renamed: name -> title",
    ]
    assert looked(lake) == told  # and the prices are whole for a day, which is nothing
    assert looked(lake) == []
    land(
        lake,
        29,
        visitor_id=["u1"],
        item=["1"],
        ts=[1769662800],
        event=["view"],
        price=["2.5"],
        colour=["red"],
    )
    assert looked(lake) == []


def test_a_column_that_events_need_and_that_went_missing_fails_until_it_is_named(
    lake: Lake,
) -> None:
    land(lake, 27, user=["u1"], item=["1"], ts=TIMES[:1], event=["view"])
    looked(lake)
    name = land(lake, 28, who=["u1"], item=["1"], ts=TIMES[:1], event=["view"])
    for _ in range(2):
        found = crawl_lake(lake, SETTINGS)
        changed = [
            "landing.interactions: lost user (string)",
            "landing.interactions: new who (string)",
        ]
        assert [format_schema_change(change) for change in found["changes"]] == changed
        with pytest.raises(
            ValueError, match=f"landing object {name} has no column for user_id among 'who'"
        ):
            save_catalogue(lake, found, SETTINGS)
    assert lake.names("catalogue") == ["00000001.json"]
    named = SourceSettings(columns={"user_id": ["who"]})
    assert looked(lake, named)[-1] == "landing.interactions: maybe renamed: user -> who"
    assert looked(lake, named) == []


def test_a_damaged_object_is_said_and_read_when_it_is_whole(lake: Lake) -> None:
    land(lake, 27, user=["u1"], item=["1"], ts=TIMES[:1], event=["view"])
    name = land(lake, 28, user=["u1"], item=["1"], ts=TIMES[:1], event=["view"])
    whole = lake.read(*name.split("/"))
    assert whole
    lake.write(whole[:-20], *name.split("/"))
    found = crawl_lake(lake, SETTINGS)
    save_catalogue(lake, found, SETTINGS)
    assert (found["unreadable"], found["tables"]["landing.interactions"]["files"]) == ([name], 1)
    lake.write(whole, *name.split("/"))
    assert crawl_lake(lake, SETTINGS)["tables"]["landing.interactions"]["files"] == 2


def test_the_newest_object_is_that_of_the_latest_window(lake: Lake) -> None:
    late = land(lake, 29, user=["u1"])
    land(lake, 28, user=["u1"], run="z")  # a backfill
    assert crawl_lake(lake, SETTINGS)["tables"]["landing.interactions"]["newest"] == late


def test_a_window_without_rows_says_nothing_about_columns(lake: Lake) -> None:
    columns: dict[str, Any] = {name: ["1"] for name in ("visitor", "item_id", "event", "ts")}
    settings = SourceSettings(columns={"user_id": ["visitor"]})
    land(lake, 28, **columns)
    assert looked(lake, settings) == []
    land(lake, 29, user_id=pa.array([], pa.string()))
    assert looked(lake, settings) == []
    assert [
        column["name"]
        for column in (load_newest_catalogue(lake) or {})["tables"]["landing.interactions"][
            "columns"
        ]
    ] == [*columns]


def test_an_empty_lake_says_what_fills_it(lake: Lake) -> None:
    with pytest.raises(FileNotFoundError, match="`dawnlist run --local` fills it"):
        crawl_lake(lake, SETTINGS)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [("integer", "float", "float"), ("timestamp", "date", "timestamp"), ("integer", "date", "text"),
     (None, "json", "json"), ("text", "integer", "text"), ("boolean", "boolean", "boolean")],
)  # fmt: skip
def test_types_widen(one: str | None, other: str | None, both: str) -> None:
    assert (widen_type(one, other), widen_type(other, one)) == (both, both)


def test_a_table_that_nobody_knows_has_no_renames() -> None:
    [was], [now] = ([{"name": name, "type": "string", "inferred": None}] for name in ("a", "b"))
    assert [
        format_schema_change(change)
        for change in compare_columns("landing.events", [was], [now], SETTINGS)
    ] == [
        "landing.events: lost a (string)",
        "landing.events: new b (string)",
    ]


def dawnlist(lake: Lake, *words: str) -> subprocess.CompletedProcess[str]:
    root = lake.uri.removeprefix("file://").rpartition("/")[0]
    return subprocess.run(
        [sys.executable, "-m", "dawnlist.pipelines.cli", "crawl", *words, "--lake", root, "--namespace", "shop"],
        capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "100"},
    )  # fmt: skip


def test_the_command(lake: Lake) -> None:
    land(
        lake,
        27,
        user=["u1", "u2"],
        item=["1", "2"],
        ts=TIMES,
        event=["view", None],
        ip=["10.0.0.1", "10.0.0.2"],
    )
    shown = dawnlist(lake).stdout.splitlines()
    assert shown[0] == (
        "landing.interactions  2 rows, 0.0 MB in 1 files, 1 windows, 20260127T000000Z_20260128T000000Z to "
        "20260127T000000Z_20260128T000000Z"
    )
    assert [cells.split() for cells in shown[1:3]] == [
        ["column", "type", "nulls", "distinct", "from", "to", "examples"],
        ["user", "string", "0", "2", "u1", "u2", "u1,", "u2"],
    ]
    assert "10.0.0" not in "".join(shown) and shown[-1].startswith("kept as catalogue 1 of ")
    land(lake, 28, item=["1"], ts=TIMES[:1], event=["view"])
    failed = dawnlist(lake, "--format", "json")
    [error] = failed.stderr.splitlines()
    assert (failed.returncode, error.startswith("dawnlist: landing object ")) == (1, True)
    assert "has no column for user_id" in error
    assert "lost" in {change["change"] for change in json.loads(failed.stdout)["changes"]}
