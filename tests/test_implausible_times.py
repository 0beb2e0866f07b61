"""Rows whose time reads as another century belong to no window, and are in the sum all the same."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch.landing import fetch_source, fetch_windows
from dawnlist.components.fetch.sources import open_source
from dawnlist.components.fetch.window_bounds import convert_window_bounds
from dawnlist.lake.lake import Lake
from dawnlist.rows.time_forms import describe_form, name_number_form
from dawnlist.settings import Settings, SourceSettings
from tests.test_clean import evaluated, rows_of

START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2026, 1, 3, tzinfo=UTC)
SETTINGS = SourceSettings(check_days=0)
FORMS = {
    "20260115": "a date YYYYMMDD",
    "2026011510": "a time YYYYMMDDhh",
    "202601151011": "a time YYYYMMDDhhmm",
    "20260115101112": "a time YYYYMMDDhhmmss",
    "20260115101112123": "a time YYYYMMDDhhmmss",
    "20261315": "a number",
    "0": "0 or less",
    "-1": "0 or less",
    "20468": "days since 1970",
    "46037.4": "days of a spreadsheet",
    "2461055.9": "a Julian day",
    "13400000000000000": "microseconds since 1601",
    "133000000000000000": "a file time of Windows",
    "638700000000000000": "ticks of .NET",
}


def write_clicks(path: Path, times: list[str]) -> str:
    lines = ["user_id,item_id,event,ts"]
    for number, time in enumerate(times):
        lines.append(f"u{number},A,view,{time}")
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def read_users(source: str, start: datetime, end: datetime) -> list[str]:
    batches = open_source(source, SETTINGS).interactions(start, end)
    return [str(user) for user in pa.Table.from_batches(batches)["user_id"].to_pylist()]


def test_forms_of_numbers() -> None:
    assert evaluated(list(FORMS), describe_form) == list(FORMS.values())
    assert [name_number_form(text) for text in FORMS] == list(FORMS.values())
    assert evaluated(["1970-01-01", None], describe_form) == ["a date", "a date"]


def test_bounds_of_plausible_times(tmp_path: Path) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    times = [
        "2026-01-01T10:00:00Z",
        "1994-12-31T23:59:59.999999Z",
        "1995-01-01T00:00:00Z",
        (tomorrow + timedelta(minutes=5)).isoformat(),
        (tomorrow - timedelta(minutes=5)).isoformat(),
        "2026-01-03T00:00:00Z",
    ]
    source = write_clicks(tmp_path / "clicks.csv", times)
    assert read_users(source, START, END) == ["u0", "u1", "u3"]


def test_rows_of_another_century_are_quarantined_with_their_forms(tmp_path: Path) -> None:
    times = [*FORMS, "2026-01-01T10:00:00Z", "2026-01-02"]
    source = write_clicks(tmp_path / "clicks.csv", times)
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    for run, as_of in (("r1", END - timedelta(days=1)), ("r2", END)):
        landed = fetch_source(lake, source, SETTINGS, as_of, run, window_days=3)
        report = clean_landed_objects(lake, landed, Settings(source=SETTINGS), as_of, run)
        assert report["rows_in"] == report["clean"] + report["quarantined"] == len(FORMS) + 1
        assert report["quarantined"] == len(FORMS)
    forms = {}
    for reason, row in rows_of(lake, "quarantine", "reason", "source_row"):
        forms[json.loads(row)["ts"]] = reason.rpartition(": it looks like ")[2]
    assert forms == FORMS
    assert open_source(source, SETTINGS).describe_newest() == "2026-01-02T00:00:00Z"


def test_rows_of_no_window_break_no_limit_beside_others(tmp_path: Path) -> None:
    times = ["20260115101112"] * 1500 + ["2026-01-01T10:00:00Z"] * 10
    source = write_clicks(tmp_path / "clicks.csv", times)
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    landed = fetch_windows(lake, open_source(source, SETTINGS), [(START, END)], "r1")
    report = clean_landed_objects(lake, landed, Settings(source=SETTINGS), END, "r1")
    assert (report["clean"], report["quarantined"]) == (10, 1500)


def test_a_source_without_any_readable_time_is_refused(tmp_path: Path) -> None:
    source = write_clicks(tmp_path / "clicks.csv", ["20260115101112", "20260115101113", ""])
    opened = open_source(source, SETTINGS)
    message = "none of the 3 rows has a time that can be read"
    with pytest.raises(ValueError, match=f"{message}: the time column holds a time YYYYMMDDhhmmss"):
        opened.count_rows_by_day([START.date()])
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    landed = fetch_windows(lake, opened, [(START, END)], "r1")
    with pytest.raises(RuntimeError, match=message):
        clean_landed_objects(lake, landed, Settings(source=SETTINGS), END, "r1")


def test_an_absurd_arrival_makes_no_absurd_time_clean(tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text(
        "user_id,item_id,event,ts,received_at\n"
        "a,A,view,20260115101112,20260115101113\n"
        "b,A,view,2026-01-01T10:00:00Z,2026-01-01T10:00:01Z\n"
    )
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    landed = fetch_source(lake, str(path), SETTINGS, END, "r1", window_days=3)
    report = clean_landed_objects(lake, landed, Settings(source=SETTINGS), END, "r1")
    assert (report["clean"], report["quarantined"]) == (1, 1)


@pytest.mark.parametrize(
    ("oldest", "newest", "form"),
    [
        (2461042.5, 2461071.4, "2461071.4 (a Julian day)"),
        (20260101, 20260130, "20260130 (a date YYYYMMDD)"),
        (20260101101112, 20260130101112, "20260101101112 (a time YYYYMMDDhhmmss)"),
        (46023.5, 46052.5, "46052.5 (days of a spreadsheet)"),
        (0, 0, "0 (0 or less)"),
        (788_918_399, 788_918_399, "788918399 (a number)"),
    ],
)
def test_a_time_column_of_other_numbers_is_refused(oldest: float, newest: float, form: str) -> None:
    with pytest.raises(ValueError) as error:
        convert_window_bounds(oldest, newest, START, END)
    assert f"the time column holds {form}, which can't be compared" in str(error.value)


def test_a_time_column_of_epochs_is_taken_from_1995_on() -> None:
    bounds = (int(START.timestamp()), int(END.timestamp()))
    assert convert_window_bounds(0, 788_918_400, START, END) == bounds
    assert convert_window_bounds(788_918_400, 1_767_225_600, START, END) == bounds
