"""Dirty rows written by hand -> exactly these clean rows, exactly these reasons."""

import json
import zipfile
from contextlib import nullcontext
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from dawnlist.components.clean import cleaning, table_commits
from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.clean.genres import parse_genres
from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.lake import commits
from dawnlist.lake.lake import Lake
from dawnlist.lake.watermark import read_covered_window
from dawnlist.rows import coercions
from dawnlist.rows.column_aliases import match_columns, normalise_name
from dawnlist.rows.times import parse_moment
from dawnlist.schema import CATALOGUE_SCHEMA, INTERACTIONS_SCHEMA
from dawnlist.settings import LimitSettings, Settings, SourceSettings

REAL = Path(__file__).parents[2] / "shared" / "data"
AS_OF = parse_as_of("2026-01-31T00:00:00Z")
WINDOW = ["2026-01-01T00:00:00Z", format_iso(AS_OF)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


def land(lake: Lake, table: pa.Table, run: str = "r1", kind: str = "interactions") -> str:
    name = f"landing/{kind}/{run}.parquet"
    Path(lake.path("landing", kind)).mkdir(parents=True, exist_ok=True)
    pq.write_table(table, lake.path(*name.split("/")))
    return name


def cleaned(lake: Lake, table: pa.Table, run: str = "r1", **source: Any) -> dict[str, Any]:
    landed: dict[str, Any] = {
        "interactions": [land(lake, table, run)],
        "items": None,
        "users": None,
        "windows": [WINDOW],
        "arrivals": {},
    }
    report = clean_landed_objects(
        lake, landed, Settings(source=SourceSettings(**source)), AS_OF, run
    )
    json.dumps(report)
    return report


def rows_of(lake: Lake, name: str, *columns: str) -> list[tuple[Any, ...]]:
    table = lake.table(name)
    if table is None:
        return []
    rows = lake.scan(table).to_table(columns=list(columns))
    return sorted(zip(*(column.to_pylist() for column in rows.columns), strict=True), key=str)


def events(*rows: tuple[str | None, ...]) -> pa.Table:
    """event_id, user_id, item_id, event, ts."""
    names = ("event_id", "user_id", "item_id", "event", "ts")
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return pa.table(
        {name: pa.array(cells, pa.string()) for name, cells in zip(names, columns, strict=True)}
    )


def day(number: int, hour: int = 10, second: int = 0, microsecond: int = 0) -> datetime:
    return datetime(2026, 1, number, hour, 0, second, microsecond, UTC)


def evaluated(values: list[str | None], expression: Any) -> list[Any]:
    connection = ibis.duckdb.connect()
    connection.raw_sql("SET TimeZone = 'UTC'")
    table = ibis.memtable(
        pa.table({"value": pa.array(values, pa.string()), "place": range(len(values))})
    )
    shown = table.select("place", result=expression(table.value)).order_by("place")
    return list(connection.to_pyarrow(shown)["result"].to_pylist())


def test_ids() -> None:
    given = [
        " 17850.0 ",
        "17850.00",
        "1.5",
        "v1.0",
        "a\tb\x00",
        "\ufeffx",
        "\u202eabc",
        "-3.0",
        "null",
        "NaN",
        "n/a",
        " ",
        None,
    ]
    wanted = ["17850", "17850", "1.5", "v1.0", "ab", "x", "abc", "-3", None, None, None, None, None]
    assert (
        evaluated(given, lambda value: coercions.clean_identifier(coercions.clean_text(value)))
        == wanted
    )


def test_times() -> None:
    moment = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    same = [
        "1577934245", "1577934245.0", "1577934245000", "1577934245000000", "2020-01-02T03:04:05Z",
        "2020-01-02 03:04:05", "2020-01-02T03:04:05", "2020-01-02T05:04:05+02:00", "2020-01-02T03:04:05.000000Z",
    ]  # fmt: skip
    assert evaluated([*same], parse_moment) == [moment] * len(same)
    assert (
        evaluated(["2020-01-02T03:04:05.25Z", "1577934245.25"], parse_moment)
        == [moment.replace(microsecond=250_000)] * 2
    )
    unreadable: list[str | None] = [
        "yesterday",
        "2020-13-01",
        "inf",
        "1e300",
        "2020-01-02T25:00:00",
        "12026-01-05T10:00:0Z",
        None,
    ]
    assert evaluated(unreadable, parse_moment) == [None] * 7


def test_numbers_and_networks() -> None:
    assert (
        evaluated(["1,5", "1.5", "-3", "nan", "inf", "1,234,5", "x", None], coercions.parse_number)
        == [1.5, 1.5, -3.0] + [None] * 5
    )
    given: list[str | None] = [
        "203.0.113.7",
        "::ffff:10.1.2.3",
        "2001:DB8:1:2::5",
        "2001:db8::1",
        "::1",
        "here",
        None,
    ]
    wanted = [
        "203.0.113.0/24",
        "10.1.2.0/24",
        "2001:db8:1::/48",
        "2001:db8::/48",
        "::/48",
        None,
        None,
    ]
    assert evaluated(given, coercions.truncate_address) == wanted


def test_mapping_ignores_spelling() -> None:
    assert {
        normalise_name(name) for name in ("User_ID", "user.id", "userId", "USER ID", "user-id")
    } == {"userid"}
    aliases = {"user_agent": ("user_agent", "ua"), "ip": ("ip",)}
    assert match_columns(["UA", "x", "User.Agent"], aliases, {"ip": ["X"]}) == {
        "user_agent": [2, 0],
        "ip": [1],
    }


def test_dirty_rows(lake: Lake) -> None:
    table = events(
        ("a", " 7.0", "10", "View", "2026-01-30T10:00:00Z"),
        ("b", "7", "10", "like", "1769767200"),
        ("a", "7", "10", "view", "2026-01-30T10:00:00Z"),
        ("c", "7", "10", "view", "2026-01-30T10:00:01.5Z"),
        ("d", "7", "10", "view", "2026-01-30T10:00:09Z"),
        ("e", "null", "10", "view", "2026-01-30T10:00:00Z"),
        ("f", "7", "", "view", "2026-01-30T10:00:00Z"),
        ("g", "7", "10", "view", None),
        ("h", "7", "10", "view", "soon"),
        ("i", "7", "10", "view", "2099-01-01"),
        ("j", "7", "10", "view", "1970-01-01"),
        ("k", "7", "10", None, "2026-01-30T10:00:00Z"),
        ("l", "7", "10", "heartbeat", "2026-01-30T10:00:00Z"),
    )
    report = cleaned(lake, table, events={"like": "bookmark"})
    assert rows_of(
        lake, "interactions", "event_id", "user_id", "item_id", "event_type", "weight", "event_time"
    ) == [
        ("a", "7", "10", "view", 1.0, day(30)),
        ("b", "7", "10", "bookmark", 2.0, day(30)),
        ("d", "7", "10", "view", 1.0, day(30, second=9)),
    ]
    assert rows_of(lake, "quarantine", "row_number", "reason") == [
        (10, "time in the future"),
        (11, "time before 1995"),
        (12, "event missing"),
        (13, "event unknown"),
        (6, "user_id missing"),
        (7, "item_id missing"),
        (8, "time missing"),
        (9, "time unreadable"),
    ]
    row = json.loads(rows_of(lake, "quarantine", "source_row")[0][0])
    assert row == {
        "event_id": "e",
        "user_id": "null",
        "item_id": "10",
        "event": "view",
        "ts": "2026-01-30T10:00:00Z",
    }
    counts = {
        name: report[name]
        for name in ("rows_in", "clean", "quarantined", "duplicates", "double_clicks")
    }
    assert counts == {
        "rows_in": 13,
        "clean": 3,
        "quarantined": 8,
        "duplicates": 1,
        "double_clicks": 1,
    }
    assert (report["known"], report["inserted"], report["days"]) == (0, 3, {"2026-01-30": 3})


def test_schema_network_agent_and_source(lake: Lake) -> None:
    table = events(("a", "7", "10", "view", "2026-01-30T10:00:00Z"))
    for name, cell in (
        ("UA", "x\ny"),
        ("user_agent", "NaN"),
        ("ip_address", "1.2.3.4"),
        ("session_id", "12.0"),
    ):
        table = table.append_column(name, pa.array([cell]))
    cleaned(lake, table)
    written = lake.table("interactions")
    assert written is not None
    found = lake.scan(written).to_table()
    assert set(found.column_names) == set(INTERACTIONS_SCHEMA.names)
    assert {name: found.schema.field(name).type for name in INTERACTIONS_SCHEMA.names} == {
        f.name: f.type for f in INTERACTIONS_SCHEMA
    }
    assert rows_of(
        lake, "interactions", "user_agent", "ip", "session_id", "event_date", "source"
    ) == [("xy", "1.2.3.0/24", "12", date(2026, 1, 30), "landing/interactions/r1.parquet")]


def test_repeating_and_overlapping_is_harmless(lake: Lake) -> None:
    table = events(
        ("a", "7", "10", "view", "2026-01-29T10:00:00Z"),
        ("b", "7", "10", "view", "2026-01-30T10:00:00Z"),
        ("x", None, "10", "view", "2026-01-30T10:00:00Z"),
    )
    first, again = cleaned(lake, table), cleaned(lake, table)
    assert (again["known"], again["inserted"], again["interactions_version"]) == (
        2,
        0,
        first["interactions_version"],
    )
    more = pa.concat_tables(
        [table.slice(0, 2), events(("late", "8", "11", "view", "2026-01-29T11:00:00Z"))]
    )
    third = cleaned(lake, more, run="r2")
    assert (third["known"], third["inserted"], third["days"]) == (2, 1, {"2026-01-29": 1})
    assert rows_of(lake, "interactions", "event_id", "event_date") == [
        ("a", date(2026, 1, 29)),
        ("b", date(2026, 1, 30)),
        ("late", date(2026, 1, 29)),
    ]
    assert len(rows_of(lake, "quarantine", "reason")) == 1
    written = lake.table("interactions")
    assert written is not None
    assert written.transaction_version("watermark") == int(AS_OF.timestamp())


def marks(lake: Lake) -> list[str | None]:
    """Earliest and watermark."""
    known = read_covered_window(lake.table("interactions"))
    return [] if known is None else [format_iso(moment) for moment in known]


def test_an_older_window_leaves_the_watermark(lake: Lake) -> None:
    cleaned(lake, events(("a", "7", "10", "view", "2026-01-29T10:00:00Z")))
    landed: dict[str, Any] = {
        "interactions": [land(lake, events(("b", "7", "1", "view", "2026-01-01")), "r2")]
    }
    landed |= {"windows": [["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]], "arrivals": {}}
    clean_landed_objects(lake, landed, Settings(), AS_OF, "r2")
    assert marks(lake) == WINDOW
    assert len(rows_of(lake, "interactions", "event_id")) == 2


def test_the_earliest_moves_back_with_what_was_landed(lake: Lake) -> None:
    first = cleaned(lake, events(("a", "7", "10", "view", "2026-01-29T10:00:00Z")))
    older, again = (
        land(lake, events(("b", "7", "1", "view", "2025-12-30")), "r2"),
        land(lake, events(), "r3"),
    )
    before = ["2025-12-01T00:00:00Z", WINDOW[0]]
    landed = {"interactions": [older, again], "windows": [before, WINDOW], "arrivals": {}}
    report = clean_landed_objects(lake, landed, Settings(), AS_OF, "r2")
    assert (report["inserted"], marks(lake)) == (1, [before[0], format_iso(AS_OF)])
    assert report["interactions_version"] == first["interactions_version"] + 1


def test_a_rerun_commits_nothing(lake: Lake) -> None:
    """Another run of the same day lands its own objects, with the same rows."""
    table = events(
        ("a", "7", "10", "view", "2026-01-30T10:00:00Z"),
        ("x", None, "10", "view", "2026-01-30T10:00:00Z"),
        ("x", None, "10", "view", "2026-01-30T10:00:00Z"),
    )
    first, again = cleaned(lake, table, run="r1"), cleaned(lake, table, run="r2")
    assert again["interactions_version"] == first["interactions_version"]
    assert again["quarantine_version"] == first["quarantine_version"]
    assert (again["quarantined"], len(rows_of(lake, "quarantine", "reason"))) == (2, 2)
    more = pa.concat_tables([table, events(("y", "7", None, "view", "2026-01-30T10:00:00Z"))])
    cleaned(lake, more, run="r3")
    assert rows_of(lake, "quarantine", "reason", "source_object", "row_number")[-1] == (
        "user_id missing", "landing/interactions/r1.parquet", 3,
    )  # fmt: skip
    assert [row[0] for row in rows_of(lake, "quarantine", "reason")] == ["item_id missing"] + [
        "user_id missing"
    ] * 2


def test_the_next_window_does_not_quarantine_what_overlaps_again(lake: Lake) -> None:
    rows = events(
        ("x", None, "10", "view", "2026-01-30T23:30:00Z"), ("z", "7", "10", "view", "soon")
    )
    cleaned(lake, rows)
    for run, end in (("r2", "2026-02-01T00:00:00Z"), ("r3", "2026-02-02T00:00:00Z")):
        windows = [["2026-01-30T23:00:00Z", end]]
        clean_landed_objects(
            lake,
            {"interactions": [land(lake, rows, run)], "windows": windows, "arrivals": {}},
            Settings(),
            parse_as_of(end),
            run,
        )
    assert len(rows_of(lake, "quarantine", "reason")) == 2


def test_a_clock_that_is_a_little_ahead_loses_no_row(lake: Lake) -> None:
    report = cleaned(lake, events(("a", "7", "1", "view", "2026-01-31T00:04:59Z"),
                                  ("b", "7", "2", "view", "2026-01-31T00:05:01Z")))  # fmt: skip
    assert (report["clean"], report["reasons"]) == (1, {"time in the future": 1})


def test_a_commit_in_between_is_read_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned(lake, events(("a", "7", "10", "view", "2026-01-29T10:00:00Z")))
    append, table = commits.add_files, events(("b", "7", "10", "view", "2026-01-29T12:00:00Z"))
    meanwhile = [True]
    # no data depends on the lease
    monkeypatch.setattr(
        cleaning, "hold_lease", lambda *_, **__: nullcontext(SimpleNamespace(check=lambda: None))
    )

    def append_after_another(*arguments: Any) -> None:
        if meanwhile.pop() if meanwhile else False:
            cleaned(lake, table, run="other")
        append(*arguments)

    monkeypatch.setattr(table_commits, "add_files", append_after_another)
    report = cleaned(lake, table, run="r2")
    assert (report["known"], report["inserted"]) == (1, 0)
    assert rows_of(lake, "interactions", "event_id") == [("a",), ("b",)]


def test_a_renamed_column_makes_the_same_event(lake: Lake) -> None:
    """Without event ids of the source's own, the id comes from the canonical values."""
    one = pa.table(
        {"user_id": ["7"], "item_id": ["10"], "event": ["view"], "ts": ["2026-01-30T10:00:00Z"]}
    )
    other = pa.table({"Visitor": [7.0], "ITEM.ID": [10], "Event": ["VIEW"], "Time": [day(30)]})
    assert cleaned(lake, one)["inserted"] == 1
    report = cleaned(lake, other, run="r2", columns={"user_id": ["visitor"]})
    assert (report["known"], report["inserted"]) == (1, 0)


def test_ratings_and_quantities(lake: Lake) -> None:
    ratings = pa.table(
        {
            "user_id": ["1"] * 4,
            "item_id": list("abcd"),
            "rating": ["8", "11", "x", None],
            "timestamp": ["1769767200"] * 4,
        }
    )
    report = cleaned(lake, ratings)
    assert rows_of(lake, "interactions", "item_id", "event_type") == [("a", "rating")]
    assert rows_of(lake, "interactions", "weight")[0][0] == pytest.approx(0.8)
    assert report["reasons"] == {
        "rating missing": 1,
        "rating outside 0 to 10": 1,
        "rating unreadable": 1,
    }
    sales = pa.table(
        {
            "CustomerID": ["1.0", "1.0"],
            "StockCode": ["a", "b"],
            "Quantity": ["2", "-1"],
            "InvoiceDate": ["2026-01-30 10:00:00"] * 2,
        }
    )
    report = cleaned(lake, sales, run="r2", default_event="purchase")
    assert (report["inserted"], report["reasons"]) == (1, {"quantity not positive": 1})


def test_columns_that_differ_by_case_only(lake: Lake) -> None:
    table = events(
        ("a", "7", "10", "view", "2026-01-30T10:00:00Z"), ("b", None, "1", "view", "2026-01-30")
    )
    report = cleaned(lake, table.append_column("USER_ID", pa.array([None, "8"])))
    assert report["clean"] == 2


def test_nothing_landed(lake: Lake) -> None:
    report = cleaned(lake, events(("a", "7", "10", "view", "2026-01-30")).slice(0, 0))
    assert (report["rows_in"], report["clean"], report["inserted"], report["days"]) == (0, 0, 0, {})


def test_missing_columns_are_named(lake: Lake) -> None:
    with pytest.raises(
        ValueError,
        match=r"r1.parquet has no column for user_id among 'who', 'item_id'.*source.columns",
    ):
        cleaned(lake, pa.table({"who": ["1"], "item_id": ["a"], "ts": ["1"], "event": ["view"]}))
    with pytest.raises(
        ValueError, match=r"no column for event_type .* or set source.default_event"
    ):
        cleaned(lake, pa.table({"user_id": ["1"], "item_id": ["a"], "ts": ["1"]}))


def test_items_and_users(lake: Lake) -> None:
    items = pa.table(
        {
            "item_id": ["10.0", "11", None, "11"],
            "title": ["A \x00<script>", "old", "x", "Zorro, the Mark"],
            "genres": ["Drama|Sci-Fi", "x", None, "(no genres listed)"],
        }
    )
    users = pa.table({"id": ["7 "], "e-mail": ["Ann@Shop.Example"], "Role": [" Staff"]})
    landed = {
        "interactions": [],
        "windows": [WINDOW],
        "arrivals": {},
        "items": land(lake, items, kind="items"),
        "users": land(lake, users, kind="users"),
    }
    report = clean_landed_objects(lake, landed, Settings(), AS_OF, "r1")
    assert rows_of(lake, "items", *CATALOGUE_SCHEMA.names) == [
        ("10", "A <script>", ["Drama", "Sci-Fi"]),
        ("11", "Zorro, the Mark", []),
    ]
    assert rows_of(lake, "users", "user_id", "email", "role") == [
        ("7", "ann@shop.example", "staff")
    ]
    assert report["items"] == {"rows": 2, "rejected": 1, "duplicates": 1}
    landed["items"] = land(lake, pa.table({"item_id": [1], "genres": [["a", "b"]]}), "r2", "items")
    clean_landed_objects(lake, landed | {"users": None}, Settings(), AS_OF, "r2")
    assert rows_of(lake, "items", *CATALOGUE_SCHEMA.names) == [("1", None, ["a", "b"])]
    assert len(rows_of(lake, "users", "user_id")) == 1


def test_genres_in_the_ways_that_sources_write_lists() -> None:
    given = [
        "Drama|Sci-Fi",
        "a, b",
        '{Drama,"Film Noir"}',
        '["Drama", "Comedy"]',
        "['x']",
        "[]",
        "Rock 'n'",
        "",
        None,
    ]
    wanted = [
        ["Drama", "Sci-Fi"],
        ["a", "b"],
        ["Drama", "Film Noir"],
        ["Drama", "Comedy"],
        ["x"],
        [],
        ["Rock 'n'"],
        [],
    ]
    assert parse_genres(pa.array(given)).to_pylist() == [*wanted, None]


@pytest.mark.skipif(not (REAL / "deskdrop").exists(), reason="../shared/data is not there")
def test_deskdrop(lake: Lake, tmp_path: Path) -> None:
    zipfile.ZipFile(REAL / "deskdrop" / "users_interactions.csv.zip").extractall(tmp_path)
    table = pyarrow.csv.read_csv(tmp_path / "users_interactions.csv")
    names = {"content created": "comment", "comment created": "comment"}
    report = cleaned(lake, table, events=names)
    assert (report["rows_in"], report["reasons"]) == (72_312, {})
    assert report["clean"] + report["duplicates"] + report["double_clicks"] == 72_312


@pytest.mark.skipif(not (REAL / "online-retail").exists(), reason="../shared/data is not there")
def test_online_retail(lake: Lake, tmp_path: Path) -> None:
    with zipfile.ZipFile(REAL / "online-retail" / "by-day.zip") as archive:
        days = [name for name in archive.namelist() if name.endswith(".csv")][:10]
        text = pyarrow.csv.ConvertOptions(
            column_types={name: pa.string() for name in ("InvoiceNo", "StockCode", "CustomerID")}
        )
        table = pa.concat_tables(
            [pyarrow.csv.read_csv(archive.open(name), convert_options=text) for name in days]
        )
    report = cleaned(lake, table, default_event="purchase", columns={"session_id": ["InvoiceNo"]})
    assert set(report["reasons"]) == {"user_id missing", "quantity not positive"}
    assert 0.5 < report["clean"] / report["rows_in"] < 1


def test_times_without_a_zone_are_of_the_declared_one(lake: Lake) -> None:
    table = events(
        ("a", "7", "10", "view", "29/01/2026 10:00"),
        ("b", "7", "11", "view", "2026-01-29T10:00:00Z"),
    )
    cleaned(lake, table, time_zone="Europe/Berlin", time_format="%d/%m/%Y %H:%M")
    assert rows_of(lake, "interactions", "event_id", "event_time") == [
        ("a", day(29, 9)),
        ("b", day(29, 10)),
    ]


def test_a_weight_of_its_own_keeps_the_others_and_0_says_not_wanted(lake: Lake) -> None:
    table = events(
        ("a", "7", "10", "Like", "2026-01-30T10:00:00Z"),
        ("b", "7", "11", "purchase", "2026-01-30T10:00:00Z"),
        ("c", "7", "12", "view", "2026-01-30T10:00:00Z"),
        ("d", "7", "13", "Scroll", "2026-01-30T10:00:00Z"),
        ("e", "7", "14", "scroll", "2026-01-30T10:00:00Z"),
        ("f", "7", "15", "heartbeat", "2026-01-30T10:00:00Z"),
    )
    report = cleaned(lake, table, weights={"purchase": 10, "view": 0})
    weights = rows_of(lake, "interactions", "event_type", "weight")
    assert weights == [("like", 2.0), ("purchase", 10.0)]
    assert report["reasons"] == {"event unknown": 3, "event not wanted": 1}
    assert report["profile"]["unknown_events"] == {"scroll": 2, "heartbeat": 1}


def test_a_broken_limit_stops_before_a_clean_row_is_committed(lake: Lake) -> None:
    table = events(
        *(
            (f"e{n}", "7", "10", "view" if n else "heartbeat", "2026-01-29T10:00:00Z")
            for n in range(3)
        )
    )
    landed: dict[str, Any] = {
        "interactions": [land(lake, table)],
        "items": None,
        "users": None,
        "windows": [WINDOW],
        "arrivals": {},
    }
    settings = Settings(limits=LimitSettings(min_rows=3, max_unknown_events=0.2))
    with pytest.raises(
        RuntimeError, match=r"1 of 3 rows \(33\.3%\) are of unknown events, more than .*'heartbeat'"
    ):
        clean_landed_objects(lake, landed, settings, AS_OF, "r1")
    assert lake.table("interactions") is None
    assert rows_of(lake, "quarantine", "reason") == [("event unknown",)]
