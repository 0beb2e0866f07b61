import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pymysql
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mssql

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch import database_readers
from dawnlist.components.fetch.database import DatabaseSource
from dawnlist.components.fetch.database_readers import (
    ColumnWindow,
    build_window_condition,
    compile_postgresql_query,
)
from dawnlist.components.fetch.dialects import (
    cast_for_landing,
    create_source_engine,
    parse_database_url,
)
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.components.fetch.sources import open_source
from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.settings import Settings, SourceSettings
from tests.support.literal import clicks
from tests.support.mariadb import installed, mariadb
from tests.support.servers import NOBODY

AS_OF = parse_as_of("2026-01-02T00:00:00Z")
SETTINGS = SourceSettings()
FORMS = SourceSettings(interactions="forms.clicks", items="forms.items", users="forms.users")
PASSWORD = "DAWNLIST_SOURCE_PASSWORD"
Connection = psycopg.Connection[Any]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


@pytest.fixture
def forms(postgres: str) -> Iterator[Connection]:
    """A connection to PostgreSQL with an empty schema `forms`."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS forms CASCADE")
        connection.execute("CREATE SCHEMA forms")
        yield connection
        connection.execute("DROP SCHEMA forms CASCADE")


@pytest.fixture(scope="session")
def mariadb_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if not installed():
        pytest.skip("no mariadbd here")
    with mariadb(tmp_path_factory.mktemp("mariadb")) as port:
        yield port


@pytest.fixture
def maria(mariadb_port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a MariaDB without tables, its password in the environment."""
    monkeypatch.setenv(PASSWORD, "s3cret")
    for table in maria_rows(mariadb_port, "SHOW TABLES"):
        maria_rows(mariadb_port, f"DROP TABLE {table[0]}")
    return f"mysql://shop@127.0.0.1:{mariadb_port}/shop"


def maria_rows(port: int, *statements: str) -> list[tuple[Any, ...]]:
    """Run the statements as the user `shop`; the rows of the last."""
    user: dict[str, Any] = {
        "user": "shop",
        "password": "s3cret",
        "database": "shop",
        "autocommit": True,
    }
    with (
        pymysql.connect(host="127.0.0.1", port=port, **user) as connection,
        connection.cursor() as cursor,
    ):
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2026, 1, number, hour, tzinfo=UTC)


def table(batches: Any) -> pa.Table:
    return pa.Table.from_batches(list(batches))


# ---- the window, in whatever form the time column has


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        (kind, [form.format(*moment) for moment in ((1, 2), (1, 3), (2, 2), (2, 3))])
        for kind in ("TEXT", "DATETIME", "")
        for form in (
            "2026-01-{0:02} {1:02}:00:00",
            "2026-01-{0:02}T{1:02}:00:00",
            "2026-01-{0:02}T{1:02}:00:00Z",
            "2026-01-{0:02} {1:02}:00:00.000",
            "2026-01-{0:02} {1:02}:00:00+00:00",
        )
    ]
    + [
        (kind, [(1767225600 + 3600 * hours) * unit for hours in (2, 3, 26, 27)])
        for kind, unit in (
            ("INTEGER", 1),
            ("INTEGER", 1000),
            ("REAL", 1),
            ("REAL", 1e6),
            ("DATETIME", 1000),
        )
    ],
)
def test_the_window_is_cut_in_the_form_of_the_time_column(
    tmp_path: Path, kind: str, times: list[object]
) -> None:
    source = open_source(clicks(tmp_path / "shop.db", *times, kind=kind), SETTINGS)
    assert table(source.interactions(day(1, 3), day(2, 3)))["user_id"].to_pylist() == [
        str(time) for time in times[1:3]
    ]
    assert source.count_rows_by_day([date(2026, 1, 2), date(2026, 1, 1), date(2026, 1, 3)]) == {
        date(2026, 1, 2): 2,
        date(2026, 1, 1): 2,
        date(2026, 1, 3): 0,
    }


