"""A lake with a past -> exactly this stays, and no trace of what had to go."""

import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError
from typer.testing import CliRunner

from dawnlist.cuts import format_iso, format_stamp
from dawnlist.lake.commits import WRITER_APP_ID
from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import TABLES_LEASE, hold_lease
from dawnlist.lake.watermark import build_window_transactions, read_covered_window
from dawnlist.pipelines.lake import commands
from dawnlist.schema import INTERACTIONS_SCHEMA, QUARANTINE_SCHEMA
from dawnlist.settings import KeepSettings
from dawnlist.upkeep import compaction, housekeeping, time_travel
from tests.support.servers import s3_server

WATERMARK = datetime(2020, 3, 1, 3, tzinfo=UTC)
"""Years ago: by the clock all of it would be old."""
NOW = datetime.now(UTC)

ADDRESS = "203.0.113.77"
KEEP = KeepSettings(interactions_days=20)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


def day(back: int) -> date:
    return (WATERMARK - timedelta(days=back)).date()


def rows(*days: date) -> pa.Table:
    """An event for each day."""
    texts = {
        name: "1"
        for name in INTERACTIONS_SCHEMA.names
        if name not in ("weight", "event_time", "event_date")
    }
    made = [
        {**texts, "event_id": f"{each}-{number}", "weight": 1.0, "event_date": each,
         "event_time": datetime(each.year, each.month, each.day, tzinfo=UTC)}
        for number, each in enumerate(days)
    ]  # fmt: skip
    return pa.Table.from_pylist(made, schema=INTERACTIONS_SCHEMA)


def append(lake: Lake, table: pa.Table, start: datetime = WATERMARK - timedelta(days=365)) -> None:
    """As clean commits."""
    said = [
        Transaction(app, version)
        for app, version in {
            **build_window_transactions((start, WATERMARK)),
            WRITER_APP_ID: 1,
        }.items()
    ]
    write_deltalake(
        lake.table_uri("interactions"), table, mode="append", partition_by=["event_date"],
        commit_properties=CommitProperties(app_transactions=said),
    )  # fmt: skip


def reject(lake: Lake, *days_back: int) -> None:
    """A commit for each, with the raw address in the row."""
    for number, back in enumerate(days_back):
        row = {
            "source_row": json.dumps({"ip": ADDRESS}),
            "reason": "event missing",
            "source_object": "o",
        }
        moment = WATERMARK - timedelta(days=back)
        table = pa.Table.from_pylist(
            [row | {"row_number": number, "as_of": moment}], schema=QUARANTINE_SCHEMA
        )
        write_deltalake(lake.table_uri("quarantine"), table, mode="append")


def land(lake: Lake, back: int, name: str = "") -> None:
    """A landing object of a window that ended so many days ago, with the raw address in it."""
    end = WATERMARK - timedelta(days=back)
    path = Path(
        lake.path(
            "landing",
            "interactions",
            name or f"{format_stamp(end - timedelta(days=1))}_{format_stamp(end)}",
            "r.parquet",
        )
    )
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"ip": [ADDRESS]}), path)


def age(lake: Lake, days: float) -> None:
    """As if all that was done so far had been done so many days earlier."""
    back = timedelta(days=days)
    for path in Path(lake.base).rglob("*"):
        if path.parent.name == "_delta_log" and path.suffix == ".json":
            path.write_text(
                "".join(
                    f"{json.dumps(_earlier(json.loads(line), back))}\n" for line in _lines(path)
                )
            )
        if path.parent.name == "_delta_log" and ".checkpoint." in path.name:
            _age_checkpoint(path, back)
    for path in Path(lake.base).rglob("*"):
        if path.is_file():
            moment = path.stat().st_mtime - back.total_seconds()
            os.utime(path, (moment, moment))


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def _earlier(value: Any, back: timedelta) -> Any:
    """An action of the log with its times moved."""
    if not isinstance(value, dict):
        return value
    times = ("timestamp", "deletionTimestamp", "modificationTime")
    milliseconds = int(back.total_seconds() * 1000)
    return {
        key: part - milliseconds if key in times and part is not None else _earlier(part, back)
        for key, part in value.items()
    }


