"""Features accumulate in the lake: whatever the nights were, they are those of the rows."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from dawnlist.components.filter_bots import day_features, features, measured_days
from dawnlist.components.filter_bots.day_features import load_day_features
from dawnlist.lake.commits import commit_with_retries
from dawnlist.lake.lake import Lake
from dawnlist.schema import INTERACTIONS_SCHEMA
from dawnlist.upkeep.expiry import Expiry

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KINDS = ("agent", "user")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


def rows(first: int, last: int, seed: int = 0, each: int = 40) -> pa.Table:
    """Rows of the days [first, last), each day's from its own seed."""
    random = [np.random.default_rng([seed, day]) for day in range(first, last)]
    drawn = [
        (day, second, generator.integers(6), generator.zipf(1.8) % 9)
        for day, generator in zip(range(first, last), random, strict=True)
        for second in np.sort(generator.integers(0, 86_400, each))
    ]
    times = [START + day * DAY + timedelta(seconds=int(second)) for day, second, *_ in drawn]
    n = len(drawn)
    columns: dict[str, Any] = {
        "event_id": [f"{seed}-{first}-{number}" for number in range(n)],
        "user_id": [f"u{user}" for *_, user, _ in drawn],
        "item_id": [f"i{item}" for *_, item in drawn],
        "event_type": ["view" if number % 3 else "cart" for number in range(n)],
        "weight": [1.0] * n,
        "event_time": times,
        "event_date": [time.date() for time in times],
        "session_id": [None] * n,
        "user_agent": [f"agent {user % 2}" for *_, user, _ in drawn],
        "ip": ["10.0.0.0/24"] * n,
        "source": ["literal"] * n,
    }
    return pa.table(columns, schema=INTERACTIONS_SCHEMA)


def append(lake: Lake, table: pa.Table) -> int:
    write_deltalake(
        lake.table_uri("interactions"), table, mode="append", partition_by=["event_date"]
    )
    return newest(lake)


def newest(lake: Lake, name: str = "interactions") -> int:
    table = lake.table(name)
    assert table is not None
    return int(table.version())


def loaded(
    lake: Lake, version: int, first: float, last: float
) -> tuple[list[int], dict[str, list[Any]]]:
    """The days read, as numbers, and what the rules see."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        read = load_day_features(
            connection, lake, version, (START + first * DAY, START + last * DAY)
        )
        seen = {kind: seen_by(connection, kind) for kind in ("user", "agent")}
    return [(day - START.date()).days for day in read], seen


def seen_by(connection: Any, kind: str) -> list[Any]:
    rows: list[Any] = connection.execute(f"FROM {kind}_days ORDER BY ALL").fetchall()
    return rows


def measured(table: pa.Table, first: float, last: float) -> dict[str, list[Any]]:
    """The same without a lake: from all rows at once."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("all_rows", table)
        start, end = (f"TIMESTAMPTZ '{(START + day * DAY).isoformat()}'" for day in (first, last))
        connection.execute(
            "CREATE VIEW inside AS SELECT * FROM all_rows "
            f"WHERE event_time >= {start} AND event_time < {end}"
        )
        features.measure_features(connection, "inside")
        return {kind: seen_by(connection, kind) for kind in ("user", "agent")}


def test_a_night_reads_the_new_day_alone(lake: Lake) -> None:
    append(lake, rows(0, 5))
    assert loaded(lake, 0, 0, 5) == ([0, 1, 2, 3, 4], measured(rows(0, 5), 0, 5))
    append(lake, rows(5, 6))
    assert loaded(lake, 1, 1, 6) == (
        [5],
        measured(pa.concat_tables([rows(0, 5), rows(5, 6)]), 1, 6),
    )
    assert loaded(lake, 1, 1, 6)[0] == []


def test_nights_one_by_one_are_as_all_at_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day_features, "EVENTS_PER_CHUNK", 100)
    for night in range(1, 8):
        version = append(lake, rows(night - 1, night))
        loaded(lake, version, 0, night)
    late = pa.concat_tables([rows(2, 3, seed=9, each=3), rows(6, 7, seed=9, each=2)])
    version = append(lake, late)
    everything = pa.concat_tables([rows(day, day + 1) for day in range(7)] + [late])
    read, seen = loaded(lake, version, 0, 7)
    assert read == [2, 6]  # the late rows' days
    assert seen == measured(everything, 0, 7)