def test_a_column_of_days_is_cut_at_days(tmp_path: Path) -> None:
    source = open_source(
        clicks(tmp_path / "shop.db", "2026-01-01", "2026-01-02", "2026-01-03", kind="DATE"),
        SETTINGS,
    )
    assert table(source.interactions(day(1, 3), day(3, 3)))["user_id"].to_pylist() == [
        "2026-01-01",
        "2026-01-02",
    ]
    assert source.count_rows_by_day([date(2026, 1, 2)]) == {date(2026, 1, 2): 1}


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["2026-01-01T00:00:00Z", "yesterday"], "holds 'yesterday', which can't be compared"),
        (["2026-01-01T00:00:00+02:00"], r"holds '2026-01-01T00:00:00\+02:00', which"),
        ([1767225600 * 10**9], "holds 1767225600000000000 \\(a number\\), which"),
        (["2026-01-01 00:00:00", "2026-01-01T00:00:00Z"], "two forms that do not sort by time"),
        ([1767225600, "2026-01-01T00:00:00Z"], "two forms that do not sort by time"),
        ([1767229200, 1767229200000], "holds 1767229200 and 1767229200000, two forms"),
        ([1767229200.5, 1767229200000000], "two forms"),
    ],
)
def test_a_time_column_that_can_not_be_cut_is_refused(
    lake: Lake, tmp_path: Path, times: list[Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fetch_source(
            lake,
            clicks(tmp_path / "shop.db", *times, kind=""),
            SETTINGS,
            AS_OF,
            "run-1",
            window_days=3,
        )


POSTGRESQL_FORMS = [
    (
        "timestamptz",
        ["2026-01-01 04:00+02", "2026-01-01 05:00+02", "2026-01-02 02:00Z", "infinity"],
    ),
    (
        "timestamptz(0)",
        ["2026-01-01 04:00+02", "2026-01-01 05:00+02", "2026-01-02 02:00Z", "2026-01-02 03:00Z"],
    ),
    ("timestamp", ["2026-01-01 02:00", "2026-01-01 03:00", "2026-01-02 02:00", "2026-01-02 03:00"]),
    ("date", ["2025-12-31", "2026-01-01", "2026-01-01", "2026-01-02"]),
    (
        "text",
        [
            "2026-01-01 02:00:00",
            "2026-01-01 03:00:00.5",
            "2026-01-02 02:00:00",
            "2026-01-02 03:00:00",
        ],
    ),
    (
        "varchar(30)",
        [
            "2026-01-01T02:00:00Z",
            "2026-01-01T03:00:00Z",
            "2026-01-02T02:00:00Z",
            "2026-01-02T03:00:00Z",
        ],
    ),
    ("bigint", ["1767232800000", "1767236400000", "1767319200000", "1767322800000"]),
    ("integer", ["1767232800", "1767236400", "1767319200", "1767322800"]),
    ("double precision", ["1767232800", "1767236400", "1767319200", "1767322800"]),
    ("numeric", ["1767232800", "1767236400", "1767319200", "1767322800"]),
]


@pytest.mark.parametrize(("kind", "times"), POSTGRESQL_FORMS)
def test_postgresql_is_cut_by_the_index_in_the_form_of_the_time_column(
    postgres: str, forms: Connection, tmp_path: Path, kind: str, times: list[str]
) -> None:
    forms.execute(f"CREATE TABLE forms.clicks (number int, received_at {kind})".encode())
    forms.execute("CREATE INDEX ON forms.clicks (received_at)")
    source = DatabaseSource(postgres, FORMS)
    assert table(source.interactions(day(1, 3), day(2, 3))).num_rows == 0  # of an empty table
    for number, moment in enumerate(times):
        forms.execute("INSERT INTO forms.clicks VALUES (%s, %s)", (str(number), moment))
    found = table(source.interactions(day(1, 3), day(2, 3)))
    assert found["number"].to_pylist() == [1, 2]
    pq.write_table(found, tmp_path / "landed.parquet")
    hours = source.count_arrivals(tmp_path / "landed.parquet", day(1, 3), day(2, 3))
    assert sum(hours.values()) == 2 and all("2026-01-01" <= hour < "2026-01-03" for hour in hours)
    assert sum(source.count_rows_by_day([date(2026, 1, 1), date(2026, 1, 2)]).values()) == (
        3 if kind == "date" else 4
    ) - (times[3] == "infinity")
    assert "Index Cond" in plan(forms, source, day(1, 3), day(2, 3))


def plan(forms: Connection, source: DatabaseSource, start: datetime, end: datetime) -> str:
    """The plan of the very statement that reads the window, on a server that is told not to scan."""
    with source._connect() as connection:
        shape = source._timed(connection)
        [window] = source._windows(connection, shape, [(start, end)])
    with forms.transaction():
        forms.execute("SET LOCAL enable_seqscan = off")
        limits = (str(window.first), str(window.last))
        forms.execute(
            "SELECT set_config('dawnlist.start', %s, true), set_config('dawnlist.stop', %s, true)",
            limits,
        )
        return str(
            forms.execute(f"EXPLAIN {compile_postgresql_query(shape, window)}".encode()).fetchall()
        )


def test_the_form_of_a_text_or_number_is_two_look_ups_in_the_index(tmp_path: Path) -> None:
    clicks(tmp_path / "shop.db", "2026-01-01T00:00:00Z")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE INDEX times ON interactions (received_at)")
        ends = "SELECT (SELECT min(received_at) FROM interactions), (SELECT max(received_at) FROM interactions)"
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {ends}")]
    assert sum(step.startswith("SEARCH interactions USING COVERING INDEX") for step in steps) == 2


# ---- what lands


def test_postgresql_lands_its_types_and_text_where_arrow_has_none(
    postgres: str, forms: Connection
) -> None:
    forms.execute("CREATE TYPE forms.mood AS ENUM ('sad', 'ok')")
    forms.execute("""CREATE TABLE forms.items (a smallint, b bigint, c real, d float8, e numeric, f bool, g text,
        h char(3), i timestamptz, j timestamp, k date, l uuid, m jsonb, n int[], o inet, p forms.mood, q bytea,
        "100% ""x" text)""")
    forms.execute(
        "INSERT INTO forms.items VALUES (1, 2, 1.5, 2.5, 1.230, true, 'é', 'z', '2026-01-01 02:00+02', '2026-01-01', "
        "'2026-01-01', 'c0ffee00-0000-0000-0000-000000000000', '{\"a\": 1}', '{1,2}', '10.0.0.1', 'ok', '\\x00ff', '%')"
    )
    batches = DatabaseSource(postgres, FORMS).read_whole_table("items")
    assert table(batches).to_pylist() == [
        {"a": 1, "b": 2, "c": 1.5, "d": 2.5, "e": "1.230", "f": True, "g": "é", "h": "z  ", "i": day(1),
         "j": datetime(2026, 1, 1), "k": date(2026, 1, 1), "l": "c0ffee00-0000-0000-0000-000000000000",
         "m": '{"a": 1}', "n": "{1,2}", "o": "10.0.0.1", "p": "ok", "q": "00ff", '100% "x': "%"}
    ]  # fmt: skip
    assert DatabaseSource(postgres, FORMS).read_whole_table("users") is None


def test_clean_reads_typed_columns_as_it_reads_text(
    postgres: str, forms: Connection, tmp_path: Path
) -> None:
    """The same shop with types and as text: the same rows, the same reasons."""
    rows = [
        ("e1", 17850, "1", "view", "2026-01-01 10:00:00.25+00", 3.5),
        ("e2", 17850, "2", "rating", "2026-01-01 11:00:00+00", 4.5),
        ("e3", 5, "2", "rating", "2026-01-01 12:00:00+00", "NaN"),
        ("e4", 6, "3", "view", "infinity", None),
        ("e5", 7, "3", "view", "-infinity", None),
        ("e6", None, "3", "view", "2026-01-01 13:00:00+00", None),
    ]
    names = ("event_id", "user_id", "item_id", "event", "event_time", "rating")
    found = []
    for number, kinds in enumerate(
        (("text", "float8", "int", "varchar(9)", "timestamptz", "float8"), ("text",) * 6)
    ):
        columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, kinds, strict=True))
        forms.execute("DROP TABLE IF EXISTS forms.clicks")
        forms.execute(f"CREATE TABLE forms.clicks ({columns}, received_at timestamptz)".encode())
        for row in rows:
            words = [None if value is None else str(value) for value in row]
            forms.execute(
                "INSERT INTO forms.clicks VALUES (%s, %s, %s, %s, %s, %s, '2026-01-01T23:00Z')",
                words,
            )
        settings = Settings(source=FORMS)
        inner = Lake.open(str(tmp_path / f"lake-{number}"), "shop")
        landing = fetch_source(inner, postgres, FORMS, AS_OF, "r", window_days=3)
        report = clean_landed_objects(inner, landing, settings, AS_OF, "r")
        kept = inner.rows("interactions")
        assert kept is not None
        found.append(
            (
                report["reasons"],
                kept.to_table().drop_columns(["source"]).sort_by("event_id").to_pylist(),
            )
        )
    assert found[0][1] == found[1][1]
    assert [row["user_id"] for row in found[0][1]] == ["17850", "17850"]
    assert found[0][0] == found[1][0]
    assert found[0][0] == {"rating missing": 1, "time unreadable": 2, "user_id missing": 1}