def _age_checkpoint(path: Path, back: timedelta) -> None:
    checkpoint = pq.read_table(path)
    moved = [_earlier(action, back) for action in checkpoint.to_pylist()]
    pq.write_table(pa.Table.from_pylist(moved, schema=checkpoint.schema), path)


def expire(lake: Lake, keep: KeepSettings = KEEP, dry_run: bool = False) -> dict[str, Any]:
    report = housekeeping.expire_lake(lake, keep, NOW, dry_run)
    json.dumps(report)
    return report


def days_of(lake: Lake, version: int | None = None) -> list[date]:
    found = lake.rows("interactions", version)
    assert found is not None
    return sorted(found.to_table(columns=["event_date"])["event_date"].to_pylist())


def version_of(lake: Lake, name: str = "interactions") -> int:
    table = lake.table(name)
    assert table is not None
    return int(table.version())


def files_of(lake: Lake) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(lake.base, "tables").rglob("*.parquet")}


def test_days_count_from_the_watermark_not_from_the_clock(lake: Lake) -> None:
    append(lake, rows(day(0), day(20), day(21), day(21), day(300)))
    before = files_of(lake)
    report = expire(lake)
    assert report["moment"] == "2020-03-01T03:00:00Z"
    assert report["interactions"] == {"rows": 3, "days": 2, "files": 2, "first": "2020-02-10"}
    assert days_of(lake) == [day(20), day(0)]
    assert read_covered_window(lake.table("interactions")) == (
        datetime(2020, 2, 10, tzinfo=UTC),
        WATERMARK,
    )
    written = {name for name in files_of(lake) if "checkpoint" not in name}
    assert written == set(before)  # nothing was rewritten, and older versions can still be read
    assert days_of(lake, 0) == [day(300), day(21), day(21), day(20), day(0)]


def test_a_second_time_there_is_nothing_to_do(lake: Lake) -> None:
    append(lake, rows(day(0), day(30)))
    reject(lake, 1, 40)
    land(lake, 40)
    expire(lake)
    versions = version_of(lake), version_of(lake, "quarantine")
    tree = sorted(Path(lake.base).rglob("*"))
    again = expire(lake)
    assert (version_of(lake), version_of(lake, "quarantine")) == versions
    assert sorted(Path(lake.base).rglob("*")) == tree
    assert again["interactions"] == {"rows": 0, "days": 0, "files": 0, "first": "2020-02-10"}


def test_a_dry_run_says_the_same_and_does_nothing(lake: Lake) -> None:
    append(lake, rows(day(0), day(30)))
    reject(lake, 1, 40)
    land(lake, 40)
    age(lake, 2)
    tree = {path: path.stat().st_mtime for path in sorted(Path(lake.base).rglob("*"))}
    said = expire(lake, dry_run=True)
    assert {path: path.stat().st_mtime for path in sorted(Path(lake.base).rglob("*"))} == tree
    done = expire(lake)
    assert {name: said[name] for name in said if name != "tables"} == {
        name: done[name] for name in done if name != "tables"
    }
    assert (
        said["interactions"]["rows"],
        said["quarantine"]["rows"],
        said["landing"]["dropped"],
    ) == (1, 1, 1)


def test_a_day_to_come_makes_nothing_old(lake: Lake) -> None:
    """Somebody ran the pipeline with an as_of of next century."""
    today = (NOW - timedelta(hours=1)).date()
    append(lake, rows(today, today - timedelta(days=30)))
    far = NOW + timedelta(days=40_000)
    said = [
        Transaction(app, version)
        for app, version in {
            **build_window_transactions((WATERMARK, far)),
            WRITER_APP_ID: 2,
        }.items()
    ]
    table = lake.table("interactions")
    assert table is not None
    write_deltalake(
        table, rows(today), mode="append", commit_properties=CommitProperties(app_transactions=said)
    )
    report = expire(lake)
    assert (report["moment"], report["interactions"]["rows"]) == (format_iso(NOW), 1)
    assert days_of(lake) == [today, today]


