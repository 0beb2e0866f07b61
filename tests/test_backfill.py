import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import hold_lease
from dawnlist.lake.watermark import read_covered_window
from dawnlist.pipelines.lake import backfill_windows
from dawnlist.settings import Settings
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