def test_sqlite_lands_text_whatever_the_column_holds_and_however_late_it_starts(
    tmp_path: Path,
) -> None:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE items (a, b INTEGER)")
        connection.execute(
            "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 70000) "
            "INSERT INTO items SELECT NULL, value FROM n"
        )
        connection.executemany(
            "INSERT INTO items VALUES (?, ?)", [("x", "not a number"), (1.5, None), (7, 8)]
        )
    batches = open_source(f"sqlite:///{path}", SETTINGS).read_whole_table("items")
    assert batches is not None
    found = table(batches)
    assert found.schema == pa.schema([("a", pa.string()), ("b", pa.string())])
    assert found.slice(69_999).to_pylist() == [
        {"a": None, "b": "70000"},
        {"a": "x", "b": "not a number"},
        {"a": "1.5", "b": None},
        {"a": "7", "b": "8"},
    ]


def test_a_number_that_is_no_time_is_in_no_one_s_way(tmp_path: Path) -> None:
    source = open_source(
        clicks(tmp_path / "shop.db", 0, 5000, 1767229200000, kind="INTEGER"), SETTINGS
    )
    assert table(source.interactions(day(1), day(2))).num_rows == 1


def test_sqlite_lands_what_is_no_utf_8_as_its_bytes(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE interactions (user_id, item_id, event_type, event_time, received_at)"
        )
        connection.execute(
            "INSERT INTO interactions SELECT column1, 'é', 'view', '2026-01-01T12:00:00Z', '2026-01-01T12:00:00Z' "
            "FROM (VALUES (x'8f01'), (x'8f02'), (CAST(x'6a6f73e9' AS TEXT)), ('é'), (CAST('b' AS BLOB)))"
        )
    found = fetch_source(lake, f"sqlite:///{path}", SETTINGS, AS_OF, "run-1", window_days=3)
    assert clean_landed_objects(lake, found, Settings(), AS_OF, "run-1")["clean"] == 5
    rows = lake.rows("interactions")
    assert rows is not None
    assert sorted(rows.to_table()["user_id"].to_pylist()) == [
        "8f01",
        "8f02",
        "b",
        "jos\\xE9",
        "é",
    ]


