import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import write_deltalake

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.components.notify.daily import render_text_report
from dawnlist.lake.commits import build_commit_properties
from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import hold_lease
from dawnlist.lake.watermark import (
    EXPIRED_APP_ID,
    build_window_transactions,
    read_covered_window,
)
from dawnlist.pipelines.lake import backfill_windows
from dawnlist.records.run_records import record_step
from dawnlist.schema import INTERACTIONS_SCHEMA
from dawnlist.settings import Settings
from tests.support.literal import clicks
from tests.support.traffic import FIRST, traffic

DAYS = [date(2026, 1, number) for number in range(1, 11)]


def command(*words: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "dawnlist.pipelines.cli", "backfill", *words]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def test_chunks_are_weeks_at_most_and_begin_with_the_newest() -> None:
    days = [date(2026, 1, number) for number in (1, 2, *range(5, 14))]
    shown = [
        (start.day, (end - start).days)
        for start, end in backfill_windows.group_days_into_windows(days)
    ]
    assert shown == [(7, 7), (5, 2), (1, 2)]


def test_the_command_fills_what_is_missing_and_then_finds_nothing(tmp_path: Path) -> None:
    source = traffic(5, 9, 60).write(tmp_path / "shop.db", FIRST.replace(month=3))
    where = (
        "--lake",
        str(tmp_path / "lake"),
        "--source",
        source,
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-13",
    )
    seen = command(*where, "--dry-run")
    assert (seen.returncode, seen.stderr) == (0, "")
    assert (
        "2026-01-01 to 2026-01-1" in seen.stdout
        and "rows in the source, not on record here" in seen.stdout
    )
    assert not (tmp_path / "lake").exists()
    done = command(*where, "--parallel", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("filled: ") == 2
    lake = Lake.open(str(tmp_path / "lake"), "default")
    known = read_covered_window(lake.table("interactions"))
    assert known is not None and known[0] == FIRST
    assert known[1] <= FIRST.replace(day=14)  # nobody has fetched more than the source had
    assert command(*where).stdout == "nothing is missing from 2026-01-01 to 2026-01-13\n"
    assert backfill_windows.find_gaps(lake, source, Settings(), DAYS) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--from", "2026-01-05", "--to", "2026-01-04"),
            "--from 2026-01-05 is after --to 2026-01-04: give the first",
        ),
        (
            ("--from", "2026-01-05", "--to", "2999-01-01"),
            "--to 2999-01-01 is not over: give a day before today",
        ),
        (
            ("--from", "2026-01-05", "--to", "2026-01-06", "--source", "sqlite:////nowhere.db"),
            "there is no file",
        ),
    ],
)
def test_a_wrong_range_or_source_is_one_line(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    done = command("--lake", str(tmp_path), *words)
    assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1


def test_a_second_backfill_says_who_is_at_it(tmp_path: Path) -> None:
    source = traffic(5, 2, 20).write(tmp_path / "shop.db", FIRST.replace(month=3))
    lake = Lake.open(str(tmp_path / "lake"), "default")
    with hold_lease(lake, "backfill", "backfill-1"):
        words = (
            "--lake",
            str(tmp_path / "lake"),
            "--source",
            source,
            "--from",
            "2026-01-01",
            "--to",
            "2026-01-02",
        )
        done = command(*words)
    assert done.returncode == 1 and "held by run backfill-1" in done.stderr
    assert lake.names("tables") == []


def run_first_night(folder: Path, settings: str, run: str) -> str:
    """Fetch and clean all days of a folder of CSV files; the report of the run as text."""
    root, as_of = str(folder / "lake"), FIRST.replace(day=31)
    lake, loaded = Lake.open(root, "default"), Settings.load(settings)
    with record_step(root, "default", as_of, run, "fetch") as record:
        record.update(fetch_source(lake, str(folder / "days"), loaded.source, as_of, run, 30))
    landed = dict(record)
    with record_step(root, "default", as_of, run, "clean") as record:
        record.update(clean_landed_objects(lake, landed, loaded, as_of, run))
    return render_text_report(lake, as_of, run)


def test_the_reports_command_brings_back_unknown_and_unwanted_events(tmp_path: Path) -> None:
    """On each of 30 days 1,200 views, which the first settings do not want, 60 steps and a purchase."""
    (tmp_path / "days").mkdir()
    for day in range(1, 31):
        date_text = f"2026-01-{day:02}"
        rows = [f"u{n % 90},i{n},view,{date_text}T10:00:00Z\n" for n in range(1200)]
        rows += [f"u{n},i{n},Add-To-Cart,{date_text}T11:00:00Z\n" for n in range(60)]
        rows += [f"u{day},i{day},purchase,{date_text}T12:00:00Z\n"]
        text = "user_id,item_id,event,ts\n" + "".join(rows)
        (tmp_path / f"days/{date_text}.csv").write_text(text)
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        "source: {weights: {view: 0}}\nlimits: {max_unknown_events: 1, max_rejected: 1}"
    )
    text = run_first_night(tmp_path, str(settings), "r1")
    asked = "dawnlist backfill --from 2026-01-01 --to 2026-01-30 --all"
    line = (
        "unknown   1,800 rows of unknown events were rejected: 1,800 'add-to-cart'; name them in source.events or "
        "source.weights (0: not wanted), then fetch them again, with the run's --source, --lake and --settings: "
    )
    assert line + asked in text.splitlines()
    settings.write_text("source: {events: {add-to-cart: cart}}")
    options = (
        "--source",
        str(tmp_path / "days"),
        "--lake",
        str(tmp_path / "lake"),
        "--settings",
        str(settings),
    )
    done = command(*asked.split()[2:], *options, "--parallel", "1")
    assert (done.returncode, done.stderr) == (0, "")
    lake = Lake.open(str(tmp_path / "lake"), "default")
    stored = lake.rows("interactions")
    assert stored is not None
    counts = stored.to_table(columns=["event_type"])["event_type"].value_counts().to_pylist()
    assert {count["values"]: count["counts"] for count in counts} == {
        "view": 36_000,
        "cart": 1_800,
        "purchase": 30,
    }
    assert "unknown " not in run_first_night(tmp_path, str(settings), "r2")


