"""Objects of the lake that Dawnlist did not write: each is named in one line, or stops nobody."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from dawnlist.components.filter_bots.previous_report import read_previous_report
from dawnlist.components.notify.outbox import deliver_messages
from dawnlist.lake.commits import commit_with_retries
from dawnlist.lake.damaged_objects import DamagedObjectError
from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import hold_lease
from dawnlist.lake.table_log import SMALLEST_COMMIT_BYTES
from dawnlist.records import registry
from dawnlist.records.ablations import find_newest_ablation, save_ablation
from dawnlist.records.challengers import find_newest_challenger, find_warm_start, record_challenger
from dawnlist.records.run_records import read_step_records, record_step
from tests.test_registry import go_live, report

DAY = datetime(2026, 1, 3, tzinfo=UTC)
GARBAGE = [b"", b"{nope", b"\xff\xfe", b"null", b"[]", b"7", b"{}", b"[" * 5_000]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path), "shop")


def check_line(error: pytest.ExceptionInfo[DamagedObjectError], lake: Lake, path: str) -> None:
    """The message is one line with the object, the lake and what to do."""
    line = str(error.value)
    assert path in line and lake.uri in line and "delete it" in line
    assert "\n" not in line and len(line) < 600


@pytest.mark.parametrize("data", [*GARBAGE, b'{"history": {}}'])
def test_a_damaged_champion(lake: Lake, data: bytes) -> None:
    go_live(lake, 1, 1)
    lake.write(data, "champion.json")
    acts: tuple[Callable[[], object], ...] = (
        lambda: registry.find_incumbent(lake, DAY),
        lambda: registry.read_champion(lake),
        lambda: registry.set_champion(lake, report(1, 1)),
    )
    for act in acts:
        with pytest.raises(DamagedObjectError) as told:
            act()
        check_line(told, lake, "champion.json")
    lake.delete("champion.json")  # as the line says
    registry.set_champion(lake, report(1, 1))
    found = registry.find_incumbent(lake, DAY)
    assert found and found["run"] == "run-1"


@pytest.mark.parametrize("data", GARBAGE)
def test_a_damaged_publication(lake: Lake, data: bytes) -> None:
    go_live(lake, 1, 1)
    [name] = lake.names("publications")
    lake.write(data, "publications", name)
    with pytest.raises(DamagedObjectError) as told:
        registry.find_incumbent(lake, DAY)
    check_line(told, lake, f"publications/{name}")


@pytest.mark.parametrize(
    "data", [*GARBAGE, b'{"owner": "a", "pid": 1, "machine": "", "expires": "x"}']
)
def test_a_damaged_lease_is_replaced(lake: Lake, data: bytes) -> None:
    lake.write(data, "leases", "tables.json")
    lines: list[str] = []
    with hold_lease(lake, "tables", "run", wait=0, on_wait=lines.append) as lease:
        lease.check()
        assert lake.read_json("leases", "tables.json")["run"] == "run"
        with pytest.raises(TimeoutError), hold_lease(lake, "tables", "other", wait=0):
            pass
    [line] = lines
    assert line.endswith("; it is replaced")


def test_a_free_lease_says_nothing(lake: Lake) -> None:
    lines: list[str] = []
    for _ in range(2):
        with hold_lease(lake, "tables", "run", wait=0, on_wait=lines.append):
            pass
    assert lines == []


@pytest.mark.parametrize("data", GARBAGE)
def test_a_damaged_run_record_is_a_failed_step(lake: Lake, tmp_path: Path, data: bytes) -> None:
    with record_step(str(tmp_path), "shop", DAY, "run", "fetch"):
        pass
    folder = ("runs", "20260103T000000Z", "run")
    lake.write(data, *folder, "clean.json")
    lake.write(b"notes", *folder, "notes.txt")
    records = {record["step"]: record for record in read_step_records(lake, DAY, "run")}
    assert {step: record["state"] for step, record in records.items()} == {
        "fetch": "succeeded",
        "clean": "failed",
    }
    message = records["clean"]["error"]["message"]
    assert message.startswith("runs/20260103T000000Z/run/clean.json of the lake file://")
    assert "delete it" in message


@pytest.mark.parametrize("data", GARBAGE)
def test_damaged_records_of_other_days_are_passed_over(lake: Lake, data: bytes) -> None:
    old = datetime(2026, 1, 1, tzinfo=UTC)
    record_challenger(lake, old, "model", old, {})
    save_ablation(lake, old, {"rows": []})
    for path in (
        ("challengers", "20260102T000000Z.json"),
        ("ablation", "20260102T000000Z.json"),
        ("runs", "20260102T000000Z", "run", "filter_bots.json"),
        ("outbox", "20260102T000000Z-run-1.json"),
    ):
        lake.write(data, *path)
    config: dict[str, Any] = {"engine": "als", "solver": "ials", "factors": 2}
    lake.write_json(
        {"model": "model", "before": "2026-01-01T00:00:00Z", "config": config},
        "challengers",
        "20260101T000000Z.json",
    )
    assert find_newest_challenger(lake) == "model"
    assert find_warm_start(lake, DAY, DAY, config) is None
    assert find_newest_ablation(lake, DAY) == {"rows": []}
    assert read_previous_report(lake, DAY) is None
    [line] = deliver_messages(lake, "run", None, [], 5.0)
    assert line.startswith("outbox/20260102T000000Z-run-1.json of the lake file://")


def write_commits(lake: Lake) -> list[str]:
    """Write a table of four commits; returns the paths of the commits."""
    for number in range(4):
        write_deltalake(lake.table_uri("items"), pa.table({"item_id": [number]}), mode="append")
    return [f"tables/items/_delta_log/{number:020}.json" for number in range(4)]


@pytest.mark.parametrize("number", [0, 1, 3])
@pytest.mark.parametrize("data", [*GARBAGE, None, b'{"commitInfo":{"timest', b'{"other": 1}\n'])
def test_a_damaged_commit_is_named(lake: Lake, number: int, data: bytes | None) -> None:
    path = write_commits(lake)[number]
    if data is None and number == 3:
        return  # without its newest commit a table is what it was before
    lake.delete(path)
    if data is not None:
        lake.write(data, path)
    with pytest.raises(DamagedObjectError) as told:
        commit_with_retries(lake, "items", lambda table: table)
    check_line(told, lake, path)
    if number == 3:
        with pytest.raises(DamagedObjectError):
            lake.table("items")
        lake.delete(path)  # as the line says
        table = lake.table("items")
        assert table is not None and table.version() == 2


def test_whole_commits_are_larger_than_what_is_looked_into(lake: Lake) -> None:
    for path in write_commits(lake):
        data = lake.read(path)
        assert data is not None and len(data) > SMALLEST_COMMIT_BYTES
    lake.check_log("items")
    lake.write(b"{}".ljust(SMALLEST_COMMIT_BYTES - 1), write_commits(lake)[1])
    with pytest.raises(DamagedObjectError):
        lake.check_log("items")


def test_an_old_version_that_is_not_there_is_no_damage(lake: Lake) -> None:
    write_commits(lake)
    with pytest.raises(Exception, match="99") as told:
        lake.table("items", 99)
    assert not isinstance(told.value, DamagedObjectError)


def test_a_damaged_checkpoint_is_named(lake: Lake) -> None:
    write_commits(lake)
    table = lake.table("items")
    assert table is not None
    table.create_checkpoint()
    name = f"{3:020}.checkpoint.parquet"
    lake.write(b"xx", "tables", "items", "_delta_log", name)
    with pytest.raises(DamagedObjectError, match="checkpoint that is cut off") as told:
        lake.table("items")
    check_line(told, lake, name)


def test_what_is_json_is_read_whatever_it_is(lake: Lake) -> None:
    lake.write(json.dumps([1]).encode(), "a.json")
    assert lake.read_json("a.json") == [1]
    assert lake.read_json("b.json", types={"a": int}) is None
    lake.write_json({"a": 1}, "a.json")
    assert lake.read_json("a.json", types={"a": int}) == {"a": 1}
    with pytest.raises(DamagedObjectError, match="has no 'a' as Dawnlist writes it"):
        lake.read_json("a.json", types={"a": str})
