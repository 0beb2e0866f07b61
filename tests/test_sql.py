import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from dawnlist.explore import lake_sql
from dawnlist.explore.lake_sql import open_query_stream, query_lake
from dawnlist.lake.lake import Lake
from dawnlist.pipelines.query_output import write_csv, write_json, write_parquet
from tests.support.counted_files import count_reads
from tests.support.daily_files import FIRST_DAY, commit_daily_files
from tests.support.literal import interactions, write_interactions

OBJECTS = (
    "landing/interactions/20260129T000000Z_20260130T000000Z/a.parquet",
    "landing/interactions/20260130T000000Z_20260131T000000Z/b.parquet",
)


def land(lake: Lake, name: str, rows: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    lake.write(sink.getvalue(), *name.split("/"))


def make(folder: Path) -> Lake:
    """Three days of two interactions each, two items, and two landing objects that do not agree on their columns."""
    lake = Lake.open(str(folder / "lake"), "shop")
    write_interactions(
        lake,
        *(
            (user, item, hours)
            for hours in (1, 25, 49)
            for user, item in (("u1", "a"), ("u2", "b"))
        ),
    )
    items = pa.table(
        {"item_id": ["a", "b"], "title": ["Tea\x1b[31m", "Bread"], "genres": [["x", "y"], None]}
    )
    write_deltalake(lake.table_uri("items"), items)
    land(lake, OBJECTS[0], pa.table({"uid": [1, 2], "ts": ["2026-01-29T05:00:00Z"] * 2}))
    land(lake, OBJECTS[1], pa.table({"uid": ["x"], "ts": ["2026-01-30T05:00:00Z"], "film": ["a"]}))
    return lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return make(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The same lake, for tests that leave it as it is."""
    return make(tmp_path_factory.mktemp("shared"))


def counted(lake: Lake, text: str) -> tuple[list[dict[str, Any]], list[str], int]:
    """The answer, the days whose files were opened, and the bytes that were read."""
    other, handler = count_reads(lake)
    rows = query_lake(other, text).to_pylist()
    days = sorted(
        {path.split("event_date=")[1][:10] for path in handler.opened if "event_date=" in path}
    )
    return rows, days, handler.bytes


@pytest.mark.parametrize(
    ("condition", "days"),
    [
        ("event_date = '2026-01-29'", ["2026-01-29"]),
        ("event_date = date '2026-01-30' - interval 1 day", ["2026-01-29"]),
        ("event_date BETWEEN '2026-01-29' AND '2026-01-30'", ["2026-01-29", "2026-01-30"]),
        ("event_date IN ('2026-01-28', '2026-01-30')", ["2026-01-28", "2026-01-30"]),
        ("event_date = '2026-01-28' OR event_date = '2026-01-30'", ["2026-01-28", "2026-01-30"]),
        ("event_date > current_date + 1", []),
        ("event_date <> current_date AND event_date < '2026-01-29'", ["2026-01-28"]),
        ("event_time >= '2026-01-30'", ["2026-01-30"]),  # by the ranges in the log
    ],
)
def test_a_condition_on_time_opens_the_files_of_its_days(
    shared: Lake, condition: str, days: list[str]
) -> None:
    rows, opened, _ = counted(shared, f"SELECT count(*) AS n FROM interactions WHERE {condition}")
    assert (rows, opened) == ([{"n": 2 * len(days)}], days)


def test_only_the_columns_that_are_named_are_read(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path), "shop")
    wide = pa.table(
        {
            "item_id": [str(n) for n in range(5000)],
            "title": [os.urandom(200).hex() for _ in range(5000)],
        }
    )
    write_deltalake(lake.table_uri("items"), wide)
    *_, narrow = counted(lake, "SELECT max(item_id) FROM items")
    *_, whole = counted(lake, "SELECT max(item_id), max(title) FROM items")
    assert narrow < whole / 20


def test_a_table_that_is_not_named_is_not_opened(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "lake/shop" / OBJECTS[1]).write_bytes(b"PAR1 damaged")
    assert query_lake(lake, "SELECT count(*) AS n FROM interactions").to_pylist() == [{"n": 6}]
    with pytest.raises(ValueError, match=f"landing object {OBJECTS[1]} can't be read"):
        query_lake(lake, "SELECT count(*) FROM landing.interactions")


def test_landing_objects_are_united_by_name(shared: Lake) -> None:
    rows = query_lake(shared, "SELECT * FROM landing.interactions ORDER BY uid").to_pylist()
    first, second = "2026-01-29T05:00:00Z", "2026-01-30T05:00:00Z"
    assert rows == [
        {"uid": "1", "ts": first, "landing_object": OBJECTS[0], "film": None},
        {"uid": "2", "ts": first, "landing_object": OBJECTS[0], "film": None},
        {"uid": "x", "ts": second, "landing_object": OBJECTS[1], "film": "a"},
    ]


def test_a_landing_object_that_is_not_named_is_opened_for_its_columns_only(shared: Lake) -> None:
    other, handler = count_reads(shared)
    rows = query_lake(
        other, f"SELECT uid FROM landing.interactions WHERE landing_object = '{OBJECTS[1]}'"
    ).to_pylist()
    assert rows == [{"uid": "x"}]
    assert handler.opened == {shared.path(OBJECTS[0]): 1, shared.path(OBJECTS[1]): 2}


@pytest.mark.parametrize(
    ("attack", "refusal"),
    [
        ("SELECT * FROM read_text('{file}')", "Cannot access file"),
        ("SELECT * FROM read_blob('/proc/self/environ')", "Cannot access file"),
        ("SELECT * FROM read_csv('{file}')", "Cannot access file"),
        ("SELECT * FROM read_parquet('{file}')", "Cannot access file"),
        ("SELECT * FROM read_json_objects('{file}')", "Cannot access file"),
        ("SELECT * FROM parquet_metadata('{file}')", "Cannot access file"),
        ("SELECT * FROM sniff_csv('{file}')", "Cannot access file"),
        ("SELECT * FROM glob('/etc/*')", "Cannot access file"),
        ("SELECT * FROM read_csv('https://example.org/x.csv')", "disabled"),
        ("SELECT * FROM '{file}'", "Cannot access file"),
        ("SELECT * FROM secret_table", "there is no table 'secret_table'"),
        ("SELECT getenv('HOME')", "getenv does not exist"),
        ("SELECT * FROM query('COPY items TO ''{file}2''')", "Expected a single SELECT"),
        ("SELECT * FROM enable_logging()", "has been locked"),
        ("SELECT * FROM arrow_scan(1, 2, 3)", "No function matches"),
        ("SELECT * FROM pandas_scan(1)", "No function matches"),
        ("COPY items TO '{file}2'", "COPY is refused"),
        ("COPY (SELECT 1) TO '{file}2' (FORMAT parquet)", "COPY is refused"),
        ("EXPLAIN ANALYZE COPY items TO '{file}2'", "COPY is refused"),
        ("EXPLAIN ANALYZE (FORMAT json) COPY items TO '{file}2'", "COPY is refused"),
        ("/**/ EXPLAIN ANALYZE COPY items TO '{file}2'", "begin with EXPLAIN"),
        (
            "EXPLAIN /**/ ANALYZE COPY items TO '{file}2'",
            "syntax error|ANALYZE is refused|VACUUM is refused",
        ),
        ("EXPORT DATABASE '{file}2'", "EXPORT is refused"),
        ("IMPORT DATABASE '{file}2'", "PRAGMA is refused"),
        ("ATTACH '{file}2'", "ATTACH is refused"),
        ("ATTACH ':memory:' AS other", "ATTACH is refused"),
        ("CREATE TABLE x AS SELECT 1", "CREATE is refused"),
        ("CREATE PERSISTENT SECRET (TYPE s3)", "CREATE is refused|can't be answered"),
        ("INSERT INTO items VALUES ('1')", "INSERT is refused"),
        ("DELETE FROM items", "DELETE is refused"),
        ("DROP VIEW items", "DROP is refused"),
        ("INSTALL httpfs", "LOAD is refused"),
        ("LOAD httpfs", "LOAD is refused"),
        ("SET enable_external_access = true", "SET is refused"),
        ("RESET lock_configuration", "SET is refused"),
        ("PRAGMA enable_profiling", "SET is refused|PRAGMA is refused|CALL is refused"),
        ("CALL enable_logging()", "CALL is refused"),
        ("PREPARE p AS SELECT 1", "PREPARE is refused"),
        ("SELECT 1; COPY items TO '{file}2'", "holds 2 statements: give one"),
        (
            "WITH new AS (INSERT INTO items VALUES ('c') RETURNING *) SELECT * FROM new",
            "can't be answered",
        ),
        ("COPY events TO '{file}2'", "COPY is refused"),
        ("COPY shown FROM '{file}'", "COPY is refused"),
        ("INSERT INTO events SELECT * FROM events", "INSERT is refused"),
        ("UPDATE shown SET user_id = 'x'", "UPDATE is refused"),
        ("TRUNCATE dead_events", "DELETE is refused"),
        (
            "MERGE INTO events USING shown ON false WHEN MATCHED THEN DELETE",
            "MERGE_INTO is refused",
        ),
        ("ALTER VIEW shown RENAME TO x", "ALTER is refused"),
        ("COMMENT ON VIEW dead_events IS 'x'", "ALTER is refused"),
        ("CREATE OR REPLACE VIEW events AS SELECT 1", "CREATE is refused"),
        ("EXPLAIN DELETE FROM dead_events", "DELETE is refused"),
        ("SELECT * FROM events; DROP VIEW events", "holds 2 statements: give one"),
        ("SELECT * FROM events, read_text('{file}')", "Cannot access file"),
        ("WITH events AS (FROM read_csv('{file}')) FROM events", "Cannot access file"),
        ("DESCRIBE FROM read_ndjson('{file}')", "Cannot access file"),
        ("SUMMARIZE '{file}'", "Cannot access file"),
        ("SELECT * FROM query_table('{file}')", "Cannot access file"),
        ("SELECT * FROM read_duckdb('{file}')", "Cannot access file"),
        (
            "SELECT * FROM json_execute_serialized_sql("
            "json_serialize_sql('FROM read_text(''{file}'')'))",
            "Cannot access file",
        ),
        ("SELECT * FROM duckdb_secrets()", "Cannot access directory"),
        ("SELECT * FROM delta_scan('{file}')", "delta_scan"),
        ("SELECT * FROM lists", "there is no table 'lists'"),
        ("SELECT * FROM landing.events", "there is no table 'events'"),
        ("USE memory", "SET is refused"),
        ("DETACH memory", "DETACH is refused"),
        ("CHECKPOINT", "CALL is refused"),
        ("BEGIN", "TRANSACTION is refused"),
        ("", "holds 0 statements"),
    ],
)
def test_nothing_but_the_lake_is_read_and_nothing_written(
    shared: Lake, attack: str, refusal: str, tmp_path: Path
) -> None:
    secret_table = pa.table({"secret": [1]})
    (file := tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=refusal) as told:
        query_lake(shared, attack.replace("{file}", str(file)))
    assert "\n" not in str(told.value)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]
    assert secret_table.num_rows == 1


@pytest.mark.parametrize(
    "statement",
    [
        "WITH x AS (SELECT * FROM items) SELECT count(*) FROM x",
        "FROM items",
        "DESCRIBE items",
        "SUMMARIZE interactions",
        "SHOW TABLES",
        "EXPLAIN SELECT * FROM items",
        "explain analyze (format json) select * from items",
        "SELECT 1;",
        "-- first\nSELECT 1 -- ; SELECT 2",
    ],
)
def test_what_reads_is_answered(shared: Lake, statement: str) -> None:
    assert query_lake(shared, statement).num_rows


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELEC 1", 'syntax error at or near "SELEC" (line 1, column 1)'),
        ("SELECT item_id,\n  nope FROM items", 'Referenced column "nope" not found'),
        ("SELECT 'ü', nope FROM items", "(line 1, column 13)"),
        ("SELECT item_id::int FROM items", "Could not convert string 'a' to INT32"),
        (
            "SELECT * FROM itms",
            "'itms': there are interactions, quarantine, items, users, events, shown, dead_events, "
            "landing.interactions (line 1, column 15)",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(shared: Lake, statement: str, message: str) -> None:
    with pytest.raises(ValueError, match="the query can't be answered: ") as told:
        query_lake(shared, statement)
    assert message in str(told.value) and "\n" not in str(told.value)


def test_a_query_that_needs_too_much_memory_is_given_up(
    shared: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(lake_sql._CONNECTION_CONFIG, "memory_limit", "50MB")
    with pytest.raises(ValueError, match="the query needs more than 1GB of memory: name fewer"):
        query_lake(shared, "SELECT list(md5(i::text)) FROM range(2000000) t(i)")


def test_an_empty_lake_says_what_fills_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`dawnlist run --local` fills it"):
        query_lake(Lake.open(str(tmp_path), "shop"), "SELECT 1")


def test_a_table_without_rows_is_empty(shared: Lake) -> None:
    assert query_lake(
        shared, "SELECT count(*) AS n, max(reason) AS reason FROM quarantine"
    ).to_pylist() == [{"n": 0, "reason": None}]


def test_an_older_version_can_be_asked(lake: Lake) -> None:
    write_deltalake(lake.table_uri("interactions"), interactions(("u3", "a", 2)), mode="append")
    count = "SELECT count(*) AS n FROM interactions"
    answers = [
        query_lake(lake, count).to_pylist(),
        query_lake(lake, count, {"interactions": 0}).to_pylist(),
    ]
    assert answers == [[{"n": 7}], [{"n": 6}]]
    with pytest.raises(
        ValueError, match="'interactions' has no version 9 that can still be read: its newest is 1"
    ):
        query_lake(lake, count, {"interactions": 9})
    with pytest.raises(ValueError, match="no table 'nope' to read at a version"):
        query_lake(lake, count, {"nope": 1})


def test_days_and_times_are_of_utc(shared: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    found = query_lake(
        shared,
        "SELECT min(event_time)::text AS t, event_date AS d FROM interactions GROUP BY d ORDER BY d",
    )
    assert found.to_pylist()[0] == {"t": "2026-01-28 23:00:00+00", "d": date(2026, 1, 28)}


def test_a_stream_is_cut_and_may_be_left(shared: Lake) -> None:
    with open_query_stream(
        shared, "SELECT * FROM interactions ORDER BY event_time DESC", limit=2
    ) as reader:
        assert [row["event_id"] for row in reader.read_all().to_pylist()] == ["e0", "e1"]
    with open_query_stream(shared, "SELECT * FROM range(10000000)") as reader:
        assert reader.read_next_batch().num_rows


def dawnlist(
    lake: Lake, *words: str, width: int | None = 100
) -> subprocess.CompletedProcess[bytes]:
    root = lake.uri.removeprefix("file://").rpartition("/")[0]
    columns = {"COLUMNS": str(width)} if width else {}
    return subprocess.run(
        [sys.executable, "-m", "dawnlist.pipelines.cli", "query", *words, "--lake", root, "--namespace", "shop"],
        capture_output=True, check=False, env={**os.environ, **columns},
    )  # fmt: skip


def test_a_table_for_people(shared: Lake) -> None:
    done = dawnlist(shared, "SELECT item_id, title, genres, 1.5 AS x FROM items ORDER BY 1")
    lines = [line.rstrip() for line in done.stdout.decode().splitlines()]
    assert lines == [
        "item_id  title     genres        x",
        'a        Tea?[31m  ["x", "y"]  1.5',
        "b        Bread     null        1.5",
    ]
    narrow = dawnlist(
        shared, "SELECT item_id, title, genres FROM items ORDER BY 1", "--limit", "1", width=20
    )
    assert narrow.stdout.decode().splitlines() == [
        "row 1",
        "item_id  a",
        "title    Tea?[31m",
        'genres   ["x", "y"]',
    ]
    assert narrow.stderr == b"first 1 of more; --limit 0 for all\n"


def test_a_row_that_a_pipe_has_no_room_for_is_whole(
    shared: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    columns = ", ".join(f"repeat('{letter}', 20) AS c{letter}" for letter in "abcdefgh")
    lines = dawnlist(shared, f"SELECT {columns}", width=None).stdout.decode().splitlines()
    assert lines == ["row 1", *(f"c{letter}  {letter * 20}" for letter in "abcdefgh")]


def test_files_for_programs(shared: Lake, tmp_path: Path) -> None:
    text = "SELECT event_id, event_time, weight, user_agent FROM interactions ORDER BY 1"
    assert dawnlist(shared, text, "--output", str(tmp_path / "rows.parquet")).stdout == b""
    assert (
        pq.read_table(tmp_path / "rows.parquet").to_pylist() == query_lake(shared, text).to_pylist()
    )
    piped = dawnlist(shared, text, "--format", "csv", "--limit", "1").stdout.decode().splitlines()
    assert piped == [
        '"event_id","event_time","weight","user_agent"',
        '"e0",2026-01-30 23:00:00.000000Z,1,',
    ]


def written(
    shared: Lake, text: str, write: Callable[[pa.RecordBatchReader, IO[bytes]], None]
) -> str:
    sink = io.BytesIO()
    with open_query_stream(shared, text) as reader:
        write(reader, sink)
    return sink.getvalue().decode()


def test_rows_as_json(shared: Lake) -> None:
    text = "SELECT event_id, event_time, ip FROM interactions WHERE event_id IN ('e0', 'e2') ORDER BY 1"
    assert written(shared, text, write_json) == (
        '[\n{"event_id": "e0", "event_time": "2026-01-30T23:00:00Z", "ip": null},\n'
        '{"event_id": "e2", "event_time": "2026-01-29T23:00:00Z", "ip": null}\n]\n'
    )
    assert written(shared, "SELECT 1 FROM items WHERE false", write_json) == "[]\n"


def test_two_columns_of_one_name_are_told_apart(shared: Lake, tmp_path: Path) -> None:
    text = "SELECT i AS a, -i AS a FROM range(3) t(i) ORDER BY i DESC"
    rows = [{"a": 2, "a_1": -2}, {"a": 1, "a_1": -1}, {"a": 0, "a_1": 0}]
    assert json.loads(written(shared, text, write_json)) == rows
    assert written(shared, text, write_csv).splitlines()[0] == '"a","a_1"'
    with (tmp_path / "rows.parquet").open("wb") as sink, open_query_stream(shared, text) as reader:
        write_parquet(reader, sink)
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == rows


def test_what_json_and_csv_do_not_have(shared: Lake) -> None:
    values = "'nan'::double a, 2::hugeint b, 1.50::decimal(4, 2) c, {'k': [date '2026-01-01']} d, 'x'::blob e, NULL f"
    text = f"SELECT {values}, timestamp_ns '2026-01-01 00:00:00.123456789' g"
    [row] = json.loads(written(shared, text, write_json))
    assert row == {"a": None, "b": 2, "c": 1.5, "d": {"k": ["2026-01-01"]}, "e": "78", "f": None,
                   "g": "2026-01-01T00:00:00.123456"}  # fmt: skip
    line = written(shared, text, write_csv).splitlines()[1]
    assert line == 'nan,2,1.50,"{""k"": [""2026-01-01""]}","78",,2026-01-01 00:00:00.123456789'


def test_a_file_is_whole_or_not_there(shared: Lake, tmp_path: Path) -> None:
    done = dawnlist(shared, "SELECT CASE i WHEN 900000 THEN error('late') ELSE i END FROM range(1000000) t(i)",
                    "--output", str(tmp_path / "rows.csv"))  # fmt: skip
    assert (done.returncode, done.stderr) == (1, b"dawnlist: the query can't be answered: late\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["SELECT 1", "--format", "xml"], "--format is 'xml': give table, csv, json, parquet"),
        (["SELECT 1", "--output", "x.txt"], "--format is 'txt': give csv, json, parquet"),
        (
            ["SELECT 1", "--output", "nowhere/x.csv"],
            "the output's folder 'nowhere' does not exist: make it first",
        ),
        (["SELEC"], "syntax error at or near"),
    ],
)
def test_a_wrong_word_is_one_line(shared: Lake, words: list[str], message: str) -> None:
    done = dawnlist(shared, *words)
    [line] = done.stderr.decode().splitlines()
    assert (done.returncode, line.startswith("dawnlist: ") and message in line) == (1, True)


def test_the_command_needs_no_pandas(shared: Lake) -> None:
    code = (
        "import sys; from dawnlist.pipelines.cli import app\n"
        f"app(['query', 'SELECT count(*) FROM interactions', '--lake', {shared.uri.rpartition('/')[0]!r}, "
        "'--namespace', 'shop'], standalone_mode=False)\n"
        "assert not {'pandas', 'ibis', 'kfp'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.fixture(scope="module")
def daily(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """161 days from 2026-01-01 with a file each; the last one is 2026-06-10."""
    lake = Lake.open(str(tmp_path_factory.mktemp("daily")), "shop")
    commit_daily_files(lake, 161)
    return lake


@pytest.mark.parametrize(
    ("condition", "rows", "opened"),
    [
        ("event_time >= '2026-06-08'", 6, 3),
        ("event_time > '2026-06-07 23:59:59.999999'", 6, 3),
        ("event_time >= '2026-06-07 23:59:59.999999'", 7, 4),
        ("event_time = '2026-03-01'", 1, 1),
        ("event_time <= '2026-01-02'", 3, 2),
        ("event_time >= '2026-06-11'", 0, 0),
        ("event_time >= '2026-06-10' AND item_id = '2026-06-10-last'", 1, 1),
        ("item_id = '2026-06-10-last'", 1, 161),
    ],
)
def test_a_condition_on_event_time_opens_the_files_of_its_days_alone(
    daily: Lake, condition: str, rows: int, opened: int
) -> None:
    other, handler = count_reads(daily)
    answer = query_lake(other, f"SELECT count(*) AS n FROM interactions WHERE {condition}")
    assert answer.to_pylist() == [{"n": rows}]
    assert len(handler.opened) == opened


def test_a_table_that_somebody_else_deleted_rows_from_can_be_queried(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path), "shop")
    commit_daily_files(lake, 2)
    table = lake.table("interactions")
    assert table is not None
    table.delete("item_id = '2026-01-02-last'")  # delta-rs writes the other row as a string view
    answer = query_lake(
        lake, "SELECT user_id, event_time FROM interactions WHERE item_id > '2026-01-02'"
    )
    assert answer.to_pylist() == [
        {"user_id": "2026-01-02-first", "event_time": FIRST_DAY + timedelta(days=1)}
    ]
