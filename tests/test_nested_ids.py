"""An id that is an object or a list is no id, whatever wrote it."""

from pathlib import Path

import pyarrow as pa
import pytest

from dawnlist.lake.lake import Lake
from dawnlist.rows.coercions import is_nested
from tests.test_clean import cleaned, evaluated, rows_of

TIME = "2026-01-03T10:00:00Z"
GUID = "{3F2504E0-4F89-11D3-9A0C-0305E82C3301}"


def test_what_is_nested() -> None:
    nested = ['{"id": "u0"}', "{'id': u0, 'visits': 1}", "[a, b]", "[]", "{}"]
    plain = [GUID, "u0", "{a", "[a", "a:b", "a]"]
    assert evaluated([*nested], is_nested) == [True] * len(nested)
    assert evaluated([*plain], is_nested) == [False] * len(plain)


@pytest.mark.parametrize("column", ["user", "item"])
@pytest.mark.parametrize("value", ['{"id": "u0"}', {"id": "u0", "visits": 1}, ["u0"]])
def test_a_source_of_nested_ids_is_refused(tmp_path: Path, column: str, value: object) -> None:
    cells = {"user": ["a", "b"], "item": ["A", "B"], column: [value, value]}
    table = pa.table({**cells, "event": ["view"] * 2, "ts": [TIME] * 2})
    message = f"2 of 2 rows have an object or a list for {column}_id: name a column of plain ids"
    with pytest.raises(RuntimeError, match=message):
        cleaned(Lake.open(str(tmp_path / "lake"), "shop"), table)


def test_half_of_the_rows_is_no_refusal_and_they_are_quarantined(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    cells = {"user": [GUID, "[b]"], "item": ["A", "B"], "event": ["view"] * 2, "ts": [TIME] * 2}
    assert cleaned(lake, pa.table(cells))["quarantined"] == 1
    assert rows_of(lake, "quarantine", "reason") == [("user_id is an object or a list",)]
    assert rows_of(lake, "interactions", "user_id") == [(GUID,)]
