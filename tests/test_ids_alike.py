"""Ids mean the same to every reader: bytes, rounded numbers, and what the predictor is asked."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.clean.limits import check_limits
from dawnlist.components.clean.profile import CleaningProfile
from dawnlist.components.fetch.driver_values import decode_bytes
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.rows.coercions import is_rounded
from dawnlist.rows.identifiers import normalise_identifier
from dawnlist.serving.predictor.protocols.fields import parse_question
from dawnlist.settings import LimitSettings, Settings, SourceSettings
from tests.test_clean import cleaned, evaluated, rows_of
from tests.test_coercions import TEXTS, id_of, read

AS_OF = parse_as_of("2026-01-04T00:00:00Z")
TIME = "2026-01-03T10:00:00Z"
BYTES = {
    b"user-1": "user-1",
    "é😀".encode(): "é😀",
    b"\x8f\x01": "8f01",
    b"\x00\x00\x00\x07": "00000007",  # UTF-8, but clean would remove the control characters
    b"a\x7f": "617f",
    b"two\nlines\t": "two\nlines\t",
    b"": "",
}


def test_bytes_are_text_or_digits() -> None:
    values = [*BYTES, None]
    batch = pa.record_batch({"a": pa.array(values, pa.binary()), "b": ["x"] * len(values)})
    decoded = decode_bytes(batch)
    assert decoded["a"].to_pylist() == [*BYTES.values(), None]
    assert decoded["b"] == batch["b"]
    fixed = pa.record_batch({"a": pa.array([b"ab", b"\xff\x00"], pa.binary(2))})
    assert decode_bytes(fixed)["a"].to_pylist() == ["ab", "ff00"]


IDS = [key for key in BYTES if key.strip() and b"\n" not in key]


def write_parquet(path: Path) -> str:
    cells = {"user_id": pa.array(IDS, pa.binary()), "item_id": [b"A"] * len(IDS)}
    more = {"event": ["view"] * len(IDS), "ts": [TIME.encode()] * len(IDS)}
    pq.write_table(pa.table({**cells, **more}), path / "clicks.parquet")
    return str(path / "clicks.parquet")


def write_sqlite(path: Path) -> str:
    with closing(sqlite3.connect(path / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE interactions (user_id, item_id, event, ts, received_at)")
        for user in IDS:
            row = [user, b"A", b"view", TIME, TIME]
            connection.execute("INSERT INTO interactions VALUES (?, ?, ?, ?, ?)", row)
    return f"sqlite:///{path / 'shop.db'}"


@pytest.mark.parametrize("write", [write_parquet, write_sqlite])
def test_ids_of_bytes(tmp_path: Path, write: Any) -> None:
    settings = SourceSettings(check_days=0)
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    landed = fetch_source(lake, write(tmp_path), settings, AS_OF, "r1", window_days=3)
    report = clean_landed_objects(lake, landed, Settings(source=settings), AS_OF, "r1")
    assert report["clean"] == report["rows_in"] == len(IDS)
    users = {user for (user,) in rows_of(lake, "interactions", "user_id")}
    assert users == {BYTES[key] for key in IDS}


# rounded ids

ROUNDED = [
    "1.23457E+12",
    "1,23457E+12",
    "1E+05",
    "1e+16",
    "9007199254740992.0",
    "12345678901234567.0",
]
WHOLE = ["9007199254740991.0", "9007199254740993", "1.785e4", "1E5", "17850.0", "a+b", "x.0"]


def test_what_is_rounded() -> None:
    assert evaluated([*ROUNDED, *WHOLE, None], is_rounded) == [True] * 6 + [False] * 8


@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_a_rounded_id_is_rejected_and_most_of_them_stop_the_run(
    tmp_path: Path, column: str
) -> None:
    ids = [2.0**53 - 1, 2.0**53, None, 3.0]
    cells: dict[str, Any] = {"user_id": ["a"] * 4, "item_id": ["A"] * 4, "ts": [TIME] * 4}
    table = pa.table({**cells, "event": ["view"] * 4, column: ids})
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    assert cleaned(lake, table)["reasons"] == {f"{column} missing": 1, f"{column} rounded": 1}
    assert rows_of(lake, "interactions", column) == [("3",), ("9007199254740991",)]
    message = (
        f"2 of 3 rows have a rounded {column}, such as 1.23457E.12, more than limits.max_rounded"
    )
    with pytest.raises(RuntimeError, match=message):
        more = table.set_column(
            table.column_names.index(column), column, [[2.0**60, 1e17, 1.0, 2.0]]
        )
        cleaned(lake, more.slice(0, 3), "r2")


@pytest.mark.parametrize(("rounded", "stops"), [(20, False), (21, True)])
def test_the_limit_of_rounded_ids(rounded: int, stops: bool) -> None:
    reasons = {"user_id rounded": rounded}
    profile = CleaningProfile(2000, 2000 - rounded, 0, 0, rounded, reasons, [], 0, [], {})
    if not stops:
        check_limits(profile, LimitSettings(), AS_OF, False)
        return
    with pytest.raises(RuntimeError, match="21 of 2,000 rows have a rounded user_id"):
        check_limits(profile, LimitSettings(), AS_OF, False)
    check_limits(profile, LimitSettings(max_rounded_ids=0.0105), AS_OF, False)
    check_limits(profile, LimitSettings(min_rows=2001), AS_OF, False)


# the predictor


def test_the_predictor_reads_ids_as_clean_does() -> None:
    connection = ibis.duckdb.connect()
    texts = [text for text in TEXTS if text]
    more = [
        " 123 ",
        "123.0",
        "\u2003 7.00\u3000",
        "\u200b5",
        "-0.0",
        "1.0.0",
        "N/A",
        "\ttab",
        "٣.0",
    ]
    for text, read_id in zip(texts + more, read(connection, [*texts, *more], id_of), strict=True):
        assert normalise_identifier(text) == (text if read_id is None else read_id), repr(text)


def test_ids_of_a_question() -> None:
    fields = {"exclude": [" 7 ", "8.0"], "recent": [{"item_id": "9.00", "event_type": "view"}]}
    question = parse_question("the request", " 123.0", fields)
    assert question.user_id == "123"
    assert question.exclude == ("7", "8")
    assert [event.item_id for event in question.recent] == ["9"]
    assert parse_question("the request", "null", {}).user_id == "null"
    assert parse_question("the request", " ", {}).user_id == " "
