"""Files named by day: how their days are found, in which time zone they are, and what is passed over."""

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch.file_days import find_leading_day, find_trailing_day
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.components.fetch.local_days import find_first_hour
from dawnlist.components.fetch.sources import open_source
from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.lake.ledger import Ledger
from dawnlist.pipelines.lake.backfill_windows import (
    BackfillTarget,
    find_gaps,
    group_days_into_windows,
    run_backfill,
)
from dawnlist.settings import Settings, SourceSettings
from tests.test_files import SETTINGS, folder, lake, refused, rows

__all__ = ["folder", "lake"]

DAYS = [date(2025, 12, 30), date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 2)]
BERLIN, NEW_YORK, KOLKATA = "Europe/Berlin", "America/New_York", "Asia/Kolkata"


def write_days(folder: Path, place: str, days: list[date] = DAYS) -> None:
    for day in days:
        path = folder / place.format(d=day)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"user_id,item_id,event,ts\n{day},a,view,{day}T12:00:00Z\n")


def read_users(folder: Path, start: datetime, end: datetime, zone: str = "UTC") -> list[str]:
    source = open_source(str(folder), SourceSettings(time_zone=zone))
    return [str(user) for user in pa.Table.from_batches(source.interactions(start, end))["user_id"]]


@pytest.mark.parametrize(
    "place",
    [
        "dt={d}/hour=00/part-0.csv",
        "dt={d}/00/part-0.csv",
        "dt={d}/hour=00/minute=30/part-0.csv",
        "region=eu/dt={d}/part-0.csv",
        "interactions/dt={d}/hour=00/part-0.csv",
        "year={d:%Y}/month={d:%m}/day={d:%d}/part-0.csv",
        "year={d:%Y}/month={d.month}/day={d.day}/hour=07/part-0.csv",
        "{d:%Y/%m/%d}/13/part-0.csv",
        "events_{d:%Y%m%d}.csv",
        "events-{d}.csv",
        "events.{d:%Y%m%d}.csv",
        "{d:%Y%m%d}.csv",
        "dt={d:%Y%m%d}/part-0.csv",
        "events_{d:%Y%m%d}-000000000001.csv",
        "events_{d:%Y%m%d}07.csv",
    ],
)
def test_whole_days_are_read_however_they_are_named(folder: Path, place: str) -> None:
    write_days(folder, place)
    assert [row["user_id"] for row in rows(folder)] == ["2025-12-30", "2025-12-31", "2026-01-01"]
    assert open_source(str(folder), SETTINGS).gives_whole_days


def test_all_hours_of_a_day_are_read(folder: Path) -> None:
    for hour in range(3):
        write_days(folder, "dt={d}/hour=" + f"{hour:02}" + "/part-0.csv")
    assert len(rows(folder)) == 9


@pytest.mark.parametrize("name", ["tags", "v2_20261305", "order_123456789", "part-00000-abc"])
def test_a_name_without_a_day(name: str) -> None:
    assert find_trailing_day(f"{name}.csv") is None
    assert find_leading_day(f"{name}.csv") is None


def test_daily_files_of_two_kinds_are_told_apart(folder: Path, lake: Lake) -> None:
    write_days(folder, "clicks_{d:%Y%m%d}.csv")
    write_days(folder, "orders_{d:%Y%m%d}.csv")
    assert "two kinds, 'clicks_20251230.csv' and 'orders_20251230.csv'" in refused(folder, lake)
    settings = SourceSettings(interactions="clicks")
    landed = fetch_source(lake, str(folder), settings, parse_as_of("2026-01-03T00:00Z"), "r", 3)
    assert landed["rows"] == {"interactions": 3}


def test_a_file_beside_names_that_end_in_a_day_is_refused(folder: Path, lake: Lake) -> None:
    write_days(folder, "clicks_{d:%Y%m%d}.csv")
    (folder / "clicks_rest.csv").write_text("left out")
    assert "clicks_rest.csv' lies beside files named by day" in refused(folder, lake)


def test_days_in_folders_and_hours_below_others_are_not_mixed(folder: Path, lake: Lake) -> None:
    write_days(folder, "year={d:%Y}/month={d:%m}/day={d:%d}/part-0.csv", DAYS[:2])
    write_days(folder, "year={d:%Y}/month={d:%m}/day={d:%d}/hour=01/part-0.csv", DAYS[2:])
    assert "lies in a folder of a day, beside files named by day in another" in refused(
        folder, lake
    )


def test_a_folder_of_other_names_says_one_of_them(folder: Path, lake: Lake) -> None:
    (folder / "visits.csv").write_text("x")
    assert "holds no interactions (it has 'visits.csv', which is named otherwise)" in refused(
        folder, lake
    )


# time zones


@pytest.mark.parametrize(
    ("zone", "start", "end", "first", "last"),
    [
        ("UTC", "2025-12-31T00:00Z", "2026-01-02T00:00Z", 1, 3),
        (BERLIN, "2025-12-30T23:00Z", "2026-01-01T23:00Z", 1, 3),
        (BERLIN, "2025-12-30T22:59Z", "2026-01-01T22:59Z", 0, 2),
        (NEW_YORK, "2025-12-31T05:00Z", "2026-01-02T05:00Z", 1, 3),
        (NEW_YORK, "2025-12-31T04:59Z", "2026-01-02T04:59Z", 0, 2),
        (KOLKATA, "2025-12-30T18:30Z", "2026-01-01T18:30Z", 1, 3),
    ],
)
def test_files_are_days_of_the_sources_zone(
    folder: Path, zone: str, start: str, end: str, first: int, last: int
) -> None:
    write_days(folder, "{d}.csv")
    read = read_users(folder, parse_as_of(start), parse_as_of(end), zone)
    assert read == [str(day) for day in DAYS[first:last]]