def test_a_full_disk_is_one_line_and_nothing_is_committed(tmp_path: Path) -> None:
    (tmp_path / "days").mkdir()
    rows = "".join(
        f"{n % 977},{n * 7919 % 100003},view,2026-01-01T00:00:{n % 60:02}Z\n" for n in range(50_000)
    )
    (tmp_path / "days/2026-01-01.csv").write_text("user_id,item_id,event,ts\n" + rows)
    (tmp_path / "small").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(tmp_path / "small")]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can make a disk of 300 kB")
    try:
        where = ("--lake", str(tmp_path / "small/lake"), "--source", str(tmp_path / "days"))
        done = command(*where, "--from", "2026-01-01", "--to", "2026-01-01", "--all")
        assert done.returncode == 1
        assert (
            "is full: nothing was committed to interactions, make room"
            in done.stderr.splitlines()[-1]
        )
        assert Lake.open(str(tmp_path / "small/lake"), "default").table("interactions") is None
    finally:
        subprocess.run(["umount", str(tmp_path / "small")], check=True)


def test_days_are_filled_from_the_first_that_is_kept(tmp_path: Path) -> None:
    """Days before 3 January were dropped for their age; those from 5 January on are covered."""
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    rows = INTERACTIONS_SCHEMA.empty_table()
    window = (datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 7, tzinfo=UTC))
    expired = {EXPIRED_APP_ID: int(datetime(2026, 1, 3, tzinfo=UTC).timestamp())}
    commit = build_commit_properties(build_window_transactions(window) | expired)
    write_deltalake(
        lake.table_uri("interactions"), rows, partition_by=["event_date"], commit_properties=commit
    )
    times = [f"2026-01-{day:02}T12:00:00Z" for day in range(1, 9)]
    source = clicks(tmp_path / "shop.db", *times)
    gaps = backfill_windows.find_gaps(lake, source, Settings(), DAYS)
    assert [(gap.day.day, gap.source, gap.lake) for gap in gaps] == [
        (day, 1, None) for day in (3, 4, 7, 8)
    ]


def test_a_range_ends_yesterday_at_the_latest() -> None:
    today = datetime.now(UTC).date()
    yesterday = today - timedelta(days=1)
    assert backfill_windows.list_days_between(yesterday, yesterday) == [yesterday]
    assert len(backfill_windows.list_days_between(yesterday - timedelta(days=2), yesterday)) == 3
    with pytest.raises(ValueError, match="is after --to"):
        backfill_windows.list_days_between(yesterday, yesterday - timedelta(days=1))
    with pytest.raises(ValueError, match="is not over"):
        backfill_windows.list_days_between(yesterday, today + timedelta(days=1))