@pytest.mark.parametrize("folder", ["a?b", "a#b", "a%20b", "a b"])
def test_a_path_may_have_any_name(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    source = open_source(clicks(tmp_path / folder / "shop.db", "2026-01-01T00:00:00Z"), SETTINGS)
    assert table(source.interactions(day(1), day(2))).num_rows == 1


def test_reading_a_database_changes_nothing(tmp_path: Path) -> None:
    source = clicks(tmp_path / "shop.db", "2026-01-01T00:00:00Z")
    before = (tmp_path / "shop.db").read_bytes()
    assert table(open_source(source, SETTINGS).interactions(day(2), day(2))).num_rows == 0
    assert (tmp_path / "shop.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["shop.db"]


# ---- what is refused


def refused(
    source: DatabaseSource, start: datetime | None = None
) -> tuple[type[BaseException], str]:
    """How a read fails: the kind, and the one line, which holds no password."""
    with pytest.raises((ValueError, OSError, RuntimeError)) as error:
        table(source.interactions(start or day(1), day(2)))
    message = str(error.value)
    assert (
        "\n" not in message
        and "s3cret" not in message
        and message.startswith(("the source", "table", "a mssql"))
    )
    assert error.value.__cause__ is None
    return type(error.value), message


def test_a_table_column_or_right_that_is_missing_is_one_line(
    postgres: str, forms: Connection, tmp_path: Path, lake: Lake
) -> None:
    source = clicks(tmp_path / "shop.db", "2026-01-01T00:00:00Z")
    kind, message = refused(DatabaseSource(source, SourceSettings(interactions="clicks")))
    assert kind is ValueError and "no table 'clicks' (it has: interactions)" in message
    kind, message = refused(DatabaseSource(source, SourceSettings(time_column="at")))
    assert (
        kind is ValueError
        and "no column 'at' to cut the window on (it has: user_id, item_id" in message
    )
    forms.execute(
        "CREATE TABLE forms.clicks (user_id int, item_id int, event text, ts text, received_at timestamptz)"
    )
    forms.execute("DROP ROLE IF EXISTS stranger")
    forms.execute("CREATE ROLE stranger LOGIN")
    try:
        stranger = postgres.replace("postgres:", "stranger:")
        kind, message = refused(DatabaseSource(stranger, FORMS))
        assert kind is PermissionError and "give the user the SELECT right" in message
        with pytest.raises(PermissionError):
            fetch_source(lake, stranger, FORMS, AS_OF, "run-1", window_days=3)
        assert lake.names("landing", "interactions") == []
    finally:
        forms.execute("DROP ROLE stranger")


def test_an_unreachable_host_a_wrong_password_and_a_missing_database_are_one_line(
    postgres: str, forms: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD, "s3cret")
    assert refused(DatabaseSource(f"postgresql://me@{NOBODY}/shop", SETTINGS))[0] is ConnectionError
    kind, message = refused(DatabaseSource(postgres.replace("/postgres?", "/nowhere?"), SETTINGS))
    assert kind is ConnectionError and 'database "nowhere" does not exist' in message
    row = forms.execute("SHOW hba_file").fetchone()
    assert row
    rules = Path(row[0])
    before = rules.read_text()
    forms.execute("DROP ROLE IF EXISTS locked")
    forms.execute("CREATE ROLE locked LOGIN PASSWORD 'another'")
    try:
        rules.write_text(f"local all locked scram-sha-256\n{before}")
        locked = DatabaseSource(postgres.replace("postgres:", "locked:"), SETTINGS)
        kind, message = ValueError, ""
        while kind is ValueError:  # no such table: the server has not read its rules yet
            forms.execute("SELECT pg_reload_conf()")
            kind, message = refused(locked)
        assert (
            kind is ConnectionError
            and "password authentication failed" in message
            and PASSWORD in message
        )
    finally:
        rules.write_text(before)
        forms.execute("SELECT pg_reload_conf()")
        forms.execute("DROP ROLE locked")


def test_a_statement_that_takes_too_long_is_given_up(
    postgres: str, forms: Connection, lake: Lake
) -> None:
    forms.execute("CREATE VIEW forms.clicks AS SELECT n AS user_id, n AS item_id, 'view' AS event, '' AS ts, "
                  "'2026-01-01Z'::timestamptz AS received_at, "
                  "pg_sleep(0.1)::text AS slow FROM generate_series(1, 100) n")  # fmt: skip
    hasty = FORMS.model_copy(update={"statement_timeout_seconds": 0.3})
    kind, message = refused(DatabaseSource(postgres, hasty))
    assert kind is TimeoutError and "source.statement_timeout_seconds" in message
    with pytest.raises(TimeoutError):
        fetch_source(lake, postgres, hasty, AS_OF, "run-1", window_days=3)
    assert lake.names("landing", "interactions") == []


def test_a_server_that_dies_in_the_middle_of_a_read_is_one_line(
    postgres: str, forms: Connection
) -> None:
    forms.execute("CREATE TABLE forms.clicks AS SELECT repeat('x', 1000) AS wide, "
                  "'2026-01-01Z'::timestamptz AS received_at FROM generate_series(1, 60000)")  # fmt: skip
    batches = DatabaseSource(postgres, FORMS).interactions(day(1), day(2))
    assert [next(batches).num_rows > 0 for _ in range(2)] == [False, True]
    forms.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dawnlist'"
    )
    with pytest.raises(
        ConnectionError, match=r"does not answer or refuses \(.*(terminating|closed the) connection"
    ) as error:
        list(batches)
    assert "\n" not in str(error.value)


def test_nothing_can_be_written_through_a_source(postgres: str, forms: Connection) -> None:
    forms.execute("CREATE TABLE forms.log (n int)")
    forms.execute(
        "CREATE FUNCTION forms.note() RETURNS int LANGUAGE sql AS 'INSERT INTO forms.log VALUES (1) RETURNING n'"
    )
    forms.execute(
        "CREATE VIEW forms.clicks AS SELECT forms.note() AS n, '2026-01-01Z'::timestamptz AS received_at"
    )
    kind, message = refused(DatabaseSource(postgres, FORMS))
    assert kind is ValueError and "cannot execute INSERT in a read-only transaction" in message
    with (
        pytest.raises(ValueError, match="read-only transaction"),
        DatabaseSource(postgres, FORMS)._connect() as connection,
    ):
        connection.exec_driver_sql("INSERT INTO forms.log VALUES (1)")


def test_a_file_that_is_no_database_or_not_there_is_one_line(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_bytes(b"no database" * 500)
    with pytest.raises(ValueError, match=r"can't be read \(file is not a database\)"):
        fetch_source(
            lake, f"sqlite:///{tmp_path / 'shop.db'}", SETTINGS, AS_OF, "run-1", window_days=3
        )
    with pytest.raises(FileNotFoundError, match="there is no file"):
        fetch_source(
            lake, f"sqlite:///{tmp_path / 'none.db'}", SETTINGS, AS_OF, "run-1", window_days=3
        )
    assert not (tmp_path / "none.db").exists()


# ---- MySQL and SQL Server


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        (
            "datetime",
            [
                "2026-01-01 02:00:00",
                "2026-01-01 03:00:00",
                "2026-01-02 02:00:00",
                "2026-01-02 03:00:00",
            ],
        ),
        (
            "timestamp(3)",
            [
                "2026-01-01 02:00:00",
                "2026-01-01 03:00:00",
                "2026-01-02 02:00:00",
                "2026-01-02 03:00:00",
            ],
        ),
        ("bigint", ["1767232800000", "1767236400000", "1767319200000", "1767322800000"]),
        (
            "varchar(30)",
            [
                "2026-01-01T02:00:00Z",
                "2026-01-01T03:00:00Z",
                "2026-01-02T02:00:00Z",
                "2026-01-02T03:00:00Z",
            ],
        ),
        ("date", ["2025-12-31", "2026-01-01", "2026-01-01", "2026-01-02"]),
    ],
)
def test_mysql_is_cut_in_the_form_of_the_time_column(
    maria: str, mariadb_port: int, kind: str, times: list[str]
) -> None:
    rows = ", ".join(f"('{number}', '{time}')" for number, time in enumerate(times))
    source = DatabaseSource(maria, SourceSettings(items="interactions"))
    maria_rows(
        mariadb_port,
        f"CREATE TABLE interactions (number int, received_at {kind}, KEY (received_at))",
    )
    assert table(source.interactions(day(1, 3), day(2, 3))).num_rows == 0
    maria_rows(mariadb_port, "SET time_zone = '+00:00'", f"INSERT INTO interactions VALUES {rows}")
    assert table(source.interactions(day(1, 3), day(2, 3)))["number"].to_pylist() == ["1", "2"]
    assert table(source.read_whole_table("items")).num_rows == 4
    assert source.count_rows_by_day([date(2026, 1, 1)]) == {date(2026, 1, 1): 2}
    assert str(source.describe_newest()).startswith(times[3])


