"""Two commits at one time that replace the files of a table: no row comes back, and none is there twice."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import write_deltalake

from dawnlist.components.clean.table_commits import overwrite_table
from dawnlist.lake.commits import append_rows, build_commit_properties, commit_with_retries
from dawnlist.lake.lake import Lake
from dawnlist.lake.row_deletion import delete_rows
from dawnlist.upkeep.compaction import compact_table
from dawnlist.upkeep.time_travel import restore_version

OLD_DAY, NEW_DAY = date(2026, 1, 1), date(2026, 1, 2)
FILES_OF_A_DAY = 5
"""One more than a day may have without being compacted."""


def build_rows(*ids: str, day: date = NEW_DAY) -> pa.Table:
    return pa.table({"id": list(ids), "event_date": pa.array([day] * len(ids))})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A table whose days have five files each, with a row to keep and a row to erase."""
    lake = Lake.open(str(tmp_path), "shop")
    for day, name in ((OLD_DAY, "old"), (NEW_DAY, "new")):
        for number in range(FILES_OF_A_DAY):
            rows = build_rows(f"{name}{number}", f"erase-{name}{number}", day=day)
            write_deltalake(
                lake.table_uri("events"), rows, mode="append", partition_by=["event_date"]
            )
    return lake


def list_ids(lake: Lake) -> list[str]:
    rows = lake.rows("events")
    assert rows is not None
    return sorted(rows.to_table()["id"].to_pylist())


def erase(lake: Lake) -> Any:
    return delete_rows(lake, "events", pc.starts_with(pc.field("id"), "erase"))


def expire(lake: Lake) -> Any:
    """Delete whole days, as expiry does."""

    def attempt(table: Any) -> None:
        table.delete(f"event_date < '{NEW_DAY}'", commit_properties=build_commit_properties({}))

    return commit_with_retries(lake, "events", attempt)


def compact(lake: Lake) -> Any:
    return compact_table(lake, "events")


def append(lake: Lake) -> Any:
    def attempt(table: Any) -> None:
        append_rows(lake, "events", table, build_rows("later", "erase-later"), {}, {})

    return commit_with_retries(lake, "events", attempt)


def replace_old_day(lake: Lake) -> Any:
    """Replace the rows of a day, as the bot filter does with what it measured."""

    def attempt(table: Any) -> None:
        write_deltalake(
            table,
            build_rows("replaced", day=OLD_DAY),
            mode="overwrite",
            predicate=f"event_date = '{OLD_DAY}'",
            commit_properties=build_commit_properties({}),
        )

    return commit_with_retries(lake, "events", attempt)


def overwrite(lake: Lake) -> Any:
    return overwrite_table(lake, "events", build_rows("overwritten"))


def restore(lake: Lake) -> Any:
    return restore_version(lake, "events", 0)


def run_between(
    monkeypatch: pytest.MonkeyPatch,
    lake: Lake,
    first: Callable[[Lake], Any],
    other: Callable[[Lake], Any],
) -> None:
    """Run `first`, and all of `other` after `first` has opened the table and before it commits."""
    open_table = Lake.table
    is_waiting = True

    def open_and_wait(self: Lake, name: str, version: int | None = None) -> Any:
        nonlocal is_waiting
        table = open_table(self, name, version)
        if is_waiting:
            is_waiting = False
            other(lake)
        return table

    monkeypatch.setattr(Lake, "table", open_and_wait)
    first(lake)
    assert not is_waiting


OLD = [f"old{number}" for number in range(FILES_OF_A_DAY)]
NEW = [f"new{number}" for number in range(FILES_OF_A_DAY)]
ERASED = [f"erase-{name}" for name in (*NEW, *OLD)]


@pytest.mark.parametrize(
    ("first", "other", "left"),
    [
        (erase, compact, NEW + OLD),
        (compact, erase, NEW + OLD),
        (erase, erase, NEW + OLD),
        (erase, append, ["later", *NEW, *OLD]),
        (append, erase, ["erase-later", "later", *NEW, *OLD]),
        (erase, expire, NEW),
        (expire, erase, NEW),
        (compact, append, ["erase-later", "later", *ERASED, *NEW, *OLD]),
        (append, compact, ["erase-later", "later", *ERASED, *NEW, *OLD]),
        (compact, expire, [*ERASED[:FILES_OF_A_DAY], *NEW]),
        (expire, compact, [*ERASED[:FILES_OF_A_DAY], *NEW]),
        (compact, replace_old_day, [*ERASED[:FILES_OF_A_DAY], *NEW, "replaced"]),
        (replace_old_day, compact, [*ERASED[:FILES_OF_A_DAY], *NEW, "replaced"]),
        (erase, replace_old_day, [*NEW, "replaced"]),
        (replace_old_day, erase, [*NEW, "replaced"]),
        (compact, overwrite, ["overwritten"]),
        (overwrite, compact, ["overwritten"]),
        (erase, overwrite, ["overwritten"]),
        (overwrite, erase, ["overwritten"]),
        (restore, compact, ["erase-old0", "old0"]),
        (compact, restore, ["erase-old0", "old0"]),
    ],
)  # fmt: skip
def test_two_rewrites_at_one_time(
    monkeypatch: pytest.MonkeyPatch,
    lake: Lake,
    first: Callable[[Lake], Any],
    other: Callable[[Lake], Any],
    left: list[str],
) -> None:
    run_between(monkeypatch, lake, first, other)
    assert list_ids(lake) == sorted(left)