@pytest.mark.parametrize(
    ("zone", "hour"),
    [("UTC", 0), (BERLIN, 0), (NEW_YORK, 5), (KOLKATA, 0), ("America/St_Johns", 4)],
)
def test_the_first_hour_of_a_local_day_lies_in_the_utc_day(zone: str, hour: int) -> None:
    assert find_first_hour(DAYS[0], zone) == datetime(2025, 12, 30, hour, tzinfo=UTC)


@pytest.mark.parametrize(("zone", "hour"), [("UTC", 0), (BERLIN, 0), (BERLIN, 23), (NEW_YORK, 3)])
def test_each_night_takes_each_day_once(folder: Path, lake: Lake, zone: str, hour: int) -> None:
    """Five nights in a row: each file lands once, the ledger has it, and no day is late."""
    write_days(folder, "{d}.csv", [date(2026, 1, day) for day in range(1, 13)])
    settings = SourceSettings(time_zone=zone)
    taken: list[str] = []
    for night in range(5, 10):
        as_of, run = datetime(2026, 1, night, hour, tzinfo=UTC), f"r{night}"
        landed = fetch_source(lake, str(folder), settings, as_of, run, 3)
        report = clean_landed_objects(lake, landed, Settings(source=settings), as_of, run)
        assert landed["late"] == []
        taken.extend(report["days"])
    assert len(taken) == len(set(taken)) >= 6
    assert taken == sorted(taken)
    ledger = Ledger.from_commits(lake.table("interactions"))
    assert [ledger.day(date(2026, 1, day)) for day in (5, 6)] == [1, 1]


@pytest.mark.parametrize("zone", ["UTC", BERLIN, NEW_YORK])
def test_a_backfill_fills_the_days_that_the_files_name(folder: Path, lake: Lake, zone: str) -> None:
    write_days(folder, "{d}.csv")
    (folder.parent / "shop.yaml").write_text(f"source: {{time_zone: {zone}}}\n")
    settings_path = str(folder.parent / "shop.yaml")
    settings = Settings.load(settings_path)
    root = str(folder.parent / "lake")
    target = BackfillTarget(root, "shop", str(folder), settings_path, "backfill-1")
    days = DAYS[1:3]
    assert [gap.day for gap in find_gaps(lake, str(folder), settings, days)] == days
    windows: list[object] = []
    run_backfill(target, days, days, 1, lambda window, report: windows.append(report["days"]))
    assert windows == [{"2025-12-31": 1, "2026-01-01": 1}]
    assert find_gaps(lake, str(folder), settings, days) == []


def test_windows_of_a_week_in_which_clocks_change() -> None:
    days = [date(2026, 3, day) for day in range(23, 31)]
    windows = group_days_into_windows(days, BERLIN)
    assert windows == [
        (datetime(2026, 3, 23, 23, tzinfo=UTC), datetime(2026, 3, 30, 22, tzinfo=UTC)),
        (datetime(2026, 3, 22, 23, tzinfo=UTC), datetime(2026, 3, 23, 23, tzinfo=UTC)),
    ]


# files that are passed over


def list_passed_over(folder: Path, end: str, zone: str = "UTC") -> list[str]:
    source = open_source(str(folder), SourceSettings(time_zone=zone))
    return source.list_passed_over(parse_as_of(end))


def test_a_day_that_is_not_over_is_named(folder: Path) -> None:
    write_days(folder, "{d}.csv")
    [sentence] = list_passed_over(folder, "2026-01-01T23:00Z")
    assert "2026-01-01.csv' was not read, nor 1 more after it: its day (UTC) is not" in sentence
    assert "use an as_of of 2026-01-02T00:00:00Z or later" in sentence
    [sentence] = list_passed_over(folder, "2026-01-01T23:00Z", BERLIN)
    assert "2026-01-02.csv' was not read: its day (Europe/Berlin)" in sentence
    assert list_passed_over(folder, "2026-01-03T00:00Z") == []


def test_files_of_no_table_are_named_in_the_log(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "interactions.csv").write_text("user_id,item_id,event,ts\na,1,view,2026-01-01\n")
    (folder / "readme.txt").write_text("x")
    for number in range(6):
        (folder / f"tags{number}.csv").write_text("x")
    (folder / "old.csv").symlink_to("nowhere")
    assert [sentence.rpartition("/")[2] for sentence in list_passed_over(folder, "2026-01-03T00:00Z")] == [
        "old.csv' was not read: it is a link that leads nowhere: take it away, or restore the file"
    ]  # fmt: skip
    printed = capsys.readouterr().out
    assert "tags4.csv' was not read" in printed and "tags5" not in printed
    assert "1 more files are of no table" in printed and "readme" not in printed


def test_the_fetch_reports_what_it_passed_over(folder: Path, lake: Lake) -> None:
    write_days(folder, "{d}.csv")
    landed = fetch_source(lake, str(folder), SETTINGS, parse_as_of("2026-01-01T23:00Z"), "r", 3)
    assert len(landed["passed_over"]) == 1
    assert landed["rows"] == {"interactions": 2}