def test_mysql_lands_text_in_batches_and_a_read_may_be_given_up(
    maria: str, mariadb_port: int
) -> None:
    maria_rows(
        mariadb_port,
        "CREATE TABLE interactions (n int, f float, d double, u bigint unsigned, m decimal(9,3), j json, e enum('a'), "
        "received_at datetime(6))",
        "INSERT INTO interactions SELECT seq, 1.1, 1e20, 18446744073709551615, 1.5, '{}', 'a', "
        "'2026-01-01 00:00:00.25' FROM seq_1_to_70000",
    )
    source = DatabaseSource(maria, SETTINGS)
    batches = list(source.interactions(day(1), day(2)))
    assert [batch.num_rows for batch in batches] == [0, 65_536, 4_464]
    assert batches[1].slice(0, 1).to_pylist() == [
        {"n": "1", "f": "1.1", "d": "1e20", "u": "18446744073709551615", "m": "1.500", "j": "{}", "e": "a",
         "received_at": "2026-01-01 00:00:00.250000"}
    ]  # fmt: skip
    given_up = source.interactions(day(1), day(2))
    assert next(given_up).num_rows == 0 and next(given_up).num_rows == 65_536
    given_up.close()  # type: ignore[attr-defined]


def test_mysql_lands_bytes_as_digits_and_bytes_that_are_text_as_text(
    maria: str, mariadb_port: int
) -> None:
    maria_rows(
        mariadb_port,
        "CREATE TABLE users (user_id binary(16), short binary(2), email varbinary(90), role blob)",
        "INSERT INTO users VALUES (x'8f9e1a2bff004fff8fffffffffffff01', x'0141', 'é😀', NULL), "
        "(x'8f9e1a2bff004fff8fffffffffffff02', x'0241', '', x'ff')",
    )
    batches = DatabaseSource(maria, SETTINGS).read_whole_table("users")
    assert batches is not None
    assert table(batches).to_pylist() == [
        {
            "user_id": "8f9e1a2bff004fff8fffffffffffff01",
            "short": "0141",
            "email": "é😀",
            "role": None,
        },
        {"user_id": "8f9e1a2bff004fff8fffffffffffff02", "short": "0241", "email": "", "role": "ff"},
    ]