def test_a_day_that_the_window_cuts_is_not_kept(lake: Lake) -> None:
    version = append(lake, rows(0, 4))
    read, seen = loaded(lake, version, 0.25, 3.125)
    assert (read, seen) == ([0, 1, 2, 3], measured(rows(0, 4), 0.25, 3.125))
    assert kept_days(lake) == {"agent": [1, 2], "user": [1, 2]}
    assert loaded(lake, version, 0.25, 3.125) == ([0, 3], seen)
    assert loaded(lake, version, 0, 4) == ([0, 3], measured(rows(0, 4), 0, 4))


def kept_days(lake: Lake) -> dict[str, list[int]]:
    found = {}
    for kind in KINDS:
        table = lake.rows(f"bot_{kind}_days")
        assert table is not None
        held = set(table.to_table(columns=["event_date"])["event_date"].to_pylist())
        found[kind] = sorted((day - START.date()).days for day in held)
    return found


def test_a_retry_of_an_older_version_sees_what_was_there_and_keeps_nothing(lake: Lake) -> None:
    old = append(lake, rows(0, 4))
    before = measured(rows(0, 4), 0, 4)
    new = append(lake, pa.concat_tables([rows(2, 3, seed=7, each=2), rows(4, 5)]))
    after = loaded(lake, new, 0, 5)[1]
    versions = [newest(lake, f"bot_{kind}_days") for kind in KINDS]
    assert loaded(lake, old, 0, 4) == ([2], before)
    assert [newest(lake, f"bot_{kind}_days") for kind in KINDS] == versions
    assert loaded(lake, new, 0, 5) == ([], after)


@pytest.mark.parametrize("killed", ["bot_agent_days", "bot_user_days"])
def test_what_a_killed_run_left_is_measured_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    first = append(lake, rows(0, 4))
    loaded(lake, first, 0, 4)
    late = rows(1, 2, seed=7, each=2)
    version = append(lake, late)
    with monkeypatch.context() as patch:

        def kill(lake: Lake, name: str, attempt: Any) -> Any:
            if name == killed:
                raise KeyboardInterrupt
            return commit_with_retries(lake, name, attempt)

        patch.setattr("dawnlist.components.filter_bots.measured_days.commit_with_retries", kill)
        with pytest.raises(KeyboardInterrupt):
            loaded(lake, version, 0, 4)
    expected = measured(pa.concat_tables([rows(0, 4), late]), 0, 4)
    assert loaded(lake, version, 0, 4) == ([1], expected)


def test_another_edition_measures_everything_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = append(lake, rows(0, 3))
    seen = loaded(lake, version, 0, 3)[1]
    monkeypatch.setattr(measured_days, "FEATURES_EDITION", measured_days.FEATURES_EDITION + 1)
    assert loaded(lake, version, 0, 3) == ([0, 1, 2], seen)
    assert loaded(lake, version, 0, 3) == ([], seen)


def test_days_that_expired_are_not_seen(lake: Lake) -> None:
    version = append(lake, rows(0, 4))
    seen = loaded(lake, version, 0, 4)[1]
    table = lake.table("interactions")
    assert table is not None
    table.delete("event_date < '2026-01-02'")
    read, kept = loaded(lake, newest(lake), 0, 4)
    assert read == []  # what was learned of the other days stays
    assert kept == {
        kind: [row for row in some if row[0] > date(2026, 1, 1)] for kind, some in seen.items()
    }


def test_a_longer_window_measures_what_it_adds(lake: Lake) -> None:
    version = append(lake, rows(0, 5))
    assert loaded(lake, version, 3, 5)[0] == [3, 4]
    assert loaded(lake, version, 0, 5) == ([0, 1, 2], measured(rows(0, 5), 0, 5))


def test_no_interactions(lake: Lake) -> None:
    with pytest.raises(ValueError, match="run clean first"):
        loaded(lake, 0, 0, 5)


def test_what_is_kept_expires_with_the_interactions(lake: Lake) -> None:
    loaded(lake, append(lake, rows(0, 4)), 0, 4)
    expiry = Expiry(lake, START + 4 * DAY, START + 4 * DAY)
    assert replace(expiry, dry_run=True).expire_features(2) == expiry.expire_features(2)
    assert kept_days(lake) == {"agent": [2, 3], "user": [2, 3]}
    assert expiry.expire_features(2) == {"rows": 0}