def test_no_day_is_dropped_in_the_middle_of_a_backfill(lake: Lake) -> None:
    append(lake, rows(day(0), day(30)))
    told: list[str] = []
    with hold_lease(lake, "backfill", "backfill-1"):
        thread = threading.Thread(
            target=lambda: housekeeping.expire_lake(lake, KEEP, NOW, on_wait=told.append)
        )
        thread.start()
        thread.join(0.5)
        assert days_of(lake) == [day(30), day(0)]
        with hold_lease(
            lake, TABLES_LEASE, "worker", wait=0
        ):  # which the backfill's own commits need
            pass
    thread.join()
    assert days_of(lake) == [day(0)]
    assert [line.partition(" of ")[0] for line in told] == ["the lease 'backfill'"]


def test_an_empty_lake_has_no_moment(lake: Lake) -> None:
    assert expire(lake) == {"moment": None}
    assert housekeeping.summarise_lake(lake) == {
        "tables": {},
        "held": None,
        "landing": {"objects": 0, "bytes": 0},
    }


def test_the_lake_takes_in_again_what_expired(lake: Lake) -> None:
    """A window that reaches back finds that this time is not held any more."""
    from dawnlist.components.fetch.window_plan import plan_windows

    append(lake, rows(day(0), day(30)))
    expire(lake)
    end = WATERMARK + timedelta(days=1)
    assert (
        len(plan_windows(read_covered_window(lake.table("interactions")), end, 20, timedelta()))
        == 1
    )
    assert plan_windows(read_covered_window(lake.table("interactions")), end, 60, timedelta())[
        0
    ] == (
        datetime(2020, 1, 2, tzinfo=UTC),  # a midnight
        datetime(2020, 2, 10, tzinfo=UTC),
    )


def test_no_trace_of_a_raw_address_is_left(lake: Lake) -> None:
    append(lake, rows(day(0)))
    reject(lake, 40, 50)
    land(lake, 40)
    assert traces(lake) == {"landing", "tables"}
    age(lake, 2)
    expire(lake)
    assert traces(lake) == {"tables"}  # older versions can still be read
    age(lake, 8)
    expire(lake)
    assert traces(lake) == set()
    assert read_covered_window(lake.table("interactions")) is not None


def traces(lake: Lake) -> set[str]:
    """Folders with a file that has the raw address in it; Parquet may compress it, so its values are read too."""
    found = set()
    for path in Path(lake.base).rglob("*"):
        if path.is_file():
            read = str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else ""
            if ADDRESS in read or ADDRESS.encode() in path.read_bytes():
                found.add(path.relative_to(lake.base).parts[0])
    return found


def test_the_version_that_was_current_a_week_ago_can_be_read(lake: Lake) -> None:
    append(lake, rows(day(0)))
    append(lake, rows(day(1)))
    expire(lake)
    age(lake, 300)
    current = version_of(lake)
    append(lake, rows(day(2)))
    assert time_travel.trim_history(lake, "interactions", NOW, 7, 7)["log_entries"] == current
    assert time_travel.find_oldest_version(lake, "interactions") == current
    assert days_of(lake, current) == [day(1), day(0)]
    assert read_covered_window(lake.table("interactions")) == (
        WATERMARK - timedelta(days=365),
        WATERMARK,
    )


def test_what_a_killed_writer_left_goes(lake: Lake) -> None:
    append(lake, rows(day(0)))
    orphan = Path(lake.base, "tables", "interactions", f"event_date={day(0)}", "part-1.parquet")
    orphan.write_bytes(b"half")
    assert expire(lake)["tables"]["interactions"]["files"] == 0  # it may be writing still
    age(lake, 8)
    report = expire(lake)["tables"]["interactions"]
    assert (report["files"], report["file_bytes"], orphan.exists()) == (1, 4, False)
    assert days_of(lake) == [day(0)]