def test_mysql_refuses_in_one_line(
    maria: str, mariadb_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    maria_rows(mariadb_port, "CREATE TABLE interactions AS SELECT seq, '2026-01-01' + INTERVAL 0 DAY AS received_at "
                             "FROM seq_1_to_70000")  # fmt: skip
    hasty = SourceSettings(statement_timeout_seconds=0.3)
    with (
        pytest.raises(ValueError, match="READ ONLY transaction"),
        DatabaseSource(maria, SETTINGS)._connect() as connection,
    ):
        connection.exec_driver_sql("DELETE FROM interactions")
    with (
        pytest.raises(TimeoutError, match=r"max_statement_time exceeded"),
        DatabaseSource(maria, hasty)._connect() as busy,
    ):
        busy.exec_driver_sql(
            "SELECT count(*) FROM interactions a, interactions b WHERE mod(a.seq, 7) = mod(b.seq, 5)"
        )
    assert (
        refused(DatabaseSource(maria.replace("/shop", "/nowhere"), SETTINGS))[0] is ConnectionError
    )
    assert refused(DatabaseSource(maria, SourceSettings(interactions="clicks")))[0] is ValueError
    assert refused(DatabaseSource(f"mysql://shop@{NOBODY}/shop", SETTINGS))[0] is ConnectionError
    monkeypatch.setenv(PASSWORD, "wrong-s3cret")
    kind, message = refused(DatabaseSource(maria, SETTINGS))
    assert kind is ConnectionError and "Access denied for user 'shop'" in message


def test_mysql_that_dies_in_the_middle_of_a_read_is_one_line(
    maria: str, mariadb_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    maria_rows(mariadb_port, "CREATE TABLE interactions AS SELECT repeat('x', 1000) AS wide, "
                             "'2026-01-01' + INTERVAL 0 DAY AS received_at FROM seq_1_to_30000")  # fmt: skip
    monkeypatch.setattr(database_readers, "DATABASE_BATCH_ROWS", 1000)
    batches = DatabaseSource(maria, SETTINGS).interactions(day(1), day(2))
    assert [next(batches).num_rows for _ in range(2)] == [0, 1000]
    others = "SELECT id FROM information_schema.processlist WHERE id <> connection_id() AND user = 'shop'"
    deadline = time.monotonic() + 60
    while (
        len(found := maria_rows(mariadb_port, others)) > 1
    ):  # connections of other tests, which are still ending
        assert time.monotonic() < deadline
    [(reading,)] = found
    maria_rows(mariadb_port, f"KILL {reading}")
    with pytest.raises(ConnectionError, match=r"does not answer or refuses \(Lost connection"):
        list(batches)


def test_sql_server_s_statement_casts_to_its_own_text() -> None:
    shape = sa.table(
        "clicks",
        sa.column("user id", sa.BigInteger()),
        sa.column("price", sa.Float()),
        sa.column("received_at", sa.DateTime()),
        sa.column("session", sa.VARBINARY(8)),
    )
    window = ColumnWindow("received_at", datetime(2026, 1, 1), datetime(2026, 1, 2))
    query = sa.select(*(cast_for_landing(column, "mssql") for column in shape.c)).where(
        build_window_condition(shape, window)
    )
    assert " ".join(str(query.compile(dialect=mssql.dialect())).split()) == (  # type: ignore[no-untyped-call]
        "SELECT CAST(clicks.[user id] AS NVARCHAR(max)) AS [user id], clicks.price, "
        "convert(NVARCHAR(40), clicks.received_at, 126) AS received_at, "
        "lower(convert(NVARCHAR(max), clicks.session, 2)) AS session FROM clicks "
        "WHERE clicks.received_at >= :received_at_1 AND clicks.received_at < :received_at_2"
    )


def test_a_driver_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymssql", None)
    with pytest.raises(
        RuntimeError, match=r"needs pymssql: install it with `pip install 'dawnlist\[mssql\]'`"
    ):
        create_source_engine(parse_database_url("mssql://me@127.0.0.1/shop"), SETTINGS)


PATHS = SourceSettings(
    columns={"user_id": ["payload.user.id"], "item_id": ["payload.item"], "event_type": ["kind"]}
)


@pytest.mark.parametrize("kind", ["json", "jsonb"])
def test_postgresql_s_objects_are_read_by_paths(
    postgres: str, forms: Connection, lake: Lake, kind: str
) -> None:
    forms.execute(f"CREATE TABLE forms.clicks (payload {kind}, kind text, received_at timestamptz)")
    forms.execute(
        """INSERT INTO forms.clicks VALUES ('{"user": {"id": 7}, "item": "a"}', 'view', '2026-01-01 10:00Z'),
        ('{"user": null}', 'view', '2026-01-01 11:00Z'), (NULL, 'view', '2026-01-01 12:00Z')"""
    )
    settings = PATHS.model_copy(update={"interactions": "forms.clicks"})
    assert clean_paths(lake, postgres, settings) == (1, 2, [("7", "a")])


def test_mysql_s_objects_are_read_by_paths(maria: str, mariadb_port: int, lake: Lake) -> None:
    maria_rows(
        mariadb_port,
        "CREATE TABLE interactions (payload json, kind varchar(9), received_at datetime)",
        """INSERT INTO interactions VALUES ('{"user": {"id": 7}, "item": "a"}', 'view', '2026-01-01 10:00:00'),
        ('[]', 'view', '2026-01-01 11:00:00'), (NULL, 'view', '2026-01-01 12:00:00')""",
    )
    assert clean_paths(lake, maria, PATHS) == (1, 2, [("7", "a")])


def clean_paths(lake: Lake, source: str, settings: SourceSettings) -> tuple[int, int, list[Any]]:
    """Clean rows, quarantined ones, and the ids of the clean rows."""
    settings.columns["event_time"] = ["received_at"]
    landed = fetch_source(lake, source, settings, AS_OF, "r1", window_days=3)
    report = clean_landed_objects(lake, landed, Settings(source=settings), AS_OF, "r1")
    rows = lake.rows("interactions")
    assert rows is not None
    found = rows.to_table(columns=["user_id", "item_id"]).to_pylist()
    return report["clean"], report["quarantined"], [tuple(row.values()) for row in found]


def test_tables_of_other_schemas_are_named(
    postgres: str, forms: Connection, maria: str, mariadb_port: int
) -> None:
    forms.execute("CREATE TABLE forms.purchases (received_at timestamptz)")
    forms.execute("CREATE VIEW forms.newest AS SELECT * FROM forms.purchases")
    _, message = refused(DatabaseSource(postgres, SourceSettings(interactions="clicks")))
    assert "no table 'clicks' (it has: " in message
    assert "forms.purchases, forms.newest" in message and "pg_catalog" not in message
    maria_rows(mariadb_port, "CREATE TABLE ours (received_at datetime)", "CREATE DATABASE IF NOT EXISTS theirs",
               "CREATE TABLE IF NOT EXISTS theirs.orders (received_at datetime)")  # fmt: skip
    _, message = refused(DatabaseSource(maria, SourceSettings(interactions="clicks")))
    assert "(it has: ours, theirs.orders)" in message
    source = DatabaseSource(postgres, SourceSettings(interactions="forms.purchases"))
    assert "has no index" in source.describe_time_index()
    forms.execute("CREATE INDEX ON forms.purchases (received_at)")
    assert source.describe_time_index() == "received_at of forms.purchases has an index"
    maria_source = DatabaseSource(maria, SourceSettings(interactions="ours"))
    assert "has no index" in maria_source.describe_time_index()
    maria_rows(mariadb_port, "ALTER TABLE ours ADD INDEX (received_at)")
    assert maria_source.describe_time_index() == "received_at of ours has an index"
    sample = maria_source.read_sample("interactions", 3)
    assert sample is not None and table(sample).num_rows == 0


def test_a_long_list_of_tables_is_cut(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        for number in range(51):
            connection.execute(f"CREATE TABLE t{number:02} (a)")
    source = DatabaseSource(f"sqlite:///{tmp_path / 'shop.db'}", SETTINGS)
    assert ", t49 and 1 more): name it" in refused(source)[1]
