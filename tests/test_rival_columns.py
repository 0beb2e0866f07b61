"""Ids of two columns are mixed only when the settings list both."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dawnlist.lake.lake import Lake
from tests.test_clean import cleaned, rows_of

TIME = "2026-01-03T10:00:00Z"
OTHERS = {"user_id": "customer_id", "item_id": "sku"}


def build_table(column: str, first: list[str | None], second: list[str | None]) -> pa.Table:
    cells: dict[str, Any] = {"user_id": ["a", "b"], "item_id": ["A", "B"], "event": ["view"] * 2}
    cells |= {"ts": [TIME] * 2, column: first, OTHERS[column]: second}
    return pa.table(cells)


@pytest.mark.parametrize("column", OTHERS)
def test_one_column_is_taken_unless_both_are_listed(
    tmp_path: Path, column: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = build_table(column, ["5", None], [None, "6"])
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    assert cleaned(lake, table)["reasons"] == {f"{column} missing": 1}
    assert rows_of(lake, "interactions", column) == [("5",)]
    assert f"1 rows have a value in {OTHERS[column]!r}" in capsys.readouterr().out
    listed: dict[str, Any] = {"columns": {column: [column, OTHERS[column]]}}
    assert cleaned(lake, table, "r2", **listed)["clean"] == 2
    assert rows_of(lake, "interactions", column) == [("5",), ("6",)]


def test_a_column_without_a_value_gives_way(tmp_path: Path) -> None:
    table = build_table("user_id", [None, "null"], ["5", "6"])
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    assert cleaned(lake, table)["clean"] == 2


@pytest.mark.parametrize(("length", "clean"), [(512, 2), (513, 1)])
def test_an_id_that_the_api_would_refuse_is_rejected(
    tmp_path: Path, length: int, clean: int
) -> None:
    table = build_table("user_id", ["x" * length, "b"], [None, None])
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    assert cleaned(lake, table)["clean"] == clean