def test_landing_objects_go_by_the_end_of_their_window(lake: Lake) -> None:
    append(lake, rows(day(0)))
    for back in (29, 31, 40):
        land(lake, back)
    land(lake, 0, "by-hand")
    age(lake, 2)
    land(lake, 90)  # a backfill, a moment ago
    assert expire(lake)["landing"] == {
        "dropped": 2,
        "objects": 2,
        "bytes": pytest.approx(1000, abs=900),
        "kept": {
            "not old enough": 1,
            "written within the last day": 1,
            "without a day in its name": 1,
        },
    }
    assert len(list(lake.walk("landing"))) == 3


def test_runs_and_reports_go_together(lake: Lake) -> None:
    append(lake, rows(day(0)))
    for back in (10, 91):
        moment = format_stamp(WATERMARK - timedelta(days=back))
        lake.write_json({}, "runs", moment, "run-1", "fetch.json")
        lake.write_json({}, "runs", moment, "run-1", "clean.json")
        lake.write(b"page", "reports", moment, "run-1.html")
    age(lake, 2)
    report = expire(lake)
    assert report["runs"] == {"dropped": 1, "objects": 2, "bytes": 4, "kept": {"not old enough": 1}}
    assert report["reports"] == {
        "dropped": 1,
        "objects": 1,
        "bytes": 4,
        "kept": {"not old enough": 1},
    }


def model(lake: Lake, name: str, back: int) -> None:
    lake.write_json(
        {"as_of": (WATERMARK - timedelta(days=back)).isoformat()}, "models", name, "lineage.json"
    )
    lake.write_json({}, "models", name, "MANIFEST")


def test_models_that_a_publication_names_stay(lake: Lake) -> None:
    append(lake, rows(day(0)))
    for name, back in (
        ("live", 200),
        ("once-live", 300),
        ("never-live", 300),
        ("lost", 300),
        ("young", 3),
    ):
        model(lake, name, back)
    lake.write_json({}, "models", "odd", "config.json")
    lake.write_json({"model": "never-live"}, "publications", "1.json")
    lake.write_json({"model": "once-live"}, "publications", "2.json")
    lake.write_json({"model": "live", "version": 1, "history": []}, "champion.json")
    age(lake, 2)
    assert expire(lake)["models"] == {
        "dropped": 1,
        "objects": 2,
        "bytes": pytest.approx(40, abs=10),
        "kept": {"named by a publication": 3, "not old enough": 1, "without a day of its own": 1},
    }
    assert {found.name.split("/")[1] for found in lake.walk("models")} == {
        "live", "once-live", "never-live", "young", "odd",
    }  # fmt: skip


def test_a_publication_that_cannot_be_read_keeps_all_models(lake: Lake) -> None:
    append(lake, rows(day(0)))
    model(lake, "old", 300)
    lake.write(b"{", "publications", "1.json")
    age(lake, 2)
    with pytest.raises(
        ValueError,
        match=r"no model is dropped, since publications/1.json of the lake .* is no JSON",
    ):
        expire(lake)
    assert lake.exists("models", "old", "MANIFEST")


def test_searches_count_from_the_newest(lake: Lake) -> None:
    append(lake, rows(day(0)))
    lake.write_json({}, "trials", "old", "a.json")
    age(lake, 91)
    lake.write_json({}, "trials", "new", "a.json")
    age(lake, 400)
    assert expire(lake)["trials"] == {
        "dropped": 1,
        "objects": 1,
        "bytes": 2,
        "kept": {"not old enough": 1},
    }


