"""Progress of a long step: a line each half minute, with the share that is done."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from dawnlist import progress
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.components.fetch.read_ahead import count_rows
from dawnlist.lake.lake import Lake
from dawnlist.progress import ProgressLog
from dawnlist.settings import SourceSettings


def test_a_line_comes_each_half_minute_and_no_earlier(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([100.0, 129.9, 130.0, 159.9, 165.0, 194.9, 195.0])
    log = ProgressLog("publish", "buckets", 20_000, lambda: next(times))
    for done in (1, 5_000, 5_001, 19_999, 19_999):
        log.report(done)
    log.report(20_000, "4 rows")
    assert capsys.readouterr().out.splitlines() == [
        "publish: 5,000 of 20,000 buckets (25%) after 30 s",
        "publish: 19,999 of 20,000 buckets (100%) after 65 s",
        "publish: 20,000 of 20,000 buckets (100%), 4 rows after 95 s",
    ]


def test_work_of_nothing_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 30.0])
    ProgressLog("search", "trials", 0, lambda: next(times)).report(0)
    assert capsys.readouterr().out == "search: 0 of 0 trials (0%) after 30 s\n"


def test_rows_are_counted_as_they_are_read_and_the_source_is_closed() -> None:
    events: list[int | str] = []

    def read() -> Iterator[pa.RecordBatch]:
        try:
            for rows in (2, 3, 4):
                yield pa.RecordBatch.from_pydict({"a": [1] * rows})
        finally:
            events.append("closed")

    batches = count_rows(read(), events.append)
    assert [next(batches).num_rows, next(batches).num_rows] == [2, 3]
    batches.close()  # type: ignore[attr-defined]
    assert events == [2, 5, "closed"]


def test_fetch_says_how_many_rows_it_has_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    clicks = tmp_path / "clicks.csv"
    clicks.write_text("user_id,item_id,event,ts\nu1,i1,view,2026-01-01T12:00:00Z\n")
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    day = datetime(2026, 1, 2, tzinfo=UTC)
    fetch_source(lake, str(clicks), SourceSettings(check_days=0), day, "r1", 3)
    assert "fetch: 0 of 1 windows (0%), 1 rows after " in capsys.readouterr().out
