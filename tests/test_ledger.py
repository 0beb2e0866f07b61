from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, Transaction, write_deltalake

from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.lake.ledger import Ledger, build_ledger_metadata
from dawnlist.lake.watermark import TimeWindow, build_window_transactions
from dawnlist.upkeep.time_travel import restore_version

NOTHING = Ledger({})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


def window(start: str, end: str) -> TimeWindow:
    """'03T01' -> the third of January 2026 at one o'clock."""
    moments = [parse_as_of(f"2026-01-{text}:00:00Z") for text in (start, end)]
    return moments[0], moments[1]


def test_a_day_is_known_once_all_its_hours_were_taken_in() -> None:
    first = NOTHING.with_windows(
        [window("01T00", "02T03")], {"2026-01-01T05:00:00Z": 7, "2026-01-02T02:00:00Z": 2}
    )
    assert (first.day(date(2026, 1, 1)), first.day(date(2026, 1, 2))) == (7, None)
    second = first.with_windows(
        [window("02T02", "03T03")], {"2026-01-02T02:00:00Z": 3, "2026-01-02T09:00:00Z": 4}
    )
    assert (second.day(date(2026, 1, 1)), second.day(date(2026, 1, 2))) == (7, 7)


def test_an_hour_that_a_window_only_touches_is_not_known() -> None:
    minutes = datetime(2026, 1, 1, 0, 17, tzinfo=UTC), datetime(2026, 1, 2, 3, 17, tzinfo=UTC)
    assert NOTHING.with_windows([minutes], {}).hours.keys() == {
        490896 + hour for hour in range(1, 27)
    }


def test_a_source_that_knows_only_days_says_them_at_their_first_hour() -> None:
    first = NOTHING.with_windows([window("01T00", "02T00")], {"2026-01-01T00:00:00Z": 5})
    assert first.day(date(2026, 1, 1)) == 5
    grown = first.with_windows(
        [window("01T23", "03T00")], {"2026-01-01T00:00:00Z": 6, "2026-01-02T00:00:00Z": 1}
    )
    assert (grown.day(date(2026, 1, 1)), grown.day(date(2026, 1, 2))) == (6, 1)


def test_it_knows_only_what_the_table_holds() -> None:
    """Other rows have expired, or were undone by a restore."""
    ledger = NOTHING.with_windows([window("01T00", "04T00")], {"2026-01-02T05:00:00Z": 7})
    left = ledger.restrict_to(window("01T01", "03T00"))
    assert [left.day(date(2026, 1, number)) for number in (1, 2, 3)] == [None, 7, None]
    assert ledger.restrict_to(None) == NOTHING


def test_it_is_read_back_from_the_commits_in_their_order(lake: Lake) -> None:
    assert Ledger.from_commits(None) == NOTHING
    for rows in (1, 2):
        said = build_ledger_metadata([window("01T00", "02T00")], {"2026-01-01T10:00:00Z": rows})
        place = lake.table_uri("interactions")
        marks = [
            Transaction(*mark)
            for mark in build_window_transactions(window("01T00", "02T00")).items()
        ]
        commit = CommitProperties(custom_metadata=said, app_transactions=marks)
        write_deltalake(place, pa.table({"a": [rows]}), mode="append", commit_properties=commit)
    write_deltalake(place, pa.table({"a": [3]}), mode="append")
    table = lake.table("interactions")
    assert Ledger.from_commits(table).day(date(2026, 1, 1)) == 2
    assert Ledger.from_commits(table, 2).day(date(2026, 1, 1)) == 2
    assert Ledger.from_commits(table, 1) == NOTHING


def test_a_run_of_the_first_hour_of_a_day_leaves_what_that_hour_is_known_to_hold() -> None:
    known = NOTHING.with_windows([window("01T00", "03T00")], {"2026-01-02T00:00:00Z": 3})
    again = datetime(2026, 1, 1, 0, tzinfo=UTC), datetime(2026, 1, 2, 0, 30, tzinfo=UTC)
    assert known.with_windows([again], {"2026-01-02T00:00:00Z": 2}).day(date(2026, 1, 2)) == 3


def test_a_restore_takes_it_back(lake: Lake) -> None:
    marks = [
        Transaction(*mark) for mark in build_window_transactions(window("01T00", "02T00")).items()
    ]
    for rows in (1, 2):
        said = build_ledger_metadata([window("01T00", "02T00")], {"2026-01-01T10:00:00Z": rows})
        commit = CommitProperties(custom_metadata=said, app_transactions=marks)
        write_deltalake(
            lake.table_uri("interactions"),
            pa.table({"a": [rows]}),
            mode="append",
            commit_properties=commit,
        )
    restore_version(lake, "interactions", 0)
    assert Ledger.from_commits(lake.table("interactions")).day(date(2026, 1, 1)) == 1