def test_a_day_of_many_files_becomes_one(lake: Lake) -> None:
    for _ in range(6):
        append(lake, rows(day(0), day(1)))
    append(lake, rows(day(2)))
    before = lake.rows("interactions")
    assert before is not None
    order = [("event_date", "ascending"), ("event_id", "ascending")]
    assert compaction.compact_table(lake, "interactions") == {
        "partitions": 2,
        "files_before": 13,
        "files_after": 3,
    }
    after = lake.rows("interactions")
    assert after is not None
    assert after.to_table().sort_by(order) == before.to_table().sort_by(order)
    assert read_covered_window(lake.table("interactions")) == (
        WATERMARK - timedelta(days=365),
        WATERMARK,
    )
    version = version_of(lake)
    assert compaction.compact_table(lake, "interactions") == {
        "partitions": 0,
        "files_before": 3,
        "files_after": 3,
    }
    assert version_of(lake) == version


def test_a_table_without_partitions_is_compacted_too(lake: Lake) -> None:
    reject(lake, 1, 2, 3, 4, 5)
    assert compaction.compact_table(lake, "quarantine", dry_run=True)["files_after"] == 1
    assert compaction.compact_table(lake, "quarantine") == {
        "partitions": 1,
        "files_before": 5,
        "files_after": 1,
    }
    assert compaction.compact_table(lake, "nothing") == {
        "partitions": 0,
        "files_before": 0,
        "files_after": 0,
    }


def test_a_commit_that_read_before_the_expiry_fails(lake: Lake) -> None:
    """So clean reads again what is there and from when on, and retries."""
    append(lake, rows(day(0), day(30)))
    read = lake.table("interactions")
    assert read is not None
    expire(lake)
    said = CommitProperties(app_transactions=[Transaction(WRITER_APP_ID, 1)])
    with pytest.raises(CommitFailedError):
        write_deltalake(read, rows(day(0)), mode="append", commit_properties=said)


def test_expiry_and_compaction_beside_a_writer(lake: Lake) -> None:
    append(lake, rows(day(0), day(30)))
    writer = threading.Thread(target=_append_many, args=(lake,))
    writer.start()
    while writer.is_alive():
        expire(lake)
        compaction.compact_table(lake, "interactions")
    writer.join()
    expire(lake)
    assert days_of(lake) == [day(0)] * 7


def _append_many(lake: Lake) -> None:
    for number in range(6):
        for _ in range(50):
            with suppress(CommitFailedError):  # as clean: read again, try again
                append(lake, rows(day(0), day(number + 40)))
                break


def test_two_housekeepings_wait_for_each_other(lake: Lake) -> None:
    append(lake, rows(day(0), day(30)))
    reports: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: reports.append(expire(lake))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report["interactions"]["rows"] for report in reports) == [0, 1]


def test_the_status(lake: Lake) -> None:
    append(lake, rows(day(0), day(2)))
    append(lake, rows(day(1)))
    reject(lake, 1)
    land(lake, 1)
    status = housekeeping.summarise_lake(lake)
    sizes = {name: table.pop("bytes") for name, table in status["tables"].items()}
    assert status["tables"] == {
        "interactions": {
            "rows": 3, "files": 3, "version": 1, "oldest": 0, "first": "2020-02-28", "last": "2020-03-01"
        },
        "quarantine": {"rows": 1, "files": 1, "version": 0, "oldest": 0, "first": None, "last": None},
    }  # fmt: skip
    assert sizes["interactions"] == sum(
        path.stat().st_size for path in Path(lake.base).rglob("event_date=*/*")
    )
    assert status["held"] == ["2019-03-02T03:00:00Z", "2020-03-01T03:00:00Z"]
    assert status["landing"]["objects"] == 1 and status["landing"]["bytes"] > 0


def test_a_table_whose_first_commit_failed_is_left_out(lake: Lake) -> None:
    append(lake, rows(day(0)))
    (Path(lake.base) / "tables/items").mkdir()
    (Path(lake.base) / "tables/items/part-0.parquet").write_bytes(b"half")
    assert list(housekeeping.summarise_lake(lake)["tables"]) == ["interactions"]
    assert expire(lake)["tables"]["items"] == {
        "partitions": 0, "files_before": 0, "files_after": 0, "files": 0, "file_bytes": 0, "log_entries": 0
    }  # fmt: skip


