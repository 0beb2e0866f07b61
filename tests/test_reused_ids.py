"""An event id that repeats with another user, item or type is no copy; a column that is no id stops."""

from pathlib import Path
from typing import Any

import pytest

from dawnlist.lake.lake import Lake
from tests.test_clean import cleaned, events, rows_of

TIME = "2026-01-03T10:00:00Z"
LATER = "2026-01-03T11:00:00Z"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


def count_fates(report: dict[str, Any]) -> tuple[int, int, int, int]:
    return report["clean"], report["duplicates"], report["inserted"], report["known"]


@pytest.mark.parametrize(
    "other",
    [
        ("1", "other", "A", "view", TIME),
        ("1", "a", "other", "view", TIME),
        ("1", "a", "A", "purchase", TIME),
        ("1", "other", "other", "cart", LATER),
    ],
    ids=["user", "item", "type", "all"],
)
def test_another_event_with_the_same_id_is_kept(lake: Lake, other: tuple[str, ...]) -> None:
    first, copy = ("1", "a", "A", "view", TIME), ("1", "a", "A", "view", LATER)
    report = cleaned(lake, events(first, other, copy, other), "r1")
    assert count_fates(report) == (2, 2, 2, 0)
    assert report["profile"]["reused_ids"] == 2
    stored = rows_of(lake, "interactions", "event_id", "user_id", "item_id", "event_type")
    ids = {row[1:]: row[0] for row in stored}
    assert ids[first[1:4]] == "1" and len(ids[other[1:4]]) == 32
    # In another window, alone or together, and whichever comes first, they are the same events.
    assert count_fates(cleaned(lake, events(other), "r2")) == (1, 0, 0, 1)
    assert count_fates(cleaned(lake, events(other, first), "r3")) == (2, 0, 0, 2)


def test_copies_stay_copies(lake: Lake) -> None:
    first = ("1", "a", "A", "view", TIME)
    report = cleaned(lake, events(first, first, ("1", "a", "A", "view", LATER)))
    assert count_fates(report) == (1, 2, 1, 0)
    assert report["profile"]["reused_ids"] == 0


@pytest.mark.parametrize("reused", [200, 201])
def test_a_column_that_is_no_id_stops_the_run(lake: Lake, reused: int) -> None:
    """Exactly the limit of 20% passes."""
    rows = []
    for number in range(1000):
        event_id = "same" if number <= reused else str(number)
        rows.append((event_id, f"u{number}", "A", "view", TIME))
    if reused == 200:
        assert cleaned(lake, events(*rows))["inserted"] == 1000
        return
    with pytest.raises(
        RuntimeError, match="event_id has 799 values in 1,000 rows, and 201 of them"
    ):
        cleaned(lake, events(*rows))
    settings: dict[str, Any] = {"columns": {"event_id": []}}
    assert cleaned(lake, events(*rows), "r2", **settings)["inserted"] == 1000