def test_a_table_that_lost_a_file_is_told(lake: Lake) -> None:
    append(lake, rows(day(0)))
    next(Path(lake.base).rglob("event_date=*/*")).unlink()
    with pytest.raises(FileNotFoundError, match=r"the table interactions of .* lacks files"):
        housekeeping.summarise_lake(lake)


def test_a_table_goes_back_with_the_time_that_it_held(lake: Lake) -> None:
    append(lake, rows(day(0), day(30)))
    before = read_covered_window(lake.table("interactions"))
    expire(lake)
    assert time_travel.restore_version(lake, "interactions", 0) == version_of(lake) == 3
    assert (days_of(lake), read_covered_window(lake.table("interactions"))) == (
        [day(30), day(0)],
        before,
    )


def test_a_version_that_is_gone_is_not_restored(lake: Lake) -> None:
    append(lake, rows(day(0)))
    append(lake, rows(day(1)))
    next(Path(lake.base).rglob(f"event_date={day(0)}/*")).unlink()
    with pytest.raises(
        ValueError, match=r"version 0 of the table interactions of .* can't be read"
    ):
        time_travel.restore_version(lake, "interactions", 0)
    assert version_of(lake) == 1


PAGE = (Path(__file__).parents[1] / "docs" / "OPERATIONS.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def typed(lake: Lake, monkeypatch: pytest.MonkeyPatch, word: str) -> list[Any]:
    """Run the runbook's block that has this word in it, on this lake and its version 0; what it prints."""
    [block] = [block for block in BLOCKS if word in block]
    told: list[Any] = []
    monkeypatch.setattr(Lake, "open", lambda *_: lake)
    exec(block.replace("41", "0"), {"print": lambda *values: told.extend(values)})
    return told


def test_the_runbook_on_an_older_version(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    append(lake, rows(day(0), day(1)))
    append(lake, rows(day(2)))
    assert typed(lake, monkeypatch, "history")[:2] == [2, 1]
    assert typed(lake, monkeypatch, "restore") == [2]
    assert days_of(lake) == [day(1), day(0)]


def test_the_runbook_on_lost_files(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    append(lake, rows(day(0), day(1)))
    next(Path(lake.base).rglob(f"event_date={day(1)}/*")).unlink()
    would, did = typed(lake, monkeypatch, "repair")
    assert would["files_removed"] == did["files_removed"] and f"{day(1)}" in did["files_removed"][0]
    assert days_of(lake) == [day(0)]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """A lake on an S3 emulator."""
    with s3_server() as url:
        environment = {"AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
        for name, value in {
            **environment,
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
        }.items():
            monkeypatch.setenv(name, value)
        httpx.put(f"{url}/bucket").raise_for_status()
        yield Lake.open("s3://bucket/lake", "shop")


def test_housekeeping_of_a_bucket(bucket: Lake) -> None:
    for _ in range(5):
        append(bucket, rows(day(0), day(30)))
    bucket.write(
        b"raw",
        "landing",
        "interactions",
        f"{format_stamp(WATERMARK)}_{format_stamp(WATERMARK)}",
        "r.parquet",
    )
    later = NOW + timedelta(days=9)
    report = housekeeping.expire_lake(bucket, KEEP, later)
    assert report["interactions"] == {"rows": 5, "days": 1, "files": 5, "first": "2020-02-10"}
    assert report["landing"]["kept"] == {"not old enough": 1}
    table = report["tables"]["interactions"]
    assert (table["files_before"], table["files_after"], table["log_entries"]) == (5, 1, 0)
    assert days_of(bucket) == [day(0)] * 5
    # the clock goes on for the log only: Delta's vacuum looks at its own
    assert time_travel.trim_history(bucket, "interactions", later, 7, 7)["log_entries"] > 5
    status = housekeeping.summarise_lake(bucket)["tables"]["interactions"]
    assert (status["rows"], status["files"]) == (5, 1) and status["oldest"] <= status["version"]


def said(*words: str) -> list[str]:
    done = CliRunner().invoke(commands.lake_app, words)
    assert done.exit_code == 0, done.output
    return [line.strip() for line in done.output.splitlines()]


def test_the_command_says_what_went_and_what_stayed(lake: Lake, tmp_path: Path) -> None:
    place = ("--lake", str(tmp_path / "lake"), "--namespace", "shop")
    append(lake, rows(day(0), day(4), day(30)))
    reject(lake, 1, 40)
    model(lake, "old", 300)
    age(lake, 2)
    would = said("expire", "--keep-days", "3", "--dry-run", *place)
    lines = said("expire", "--keep-days", "3", *place)
    assert [line.replace("would go", "dropped") for line in would[:8]] == lines[:8]
    assert lines[:7] == [
        f"{lake.uri}: ages count back from 2020-03-01T03:00:00Z, the end of what it holds",
        "interactions: 2 rows of 2 days before 2020-02-27 dropped",
        "quarantine: 1 row dropped",
        "landing objects: 0 dropped, 0 bytes; kept: none",
        "runs: 0 dropped, 0 bytes; kept: none",
        "reports: 0 dropped, 0 bytes; kept: none",
        "models: 1 dropped, 43 bytes; kept: none",
    ]
    shown = said("status", *place)
    assert shown[:2] == [lake.uri, "holds [2020-02-27T00:00:00Z, 2020-03-01T03:00:00Z)"]
    assert shown[3].split()[:3] == ["interactions", "1", "1"] and shown[3].endswith("2020-03-01")
    assert shown[-1] == "landing: 0 objects, 0 bytes"


def test_flags_win_over_settings(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("keep: {interactions_days: 10, quarantine_days: 2}")
    append(lake, rows(day(0), day(8), day(12)))
    reject(lake, 1, 3)
    words = (
        "--lake",
        str(tmp_path / "lake"),
        "--namespace",
        "shop",
        "--settings",
        str(tmp_path / "settings.yaml"),
    )
    assert said("expire", "--quarantine-days", "5", *words)[1:3] == [
        "interactions: 1 row of 1 day before 2020-02-20 dropped",
        "quarantine: 0 rows dropped",
    ]


@pytest.mark.parametrize("name", ["landing", "quarantine", "runs", "time_travel", "interactions"])
def test_the_flags_refuse_what_the_settings_refuse(name: str) -> None:
    flag = f"--{name.replace('_', '-').replace('interactions', 'keep')}-days"
    for least in (1, 3):
        assert (
            CliRunner().invoke(commands.lake_app, ["expire", flag, str(least - 1)]).exit_code == 2
        ) is _refused(name, least - 1)


def _refused(name: str, days: int) -> bool:
    try:
        KeepSettings(**{f"{name}_days": days})
    except ValueError:
        return True
    return False


def refused(*words: str) -> str:
    done = CliRunner().invoke(commands.lake_app, words)
    assert (done.exit_code, done.output) == (1, "")
    return str(done.exception)


def test_a_lake_that_holds_nothing_says_so(tmp_path: Path) -> None:
    place = tmp_path / "lake"
    where = f"in the lake {place.as_uri()}/default: check --lake and --namespace"
    for command in ("expire", "compact", "status"):
        assert refused(command, "--lake", str(place)) == f"there is nothing {where}"
    assert not place.exists()
    Lake.open(str(place), "default").write(b"", "landing", "a.parquet")
    tree = sorted(place.rglob("*"))
    for command in ("expire", "compact", "status"):
        assert refused(command, "--lake", str(place)) == f"there are no tables {where}"
    assert sorted(place.rglob("*")) == tree


def test_compact_counts_files(lake: Lake, tmp_path: Path) -> None:
    for _ in range(5):
        append(lake, rows(day(0)))
    assert said("compact", "--lake", str(tmp_path / "lake"), "--namespace", "shop") == [
        "interactions: 5 files, now 1"
    ]
